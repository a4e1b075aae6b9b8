/** @file Passes keep the meaning of a graph, and remove what they are for. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type RandomGraph, randomGraph } from '../../test/random-graph.ts'
import { distance } from '../../test/run-graph.ts'
import {
  add,
  cast,
  commonSubexpressions,
  constant,
  deadCode,
  div,
  evaluate,
  exp,
  expand,
  foldConstants,
  Graph,
  gather,
  identity,
  mul,
  neg,
  optimize,
  type Pass,
  reshape,
  scalar,
  scatterElements,
  simplify,
  sub,
  type Tensor,
  transpose,
  verifyGraph,
  zeros,
} from './index.ts'

const PASSES: Readonly<Record<string, Pass>> = {
  simplify,
  foldConstants,
  commonSubexpressions,
  deadCode,
  optimize,
}

const same = (pass: Pass) => (random: RandomGraph) => {
  const before = evaluate(random.graph, random.inputs)
  const rewritten = pass(random.graph)
  verifyGraph(rewritten, 'the pass')
  const after = evaluate(rewritten, random.inputs)
  expect([...after.keys()]).toEqual([...before.keys()])
  expect([...rewritten.inputs.keys()]).toEqual([...random.graph.inputs.keys()])
  // folded constants are rounded to float32
  for (const [name, values] of before) expect(distance(after.get(name)!, values), name).toBeLessThan(1e-5)
}

describe.each(Object.entries(PASSES))('%s', (_, pass) => {
  test('keeps the meaning of random graphs', () => {
    fc.assert(fc.property(randomGraph, same(pass)), { numRuns: 100, seed: 5 })
  })

  test('gives what it is given when run twice', () => {
    const count = ({ graph }: RandomGraph) => {
      const once = pass(graph)
      expect(pass(once).nodes.length).toBe(once.nodes.length)
    }
    fc.assert(fc.property(randomGraph, count), { numRuns: 20, seed: 6 })
  })
})

/** Operations left by `pass` of a graph with one input x (2, 3), inputs and constants left out. */
function left(pass: Pass, build: (x: Tensor, graph: Graph) => Tensor | readonly Tensor[]): string[] {
  const graph = new Graph()
  const made = build(graph.input('x', { dtype: 'float32', shape: [2, 3] }), graph)
  const outputs: readonly Tensor[] = Array.isArray(made) ? made : [made]
  outputs.forEach((tensor, i) => void graph.output(`y${i}`, tensor))
  const ops = pass(graph).nodes.map(({ op }) => op)
  return ops.filter((op) => op !== 'input' && op !== 'constant')
}

