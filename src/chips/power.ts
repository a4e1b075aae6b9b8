/** @file What a chip's power is worth by the process that it is made in. */
import { architectureOf } from './architecture.ts'
import type { Chip } from './types.ts'

/**
 * What a watt does beside one on a chip of 5 nm, by what names of processes hold; the first that fits. Others, and those
 * that nobody published, count as 5 nm.
 */
const WATT_YIELDS: readonly (readonly [RegExp, number])[] = [
  [/\b4NP?\b|\b[345] ?nm|\bN[345]/i, 1],
  // at equal speed N5 takes about 30 % less power than N7 (TSMC's page of its 5 nm technology)
  [/\b7 ?nm|\bN7|\b7N/i, 0.7],
]

function wattYield({ process: { node } }: Chip): number {
  return WATT_YIELDS.find(([pattern]) => pattern.test(node ?? ''))?.[1] ?? 1
}

/** Chips of the catalog that others are like, with the most power of their rate in 16 bits: cores, FLOP/s, watts. */
export const LIKE_CHIPS: readonly (readonly [architecture: string, rate: number, watts: number])[] = [
  ['ampere', 312e12, 400],
  ['hopper', 989.5e12, 700],
  ['hopper', 148e12, 400],
  ['da-vinci-2', 376e12, 400],
  ['cdna-3', 1307.4e12, 750],
]

/**
 * Watts of a chip of 5 nm that does as much as this one does with its design power. Where nobody published that, it is taken to
 * be that of a chip with the same cores and the nearest rate, and more in proportion where this one has more of them, as a
 * package of two dies does; null where none is known.
 */
export function effectiveWatts(chip: Chip): number | null {
  const watts = chip.power.watts ?? wattsOfLike(chip)
  return watts === null ? null : watts * wattYield(chip)
}

function wattsOfLike(chip: Chip): number | null {
  // as the table has it: of all units, not of those for matrices alone, which few publish
  const rate = chip.peak.bf16 ?? chip.peak.fp16
  if (rate === null) return null
  const architecture = architectureOf(chip)
  const distance = (other: number) => Math.abs(Math.log(rate / other))
  const like = LIKE_CHIPS.filter(([own]) => own === architecture).sort(
    ([, one], [, other]) => distance(one) - distance(other),
  )[0]
  if (like === undefined) return null
  const [, likeRate, likeWatts] = like
  // a lower bin of the same chip draws as much
  return likeWatts * Math.max(1, rate / likeRate)
}
