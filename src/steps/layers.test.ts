/** @file Layers with gradients by hand, against finite differences and against the same layer written plainly. */
import { afterAll, describe, expect, test } from 'vitest'
import { worstDifference } from '../../test/finite-differences.ts'
import { rounding } from '../../test/rounding.ts'
import { distance, runGraph } from '../../test/run-graph.ts'
import {
  add,
  constant,
  evaluate,
  Graph,
  gather,
  gradients,
  matmul,
  mul,
  optimize,
  reduceSum,
  reshape,
  softmax,
  type Tensor,
  transpose,
} from '../graph/index.ts'
import { ropeTables, uniform } from '../model/index.ts'
import { createRuntime } from '../runtime/index.ts'
import { activate, gated, swiglu } from './activations.ts'
import { causalAttention, embedding, layerNorm, linear, rmsNorm, rotate, rotation } from './layers.ts'
import { linearCrossEntropy } from './loss.ts'

const runtime = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => runtime.dispose())

const float = (graph: Graph, name: string, ...shape: number[]) =>
  graph.input(name, { dtype: 'float32', shape })

/** sum(w y) with weights w that are one more input. */
const weighted = (y: Tensor) => reduceSum(mul(y, float(y.node.graph, 'w', ...y.shape)))

function numbers(count: number, name: string, width = 2): number[] {
  const next = uniform(1, name)
  return Array.from({ length: count }, () => (next() - 0.5) * width)
}

describe('gradients agree with finite differences', () => {
  const tables = ropeTables({ theta: 100, scaling: { type: 'default' } }, 4, 3)

  test.each<[string, Record<string, number[]>, (graph: Graph, xs: Record<string, Tensor>) => Tensor]>([
    ['rmsNorm', { x: [3, 4], weight: [4] }, (_, { x, weight }) => weighted(rmsNorm(x!, weight!, 1e-5))],
    [
      'rmsNorm of heads',
      { x: [1, 3, 2, 4], weight: [4] },
      (_, { x, weight }) => weighted(rmsNorm(x!, weight!, 1e-5)),
    ],
    ['swiglu', { gate: [3, 4], up: [3, 4] }, (_, { gate, up }) => weighted(swiglu(gate!, up!))],
    [
      'layerNorm',
      { x: [3, 4], weight: [4], bias: [4] },
      (_, { x, weight, bias }) => weighted(layerNorm(x!, weight!, bias!, 1e-5)),
    ],
    ['gelu', { x: [3, 4] }, (_, { x }) => weighted(activate('gelu', x!))],
    ['gelu_tanh', { x: [3, 4] }, (_, { x }) => weighted(activate('gelu_tanh', x!))],
    ['silu', { x: [3, 4] }, (_, { x }) => weighted(activate('silu', x!))],
    ['gelu as a gate', { gate: [3, 4], up: [3, 4] }, (_, g) => weighted(gated('gelu', g.gate!, g.up!))],
    [
      'gelu_tanh as a gate',
      { gate: [3, 4], up: [3, 4] },
      (_, { gate, up }) => weighted(gated('gelu_tanh', gate!, up!)),
    ],
    [
      'linear, transposed',
      { x: [3, 4], weight: [4, 2], bias: [2] },
      (_, { x, weight, bias }) => weighted(linear(x!, weight!, bias, true)),
    ],
    [
      'rotate, a part of each head',
      { x: [2, 2, 3, 6] },
      (graph, { x }) => weighted(rotate(x!, rotation(graph, tables, 4, 0.5, 6))),
    ],
    [
      'attention with capped scores',
      { q: [1, 2, 5, 2], k: [1, 2, 5, 2], v: [1, 2, 5, 2] },
      (_, { q, k, v }) => weighted(causalAttention(q!, k!, v!, undefined, 0.5)),
    ],
    [
      'linear',
      { x: [3, 4], weight: [2, 4], bias: [2] },
      (_, { x, weight, bias }) => weighted(linear(x!, weight!, bias)),
    ],
    ['rotate', { x: [2, 2, 3, 4] }, (graph, { x }) => weighted(rotate(x!, rotation(graph, tables, 4, 0.5)))],
    [
      'attention',
      { q: [2, 2, 5, 2], k: [2, 2, 5, 2], v: [2, 2, 5, 2] },
      (_, { q, k, v }) => weighted(causalAttention(q!, k!, v!)),
    ],
    [
      'attention in groups',
      { q: [1, 4, 5, 2], k: [1, 2, 5, 2], v: [1, 2, 5, 2] },
      (_, { q, k, v }) => weighted(causalAttention(q!, k!, v!)),
    ],
    [
      'attention in a window',
      { q: [1, 2, 6, 2], k: [1, 1, 6, 2], v: [1, 1, 6, 2] },
      (_, { q, k, v }) => weighted(causalAttention(q!, k!, v!, 3)),
    ],
    [
      'embedding, with ids that repeat',
      { table: [6, 3] },
      (graph, { table }) =>
        weighted(embedding(table!, constant(graph, 'int32', [7], Int32Array.of(5, 1, 1, 0, 5, 1, 3)))),
    ],
    [
      'cross-entropy, with labels to ignore',
      { hidden: [5, 3], weight: [7, 3], scale: [] },
      (graph, { hidden, weight, scale }) => {
        const labels = constant(graph, 'int32', [5], Int32Array.of(6, -100, 0, -1, 6))
        return mul(linearCrossEntropy(hidden!, weight!, labels, scale!, { gradient: true }), 1.5)
      },
    ],
    [
      'cross-entropy of capped logits',
      { hidden: [5, 3], weight: [7, 3], scale: [] },
      (graph, { hidden, weight, scale }) => {
        const labels = constant(graph, 'int32', [5], Int32Array.of(6, -100, 0, -1, 6))
        return mul(linearCrossEntropy(hidden!, weight!, labels, scale!, { gradient: true, cap: 0.5 }), 1.5)
      },
    ],
  ])('%s', (name, shapes, build) => {
    const given = new Map(
      Object.entries(shapes).map(([key, shape]) => [
        key,
        numbers(
          shape.reduce((n, size) => n * size, 1),
          key,
        ),
      ]),
    )
    const wrt = Object.keys(shapes).filter((key) => key !== 'scale')
    const loss = (graph: Graph) =>
      build(
        graph,
        Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [key, float(graph, key, ...shape)])),
      )
    const { error, place } = worstDifference(loss, given, wrt)
    expect(error, `${name}: ${place}`).toBeLessThan(1e-6)
  })
})

