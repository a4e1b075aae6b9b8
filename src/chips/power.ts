/** @file What a chip's power is worth by the process that it is made in. */
import { architectureOf } from './architecture.ts'
import { catalogChips } from './catalog.ts'
import { trainingRate } from './roofline.ts'
import type { Chip } from './types.ts'

/** What a watt does beside one on a chip of 5 nm, by what names of processes hold; the first that fits. */
const WATT_YIELDS: readonly (readonly [RegExp, number])[] = [
  [/\b4NP?\b|\b[345] ?nm|\bN[345]/, 1],
  // at equal speed N5 takes about 30 % less power than N7 (TSMC's page of its 5 nm technology)
  [/\b7 ?nm|\bN7|\b7N/, 0.7],
]

function wattYield({ process }: Chip): number {
  return WATT_YIELDS.find(([pattern]) => pattern.test(process.node ?? ''))?.[1] ?? 1
}

/**
 * Watts of a chip of 5 nm that does as much as this one does with its design power. Where nobody published that, it is taken to
 * be that of a chip with the same cores, of the nearest rate and then the most power; null where there is none.
 */
export function effectiveWatts(chip: Chip): number | null {
  const watts = chip.power.watts ?? wattsOfLike(chip)
  return watts === null ? null : watts * wattYield(chip)
}

function wattsOfLike(chip: Chip): number | null {
  const rate = trainingRate(chip)?.rate
  if (rate === undefined) return null
  let best: { readonly watts: number; readonly distance: number } | null = null
  for (const other of catalogChips()) {
    const { watts } = other.power
    const otherRate = trainingRate(other)?.rate
    if (watts === null || otherRate === undefined || architectureOf(other) !== architectureOf(chip)) continue
    const distance = Math.abs(Math.log(rate / otherRate))
    const nearer = best === null || distance < best.distance
    if (nearer || (distance === best!.distance && watts > best!.watts)) best = { watts, distance }
  }
  return best?.watts ?? null
}
