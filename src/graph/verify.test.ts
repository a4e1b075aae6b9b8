/** @file The specification catches every kind of broken graph; and what may be updated in place. */
import { describe, expect, test } from 'vitest'
import {
  add,
  after,
  constant,
  exp,
  Graph,
  identity,
  inPlaceSafe,
  matmul,
  mul,
  reduceSum,
  reshape,
  scalar,
  scatterElements,
  sub,
  type Tensor,
  toOnnx,
  transpose,
  verifyGraph,
} from './index.ts'

/** x -> exp -> add(x, .) -> y */
function sound(): Graph {
  const graph = new Graph()
  const x = graph.input('x', { dtype: 'float32', shape: [2, 3] })
  graph.output(
    'y',
    add(
      x,
      graph.within('deep', () => exp(x)),
    ),
  )
  return graph
}

/** A node that can be broken. */
interface Breakable {
  graph: Graph
  op: string
  attributes: unknown
  inputs: readonly Tensor[]
  outputs: { dtype: string; shape: readonly number[] }[]
}

describe('verifyGraph', () => {
  test('takes a sound graph', () => {
    expect(() => verifyGraph(sound(), 'building')).not.toThrow()
  })

  const other = new Graph()
  const foreign = other.input('x', { dtype: 'float32', shape: [2, 3] })
  test.each<[string, RegExp, (graph: Graph, exp: Breakable) => void]>([
    [
      'a node out of place',
      /^graph broken after moving: add#2 \(\) is not node 1 of this graph$/,
      (graph) => void graph.nodes.splice(1, 1),
    ],
    [
      'a node of another graph',
      /exp#1 \(deep\) is not node 1 of this graph/,
      (_, node) => {
        node.graph = other
      },
    ],
    [
      'an input of another graph',
      /exp#1 \(deep\) reads input#0:0 float32\[2,3\], which is not of this graph/,
      (_, node) => {
        node.inputs = [foreign]
      },
    ],
    [
      'an input that is made later',
      /exp#1 \(deep\) reads add#2:0 float32\[2,3\], which is made later/,
      (graph, node) => {
        node.inputs = [graph.nodes[2]!.outputs[0]!]
      },
    ],
    [
      'inputs that do not fit the operation',
      /matmul#1 \(deep\) does not fit its inputs: matmul: inner sizes differ: float32\[2,3\] and float32\[2,3\]/,
      (graph, node) => {
        node.op = 'matmul'
        node.attributes = { transA: false, transB: false }
        node.inputs = [graph.nodes[0]!.outputs[0]!, graph.nodes[0]!.outputs[0]!]
      },
    ],
    [
      'an output too many',
      /exp#1 \(deep\) has 2 outputs instead of 1/,
      (_, node) => {
        node.outputs = [...node.outputs, ...node.outputs]
      },
    ],
    [
      'an output of another shape than the rule gives',
      /exp#1 \(deep\) gives exp#1:0 float32\[3,2\] where the shape rule says float32\[2,3\]/,
      (_, node) => {
        node.outputs[0]!.shape = [3, 2]
      },
    ],
    [
      'an output of another type than the rule gives',
      /gives exp#1:0 int32\[2,3\] where the shape rule says float32\[2,3\]/,
      (_, node) => {
        node.outputs[0]!.dtype = 'int32'
      },
    ],
    [
      'a named output of another graph',
      /^graph broken after moving: output z is not of this graph$/,
      (graph) => void graph.outputs.set('z', foreign),
    ],
    [
      'a named input of another graph',
      /^graph broken after moving: input z is not of this graph$/,
      (graph) => void graph.inputs.set('z', foreign),
    ],
    [
      'an input that has lost its name',
      /^graph broken after moving: input x is not among the graph's inputs$/,
      (graph) => void graph.inputs.delete('x'),
    ],
  ])('%s', (_, message, sabotage) => {
    const graph = sound()
    sabotage(graph, graph.nodes[1] as unknown as Breakable)
    expect(() => verifyGraph(graph, 'moving')).toThrow(message)
    expect(() => toOnnx(graph, 'broken')).toThrow(/^graph broken after the last pass/)
  })
})

