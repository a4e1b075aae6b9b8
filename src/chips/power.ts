/** @file A chip's power, weighed by the process that it is made in. */
import { architectureOf } from './architecture.ts'
import type { Chip } from './types.ts'

/**
 * Work of a watt over that of a watt at 5 nm, by a pattern in the name of the process; the first that matches counts. A
 * process that matches none, or that nobody published, counts as 5 nm.
 */
const WATT_YIELDS: readonly (readonly [RegExp, number])[] = [
  [/\b4NP?\b|\b[345] ?nm|\bN[345]/i, 1],
  // at equal speed N5 takes about 30 % less power than N7 (TSMC's page of its 5 nm technology)
  [/\b7 ?nm|\bN7|\b7N/i, 0.7],
]

function wattYield({ process: { node } }: Chip): number {
  return WATT_YIELDS.find(([pattern]) => pattern.test(node ?? ''))?.[1] ?? 1
}

/** Reference chips for those whose power nobody published: design of cores, FLOP/s in 16 bits, most watts at that rate. */
export const LIKE_CHIPS: readonly (readonly [architecture: string, rate: number, watts: number])[] = [
  ['ampere', 312e12, 400],
  ['hopper', 989.5e12, 700],
  ['hopper', 148e12, 400],
  ['da-vinci-2', 376e12, 400],
  ['cdna-3', 1307.4e12, 750],
]

/**
 * Design power in watts of 5 nm: what a chip of that process would draw for the same work. Where nobody published the
 * power, it is that of the reference chip with the same cores and the nearest rate, scaled up by the rate where this chip
 * has more cores, as a package of two dies does. Null where no reference has its cores.
 */
export function effectiveWatts(chip: Chip): number | null {
  const watts = chip.power.watts ?? wattsOfLike(chip)
  return watts === null ? null : watts * wattYield(chip)
}

function wattsOfLike(chip: Chip): number | null {
  // the rate of all units, as in the table: few publish that of the matrix units alone
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
