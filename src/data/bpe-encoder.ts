/** @file Byte-level BPE: words of text to token ids, with a cache of the words seen. */

import { createMergeTable, createWordMerger } from './bpe-merge.ts'
import { toAlphabet } from './byte-alphabet.ts'
import type { WordScanner } from './word-scanner.ts'
import { createUnitBuffer, createWordTable, resized, unitsToUtf8 } from './word-table.ts'

/** Words and units that the cache holds before it starts afresh: about 16 MB in all. */
const CACHE_WORDS = 1 << 18
const CACHE_UNITS = 1 << 22
/** A longer word is hardly seen twice. */
const CACHE_WORD_UNITS = 64

/** What the encoder needs of a byte-level BPE model. */
export interface BpeModel {
  readonly scan: WordScanner
  /** The id of each of the 256 bytes. */
  readonly byteIds: Int32Array
  /** Left id, right id, merged id of each merge in the order of rank. */
  readonly merges: Int32Array
  /** Where given, a word that is a token as a whole is not merged (`ignore_merges`). Keys are in the alphabet. */
  readonly wholeWords?: ReadonlyMap<string, number>
}

/** Receives ids in order. It grows as needed. */
export interface IdBuffer {
  ids: Int32Array
  length: number
}

/** Appends the ids of `text` to `out`. */
export type BpeEncoder = (text: string, out: IdBuffer) => void

/** An encoder with its own cache. Words that it has not seen are merged; those that it has are copied. */
export function createBpeEncoder(model: BpeModel): BpeEncoder {
  const { scan, byteIds, wholeWords } = model
  const merge = createWordMerger(createMergeTable(model.merges))
  const toUnits = createUnitBuffer()
  const words = createWordTable(1 << 14)
  let firstId = new Int32Array(1 << 14) // cached word i has ids[firstId[i] .. firstId[i + 1])
  let ids = new Int32Array(1 << 16)
  let bytes = new Uint8Array(1 << 10)
  let symbols = new Int32Array(1 << 10)

  /** Leaves the ids of a word in `symbols` and returns their number. */
  function encodeWord(units: Uint16Array, start: number, end: number): number {
    const room = (end - start) * 3
    if (room > bytes.length) {
      bytes = new Uint8Array(room * 2)
      symbols = new Int32Array(room * 2)
    }
    const count = unitsToUtf8(units, start, end, bytes)
    const whole = wholeWords?.get(toAlphabet(bytes, 0, count))
    if (whole !== undefined) {
      symbols[0] = whole
      return 1
    }
    for (let i = 0; i < count; i++) symbols[i] = byteIds[bytes[i]!]!
    return merge(symbols, count)
  }

  return (text, out) => {
    const units = toUnits(text)
    const end = units.length
    for (let start = 0; start < end; ) {
      const stop = scan(units, start, end)
      let from: Int32Array
      let first = 0
      let last: number
      if (stop - start > CACHE_WORD_UNITS) {
        last = encodeWord(units, start, stop)
        from = symbols
      } else {
        const known = words.size
        const index = words.intern(units, start, stop)
        if (index < known) {
          first = firstId[index]!
          last = firstId[index + 1]!
          from = ids
        } else {
          last = encodeWord(units, start, stop)
          from = symbols
          remember(index, last)
        }
      }
      const count = last - first
      if (out.length + count > out.ids.length)
        out.ids = resized(out.ids, Int32Array, (out.length + count) * 2)
      const target = out.ids
      let at = out.length
      for (let i = first; i < last; i++) target[at++] = from[i]!
      out.length = at
      start = stop
    }
  }

  /** Keeps the `count` ids in `symbols` as those of the newest word. */
  function remember(index: number, count: number): void {
    if (words.size >= CACHE_WORDS || words.unitCount > CACHE_UNITS) {
      words.clear()
      return
    }
    if (index + 2 > firstId.length) firstId = resized(firstId, Int32Array, firstId.length * 2)
    const first = firstId[index]!
    if (first + count > ids.length) ids = resized(ids, Int32Array, ids.length * 2)
    for (let i = 0; i < count; i++) ids[first + i] = symbols[i]!
    firstId[index + 1] = first + count
  }
}
