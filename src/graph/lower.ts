/** @file Lowering of a graph to a standard ONNX model: opset 18, only operators that every runtime has. */
import {
  encodeOnnx,
  ONNX_DTYPES,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
} from '../formats/index.ts'
import { VERSION } from '../version.ts'
import type { DType } from './dtype.ts'
import type { Graph, Node, Tensor } from './graph.ts'
import type { Op } from './ops.ts'
import { verifyGraph } from './verify.ts'

/** The newest operator set that every runtime reads: of one of them the parser ends here, without a fallback. */
export const OPSET = 18
/** The version of the file format that belongs to ONNX 1.13, the first with opset 18. */
const IR_VERSION = 8

/** The operators of ONNX that a lowered graph is made of, and no others. */
export const ONNX_OPERATORS = [
  'Abs',
  'Add',
  'Cast',
  'Concat',
  'Div',
  'Equal',
  'Erf',
  'Exp',
  'Expand',
  'Gather',
  'GatherElements',
  'Gemm',
  'Greater',
  'Identity',
  'Less',
  'Log',
  'MatMul',
  'Max',
  'Min',
  'Mul',
  'Neg',
  'Pow',
  'Reciprocal',
  'ReduceMax',
  'ReduceMean',
  'ReduceSum',
  'ReduceSumSquare',
  'Relu',
  'Reshape',
  'ScatterElements',
  'Sigmoid',
  'Slice',
  'Softmax',
  'Split',
  'Sqrt',
  'Sub',
  'Tanh',
  'Transpose',
  'Where',
] as const

export type OnnxOperator = (typeof ONNX_OPERATORS)[number]

/** What a lowering rule may do: add ONNX nodes, and name constants. */
interface Emitter {
  /** Name of a tensor in the file. */
  name(tensor: Tensor): string
  /** A name that nothing else has, starting with `wish`, for a value of this type. */
  unique(wish: string, dtype: DType): string
  /** Name of an int64 vector, stored once. */
  vector(values: readonly number[]): string
  emit(
    opType: OnnxOperator,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes?: Attributes,
  ): void
  initializer(tensor: OnnxTensor): void
}

type Attributes = Readonly<Record<string, OnnxAttribute>>
type Lowering<K extends Op> = (node: Node<K>, to: Emitter) => void

