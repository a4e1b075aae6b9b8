/** @file The functions that graphs are written with: one a tensor operation, numbers standing for constants. */
import { toHalf } from '../formats/index.ts'
import { type DType, elements, isFloat } from './dtype.ts'
import type { Graph, Tensor } from './graph.ts'
import type { ConstantData, Op, ScatterReduction } from './ops.ts'
import { sameShape } from './shape.ts'

/** A tensor, or a number that is taken as a scalar of the other operand's type. */
export type Operand = Tensor | number

/** A constant tensor of the given type and shape. */
export function constant(graph: Graph, dtype: DType, shape: readonly number[], data: ConstantData): Tensor {
  return graph.node('constant', { dtype, shape, data }, [])[0]!
}

/** A constant without axes. */
export function scalar(graph: Graph, value: number, dtype: DType = 'float32'): Tensor {
  return constant(graph, dtype, [], scalarData(value, dtype))
}

function scalarData(value: number, dtype: DType): ConstantData {
  if (!isFloat(dtype) && !Number.isInteger(value)) throw new TypeError(`${value} is not a value of ${dtype}`)
  switch (dtype) {
    case 'float32':
      return new Float32Array([value])
    case 'int32':
      return new Int32Array([value])
    case 'int64':
      return new BigInt64Array([BigInt(value)])
    case 'bool':
      return new Uint8Array([value])
    case 'float16':
    case 'bfloat16':
      return toHalf(Float32Array.of(value), dtype)
  }
}

export const neg = unary('neg')
export const abs = unary('abs')
export const exp = unary('exp')
export const log = unary('log')
export const sqrt = unary('sqrt')
export const reciprocal = unary('reciprocal')
export const sigmoid = unary('sigmoid')
export const tanh = unary('tanh')
export const erf = unary('erf')
export const relu = unary('relu')
export const identity = unary('identity')

export const add = binary('add')
export const sub = binary('sub')
export const mul = binary('mul')
export const div = binary('div')
export const pow = binary('pow')
export const min = binary('min')
export const max = binary('max')
export const equal = binary('equal')
export const less = binary('less')
export const greater = binary('greater')

/** Converts the elements to another type; the tensor itself when it has that type. */
export function cast(x: Tensor, to: DType): Tensor {
  return x.dtype === to ? x : x.node.graph.node('cast', { to }, [x])[0]!
}

/** `a` where the condition holds, else `b`. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const [left, right] = operands(condition.node.graph, a, b)
  return condition.node.graph.node('where', null, [condition, left, right])[0]!
}

/** Matrix product over the last two axes: a (.., M, K) by b (.., K, N), each swapped first where asked. */
export function matmul(a: Tensor, b: Tensor, options: { transA?: boolean; transB?: boolean } = {}): Tensor {
  const attributes = { transA: options.transA ?? false, transB: options.transB ?? false }
  return a.node.graph.node('matmul', attributes, [a, b])[0]!
}

/** Softmax along one axis; the last one unless said otherwise. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return x.node.graph.node('softmax', { axis: normalAxis(x, axis) }, [x])[0]!
}

export const reduceSum = reduction('reduceSum')
export const reduceMean = reduction('reduceMean')
export const reduceMax = reduction('reduceMax')
export const reduceSumSquare = reduction('reduceSumSquare')

/** The same elements in another shape; the tensor itself when the shape is the same. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  return sameShape(x.shape, shape) ? x : x.node.graph.node('reshape', { shape }, [x])[0]!
}

/** Axis `i` of the result is axis `permutation[i]` of x. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  return x.node.graph.node('transpose', { permutation }, [x])[0]!
}

/** Repeats along axes of size 1 until the shape is reached. */
export function expand(x: Tensor, shape: readonly number[]): Tensor {
  return sameShape(x.shape, shape) ? x : x.node.graph.node('expand', { shape }, [x])[0]!
}

