/** @file Chips on the command line: found by words, with their figures in units for people. */

import { type Chip, findChip, loadChips } from '../chips/index.ts'
import { harmless } from '../harmless.ts'
import type { Terminal } from './ui/terminal.ts'

/** What is printed for a figure that nobody published. */
export const UNKNOWN = 'unknown'

/** The chips that words name. Says which one is meant where a word names several or is cut short. */
export async function chipsNamed(
  words: readonly string[],
  file: string | undefined,
  terminal: Terminal,
): Promise<Chip[]> {
  const chips = await loadChips(file)
  return words.map((word) => chipNamed(chips, word, terminal))
}

/** The same for one word among chips that are loaded. */
export function chipNamed(chips: readonly Chip[], word: string, terminal: Terminal): Chip {
  const { chip, exact, others } = findChip(chips, word)
  if (!exact) {
    const also = others.length === 0 ? '' : `; there are also ${others.map(({ id }) => id).join(', ')}`
    terminal.talk(harmless(`"${word}" is taken as ${chip.name} (${chip.id})${also}`))
  }
  return chip
}

/** Four digits at most with a decimal prefix: 376 TFLOP/s, 64 GB, 1.6 TB/s. */
export function si(value: number | null, unit: string): string {
  if (value === null) return UNKNOWN
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P', 'E']
  const size = (at: number): number => Number((value / 1000 ** at).toPrecision(4))
  let at = 0
  while (size(at) >= 1000 && at < prefixes.length - 1) at++
  return `${size(at)} ${prefixes[at]}${unit}`
}

/** Three digits, without a prefix. */
export function ratio(value: number | null, unit: string): string {
  return value === null ? UNKNOWN : `${Number(value.toPrecision(3))} ${unit}`
}

/** Which way the bandwidth of the links to other chips is counted. */
export function wayText({ scaleUp: { bytesPerSecond, direction } }: Chip): string {
  if (bytesPerSecond === null || direction === null) return UNKNOWN
  return direction === 'bidirectional' ? 'both ways' : direction
}
