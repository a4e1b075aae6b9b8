/** @file How far two numbers or two tensors are apart. */

/** A tensor beside the reference's. */
export interface TensorDifference {
  /** Cosine of the angle between both, as flat vectors; 1 for two that are zero, NaN where one is not finite. */
  readonly cosine: number
  /** Norm of the difference over the norm of the reference; infinite where only the reference is zero. */
  readonly relativeError: number
  /** The largest difference of an element. */
  readonly maxAbsolute: number
  /** Norm of the difference. */
  readonly distance: number
  /** Norm of the reference. */
  readonly norm: number
}

/**
 * Compares two tensors of the same size. Tensors of the same bits have no difference, whatever they hold; else values
 * that are not finite make every figure NaN.
 */
export function compareTensors(reference: Float32Array, other: Float32Array): TensorDifference {
  if (reference.length !== other.length)
    throw new RangeError(`tensors of ${reference.length} and ${other.length} elements were compared`)
  let [squares, otherSquares, product, apart, most] = [0, 0, 0, 0, 0]
  let same = true
  for (let i = 0; i < reference.length; i++) {
    const [a, b] = [reference[i]!, other[i]!]
    const difference = b - a
    squares += a * a
    otherSquares += b * b
    product += a * b
    apart += difference * difference
    if (Math.abs(difference) > most) most = Math.abs(difference)
    same &&= Object.is(a, b)
  }
  const norm = Math.sqrt(squares)
  if (same) return { cosine: 1, relativeError: 0, maxAbsolute: 0, distance: 0, norm }
  if (!Number.isFinite(squares) || !Number.isFinite(otherSquares)) {
    const none = Number.NaN
    return { cosine: none, relativeError: none, maxAbsolute: none, distance: none, norm: none }
  }
  const distance = Math.sqrt(apart)
  return {
    cosine: cosineOf(product, squares, otherSquares),
    relativeError: ratio(distance, norm),
    maxAbsolute: most,
    distance,
    norm,
  }
}

/** Rounding may put it a little outside of -1 to 1. A zero vector has no direction: it agrees with another one only. */
function cosineOf(product: number, squares: number, otherSquares: number): number {
  if (squares === 0 || otherSquares === 0) return squares === otherSquares ? 1 : 0
  return Math.max(-1, Math.min(1, product / Math.sqrt(squares) / Math.sqrt(otherSquares)))
}

/** |b - a| / |a|: 0 for equal numbers, infinite where only `a` is zero or one of them is not finite. */
export function relativeDifference(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0
  if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.POSITIVE_INFINITY
  return ratio(Math.abs(b - a), Math.abs(a))
}

/** |b - a|; infinite where one of two different numbers is not finite. */
export function absoluteDifference(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0
  return Number.isFinite(a) && Number.isFinite(b) ? Math.abs(b - a) : Number.POSITIVE_INFINITY
}

function ratio(distance: number, size: number): number {
  return distance === 0 ? 0 : size === 0 ? Number.POSITIVE_INFINITY : distance / size
}

/** The greater one, NaN counting as the greatest of all. */
export function worse(a: number, b: number): number {
  return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b)
}

/** Mean; undefined of no numbers. */
export function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length
}