describe('building a graph', () => {
  const graph = new Graph()
  const x = graph.input('x', { dtype: 'float32', shape: [2, 3] })
  const n = graph.input('n', { dtype: 'int32', shape: [3] })
  const b = graph.input('b', { dtype: 'bool', shape: [3] })
  graph.output('y', x)
  const node = (op: 'add' | 'where' | 'less' | 'exp' | 'matmul', ...inputs: Tensor[]) =>
    graph.node(op, (op === 'matmul' ? { transA: false, transB: false } : null) as never, inputs)

  test.each<[string, RegExp, () => unknown]>([
    ['types that differ', /^add: float32\[2,3\] with int32\[3\]$/, () => node('add', x, n)],
    [
      'shapes that do not broadcast',
      /\[2,3\] does not broadcast with \[2\]/,
      () => node('add', x, reduceSum(x, [1])),
    ],
    ['arithmetic on bool', /^add: bool\[3\] must be a number, cast it first$/, () => node('add', b, b)],
    ['order of bools', /^less: bool\[3\] must be a number/, () => node('less', b, b)],
    ['a choice between bools', /^where: bool\[3\] must be a number/, () => node('where', b, b, b)],
    ['a condition that is none', /^where: the condition must be bool$/, () => node('where', n, x, x)],
    ['an integer where a float belongs', /^exp: int32\[3\] must be of floating point$/, () => node('exp', n)],
    ['a missing input', /^exp: an input is missing$/, () => node('exp')],
    [
      'a product of vectors',
      /^matmul: inputs must have at least two axes$/,
      () => node('matmul', x, reduceSum(x, [0])),
    ],
    [
      'a sum over nothing',
      /^reduceSum: float32\[2,0\] has no elements$/,
      () => reduceSum(constant(graph, 'float32', [2, 0], new Float32Array(0))),
    ],
    [
      'axes that repeat',
      /^reduceSum: axes \[1,1\] of float32\[2,3\] must ascend$/,
      () => reduceSum(x, [1, 1]),
    ],
    ['an axis outside', /^reduceSum: axis 2 of float32\[2,3\]$/, () => reduceSum(x, [2])],
    [
      'a permutation that is none',
      /^transpose: permutation \[0,0\] of float32\[2,3\]$/,
      () => transpose(x, [0, 0]),
    ],
    ['elements that get lost', /^reshape: float32\[2,3\] to \[5\]$/, () => reshape(x, [5])],
    [
      'too few elements',
      /^constant: 1 elements for shape \[2\]$/,
      () => constant(graph, 'float32', [2], new Float32Array(1)),
    ],
    [
      'elements of another type',
      /^constant: a float32 takes a Float32Array, got Int32Array$/,
      () => constant(graph, 'float32', [1], new Int32Array(1)),
    ],
    ['half an integer', /^0.5 is not a value of int32$/, () => mul(n, 0.5)],
    ['a name twice', /^input x exists already$/, () => graph.input('x', { dtype: 'bool', shape: [] })],
    ['an output twice', /^output y exists already$/, () => graph.output('y', x)],
    [
      'an output with the name of an input',
      /^output n has the name of an input$/,
      () => graph.output('n', exp(x)),
    ],
    ['an input with the name of an output', /^input y has the name of an output$/, () => graph.input('y', x)],
    [
      'an input of another graph',
      /^exp: input input#0:0 float32\[1\] is of another graph$/,
      () => graph.node('exp', null, [new Graph().input('z', { dtype: 'float32', shape: [1] })]),
    ],
    ['a shape below zero', /^input: shape \[-1\]$/, () => graph.input('q', { dtype: 'bool', shape: [-1] })],
    [
      'more elements than there are numbers',
      /has too many elements$/,
      () => graph.input('q', { dtype: 'bool', shape: [2 ** 30, 2 ** 30] }),
    ],
  ])('refuses %s', (_, message, make) => {
    expect(make).toThrow(message)
    expect(make).toThrow(TypeError)
  })
})

