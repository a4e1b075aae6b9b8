/** @file The gradient of each operation, as graph operations: cotangents of the inputs from those of the outputs. */
import {
  abs,
  cast,
  concat,
  constant,
  div,
  equal,
  exp,
  expand,
  gatherElements,
  greater,
  less,
  log,
  matmul,
  mul,
  neg,
  pow,
  reduceSum,
  reshape,
  scatterElements,
  split,
  sub,
  transpose,
  where,
  zeros,
} from './build.ts'
import { elements } from './dtype.ts'
import type { Graph, Node, Tensor } from './graph.ts'
import type { Op } from './ops.ts'
import { sameShape } from './shape.ts'

/** Cotangent of each input, undefined where it has none. An output nobody used has no cotangent. */
export type GradientRule<K extends Op> = (
  node: Node<K>,
  cotangents: readonly (Tensor | undefined)[],
) => readonly (Tensor | undefined)[]

export const gradientRules: { readonly [K in Op]: GradientRule<K> } = {
  input: none,
  constant: none,

  neg: rule((_, g) => [neg(g)]),
  // d|x| = sign(x) dx, with 0 at 0
  abs: rule(({ inputs: [x] }, g) => [sub(where(greater(x!, 0), g, 0), where(less(x!, 0), g, 0))]),
  // d(e^x) = e^x dx
  exp: rule(({ outputs: [y] }, g) => [mul(g, y!)]),
  // d(log x) = dx / x
  log: rule(({ inputs: [x] }, g) => [div(g, x!)]),
  // d(sqrt x) = dx / (2 sqrt x)
  sqrt: rule(({ outputs: [y] }, g) => [div(g, mul(y!, 2))]),
  // d(1/x) = -x^-2 dx
  reciprocal: rule(({ outputs: [y] }, g) => [neg(mul(g, mul(y!, y!)))]),
  // d(s) = s (1 - s) dx
  sigmoid: rule(({ outputs: [y] }, g) => [mul(g, mul(y!, sub(1, y!)))]),
  // d(tanh x) = (1 - tanh^2 x) dx
  tanh: rule(({ outputs: [y] }, g) => [mul(g, sub(1, mul(y!, y!)))]),
  // d(erf x) = 2/sqrt(pi) e^(-x^2) dx
  erf: rule(({ inputs: [x] }, g) => [mul(g, mul(exp(neg(mul(x!, x!))), 2 / Math.sqrt(Math.PI)))]),
  relu: rule(({ inputs: [x] }, g) => [where(greater(x!, 0), g, 0)]),
  identity: rule((_, g) => [g]),
  cast: rule(({ inputs: [x] }, g) => [x!.dtype === 'float32' ? cast(g, 'float32') : undefined]),

  add: rule(({ inputs: [a, b] }, g) => [sumTo(g, a!), sumTo(g, b!)]),
  sub: rule(({ inputs: [a, b] }, g) => [sumTo(g, a!), sumTo(g, b!, neg)]),
  mul: rule(({ inputs: [a, b] }, g) => [sumTo(mul(g, b!), a!), sumTo(mul(g, a!), b!)]),
  // d(a/b) = da / b - (a/b) db / b
  div: rule(({ inputs: [a, b], outputs: [y] }, g) => {
    const da = div(g, b!)
    return [sumTo(da, a!), sumTo(mul(da, y!), b!, neg)]
  }),
  // d(a^b) = b a^(b-1) da + a^b log(a) db; the second is of use only where a > 0, the first is 0 where b is
  pow: rule(({ inputs: [a, b], outputs: [y] }, g) => {
    const db = mul(mul(g, y!), where(greater(a!, 0), log(abs(a!)), 0))
    const slope = where(equal(b!, 0), 0, mul(b!, pow(a!, sub(b!, 1))))
    return [sumTo(mul(g, slope), a!), sumTo(db, b!)]
  }),
  min: rule(({ inputs: [a, b] }, g) => extremeGradient(a!, b!, less(a!, b!), g)),
  max: rule(({ inputs: [a, b] }, g) => extremeGradient(a!, b!, greater(a!, b!), g)),
  equal: none,
  less: none,
  greater: none,
  where: rule(({ inputs: [condition, a, b] }, g) => [
    undefined,
    sumTo(where(condition!, g, 0), a!),
    sumTo(where(condition!, 0, g), b!),
  ]),

  // y = a b: da = g b^T, db = a^T g; with swapped inputs the product is swapped instead
  matmul: rule(({ inputs: [a, b], attributes: { transA, transB } }, g) => {
    const da = transA ? matmul(b!, g, { transA: transB, transB: true }) : matmul(g, b!, { transB: !transB })
    const db = transB ? matmul(g, a!, { transA: true, transB: transA }) : matmul(a!, g, { transA: !transA })
    return [sumTo(da, a!), sumTo(db, b!)]
  }),
  // dx = y (g - sum(g y))
  softmax: rule(({ outputs: [y], attributes: { axis } }, g) => [
    mul(y!, sub(g, reduceSum(mul(g, y!), [axis], true))),
  ]),

  reduceSum: rule(({ inputs: [x], attributes: { axes } }, g) => [expand(keepAxes(g, x!, axes), x!.shape)]),
  reduceMean: rule(({ inputs: [x], attributes: { axes } }, g) => {
    const count = axes.reduce((product, axis) => product * x!.shape[axis]!, 1)
    return [expand(keepAxes(mul(g, 1 / count), x!, axes), x!.shape)]
  }),
  // shared equally between equal maxima, as the mean of the one-sided gradients
  reduceMax: rule(({ inputs: [x], outputs: [y], attributes: { axes } }, g) => {
    const hit = cast(equal(x!, keepAxes(y!, x!, axes)), 'float32')
    return [mul(hit, div(keepAxes(g, x!, axes), reduceSum(hit, axes, true)))]
  }),
  // d(sum x^2) = 2 x dx
  reduceSumSquare: rule(({ inputs: [x], attributes: { axes } }, g) => [
    mul(x!, mul(keepAxes(g, x!, axes), 2)),
  ]),

  reshape: rule(({ inputs: [x] }, g) => [reshape(g, x!.shape)]),
  transpose: rule(({ attributes: { permutation } }, g) => [
    transpose(
      g,
      permutation.map((_, axis) => permutation.indexOf(axis)),
    ),
  ]),
  expand: rule(({ inputs: [x] }, g) => [sumTo(g, x!)]),
  concat: rule(({ inputs, attributes: { axis } }, g) =>
    split(
      g,
      inputs.map((input) => input.shape[axis]!),
      axis,
    ),
  ),
  split: ({ outputs, attributes: { axis } }, cotangents) => {
    if (cotangents.every((g) => g === undefined)) return [undefined]
    return [
      concat(
        outputs.map((output, i) => cotangents[i] ?? zeros(output.node.graph, output.shape)),
        axis,
      ),
    ]
  },
  slice: rule(({ inputs: [x], attributes: { axis, start, end } }, g) => {
    const size = x!.shape[axis]!
    const pieces = [g]
    if (start > 0) pieces.unshift(zeros(g.node.graph, x!.shape.with(axis, start)))
    if (end < size) pieces.push(zeros(g.node.graph, x!.shape.with(axis, size - end)))
    return [concat(pieces, axis)]
  }),
  // every slice is added to the row that it came from, element by element
  gather: rule(({ inputs: [data, indices], attributes: { axis } }, g) => {
    const outer = data!.shape.slice(0, axis)
    const inner = data!.shape.slice(axis + 1)
    const count = elements(indices!.shape)
    const updates = reshape(g, [...outer, count, ...inner])
    const rows = expand(
      reshape(indices!, [...outer.map(() => 1), count, ...inner.map(() => 1)]),
      updates.shape,
    )
    return [scatterElements(zeros(g.node.graph, data!.shape), rows, updates, axis, 'add'), undefined]
  }),
  gatherElements: rule(({ inputs: [data, indices], attributes: { axis } }, g) => [
    scatterElements(zeros(g.node.graph, data!.shape), indices!, g, axis, 'add'),
    undefined,
  ]),
  scatterElements: rule(({ inputs: [data, indices, updates], attributes: { axis, reduction } }, g) => {
    const picked = gatherElements(g, indices!, axis)
    if (reduction === 'add') return [g, undefined, picked]
    const hidden = scatterElements(g, indices!, zeros(g.node.graph, updates!.shape), axis)
    return [data!.dtype === 'float32' ? hidden : undefined, undefined, picked]
  }),
}