/** Outputs and gradients of two ways to compute the same, by ONNX Runtime, with sums of so many `terms`. */
async function same(
  shapes: Readonly<Record<string, readonly number[]>>,
  one: (xs: Tensor[]) => Tensor,
  other: (xs: Tensor[]) => Tensor,
  terms: number,
): Promise<void> {
  const results = []
  for (const build of [one, other]) {
    const graph = new Graph()
    const xs = Object.entries(shapes).map(([name, shape]) => float(graph, name, ...shape))
    const y = build(xs)
    graph.output('y', y)
    const grads = gradients(weighted(y), xs)
    grads.forEach((g, i) => void graph.output(`g${i}`, g))
    const given = new Map(
      [...graph.inputs].map(([name, { shape }]) => [
        name,
        numbers(
          shape.reduce((n, size) => n * size, 1),
          name,
        ),
      ]),
    )
    results.push(await runGraph(runtime, optimize(graph), given))
  }
  for (const [name, values] of results[1]!)
    expect(distance(results[0]!.get(name)!, values), name).toBeLessThan(rounding(terms))
}

/** Attention in one piece, with keys repeated for each head, differentiated by the rules of its operations. */
function plainAttention(q: Tensor, k: Tensor, v: Tensor, window = Number.POSITIVE_INFINITY): Tensor {
  const [, heads, length] = q.shape as [number, number, number]
  const perGroup = heads / k.shape[1]!
  const which = constant(
    q.node.graph,
    'int32',
    [heads],
    Int32Array.from({ length: heads }, (_, i) => Math.floor(i / perGroup)),
  )
  const seen = Float32Array.from({ length: length * length }, (_, i) => {
    const [query, key] = [Math.floor(i / length), i % length]
    return key <= query && key > query - window ? 0 : -1e30
  })
  const scores = matmul(q, gather(k, which, 1), { transB: true })
  const p = softmax(add(scores, constant(q.node.graph, 'float32', [length, length], seen)))
  return transpose(matmul(p, gather(v, which, 1)), [0, 2, 1, 3])
}

describe('attention in blocks is attention', () => {
  test.each([
    ['one block', 128, undefined],
    ['a block and one position', 129, undefined],
    ['three blocks', 300, undefined],
    ['a window within a block', 300, 50],
    ['a window over blocks', 300, 200],
  ])('%s', async (_, length, window) => {
    const shapes = { q: [2, 4, length, 4], k: [2, 2, length, 4], v: [2, 2, length, 4] }
    await same(
      shapes,
      ([q, k, v]) => causalAttention(q!, k!, v!, window),
      ([q, k, v]) => plainAttention(q!, k!, v!, window),
      length,
    )
  })
})

test.each([23, 1500])('embedding gradients of more ids than one product sums, of %i rows', async (rows) => {
  const count = 1100
  const ids = Int32Array.from(numbers(count, 'ids', 20), (x) => Math.floor(x + 10))
  const of = (lookup: typeof embedding) => (xs: Tensor[]) =>
    lookup(xs[0]!, constant(xs[0]!.node.graph, 'int32', [count], ids))
  await same(
    { table: [rows, 5] },
    of(embedding),
    of((table, at) => gather(table, at)),
    count,
  )
})

