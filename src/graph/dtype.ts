/** @file Element types of tensors. */

/** Element type of a tensor. */
export type DType = 'float32' | 'float16' | 'bfloat16' | 'int32' | 'int64' | 'bool'

/** Types of 16 bits, which hold 11 or 8 significant ones. */
export type HalfType = 'float16' | 'bfloat16'

/** Whether a type is of floating point. */
export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || isHalf(dtype)
}

/** Whether a type is of 16-bit floating point. */
export function isHalf(dtype: DType): dtype is HalfType {
  return dtype === 'float16' || dtype === 'bfloat16'
}

/** Whether a number is neither near overflow nor near underflow of a floating-point type. */
export function isTame(x: number, dtype: DType): boolean {
  // normal numbers of float16 go from 2^-14 to 65504, those of the other types from 1e-38 to 1e38
  const [least, most] = dtype === 'float16' ? [1e-4, 6e4] : [1e-30, 1e30]
  return Math.abs(x) > least && Math.abs(x) < most
}

/** Bytes that one element takes. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  int64: 8,
  bool: 1,
}

/** Element type and static shape of a tensor. */
export interface TensorSpec {
  readonly dtype: DType
  readonly shape: readonly number[]
}

/** Number of elements of a shape; 1 for a scalar. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Bytes that a tensor of this type and shape takes. */
export function byteLength(spec: TensorSpec): number {
  return elements(spec.shape) * DTYPE_BYTES[spec.dtype]
}
