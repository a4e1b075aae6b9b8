/** @file Random graphs: a list of numbers read as operations on whatever tensors there are so far. */
import fc from 'fast-check'
import * as g from '../src/graph/index.ts'

/** A graph with inputs for it. */
export interface RandomGraph {
  readonly graph: g.Graph
  readonly inputs: ReadonlyMap<string, readonly number[]>
}

const CONSTANTS = [0, 1, 2, -1, 0.5]

/** What a step makes of tensors that `pick` chooses and of a small number; undefined or TypeError: nothing. */
type Step = (pick: () => g.Tensor, n: number, graph: g.Graph) => g.Tensor | readonly g.Tensor[] | undefined

const axisOf = (x: g.Tensor, n: number) => (x.shape.length === 0 ? 0 : n % x.shape.length)
const condition = (x: g.Tensor, n: number) =>
  g.constant(
    x.node.graph,
    'bool',
    x.shape,
    Uint8Array.from({ length: g.elements(x.shape) }, (_, i) => ((i * 7 + n) >> 1) & 1),
  )
const spots = (x: g.Tensor, shape: readonly number[], n: number, size: number) =>
  g.constant(
    x.node.graph,
    'int32',
    shape,
    Int32Array.from({ length: g.elements(shape) }, (_, i) => (i * 5 + n) % size),
  )

const STEPS: readonly Step[] = [
  (pick) => g.neg(pick()),
  (pick) => g.abs(pick()),
  (pick) => g.exp(g.tanh(pick())),
  (pick) => g.log(g.add(g.abs(pick()), 1)),
  (pick) => g.sqrt(g.add(g.abs(pick()), 1)),
  (pick) => g.reciprocal(g.add(g.abs(pick()), 1)),
  (pick) => g.erf(pick()),
  (pick) => g.sigmoid(pick()),
  (pick) => g.relu(pick()),
  (pick) => g.identity(pick()),
  (pick, n, graph) => g.add(pick(), g.scalar(graph, CONSTANTS[n % 5]!)),
  (pick, n, graph) => g.mul(pick(), g.scalar(graph, CONSTANTS[n % 5]!)),
  (pick) => g.mul(g.mul(pick(), 2), 0.5),
  (pick) => g.add(pick(), pick()),
  (pick) => g.sub(pick(), pick()),
  (pick) => g.mul(g.tanh(pick()), g.tanh(pick())),
  (pick) => g.div(pick(), g.add(g.exp(g.tanh(pick())), 1)),
  (pick) => g.min(pick(), pick()),
  (pick) => g.max(pick(), pick()),
  (pick) => g.pow(g.tanh(pick()), 2),
  (pick, n) => {
    const x = pick()
    return g.where(condition(x, n), x, pick())
  },
  (pick, n) => g.matmul(pick(), pick(), { transA: (n & 1) === 1, transB: (n & 2) === 2 }),
  (pick, n) => {
    const x = pick()
    return g.softmax(x, axisOf(x, n))
  },
  (pick, n) => {
    const x = pick()
    const reduce = [g.reduceSum, g.reduceMean, g.reduceMax, g.reduceSumSquare][n % 4]!
    return reduce(g.tanh(x), n % 3 === 0 ? undefined : [axisOf(x, n)], n % 2 === 0)
  },
  (pick) => {
    const x = pick()
    return g.reshape(g.reshape(x, [g.elements(x.shape)]), [1, ...x.shape])
  },
  (pick, n) => {
    const x = pick()
    const rank = x.shape.length
    // turned round, or the first axes moved to the end
    return g.transpose(
      x,
      x.shape.map((_, i) => (n % 3 === 0 ? rank - 1 - i : (i + n) % rank)),
    )
  },
  (pick, n) => {
    const x = pick()
    const rank = x.shape.length
    const turn = (y: g.Tensor) =>
      g.transpose(
        y,
        y.shape.map((_, i) => (i + n) % rank),
      )
    return turn(turn(x))
  },
  (pick) => {
    const x = pick()
    return x.shape.length > 3 ? undefined : g.expand(x, [2, ...x.shape])
  },
  (pick, n) => {
    const x = pick()
    return g.concat([x, g.neg(x), x], axisOf(x, n))
  },
  (pick, n) => {
    const x = pick()
    const size = x.shape[axisOf(x, n)] ?? 0
    return size < 2 ? undefined : g.split(x, [1, size - 1], axisOf(x, n))
  },
  (pick, n) => {
    const x = pick()
    const size = x.shape[axisOf(x, n)] ?? 0
    return size === 0 ? undefined : g.slice(x, axisOf(x, n), n % size, size)
  },
  (pick, n) => {
    const x = pick()
    const axis = axisOf(x, n)
    return g.gather(x, spots(x, [2], n, x.shape[axis]!), axis)
  },
  (pick, n) => {
    const x = pick()
    const axis = axisOf(x, n)
    return g.gatherElements(x, spots(x, x.shape, n, x.shape[axis]!), axis)
  },
  (pick, n) => {
    const x = pick()
    const axis = axisOf(x, n)
    const data = n % 3 === 0 ? x : g.zeros(x.node.graph, x.shape)
    const added = g.scatterElements(data, spots(x, x.shape, n, x.shape[axis]!), x, axis, 'add')
    return n % 2 === 0 ? added : g.add(g.tanh(x), added)
  },
]

/** The largest tensor that a step may leave: keeps the reference quick. */
const MOST_ELEMENTS = 64

function build(shapes: readonly (readonly number[])[], steps: readonly (readonly number[])[]): g.Graph {
  const graph = new g.Graph()
  const pool = shapes.map((shape, i) => graph.input(`x${i}`, { dtype: 'float32', shape }))
  for (const value of CONSTANTS) pool.push(g.constant(graph, 'float32', [1], Float32Array.of(value)))
  for (const [which, n, ...picks] of steps) {
    let at = 0
    const pick = () => pool[picks[at++ % picks.length]! % pool.length]!
    try {
      const made = STEPS[which! % STEPS.length]!(pick, n!, graph) ?? []
      for (const tensor of Array.isArray(made) ? (made as readonly g.Tensor[]) : [made as g.Tensor]) {
        if (g.elements(tensor.shape) <= MOST_ELEMENTS) pool.push(tensor)
      }
    } catch (error) {
      // shapes that do not fit each other
      if (!(error instanceof TypeError)) throw error
    }
  }
  pool.slice(-3).forEach((tensor, i) => void graph.output(`y${i}`, tensor))
  return graph
}

/** Graphs of up to 30 steps over one to three inputs, with the last three tensors as outputs. */
export const randomGraph: fc.Arbitrary<RandomGraph> = fc
  .tuple(
    fc.array(fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }), { minLength: 1, maxLength: 3 }),
    fc.array(fc.tuple(fc.nat(999), fc.nat(50), fc.nat(999), fc.nat(999)), { minLength: 1, maxLength: 30 }),
  )
  .map(([shapes, steps]) => {
    const graph = build(shapes, steps)
    const inputs = shapes.map((shape, i): [string, number[]] => [
      `x${i}`,
      Array.from({ length: g.elements(shape) }, (_, k) => ((k * 37 + i * 11) % 17) / 8 - 1),
    ])
    return { graph, inputs: new Map(inputs) }
  })
