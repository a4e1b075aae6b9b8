/** @file Unicode NFC as Hugging Face tokenizers do it: with the tables of the Unicode version that they have. */
import { unpackRanges } from './character-classes.ts'
import { UNKNOWN_TO_NFC } from './unicode-ranges.ts'

/** Runs of code points that newer tables combine or reorder; to the older ones they are plain characters. */
const UNKNOWN = (() => {
  const hex = (point: number): string => `\\u{${point.toString(16)}}`
  const ranges = unpackRanges(UNKNOWN_TO_NFC).map(([start, end]) => `${hex(start)}-${hex(end - 1)}`)
  return new RegExp(`([${ranges.join('')}]+)`, 'u')
})()

/** `text` in NFC. Code points that the tokenizers' tables do not know stay where they are. */
export function normalizeNfc(text: string): string {
  const normal = text.normalize('NFC')
  if (!UNKNOWN.test(text)) return normal
  return text
    .split(UNKNOWN)
    .map((part, i) => (i % 2 === 0 ? part.normalize('NFC') : part))
    .join('')
}
