/** @file AdamW against its textbook form in double precision, clipped and decayed as in torch. */
import { describe, expect, test } from 'vitest'
import { distance } from '../../test/run-graph.ts'
import { evaluate, Graph, optimize } from '../graph/index.ts'
import { uniform } from '../model/index.ts'
import { type AdamWOptions, adamW } from './optimizer.ts'

const SHAPES = { matrix: [3, 4], vector: [5] } as const
const OPTIONS: AdamWOptions = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 }
type Values = Record<string, number[]>

function program(options: AdamWOptions): Graph {
  const graph = new Graph()
  const float = (name: string, shape: readonly number[] = []) =>
    graph.input(name, { dtype: 'float32', shape })
  const trained = Object.entries(SHAPES).map(([name, shape]) => ({
    value: float(name, shape),
    gradient: float(`${name}.g`, shape),
    m: float(`${name}.m`, shape),
    v: float(`${name}.v`, shape),
  }))
  const scalars = {
    learningRate: float('rate'),
    biasCorrection1: float('c1'),
    biasCorrection2: float('c2'),
  }
  const updated = adamW(trained, float('norm'), float('loss'), scalars, options)
  Object.keys(SHAPES).forEach((name, i) => {
    graph.output(`next ${name}`, updated[i]!.value)
    graph.output(`next ${name}.m`, updated[i]!.m)
    graph.output(`next ${name}.v`, updated[i]!.v)
  })
  return optimize(graph)
}

/** Loshchilov and Hutter 2019, algorithm 2, after clip_grad_norm_. */
function textbook(
  state: Values,
  gradients: Values,
  norm: number,
  step: number,
  rate: number,
  o: AdamWOptions,
): void {
  const clip = o.clipNorm === undefined ? 1 : Math.min(1, o.clipNorm / (norm + 1e-6))
  const [beta1, beta2] = o.betas
  for (const [name, shape] of Object.entries(SHAPES)) {
    const [p, m, v] = [state[name]!, state[`${name}.m`]!, state[`${name}.v`]!]
    const decay = shape.length > 1 ? o.weightDecay : 0
    gradients[name]!.forEach((raw, i) => {
      const g = raw * clip
      p[i]! -= rate * decay * p[i]!
      m[i] = beta1 * m[i]! + (1 - beta1) * g
      v[i] = beta2 * v[i]! + (1 - beta2) * g * g
      p[i]! -= (rate * (m[i]! / (1 - beta1 ** step))) / (Math.sqrt(v[i]! / (1 - beta2 ** step)) + o.epsilon)
    })
  }
}

describe.each([
  ['clipped', OPTIONS],
  ['never clipped', { ...OPTIONS, clipNorm: 1e6 }],
  ['without clipping', { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } as AdamWOptions],
  ['without decay', { ...OPTIONS, weightDecay: 0 }],
  ['other betas, a large epsilon', { ...OPTIONS, betas: [0.5, 0.999], epsilon: 0.1 } as AdamWOptions],
])('%s', (_, options) => {
  test('ten steps are those of the textbook', () => {
    const graph = program(options)
    const next = uniform(1, 'adamw')
    const random = (count: number, width: number) =>
      Array.from({ length: count }, () => (next() - 0.5) * width)
    const ours: Values = {}
    for (const [name, shape] of Object.entries(SHAPES)) {
      const count = shape.reduce((n: number, size) => n * size, 1)
      ours[name] = random(count, 2)
      ours[`${name}.m`] = new Array(count).fill(0)
      ours[`${name}.v`] = new Array(count).fill(0)
    }
    const theirs = structuredClone(ours)
    for (let step = 1; step <= 10; step++) {
      const rate = 0.01 * step
      const gradients = { matrix: random(12, step), vector: random(5, step) }
      const norm = Math.sqrt(
        Object.values(gradients)
          .flat()
          .reduce((sum, g) => sum + g * g, 0),
      )
      textbook(theirs, gradients, norm, step, rate, options)
      const given = new Map<string, number[]>([
        ...Object.entries(ours),
        ...Object.entries(gradients).map(([name, g]): [string, number[]] => [`${name}.g`, g]),
        ['rate', [rate]],
        ['c1', [1 - options.betas[0] ** step]],
        ['c2', [Math.sqrt(1 - options.betas[1] ** step)]],
        ['norm', [norm]],
        ['loss', [2]],
      ])
      for (const [name, values] of evaluate(graph, given)) ours[name.replace('next ', '')] = [...values]
    }
    // the betas and other constants of the program are float32
    for (const [name, values] of Object.entries(theirs))
      expect(distance(ours[name]!, values), name).toBeLessThan(2e-6)
  })

  test.each([
    ['norm', Number.NaN],
    ['norm', Number.POSITIVE_INFINITY],
    ['loss', Number.NaN],
    ['loss', Number.NEGATIVE_INFINITY],
  ])('nothing changes when the %s is %d', (which, value) => {
    const graph = program(options)
    const given = new Map<string, number[]>()
    for (const [name, { shape }] of graph.inputs) {
      given.set(
        name,
        Array.from({ length: shape.reduce((n, size) => n * size, 1) }, (_, i) => (i + 1) / 8),
      )
    }
    given.set(which, [value])
    given.set('matrix.g', new Array(12).fill(value))
    const results = evaluate(graph, given)
    for (const [name, values] of results) expect([...values]).toEqual(given.get(name.replace('next ', '')))
  })
})
