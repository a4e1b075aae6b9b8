/** @file Muon against torch's code written out in double precision; and what its iterations do to singular values. */
import { describe, expect, test } from 'vitest'
import { adamwStep, decayOf, SHAPES, type Textbook, tenSteps } from '../../../test/optimizer-steps.ts'
import { distance } from '../../../test/run-graph.ts'
import { evaluate, Graph } from '../../graph/index.ts'
import { uniform } from '../../model/index.ts'
import type { Optimizer } from './index.ts'
import { orthogonalized } from './muon.ts'

type Muon = Optimizer<'muon'>
type Matrix = number[][]
const OPTIONS: Muon = {
  kind: 'muon',
  momentum: 0.95,
  adjustLearningRate: 'match_rms_adamw',
  adamwRate: 1,
  betas: [0.9, 0.95],
  epsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1,
}

const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, x, k) => sum + x * b[k]![j]!, 0)))
const turned = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!))
const combined = (p: number, a: Matrix, q: number, b: Matrix): Matrix =>
  a.map((row, i) => row.map((x, j) => p * x + q * b[i]![j]!))
const rowsOf = (values: readonly number[], columns: number): Matrix =>
  Array.from({ length: values.length / columns }, (_, i) => values.slice(i * columns, (i + 1) * columns))

/** `_zeropower_via_newtonschulz` of torch.optim.Muon, a tall matrix turned first. */
function newtonSchulz(values: readonly number[], [rows, columns]: readonly [number, number]): number[] {
  const given = rowsOf(values, columns)
  const norm = Math.max(Math.hypot(...values), 1e-7)
  let x = (rows > columns ? turned(given) : given).map((row) => row.map((value) => value / norm))
  for (let i = 0; i < 5; i++) {
    const gram = product(x, turned(x))
    x = combined(3.4445, x, 1, product(combined(-4.775, gram, 2.0315, product(gram, gram)), x))
  }
  return (rows > columns ? turned(x) : x).flat()
}

function textbook(o: Muon): Textbook {
  return (values, gradients, step, rate) => {
    for (const name of ['wide', 'tall'] as const) {
      const [rows, columns] = SHAPES[name].shape
      const [p, buffer] = [values[name]!, values[`${name}.momentum_buffer`]!]
      const ahead = gradients[name]!.map((g, i) => {
        buffer[i]! += (1 - o.momentum) * (g - buffer[i]!)
        return g + o.momentum * (buffer[i]! - g)
      })
      const size =
        o.adjustLearningRate === 'original'
          ? Math.sqrt(Math.max(1, rows / columns))
          : 0.2 * Math.sqrt(Math.max(rows, columns))
      newtonSchulz(ahead, [rows, columns]).forEach((update, i) => {
        p[i]! *= 1 - rate * decayOf(o, name)
        p[i]! -= rate * size * update
      })
    }
    for (const name of ['table', 'vector'] as const) {
      adamwStep(o, name, values, gradients, step, rate * o.adamwRate)
    }
  }
}

test.each<[string, Muon]>([
  ['clipped', OPTIONS],
  ['without clipping', { ...OPTIONS, clipNorm: null }],
  ['without decay', { ...OPTIONS, weightDecay: 0 }],
  [
    'the original learning rate, one of its own for AdamW',
    { ...OPTIONS, adjustLearningRate: 'original', adamwRate: 0.1 },
  ],
  ['other decays', { ...OPTIONS, momentum: 0.8, betas: [0.8, 0.99], epsilon: 1e-3 }],
])('%s: ten steps are those of the textbook', (_, options) => {
  const { ours, theirs } = tenSteps(options, textbook(options))
  // the iterations make small singular values larger, and the rounding in them with it
  for (const [name, values] of Object.entries(theirs))
    expect(distance(ours[name]!, values), name).toBeLessThan(1e-5)
})

describe('orthogonalized', () => {
  const results = (shape: readonly [number, number], values: readonly number[]) => {
    const graph = new Graph()
    graph.output('y', orthogonalized(graph.input('x', { dtype: 'float32', shape })))
    return [...evaluate(graph, new Map([['x', values]])).get('y')!]
  }

  test.each([
    [4, 4],
    [3, 8],
    [8, 3],
  ])('%i x %i: sizes of directions come near to 1, the directions stay', (rows, columns) => {
    const next = uniform(2, 'matrix')
    const values = Array.from({ length: rows * columns }, () => next() - 0.5)
    const y = rowsOf(results([rows, columns], values), columns)
    // products of the shorter side: near to the identity, as singular values are 0.68 to 1.13 (Jordan et al. 2024)
    const products = rows <= columns ? product(y, turned(y)) : product(turned(y), y)
    products.forEach((row, i) => {
      row.forEach((value, j) => {
        if (i === j) expect(value).toBeGreaterThan(0.4)
        expect(Math.abs(value - (i === j ? 1 : 0))).toBeLessThan(0.6)
      })
    })
    // U^T y = S' V^T for x = U S V^T: x^T y is symmetric
    const x = rowsOf(values, columns)
    const crossed = product(turned(x), y)
    expect(distance(crossed.flat(), turned(crossed).flat())).toBeLessThan(1e-5)
  })

  test('does not depend on the size of a matrix, and leaves one of zeros', () => {
    const next = uniform(3, 'matrix')
    const values = Array.from({ length: 12 }, () => next() - 0.5)
    const large = results(
      [3, 4],
      values.map((value) => value * 4096),
    )
    expect(distance(large, results([3, 4], values))).toBeLessThan(1e-6)
    expect(results([2, 2], [0, 0, 0, 0])).toEqual([0, 0, 0, 0])
  })
})
