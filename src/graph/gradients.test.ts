/** @file Differentiation of whole graphs: sums of paths, overrides, barriers and recomputation. */
import { describe, expect, test } from 'vitest'
import {
  add,
  after,
  cast,
  constant,
  equal,
  exp,
  Graph,
  type Graph as GraphType,
  gather,
  gradients,
  log,
  mul,
  optimize,
  pow,
  reduceSum,
  sigmoid,
  split,
  sub,
  type Tensor,
  tanh,
} from './index.ts'
import { evaluate } from './reference.ts'

const vector = (graph: GraphType, name = 'x', size = 3) =>
  graph.input(name, { dtype: 'float32', shape: [size] })

/** The gradient of a scalar function of a vector, at a place. */
function gradientAt(build: (x: Tensor) => Tensor, at: readonly number[]): number[] {
  const graph = new Graph()
  const x = vector(graph, 'x', at.length)
  graph.output('g', gradients(build(x), [x])[0]!)
  return [...evaluate(graph, new Map([['x', at]])).get('g')!]
}

describe('gradients', () => {
  test('adds up the paths by which a tensor is read', () => {
    // d(x^2 + x exp x) = 2x + exp x + x exp x
    const g = gradientAt((x) => reduceSum(add(mul(x, x), mul(x, exp(x)))), [0.5, -1])
    g.forEach((value, i) => {
      const x = [0.5, -1][i]!
      expect(value).toBeCloseTo(2 * x + Math.exp(x) * (1 + x), 12)
    })
  })

  test('of a scalar towards itself is 1', () => {
    const graph = new Graph()
    const x = graph.input('x', { dtype: 'float32', shape: [] })
    graph.output('g', gradients(x, [x])[0]!)
    expect([...evaluate(graph, new Map([['x', [4]]])).get('g')!]).toEqual([1])
  })

  test('reaches a tensor in the middle, and stops there', () => {
    const graph = new Graph()
    const x = vector(graph)
    const y = mul(x, 3)
    graph.output('g', gradients(reduceSum(mul(y, y)), [y])[0]!)
    const pruned = optimize(graph)
    expect([...evaluate(pruned, new Map([['x', [1, 2, 3]]])).get('g')!]).toEqual([6, 12, 18])
  })

  test('0^0 and 0^2 have a slope', () => {
    expect(gradientAt((x) => reduceSum(pow(x, 2)), [0, 3])).toEqual([0, 6])
    expect(gradientAt((x) => reduceSum(pow(x, 0)), [0, 3])).toEqual([0, 0])
    expect(gradientAt((x) => reduceSum(pow(x, 1)), [0, 3])).toEqual([1, 1])
  })

  test('does not flow through indices and comparisons', () => {
    const graph = new Graph()
    const x = vector(graph)
    const index = cast(x, 'int32')
    const chosen = gather(constant(graph, 'float32', [4], Float32Array.of(1, 2, 3, 4)), index)
    expect(() => gradients(reduceSum(chosen), [x])).toThrow(/does not depend on input#0:0 float32\[3\]/)
    expect(() => gradients(reduceSum(cast(equal(x, 1), 'float32')), [x])).toThrow(/does not depend/)
  })

  test('wants a float32 scalar', () => {
    const graph = new Graph()
    const x = vector(graph)
    expect(() => gradients(x, [x])).toThrow('gradients: input#0:0 float32[3] is not a float32 scalar')
  })
})

describe('an override', () => {
  const twice = (x: Tensor): Tensor =>
    x.node.graph.overrideGradient(mul(exp(x), 2), [x], [], (g) => [mul(g, 100)])

  test('takes the place of the rules in between, and adds to other paths', () => {
    expect(gradientAt((x) => reduceSum(twice(x)), [1, 2])).toEqual([100, 100])
    expect(gradientAt((x) => reduceSum(add(twice(x), mul(x, x))), [1, 2])).toEqual([102, 104])
  })

  test('is refused where it cannot be followed', () => {
    const graph = new Graph()
    const x = vector(graph, 'x', 4)
    const [first] = split(x, [1, 3], 0)
    expect(() => graph.overrideGradient(first!, [x], [], (g) => [g])).toThrow('one of several outputs')
    const y = exp(x)
    const later = exp(y)
    expect(() => graph.overrideGradient(y, [later], [], (g) => [g])).toThrow('is made later')
  })
})

describe('recomputation', () => {
  /** Three segments of some layers each; x and w are read in every one. */
  function network(segmentOf?: (scope: string) => string | undefined): Graph {
    const graph = new Graph()
    const x = vector(graph)
    const w = vector(graph, 'w')
    let y: Tensor = x
    for (const name of ['a', 'b', 'c']) {
      y = graph.within(name, () => {
        const s = sigmoid(mul(y, w))
        const n = cast(cast(constant(graph, 'int32', [3], Int32Array.of(1, 2, 3)), 'float32'), 'float32')
        return add(tanh(mul(s, s)), mul(log(add(exp(y), n)), x))
      })
    }
    const loss = reduceSum(mul(y, y))
    const grads = gradients(loss, [x, w], segmentOf === undefined ? {} : { segmentOf })
    graph.output('loss', loss)
    graph.output('gx', grads[0]!)
    graph.output('gw', grads[1]!)
    return optimize(graph)
  }
  const given = new Map([
    ['x', [0.3, -0.7, 1.1]],
    ['w', [1.5, 0.2, -0.8]],
  ])

  test('gives the same gradients, bit for bit', () => {
    const kept = network()
    const made = network((scope) => (/^[abc]$/.test(scope) ? scope : undefined))
    expect(made.nodes.length).toBeGreaterThan(kept.nodes.length)
    expect(evaluate(made, given)).toEqual(evaluate(kept, given))
  })

  test('makes again only what a segment holds', () => {
    const kept = network()
    const made = network((scope) => (scope === 'b' ? scope : undefined))
    const count = (graph: Graph, op: string) => graph.nodes.filter((node) => node.op === op).length
    expect(count(made, 'sigmoid') - count(kept, 'sigmoid')).toBe(1)
    expect(evaluate(made, given)).toEqual(evaluate(kept, given))
  })
})

describe('barriers', () => {
  test('leave the numbers as they are, and order the backward pass', () => {
    const build = (held: boolean) => {
      const graph = new Graph()
      const x = vector(graph)
      const w = vector(graph, 'w')
      const hidden = exp(mul(x, w))
      const loss = reduceSum(mul(hidden, sub(hidden, w)))
      const barrier = { at: hidden, token: (of: (x: Tensor) => Tensor | undefined) => reduceSum(of(w)!) }
      const grads = gradients(loss, [x, w], held ? { barriers: [barrier] } : {})
      graph.output('gx', grads[0]!)
      graph.output('gw', grads[1]!)
      return optimize(graph)
    }
    const given = new Map([
      ['x', [1, 2, 3]],
      ['w', [0.1, 0.2, -0.3]],
    ])
    expect(evaluate(build(true), given)).toEqual(evaluate(build(false), given))
    expect(build(true).nodes.length).toBeGreaterThan(build(false).nodes.length)
  })

  test('after: equal, but not before', () => {
    const graph = new Graph()
    const x = vector(graph)
    const y = graph.input('y', { dtype: 'float32', shape: [2, 3] })
    const held = after(x, y)
    graph.output('held', held)
    const made = optimize(graph).outputs.get('held')!
    const given = new Map([
      ['x', [1, 2, 3]],
      ['y', [4, 5, 6, 7, 8, 9]],
    ])
    expect([...evaluate(graph, given).get('held')!]).toEqual([1, 2, 3])
    expect(made.node.op).toBe('add')
  })
})