const lowerings: { readonly [K in Op]: Lowering<K> } = {
  input: () => {},
  constant: (node, to) => {
    const { dtype, shape, data } = node.attributes
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    to.initializer({ name: to.name(node.outputs[0]!), dtype, shape, data: bytes })
  },
  neg: direct('Neg'),
  abs: direct('Abs'),
  exp: direct('Exp'),
  log: direct('Log'),
  sqrt: direct('Sqrt'),
  reciprocal: direct('Reciprocal'),
  sigmoid: direct('Sigmoid'),
  tanh: direct('Tanh'),
  erf: direct('Erf'),
  relu: direct('Relu'),
  identity: direct('Identity'),
  cast: direct('Cast', ({ to }: { to: DType }) => ({ to: int(ONNX_DTYPES[to].code) })),
  add: direct('Add'),
  sub: direct('Sub'),
  mul: direct('Mul'),
  div: direct('Div'),
  pow: direct('Pow'),
  min: direct('Min'),
  max: direct('Max'),
  equal: direct('Equal'),
  less: direct('Less'),
  greater: direct('Greater'),
  where: direct('Where'),

  matmul: (node, to) => {
    const { transA, transB } = node.attributes
    const [a, b] = node.inputs as [Tensor, Tensor]
    const output = [to.name(node.outputs[0]!)]
    if (!transA && !transB) return to.emit('MatMul', [to.name(a), to.name(b)], output)
    if (a.shape.length === 2 && b.shape.length === 2) {
      const attributes = { transA: int(Number(transA)), transB: int(Number(transB)) }
      return to.emit('Gemm', [to.name(a), to.name(b)], output, attributes)
    }
    // runtimes with a fused form find it: a transpose of the last two axes before a product
    const swapped = (tensor: Tensor, swap: boolean, suffix: string) => {
      if (!swap) return to.name(tensor)
      const rank = tensor.shape.length
      const perm = tensor.shape.map((_, axis) =>
        axis === rank - 1 ? rank - 2 : axis === rank - 2 ? rank - 1 : axis,
      )
      const name = to.unique(`${output[0]}.${suffix}`, tensor.dtype)
      to.emit('Transpose', [to.name(tensor)], [name], { perm: ints(perm) })
      return name
    }
    to.emit('MatMul', [swapped(a, transA, 'a'), swapped(b, transB, 'b')], output)
  },
  softmax: direct('Softmax', ({ axis }: { axis: number }) => ({ axis: int(axis) })),

  reduceSum: reduce('ReduceSum'),
  reduceMean: reduce('ReduceMean'),
  reduceMax: reduce('ReduceMax'),
  reduceSumSquare: reduce('ReduceSumSquare'),

  reshape: (node, to) =>
    to.emit(
      'Reshape',
      [to.name(node.inputs[0]!), to.vector(node.attributes.shape)],
      [to.name(node.outputs[0]!)],
      // else a 0 would mean the input's size
      node.attributes.shape.includes(0) ? { allowzero: int(1) } : {},
    ),
  transpose: direct('Transpose', ({ permutation }: { permutation: readonly number[] }) => ({
    perm: ints(permutation),
  })),
  expand: (node, to) =>
    to.emit(
      'Expand',
      [to.name(node.inputs[0]!), to.vector(node.attributes.shape)],
      [to.name(node.outputs[0]!)],
    ),
  concat: direct('Concat', ({ axis }: { axis: number }) => ({ axis: int(axis) })),
  split: (node, to) => {
    const { axis, sizes } = node.attributes
    const even = sizes.every((size) => size === sizes[0])
    const inputs = even ? [] : [to.vector(sizes)]
    const attributes = even ? { axis: int(axis), num_outputs: int(sizes.length) } : { axis: int(axis) }
    to.emit('Split', [to.name(node.inputs[0]!), ...inputs], node.outputs.map(to.name), attributes)
  },
  slice: (node, to) => {
    const { axis, start, end } = node.attributes
    const bounds = [[start], [end], [axis]].map(to.vector)
    to.emit('Slice', [to.name(node.inputs[0]!), ...bounds], [to.name(node.outputs[0]!)])
  },
  gather: direct('Gather', ({ axis }: { axis: number }) => ({ axis: int(axis) })),
  gatherElements: direct('GatherElements', ({ axis }: { axis: number }) => ({ axis: int(axis) })),
  scatterElements: direct('ScatterElements', ({ axis, reduction }: { axis: number; reduction: string }) => ({
    axis: int(axis),
    reduction: { kind: 'string', value: reduction },
  })),
}

/** A node of a lowered graph. */
export interface LoweredNode extends OnnxNode {
  readonly opType: OnnxOperator
  readonly name: string
}

/** A graph as ONNX nodes and constants, before it is written. */
export interface Lowered {
  readonly nodes: readonly LoweredNode[]
  readonly initializers: readonly OnnxTensor[]
  /** Element type of every value, by name. */
  readonly types: ReadonlyMap<string, DType>
}

/**
 * Writes a graph as the bytes of an ONNX model. `metadata` goes into the file as it is.
 *
 * @example
 * ```ts
 * import { add, Graph, optimize, toOnnx } from 'regauge/graph'
 *
 * const graph = new Graph()
 * const x = graph.input('x', { dtype: 'float32', shape: [2] })
 * graph.output('twice', add(x, x))
 * const bytes = toOnnx(optimize(graph), 'twice') // of twice.onnx
 * ```
 */
export function toOnnx(
  graph: Graph,
  name: string,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { nodes, initializers } = lower(graph)
  const info = (entries: ReadonlyMap<string, Tensor>) =>
    [...entries].map(([value, { dtype, shape }]) => ({ name: value, dtype, shape }))
  return encodeOnnx({
    irVersion: IR_VERSION,
    opset: OPSET,
    producerName: 'regauge',
    producerVersion: VERSION,
    graph: { name, nodes, initializers, inputs: info(graph.inputs), outputs: info(graph.outputs) },
    metadata,
  })
}

