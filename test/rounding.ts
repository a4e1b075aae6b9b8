/** @file How far rounding alone may take a result, whatever the processor: the limits of tests that compare numbers. */

/** Half the distance from 1 to the next larger number: the most that rounding to the nearest one changes, relatively. */
const UNIT = { float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8 } as const

/**
 * The most that a sum of `terms` products may be off, relative to the sum of their magnitudes.
 *
 * Processors add in different orders: four, eight or sixteen at a time, in blocks of what their caches hold, with
 * products rounded or fused. Each of `terms` additions rounds by at most u. They add up to n u at worst, which no order
 * reaches, and to less than lambda sqrt(n) u where they are independent, but for a chance of 2 exp(-lambda^2 / 2) (Higham
 * and Mary 2019, "A new approach to probabilistic rounding error analysis"). Data with a pattern is not quite that: the
 * worst of this suite, 2^20 terms that repeat, was off by 8 sqrt(n) u with AVX-512, AVX2 and SSE. So lambda is 32. A term
 * left out, counted twice or scaled wrongly moves a sum by a share of it, which is thousands of times more.
 *
 * A result of several sums, one after the other, may be off by all of them: add up what each may be off.
 */
export function rounding(terms: number, type: keyof typeof UNIT = 'float32'): number {
  return 32 * Math.sqrt(terms) * UNIT[type]
}
