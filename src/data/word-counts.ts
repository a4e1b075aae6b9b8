/** @file Counts the words of a text for the BPE trainer, within a bound on memory. */
import { WORD_SCANNERS, type WordPattern } from './word-scanner.ts'
import { createUnitBuffer, createWordTable, resized, type WordTable } from './word-table.ts'

/** Words with their counts. */
export interface WordCounts {
  readonly words: WordTable
  /** How often each word occurs; may be longer than the table. */
  readonly counts: Float64Array
}

/**
 * UTF-16 units that distinct words may hold together: 16 Mi units. Natural text of English size (a few million
 * distinct words a GB) comes near it only after gigabytes; text without spaces, such as Chinese, sooner.
 */
const MAX_UNITS = 1 << 24

/**
 * Counts the words of `documents`. When the distinct words outgrow `maxUnits`, the rarest are forgotten: first those
 * seen once, then twice, and so on until half the room is free. The counts of frequent words are hardly touched by
 * it, and the same text in the same order gives the same counts.
 */
export async function countWords(
  documents: AsyncIterable<string> | Iterable<string>,
  pattern: WordPattern,
  maxUnits = MAX_UNITS,
): Promise<WordCounts> {
  const scan = WORD_SCANNERS[pattern]
  const toUnits = createUnitBuffer()
  let table = createWordTable()
  let counts = new Float64Array(1 << 12)
  for await (const text of documents) {
    const units = toUnits(text)
    for (let start = 0; start < units.length; ) {
      const stop = scan(units, start, units.length)
      const word = table.intern(units, start, stop)
      if (word >= counts.length) counts = resized(counts, Float64Array, counts.length * 2)
      counts[word] = counts[word]! + 1
      start = stop
      if (table.unitCount > maxUnits) [table, counts] = pruned(table, counts, maxUnits / 2)
    }
  }
  return { words: table, counts }
}

/** The more frequent words: those above the smallest count that leaves at most `maxUnits`. */
function pruned(
  table: WordTable,
  counts: Float64Array,
  maxUnits: number,
): [WordTable, Float64Array<ArrayBuffer>] {
  let least = 1
  for (let units = table.unitCount; units > maxUnits; ) {
    least++
    units = 0
    for (let w = 0; w < table.size; w++) if (counts[w]! >= least) units += table.word(w).length
  }
  const kept = createWordTable()
  let keptCounts = new Float64Array(1 << 12)
  for (let w = 0; w < table.size; w++) {
    if (counts[w]! < least) continue
    const units = table.word(w)
    const index = kept.intern(units, 0, units.length)
    if (index >= keptCounts.length) keptCounts = resized(keptCounts, Float64Array, keptCounts.length * 2)
    keptCounts[index] = counts[w]!
  }
  return [kept, keptCounts]
}