/** Lowers a graph to the nodes that its file will have: what tables of support are asked about. */
export function lower(graph: Graph): Lowered {
  verifyGraph(graph, 'the last pass')
  const take = uniqueNames([...graph.inputs.keys(), ...graph.outputs.keys()])
  const types = new Map<string, DType>()
  const unique = (wish: string, dtype: DType): string => {
    const made = take(wish)
    types.set(made, dtype)
    return made
  }
  const names = nameTensors(graph, take)
  for (const [tensor, made] of names) types.set(made, tensor.dtype)
  for (const [output, { dtype }] of graph.outputs) types.set(output, dtype)
  const nodes: LoweredNode[] = []
  const initializers: OnnxTensor[] = []
  const vectors = new Map<string, string>()
  const emitter: Emitter = {
    name: (tensor) => names.get(tensor)!,
    unique,
    emit: (opType, inputs, outputs, attributes = {}) => {
      nodes.push({ opType, name: outputs[0]!, inputs, outputs, attributes })
    },
    vector: (values) => {
      const key = `shape_${values.join('x')}`
      const known = vectors.get(key)
      if (known !== undefined) return known
      const name = unique(key, 'int64')
      const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
      initializers.push({ name, dtype: 'int64', shape: [values.length], data })
      vectors.set(key, name)
      return name
    },
    initializer: (tensor) => void initializers.push(tensor),
  }
  for (const node of graph.nodes) (lowerings[node.op] as Lowering<Op>)(node, emitter)
  for (const [output, tensor] of graph.outputs) {
    if (names.get(tensor) !== output) emitter.emit('Identity', [names.get(tensor)!], [output])
  }
  return { nodes, initializers, types }
}

/** A name for each tensor: its input or output name, else where it was made. */
function nameTensors(graph: Graph, unique: (wish: string) => string): Map<Tensor, string> {
  const names = new Map<Tensor, string>()
  for (const [name, tensor] of graph.inputs) names.set(tensor, name)
  for (const [name, tensor] of graph.outputs) {
    // a constant or a value with two output names keeps its own name and is copied
    if (!names.has(tensor) && tensor.node.op !== 'constant') names.set(tensor, name)
  }
  for (const node of graph.nodes) {
    for (const output of node.outputs) {
      if (names.has(output)) continue
      const scope = node.scope === '' ? '' : `${node.scope}.`
      names.set(
        output,
        unique(`${scope}${node.op}_${node.id}${output.index === 0 ? '' : `_${output.index}`}`),
      )
    }
  }
  return names
}

/** Gives each wish once; what is taken gets an underscore more. */
function uniqueNames(taken: Iterable<string>): (wish: string) => string {
  const used = new Set(taken)
  return (wish) => {
    let name = wish
    while (used.has(name)) name += '_'
    used.add(name)
    return name
  }
}

function direct<K extends Op>(opType: OnnxOperator, attributes?: (a: never) => Attributes): Lowering<K> {
  return (node, to) => {
    const given = attributes === undefined ? {} : attributes(node.attributes as never)
    to.emit(opType, node.inputs.map(to.name), node.outputs.map(to.name), given)
  }
}

function reduce(opType: OnnxOperator) {
  return (node: Node<'reduceSum' | 'reduceMean' | 'reduceMax' | 'reduceSumSquare'>, to: Emitter) => {
    const { axes, keepDims } = node.attributes
    const [x] = node.inputs
    const [y] = node.outputs
    // without axes ONNX would reduce them all
    if (axes.length === 0) {
      if (opType === 'ReduceSumSquare') return to.emit('Mul', [to.name(x!), to.name(x!)], [to.name(y!)])
      return to.emit('Identity', [to.name(x!)], [to.name(y!)])
    }
    to.emit(opType, [to.name(x!), to.vector(axes)], [to.name(y!)], { keepdims: int(Number(keepDims)) })
  }
}

function int(value: number): OnnxAttribute {
  return { kind: 'int', value }
}

function ints(value: readonly number[]): OnnxAttribute {
  return { kind: 'ints', value }
}
