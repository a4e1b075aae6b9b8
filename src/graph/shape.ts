/** @file Shape and element type of each operation's outputs. */
import { type DType, elements, isFloat, type TensorSpec } from './dtype.ts'
import type { Op, OpAttributes } from './ops.ts'

type ShapeRule<K extends Op> = (
  attributes: OpAttributes[K],
  inputs: readonly TensorSpec[],
) => readonly TensorSpec[]

const shapeRules: { readonly [K in Op]: ShapeRule<K> } = {
  input: (a) => [checked('input', { dtype: a.dtype, shape: a.shape })],
  constant: (a) => {
    if (a.data.length !== elements(a.shape)) {
      fail('constant', `${a.data.length} elements for shape [${a.shape.join(',')}]`)
    }
    if (!(a.data instanceof ARRAYS[a.dtype])) {
      fail('constant', `a ${a.dtype} takes a ${ARRAYS[a.dtype].name}, got ${a.data.constructor.name}`)
    }
    return [checked('constant', { dtype: a.dtype, shape: a.shape })]
  },

  neg: unary('neg'),
  abs: unary('abs'),
  exp: unary('exp'),
  log: unary('log'),
  sqrt: unary('sqrt'),
  reciprocal: unary('reciprocal'),
  sigmoid: unary('sigmoid'),
  tanh: unary('tanh'),
  erf: unary('erf'),
  relu: unary('relu'),
  identity: (_, [x]) => [specOf('identity', x)],
  cast: (a, [x]) => [{ dtype: a.to, shape: specOf('cast', x).shape }],

  add: binary('add'),
  sub: binary('sub'),
  mul: binary('mul'),
  div: binary('div'),
  pow: binary('pow'),
  min: binary('min'),
  max: binary('max'),
  equal: (_, [a, b]) => [{ dtype: 'bool', shape: pair('equal', a, b).shape }],
  less: comparison('less'),
  greater: comparison('greater'),
  where: (_, [condition, a, b]) => {
    if (condition?.dtype !== 'bool') fail('where', 'the condition must be bool')
    const [sum] = binary('where')(null, [a!, b!])
    return [{ dtype: sum!.dtype, shape: broadcastShapes('where', condition.shape, sum!.shape) }]
  },

  matmul: (attributes, [a, b]) => {
    const left = specOf('matmul', a)
    const right = specOf('matmul', b)
    if (!isFloat(left.dtype) || left.dtype !== right.dtype)
      fail('matmul', `inputs must be of one floating-point type: ${text(left)} and ${text(right)}`)
    if (left.shape.length < 2 || right.shape.length < 2) fail('matmul', 'inputs must have at least two axes')
    checkNotEmpty('matmul', left)
    checkNotEmpty('matmul', right)
    const [m, k] = lastTwo(left.shape, attributes.transA)
    const [k2, n] = lastTwo(right.shape, attributes.transB)
    if (k !== k2) fail('matmul', `inner sizes differ: ${text(left)} and ${text(right)}`)
    const batch = broadcastShapes('matmul', left.shape.slice(0, -2), right.shape.slice(0, -2))
    return [{ dtype: left.dtype, shape: [...batch, m, n] }]
  },
  softmax: (a, [x]) => {
    const spec = floatOf('softmax', x)
    checkAxis('softmax', a.axis, spec)
    checkNotEmpty('softmax', spec)
    return [spec]
  },

  reduceSum: reduction('reduceSum'),
  reduceMean: reduction('reduceMean'),
  reduceMax: reduction('reduceMax'),
  reduceSumSquare: reduction('reduceSumSquare'),

  reshape: (a, [x]) => {
    const spec = specOf('reshape', x)
    if (elements(a.shape) !== elements(spec.shape)) fail('reshape', `${text(spec)} to [${a.shape.join(',')}]`)
    return [checked('reshape', { dtype: spec.dtype, shape: a.shape })]
  },
  transpose: (a, [x]) => {
    const spec = specOf('transpose', x)
    const sorted = [...a.permutation].sort((p, q) => p - q)
    if (sorted.length !== spec.shape.length || sorted.some((axis, i) => axis !== i)) {
      fail('transpose', `permutation [${a.permutation.join(',')}] of ${text(spec)}`)
    }
    return [{ dtype: spec.dtype, shape: a.permutation.map((axis) => spec.shape[axis]!) }]
  },
  expand: (a, [x]) => {
    const spec = specOf('expand', x)
    const shape = broadcastShapes('expand', spec.shape, a.shape)
    if (shape.length !== a.shape.length || shape.some((size, i) => size !== a.shape[i])) {
      fail('expand', `${text(spec)} to [${a.shape.join(',')}]`)
    }
    return [{ dtype: spec.dtype, shape }]
  },
  concat: (a, inputs) => {
    const first = specOf('concat', inputs[0])
    checkAxis('concat', a.axis, first)
    let size = 0
    for (const spec of inputs) {
      const fits =
        spec.dtype === first.dtype &&
        spec.shape.length === first.shape.length &&
        spec.shape.every((s, i) => i === a.axis || s === first.shape[i])
      if (!fits) fail('concat', `${text(first)} with ${text(spec)} along axis ${a.axis}`)
      size += spec.shape[a.axis]!
    }
    return [{ dtype: first.dtype, shape: first.shape.with(a.axis, size) }]
  },
  split: (a, [x]) => {
    const spec = specOf('split', x)
    checkAxis('split', a.axis, spec)
    const total = a.sizes.reduce((sum, size) => sum + size, 0)
    if (total !== spec.shape[a.axis] || a.sizes.some((size) => size <= 0)) {
      fail('split', `${text(spec)} along axis ${a.axis} into [${a.sizes.join(',')}]`)
    }
    return a.sizes.map((size) => ({ dtype: spec.dtype, shape: spec.shape.with(a.axis, size) }))
  },
  slice: (a, [x]) => {
    const spec = specOf('slice', x)
    checkAxis('slice', a.axis, spec)
    if (!(0 <= a.start && a.start < a.end && a.end <= spec.shape[a.axis]!)) {
      fail('slice', `${a.start} to ${a.end} of axis ${a.axis} of ${text(spec)}`)
    }
    return [{ dtype: spec.dtype, shape: spec.shape.with(a.axis, a.end - a.start) }]
  },
  gather: (a, [data, indices]) => {
    const spec = specOf('gather', data)
    checkAxis('gather', a.axis, spec)
    const shape = indexOf('gather', indices).shape
    return [
      {
        dtype: spec.dtype,
        shape: [...spec.shape.slice(0, a.axis), ...shape, ...spec.shape.slice(a.axis + 1)],
      },
    ]
  },
  gatherElements: (a, [data, indices]) => {
    const spec = specOf('gatherElements', data)
    checkAxis('gatherElements', a.axis, spec)
    checkIndices('gatherElements', a.axis, spec, indexOf('gatherElements', indices))
    return [{ dtype: spec.dtype, shape: indices!.shape }]
  },
  scatterElements: (a, [data, indices, updates]) => {
    const spec = specOf('scatterElements', data)
    const update = specOf('scatterElements', updates)
    checkAxis('scatterElements', a.axis, spec)
    checkIndices('scatterElements', a.axis, spec, indexOf('scatterElements', indices))
    if (update.dtype !== spec.dtype || !sameShape(update.shape, indices!.shape)) {
      fail('scatterElements', `updates ${text(update)} for indices ${text(indices!)}`)
    }
    return [spec]
  },
}

const ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>

/** Types of a node's outputs. Throws TypeError when the inputs do not fit the operation. */
export function inferShapes<K extends Op>(
  op: K,
  attributes: OpAttributes[K],
  inputs: readonly TensorSpec[],
): readonly TensorSpec[] {
  return shapeRules[op](attributes, inputs).map(({ dtype, shape }) => ({ dtype, shape }))
}

/** NumPy's broadcast of two shapes. Throws TypeError when they do not fit. */
export function broadcastShapes(op: string, a: readonly number[], b: readonly number[]): readonly number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const left = a[a.length - rank + i] ?? 1
    const right = b[b.length - rank + i] ?? 1
    if (left !== right && left !== 1 && right !== 1)
      fail(op, `[${a.join(',')}] does not broadcast with [${b.join(',')}]`)
    return left === 1 ? right : left
  })
}

/** Whether two shapes are equal. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i])
}

function lastTwo(shape: readonly number[], swap: boolean): readonly [number, number] {
  const pair = [shape.at(-2)!, shape.at(-1)!] as const
  return swap ? [pair[1], pair[0]] : pair
}

function unary(op: Op) {
  return (_: null, [x]: readonly TensorSpec[]) => [floatOf(op, x)]
}

/** The type that two inputs of one element type broadcast to. */
function pair(op: Op, a: TensorSpec | undefined, b: TensorSpec | undefined): TensorSpec {
  const left = specOf(op, a)
  const right = specOf(op, b)
  if (left.dtype !== right.dtype) fail(op, `${text(left)} with ${text(right)}`)
  return { dtype: left.dtype, shape: broadcastShapes(op, left.shape, right.shape) }
}