/** Joins tensors along an axis. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors
  if (first === undefined) throw new TypeError('concat: no tensors')
  if (tensors.length === 1) return first
  return first.node.graph.node('concat', { axis: normalAxis(first, axis) }, tensors)[0]!
}

/** Cuts a tensor along an axis into pieces of the given sizes. */
export function split(x: Tensor, sizes: readonly number[], axis: number): readonly Tensor[] {
  if (sizes.length === 1) return [x]
  return x.node.graph.node('split', { axis: normalAxis(x, axis), sizes }, [x])
}

/** Positions `start` (inclusive) to `end` (exclusive) of one axis. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  return x.node.graph.node('slice', { axis: normalAxis(x, axis), start, end }, [x])[0]!
}

/** Slices of `data` along `axis`, one for each index. */
export function gather(data: Tensor, indices: Tensor, axis = 0): Tensor {
  return data.node.graph.node('gather', { axis: normalAxis(data, axis) }, [data, indices])[0]!
}

/** Elements of `data` along `axis`, one for each index; indices have the rank of data. */
export function gatherElements(data: Tensor, indices: Tensor, axis: number): Tensor {
  return data.node.graph.node('gatherElements', { axis: normalAxis(data, axis) }, [data, indices])[0]!
}

/** `data` with `updates` written, or added, at `indices` along `axis`. */
export function scatterElements(
  data: Tensor,
  indices: Tensor,
  updates: Tensor,
  axis: number,
  reduction: ScatterReduction = 'none',
): Tensor {
  const attributes = { axis: normalAxis(data, axis), reduction }
  return data.node.graph.node('scatterElements', attributes, [data, indices, updates])[0]!
}

/** A float32 tensor of zeros that takes no room in the file. */
export function zeros(graph: Graph, shape: readonly number[]): Tensor {
  return elements(shape) === 1
    ? constant(graph, 'float32', shape, new Float32Array(1))
    : expand(scalar(graph, 0), shape)
}

/** Turns numbers into scalars of the tensor's type. */
export function operands(graph: Graph, a: Operand, b: Operand): readonly [Tensor, Tensor] {
  const dtype = typeof a !== 'number' ? a.dtype : typeof b !== 'number' ? b.dtype : 'float32'
  return [
    typeof a === 'number' ? scalar(graph, a, dtype) : a,
    typeof b === 'number' ? scalar(graph, b, dtype) : b,
  ]
}

type UnaryOp =
  | 'neg'
  | 'abs'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'reciprocal'
  | 'sigmoid'
  | 'tanh'
  | 'erf'
  | 'relu'
  | 'identity'

function unary(op: UnaryOp) {
  return (x: Tensor): Tensor => x.node.graph.node(op, null, [x])[0]!
}

type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'min' | 'max' | 'equal' | 'less' | 'greater'

function binary(op: BinaryOp & Op) {
  return (a: Operand, b: Operand): Tensor => {
    const graph = typeof a !== 'number' ? a.node.graph : typeof b !== 'number' ? b.node.graph : undefined
    if (graph === undefined) throw new TypeError(`${op}: one operand must be a tensor`)
    return graph.node(op, null, operands(graph, a, b))[0]!
  }
}

type ReduceOp = 'reduceSum' | 'reduceMean' | 'reduceMax' | 'reduceSumSquare'

/** Reduces the given axes (all of them unless said otherwise); they stay with size 1 when `keepDims`. */
function reduction(op: ReduceOp) {
  return (x: Tensor, axes?: readonly number[], keepDims = false): Tensor => {
    const chosen = axes === undefined ? x.shape.map((_, i) => i) : axes.map((axis) => normalAxis(x, axis))
    return x.node.graph.node(op, { axes: chosen.sort((p, q) => p - q), keepDims }, [x])[0]!
  }
}

function normalAxis(x: Tensor, axis: number): number {
  return axis < 0 ? axis + x.shape.length : axis
}