describe('what goes', () => {
  test('dead code; but inputs stay', () => {
    const graph = new Graph()
    const x = graph.input('x', { dtype: 'float32', shape: [2] })
    exp(exp(graph.input('unused', { dtype: 'float32', shape: [1] })))
    graph.output('y', neg(x))
    const pruned = deadCode(graph)
    expect(pruned.nodes.map(({ op }) => op)).toEqual(['input', 'input', 'neg'])
    expect([...pruned.inputs.keys()]).toEqual(['x', 'unused'])
  })

  test('what is computed twice in the same way, and only that', () => {
    expect(left(commonSubexpressions, (x) => add(exp(x), exp(x)))).toEqual(['exp', 'add'])
    expect(left(commonSubexpressions, (x) => [sub(x, exp(x)), sub(exp(x), x)])).toEqual(['exp', 'sub', 'sub'])
    const attributes = (x: Tensor) => [reshape(x, [3, 2]), reshape(x, [6]), transpose(x, [1, 0])]
    expect(left(commonSubexpressions, attributes)).toHaveLength(3)
    const halves = (x: Tensor) => {
      const [a, b] = x.node.graph.node('split', { axis: 0, sizes: [1, 1] }, [x])
      return [exp(a!), exp(b!), exp(a!)]
    }
    expect(left(commonSubexpressions, halves)).toEqual(['split', 'exp', 'exp'])
  })

  test('equal constants, but not of another type, shape or bits', () => {
    const graph = new Graph()
    const one = (shape: number[]) => constant(graph, 'float32', shape, Float32Array.of(1))
    const all = [
      one([1]),
      one([1]),
      one([]),
      constant(graph, 'int32', [1], Int32Array.of(1)),
      scalar(graph, -0),
      scalar(graph, 0),
    ]
    all.forEach((tensor, i) => void graph.output(`y${i}`, tensor))
    expect(commonSubexpressions(graph).nodes).toHaveLength(5)
  })

  test('what depends on constants alone, unless it would swell the file', () => {
    const two = (graph: Graph) => constant(graph, 'float32', [2, 3], new Float32Array(6).fill(2))
    expect(left(foldConstants, (x, graph) => add(x, exp(neg(two(graph)))))).toEqual(['add'])
    expect(left(foldConstants, (x, graph) => [x, expand(scalar(graph, 1), [100, 100])])).toEqual(['expand'])
  })

  test('integers that do not fit are left to the runtime', () => {
    const index = (graph: Graph) => cast(div(scalar(graph, 1), scalar(graph, 0)), 'int64')
    expect(left(foldConstants, (x, graph) => [x, index(graph)])).toEqual(['cast'])
  })

  test.each<[string, string[], (x: Tensor, graph: Graph) => Tensor | readonly Tensor[]]>([
    ['identity', ['neg'], (x) => neg(identity(x))],
    ['x * 1 and x + 0', ['neg'], (x) => neg(add(mul(x, 1), 0))],
    [
      '1 * x of the same shape',
      [],
      (x, graph) => mul(constant(graph, 'float32', [2, 3], new Float32Array(6).fill(1)), x),
    ],
    [
      'not x + 0 that broadcasts',
      ['add'],
      (x, graph) => add(x, constant(graph, 'float32', [4, 2, 3], new Float32Array(24))),
    ],
    ['not x * 0: 0 times infinity is not 0', ['mul'], (x) => mul(x, 0)],
    ['(x * 2) * 3', ['mul'], (x) => mul(mul(x, 2), 3)],
    ['not (x * 1e30) * 1e30: the product overflows', ['mul', 'mul'], (x) => mul(mul(x, 1e30), 1e30)],
    ['h * 1 in 16 bits', ['cast'], (x) => mul(cast(x, 'float16'), 1)],
    ['not h * 2^-24: its bits are a 1', ['cast', 'mul'], (x) => mul(cast(x, 'float16'), 2 ** -24)],
    [
      'not (h * 1e3) * 1e3: the product overflows float16',
      ['cast', 'mul', 'mul'],
      (x) => mul(mul(cast(x, 'float16'), 1e3), 1e3),
    ],
    [
      'not (h / 1e3) / 1e3: the product loses bits in float16',
      ['cast', 'mul', 'mul'],
      (x) => mul(mul(cast(x, 'float16'), 1e-3), 1e-3),
    ],
    ['reshape of reshape', ['reshape'], (x) => reshape(reshape(x, [6]), [3, 2])],
    ['reshape back', [], (x) => reshape(reshape(x, [6]), [2, 3])],
    ['transpose back', [], (x) => transpose(transpose(x, [1, 0]), [1, 0])],
    [
      'two transposes',
      ['expand', 'transpose'],
      (x) => transpose(transpose(expand(x, [4, 2, 3]), [1, 2, 0]), [1, 2, 0]),
    ],
    [
      'x + scatter-add into zeros',
      ['scatterElements'],
      (x, graph) => {
        const index = constant(graph, 'int32', [2, 3], Int32Array.of(0, 1, 0, 1, 1, 0))
        return add(x, scatterElements(zeros(graph, [2, 3]), index, x, 0, 'add'))
      },
    ],
  ])('optimize: %s', (_, ops, build) => {
    expect(left(optimize, build)).toEqual(ops)
  })

  test('an addition to a scatter-add stays where the scatter-add has something to add to', () => {
    const kept = left(optimize, (x, graph) => {
      const index = constant(graph, 'int32', [2, 3], Int32Array.of(0, 1, 0, 1, 1, 0))
      return add(x, scatterElements(exp(x), index, x, 0, 'add'))
    })
    expect(kept).toEqual(['exp', 'scatterElements', 'add'])
  })

  test('two transposes become the one that is both, in their order', () => {
    const graph = new Graph()
    const x = graph.input('x', { dtype: 'float32', shape: [2, 3, 4] })
    graph.output('y', transpose(transpose(x, [1, 2, 0]), [1, 0, 2]))
    const optimized = optimize(graph)
    expect(optimized.nodes).toHaveLength(2)
    const given = new Map([['x', Array.from({ length: 24 }, (_, i) => i)]])
    expect(evaluate(optimized, given)).toEqual(evaluate(graph, given))
  })

  test('outputs keep their names when they become one tensor, or an input', () => {
    const graph = new Graph()
    const x = graph.input('x', { dtype: 'float32', shape: [2] })
    graph.output('a', exp(x))
    graph.output('b', exp(mul(x, 1)))
    graph.output('c', identity(x))
    const optimized = optimize(graph)
    expect(optimized.outputs.get('a')).toBe(optimized.outputs.get('b'))
    expect(optimized.outputs.get('c')).toBe(optimized.inputs.get('x'))
  })

  test('an index out of range is found when it is folded', () => {
    const graph = new Graph()
    const table = constant(graph, 'float32', [2], Float32Array.of(1, 2))
    graph.output('y', gather(table, constant(graph, 'int32', [1], Int32Array.of(2))))
    expect(() => optimize(graph)).toThrow('gather: index 2 outside 0 to 1')
  })
})
