/** @file A pseudo-random order of n things that is computed place by place: no list, no memory, no state. */

/**
 * The thing at place `index` of the order that belongs to `seed` and `epoch`: a bijection on 0 .. count - 1, in
 * constant time on average. `count` up to 2^52.
 *
 * A Feistel network permutes the next power of four; a result outside of the range is permuted again until it lies
 * inside (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
 */
export function permute(index: number, count: number, seed: number, epoch: number): number {
  if (!(index >= 0 && index < count)) throw new RangeError(`place ${index} of ${count}`)
  let bits = 1
  while (4 ** bits < count) bits++
  const half = 2 ** bits
  const key = hashOf(seed, epoch)
  let value = index
  do {
    let left = Math.floor(value / half)
    let right = value % half
    for (let round = 0; round < ROUNDS; round++) {
      const next = (left ^ (hash(hash(key, round), right) & (half - 1))) >>> 0
      left = right
      right = next
    }
    value = left * half + right
  } while (value >= count)
  return value
}

const ROUNDS = 6

/** A 32-bit hash of whole numbers, of which each may be as large as numbers get. */
export function hashOf(...values: number[]): number {
  return values.reduce((state, value) => hash(hash(state, value), value / 2 ** 32), 0)
}

/** Mixes a number into a 32-bit state (the finalizer of MurmurHash3). */
function hash(state: number, value: number): number {
  let h = Math.imul(state ^ Math.floor(value), 0x9e3779b1) + 0x7f4a7c15
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