function binary(op: Op) {
  return (_: null, [a, b]: readonly TensorSpec[]) => {
    const result = pair(op, a, b)
    // ONNX has no arithmetic on bool, and runtimes no choice between bools
    if (result.dtype === 'bool') fail(op, `${text(a!)} must be a number, cast it first`)
    return [result]
  }
}

function comparison(op: Op) {
  const rule = binary(op)
  return (_: null, inputs: readonly TensorSpec[]) => [
    { dtype: 'bool' as DType, shape: rule(null, inputs)[0]!.shape },
  ]
}

function reduction(op: Op) {
  return (a: { axes: readonly number[]; keepDims: boolean }, [x]: readonly TensorSpec[]) => {
    const spec = floatOf(op, x)
    for (const axis of a.axes) checkAxis(op, axis, spec)
    if (a.axes.some((axis, i) => i > 0 && axis <= a.axes[i - 1]!))
      fail(op, `axes [${a.axes.join(',')}] of ${text(spec)} must ascend`)
    checkNotEmpty(op, spec)
    const shape = a.keepDims
      ? spec.shape.map((size, i) => (a.axes.includes(i) ? 1 : size))
      : spec.shape.filter((_, i) => !a.axes.includes(i))
    return [{ dtype: spec.dtype, shape }]
  }
}

function specOf(op: string, spec: TensorSpec | undefined): TensorSpec {
  if (spec === undefined) fail(op, 'an input is missing')
  return spec
}

function floatOf(op: string, spec: TensorSpec | undefined): TensorSpec {
  const found = specOf(op, spec)
  if (!isFloat(found.dtype)) fail(op, `${text(found)} must be of floating point`)
  return found
}

function indexOf(op: string, spec: TensorSpec | undefined): TensorSpec {
  const found = specOf(op, spec)
  if (found.dtype !== 'int32' && found.dtype !== 'int64')
    fail(op, `indices ${text(found)} must be int32 or int64`)
  return found
}

function checkAxis(op: string, axis: number, spec: TensorSpec): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= spec.shape.length)
    fail(op, `axis ${axis} of ${text(spec)}`)
}

/** Runtimes disagree on what a sum or product over nothing is, so it is refused. */
function checkNotEmpty(op: string, spec: TensorSpec): void {
  if (spec.shape.includes(0)) fail(op, `${text(spec)} has no elements`)
}

function checkIndices(op: string, axis: number, data: TensorSpec, indices: TensorSpec): void {
  const fits =
    indices.shape.length === data.shape.length &&
    indices.shape.every((size, i) => i === axis || size <= data.shape[i]!)
  if (!fits) fail(op, `indices ${text(indices)} into ${text(data)} along axis ${axis}`)
}

function checked(op: string, spec: TensorSpec): TensorSpec {
  if (spec.shape.some((size) => !Number.isSafeInteger(size) || size < 0))
    fail(op, `shape [${spec.shape.join(',')}]`)
  if (!Number.isSafeInteger(elements(spec.shape)))
    fail(op, `shape [${spec.shape.join(',')}] has too many elements`)
  return spec
}

function text(spec: TensorSpec): string {
  return `${spec.dtype}[${spec.shape.join(',')}]`
}

function fail(op: string, message: string): never {
  throw new TypeError(`${op}: ${message}`)
}