/** Sums a cotangent over the axes along which `x` was broadcast; `then` is applied after the sum, where it is cheapest. */
export function sumTo(g: Tensor, x: Tensor, then: (g: Tensor) => Tensor = (t) => t): Tensor | undefined {
  if (x.dtype !== 'float32') return undefined
  if (sameShape(g.shape, x.shape)) return then(g)
  const lead = g.shape.length - x.shape.length
  const axes = g.shape.flatMap((size, i) => (i < lead || (x.shape[i - lead] === 1 && size !== 1) ? [i] : []))
  const sum = axes.length === 0 ? g : reduceSum(g, axes, true)
  return then(reshape(sum, x.shape))
}

/** Brings the axes that a reduction dropped back as axes of size 1. */
function keepAxes(g: Tensor, x: Tensor, axes: readonly number[]): Tensor {
  return reshape(
    g,
    x.shape.map((size, i) => (axes.includes(i) ? 1 : size)),
  )
}

/** The winner takes the cotangent; equals share it. */
function extremeGradient(a: Tensor, b: Tensor, aWins: Tensor, g: Tensor): readonly (Tensor | undefined)[] {
  const share = where(equal(a, b), mul(g, 0.5), where(aWins, g, 0))
  return [sumTo(share, a), sumTo(sub(g, share), b)]
}

/** A rule for an operation with one output. */
function rule<K extends Op>(
  one: (node: Node<K>, g: Tensor) => readonly (Tensor | undefined)[],
): GradientRule<K> {
  return (node, [g]) => (g === undefined ? node.inputs.map(() => undefined) : one(node, g))
}

function none(): readonly undefined[] {
  return []
}

/** Constant one, in the shape of a loss. */
export function ones(graph: Graph, shape: readonly number[]): Tensor {
  return constant(graph, 'float32', shape, new Float32Array(elements(shape)).fill(1))
}