describe('cross-entropy', () => {
  const vocabulary = 1 << 20
  /** Loss and gradients of `rows` rows over a vocabulary so large that its logits come in chunks of four rows. */
  async function chunked(rows: number, gradient: boolean) {
    const graph = new Graph()
    const hidden = float(graph, 'hidden', rows, 1)
    const weight = float(graph, 'weight', vocabulary, 1)
    const labels = Int32Array.from({ length: rows }, (_, i) => (i === 2 ? -100 : i * 1000))
    const loss = linearCrossEntropy(
      hidden,
      weight,
      constant(graph, 'int32', [rows], labels),
      float(graph, 'scale'),
      { gradient },
    )
    graph.output('loss', loss)
    if (gradient) graph.output('dHidden', gradients(loss, [hidden])[0]!)
    const w = Float32Array.from({ length: vocabulary }, (_, i) => Math.sin(i))
    const h = Array.from({ length: rows }, (_, i) => i - 3)
    const given = new Map<string, ArrayLike<number>>([
      ['hidden', h],
      ['weight', w],
      ['scale', [0.25]],
    ])
    const results = await runGraph(runtime, optimize(graph), given)
    const expected = h.map((x, row) => {
      let sum = 0
      let slope = 0
      for (const value of w) {
        sum += Math.exp(x * value)
        slope += Math.exp(x * value) * value
      }
      const label = labels[row]!
      return label < 0 ? [0, 0] : [Math.log(sum) - x * w[label]!, slope / sum - w[label]!]
    })
    return { results, expected }
  }

  test.each([8, 7])('of %d rows in chunks', async (rows) => {
    const { results, expected } = await chunked(rows, true)
    const evaluated = await chunked(rows, false)
    const loss = expected.reduce((sum, [nats]) => sum + 0.25 * nats!, 0)
    // the logarithm of a sum is off by what the sum is off relatively: 0.002 a row, where a wrong label makes 0.1
    for (const found of [results, evaluated.results])
      expect(Math.abs(found.get('loss')![0]! - loss)).toBeLessThan(0.25 * rows * rounding(vocabulary))
    // weights are at most 1: the sum of softmax and the product with it move the slope by as much, the label's by once more
    for (const [row, [, slope]] of expected.entries())
      expect(Math.abs(results.get('dHidden')![row]! - 0.25 * slope!), `row ${row}`).toBeLessThan(
        0.25 * 3 * rounding(vocabulary),
      )
  })

  test('of a prime number of rows takes few chunks', () => {
    const graph = new Graph()
    const labels = graph.input('labels', { dtype: 'int32', shape: [1021] })
    linearCrossEntropy(
      float(graph, 'hidden', 1021, 8),
      float(graph, 'weight', 151936, 8),
      labels,
      float(graph, 'scale'),
      { gradient: true },
    )
    expect(graph.nodes.filter(({ op }) => op === 'softmax')).toHaveLength(38)
  })

  test('is exact where the probability of the label underflows', () => {
    const graph = new Graph()
    const labels = constant(graph, 'int32', [2], Int32Array.of(0, 1))
    const weight = constant(graph, 'float32', [2, 1], Float32Array.of(-1, 1))
    graph.output(
      'loss',
      linearCrossEntropy(float(graph, 'hidden', 2, 1), weight, labels, float(graph, 'scale'), {
        gradient: false,
      }),
    )
    const given = new Map([
      ['hidden', [500, 500]],
      ['scale', [1]],
    ])
    expect(evaluate(graph, given).get('loss')![0]).toBeCloseTo(1000, 10)
  })
})

test('the scale of rotary tables scales what they turn', () => {
  const graph = new Graph()
  const tables = ropeTables({ theta: 100, scaling: { type: 'default' } }, 4, 3)
  const x = float(graph, 'x', 1, 1, 3, 4)
  graph.output('plain', mul(rotate(x, rotation(graph, tables, 4)), 0.25))
  graph.output('scaled', rotate(x, rotation(graph, tables, 4, 0.25)))
  graph.output('length', reduceSum(mul(reshape(x, [12]), reshape(x, [12]))))
  const results = evaluate(graph, new Map([['x', numbers(12, 'x')]]))
  expect(distance(results.get('scaled')!, results.get('plain')!)).toBeLessThan(1e-7)
  // a rotation keeps lengths
  const turned = results.get('plain')!.reduce((sum, value) => sum + (4 * value) ** 2, 0)
  expect(turned).toBeCloseTo(results.get('length')![0]!, 5)
})
