/** @file Mixed precision: what is rounded, what is not, and that ONNX Runtime computes what the reference says. */
import { afterAll, describe, expect, test } from 'vitest'
import { distance, runGraph } from '../../test/run-graph.ts'
import { createRuntime } from '../runtime/index.ts'
import {
  add,
  evaluate,
  exp,
  Graph,
  isHalf,
  matmul,
  mixedPrecision,
  mul,
  optimize,
  reduceSum,
  reshape,
  transpose,
} from './index.ts'

const runtime = createRuntime({ name: 'cpu' })
afterAll(() => runtime.dispose())

/** exp(sum(reshape(2 (x w)^T) v)) + x, with everything that the policies tell apart. */
function sample(): Graph {
  const graph = new Graph()
  const x = graph.input('x', { dtype: 'float32', shape: [4, 8] })
  const w = graph.input('w', { dtype: 'float32', shape: [8, 6] })
  const v = graph.input('v', { dtype: 'float32', shape: [4, 3] })
  const moved = reshape(transpose(mul(matmul(x, w), 2), [1, 0]), [6, 4])
  const y = matmul(moved, v)
  graph.output('y', add(exp(mul(reduceSum(y), 0.01)), x))
  graph.output('same', x)
  return graph
}

const values = new Map([
  ['x', Array.from({ length: 32 }, (_, i) => Math.sin(i))],
  ['w', Array.from({ length: 48 }, (_, i) => Math.cos(3 * i))],
  ['v', Array.from({ length: 12 }, (_, i) => Math.sin(5 * i + 1))],
])

describe.each(['float16', 'bfloat16'] as const)('%s', (half) => {
  const mixed = optimize(mixedPrecision(sample(), half))

  test('products are rounded, and so is what only moves or scales them', () => {
    const types = mixed.nodes
      .filter(({ op }) => !['input', 'constant', 'cast'].includes(op))
      .map(({ op, outputs }) => [op, outputs[0]!.dtype])
    expect(types).toEqual([
      ['matmul', half],
      ['mul', half],
      ['transpose', half],
      ['matmul', half],
      ['reduceSum', 'float32'],
      ['mul', 'float32'],
      ['exp', 'float32'],
      ['add', 'float32'],
    ])
    // one cast for each factor from outside, one for the sum
    expect(mixed.nodes.filter(({ op }) => op === 'cast')).toHaveLength(4)
  })

  test('a constant factor is rounded where the type holds it, and no other', () => {
    const typeOf = (factor: number) => {
      const graph = new Graph()
      const x = graph.input('x', { dtype: 'float32', shape: [2, 2] })
      graph.output('y', mul(matmul(x, x), factor))
      return mixedPrecision(graph, half).nodes.find(({ op }) => op === 'mul')!.outputs[0]!.dtype
    }
    expect([0, -0.125].map(typeOf)).toEqual([half, half])
    const wide = half === 'float16' ? 'float32' : half
    expect([1e-6, 1e6].map(typeOf)).toEqual([wide, wide])
  })

  test('inputs and outputs keep their types, and an input that is an output its value', () => {
    expect([...mixed.inputs.values()].map(({ dtype }) => dtype)).toEqual(['float32', 'float32', 'float32'])
    expect([...mixed.outputs.values()].map(({ dtype }) => dtype)).toEqual(['float32', 'float32'])
    expect(evaluate(mixed, values).get('same')).toEqual(Float64Array.from(values.get('x')!))
  })

  test('nothing is rounded in an exact scope', () => {
    const exact = mixedPrecision(sample(), half, () => true)
    expect(exact.nodes.some(({ outputs }) => outputs.some(({ dtype }) => isHalf(dtype)))).toBe(false)
  })

  test('the reference rounds as the type does: near float32, but not there', () => {
    const far = distance(evaluate(mixed, values).get('y')!, evaluate(sample(), values).get('y')!)
    expect(far).toBeLessThan(half === 'float16' ? 2e-3 : 2e-2)
    expect(far).toBeGreaterThan(1e-7)
  })
})

test('ONNX Runtime computes a float16 graph as the reference does', async () => {
  const mixed = optimize(mixedPrecision(sample(), 'float16'))
  const y = (await runGraph(runtime, mixed, values)).get('y')!
  // the runtime may round between two operations once less than the reference does
  expect(distance(y, evaluate(mixed, values).get('y')!)).toBeLessThan(1e-3)
})
