/** @file The closed set of tensor operations. Every rule table of this room is a mapped type over it. */
import type { DType } from './dtype.ts'

/** Elements of a constant, row major: any typed array that fits its element type; of 16-bit floats the bit patterns. */
export type ConstantData = Float32Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array

/** How `scatterElements` combines an update with what is there. */
export type ScatterReduction = 'none' | 'add'

interface Axes {
  /** Sorted, non-negative. */
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

/** Attributes of each operation. Shapes are static, so whatever follows from input shapes is not repeated. */
export interface OpAttributes {
  /** A value given from outside, by name. */
  input: { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] }
  constant: { readonly dtype: DType; readonly shape: readonly number[]; readonly data: ConstantData }

  // Element by element.
  neg: null
  abs: null
  exp: null
  log: null
  sqrt: null
  reciprocal: null
  sigmoid: null
  tanh: null
  erf: null
  relu: null
  identity: null
  cast: { readonly to: DType }

  // Element by element on two inputs that broadcast as in NumPy.
  add: null
  sub: null
  mul: null
  div: null
  pow: null
  min: null
  max: null
  equal: null
  less: null
  greater: null
  /** condition, then, else. */
  where: null

  /** Product over the last two axes, leading axes broadcast; `transA` and `transB` swap the last two first. */
  matmul: { readonly transA: boolean; readonly transB: boolean }
  softmax: { readonly axis: number }

  reduceSum: Axes
  reduceMean: Axes
  reduceMax: Axes
  reduceSumSquare: Axes

  // Moving elements.
  reshape: { readonly shape: readonly number[] }
  transpose: { readonly permutation: readonly number[] }
  expand: { readonly shape: readonly number[] }
  concat: { readonly axis: number }
  split: { readonly axis: number; readonly sizes: readonly number[] }
  /** `axis` from `start` (inclusive) to `end` (exclusive). */
  slice: { readonly axis: number; readonly start: number; readonly end: number }
  /** data, indices: whole slices of data along `axis`. */
  gather: { readonly axis: number }
  /** data, indices: one element for each index, as torch.gather. */
  gatherElements: { readonly axis: number }
  /** data, indices, updates: as torch.scatter. */
  scatterElements: { readonly axis: number; readonly reduction: ScatterReduction }
}

/** Name of an operation. */
export type Op = keyof OpAttributes