describe('inPlaceSafe', () => {
  /** Whether `next` may be written over p (2, 2); x is another input of that shape, k a scalar one. */
  function safe(build: (p: Tensor, x: Tensor, graph: Graph) => Tensor): boolean {
    const graph = new Graph()
    const p = graph.input('p', { dtype: 'float32', shape: [2, 2] })
    const x = graph.input('x', { dtype: 'float32', shape: [2, 2] })
    graph.output('next', build(p, x, graph))
    return inPlaceSafe(graph, 'p', 'next')
  }

  test.each<[string, (p: Tensor, x: Tensor, graph: Graph) => Tensor]>([
    ['an update element by element', (p, x) => sub(p, x)],
    ['an update that reads it twice', (p) => mul(p, p)],
    ['a read before the update', (p, x) => sub(p, exp(matmul(p, x)))],
    [
      'an update through another shape',
      (p, x) => reshape(sub(reshape(p, [1, 2, 2]), reshape(x, [1, 2, 2])), [2, 2]),
    ],
    [
      'an addition at places',
      (p, x, graph) =>
        scatterElements(
          p,
          constant(graph, 'int32', [1, 2], Int32Array.of(0, 1)),
          reshape(reduceSum(x, [0]), [1, 2]),
          0,
          'add',
        ),
    ],
    [
      'another reader that the update waits for',
      (p, x, graph) => {
        const product = matmul(p, x)
        graph.output('other', product)
        return sub(p, after(x, reduceSum(product)))
      },
    ],
    ['a value that does not read it at all', (_, x) => exp(x)],
  ])('yes: %s', (_, build) => {
    expect(safe(build)).toBe(true)
  })

  test.each<[string, (p: Tensor, x: Tensor, graph: Graph) => Tensor]>([
    [
      'another reader that nothing holds back',
      (p, x, graph) => {
        graph.output('other', matmul(p, x))
        return sub(p, x)
      },
    ],
    [
      'another reader of the same memory in another shape',
      (p, x, graph) => {
        graph.output('other', matmul(reshape(p, [1, 4]), reshape(x, [4, 1])))
        return sub(p, x)
      },
    ],
    [
      'an output that is the input itself',
      (p, x, graph) => {
        graph.output('old', p)
        return sub(p, x)
      },
    ],
    [
      'an output that is the input in another shape',
      (p, x, graph) => {
        graph.output('old', reshape(p, [4]))
        return sub(p, x)
      },
    ],
    [
      'an output that is the input under another name',
      (p, x, graph) => {
        graph.output('old', identity(p))
        return sub(p, x)
      },
    ],
    ['a product: it reads what it has written', (p, x) => matmul(p, x)],
    ['a transpose', (p) => transpose(p, [1, 0])],
    ['a sum with its own product, which runtimes fuse', (p, x) => add(p, matmul(p, x))],
    ['the same with a transpose', (p, x) => add(matmul(transpose(p, [1, 0]), x), p)],
    ['the same by way of a reshape', (p, x) => sub(reshape(matmul(x, reshape(p, [2, 2])), [2, 2]), p)],
    [
      'additions to another tensor, of the input at places',
      (p, x, graph) =>
        scatterElements(x, constant(graph, 'int32', [2, 2], Int32Array.of(0, 1, 1, 0)), p, 0, 'add'),
    ],
  ])('no: %s', (_, build) => {
    expect(safe(build)).toBe(false)
  })

  test('no: another type or shape; unknown names are a mistake', () => {
    const graph = new Graph()
    const p = graph.input('p', { dtype: 'float32', shape: [2, 2] })
    graph.output('sum', reduceSum(p))
    graph.output('one', scalar(graph, 1))
    expect(inPlaceSafe(graph, 'p', 'sum')).toBe(false)
    expect(() => inPlaceSafe(graph, 'q', 'sum')).toThrow('no input q or no output sum')
  })
})
