/** @file The class of each code point, as the pre-tokenizers' regular expressions tell them apart. */
import { LETTERS, NUMBERS, SPACES } from './unicode-ranges.ts'

/** Neither letter, number nor white space. */
export const OTHER = 0
/** `\p{L}` */
export const LETTER = 1
/** `\p{N}` */
export const NUMBER = 2
/** `\s` other than carriage return and line feed. From here on a class is white space. */
export const SPACE = 3
/** `[\r\n]` */
export const NEWLINE = 4

/** Ranges [start, end) of packed code points (see unicode-ranges.ts). */
export function unpackRanges(packed: string): [number, number][] {
  const numbers = packed.split(' ').map((word) => Number.parseInt(word, 36))
  const ranges: [number, number][] = []
  let end = 0
  for (let i = 0; i < numbers.length; i += 2) {
    const start = end + numbers[i]!
    end = start + numbers[i + 1]!
    ranges.push([start, end])
  }
  return ranges
}

/** One class for each code point, 1.1 MB. A surrogate on its own is OTHER, as U+FFFD is, which it becomes. */
export const CLASSES: Uint8Array = (() => {
  const classes = new Uint8Array(0x110000)
  for (const [start, end] of unpackRanges(LETTERS)) classes.fill(LETTER, start, end)
  for (const [start, end] of unpackRanges(NUMBERS)) classes.fill(NUMBER, start, end)
  for (const [start, end] of unpackRanges(SPACES)) classes.fill(SPACE, start, end)
  classes[0x0a] = NEWLINE
  classes[0x0d] = NEWLINE
  return classes
})()
