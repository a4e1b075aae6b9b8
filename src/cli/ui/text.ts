/** @file Text on a terminal: what it takes in columns, cut to fit. */

import { stripVTControlCharacters } from 'node:util'
import { harmless } from '../../harmless.ts'

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** East Asian wide and emoji code points, which take two columns. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u

const PLAIN = /^[ -~]*$/

/** Columns that a text takes, escapes left out. */
export function columnsOf(text: string): number {
  // most texts, and a segmenter takes a while to start
  if (PLAIN.test(text)) return text.length
  let columns = 0
  for (const { segment } of segmenter.segment(stripVTControlCharacters(text))) {
    columns += WIDE.test(segment) ? 2 : 1
  }
  return columns
}

/** A text that is at most `width` columns wide; what is cut off ends in `ellipsis`. Colours are ended. */
export function cutTo(text: string, width: number, ellipsis: string): string {
  if (columnsOf(text) <= width) return text
  const room = Math.max(0, width - columnsOf(ellipsis))
  let cut = ''
  let columns = 0
  let coloured = false
  // Escapes are kept whole and take no room.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for
  for (const part of text.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b[')) {
      cut += part
      coloured = true
      continue
    }
    for (const { segment } of segmenter.segment(part)) {
      columns += WIDE.test(segment) ? 2 : 1
      if (columns > room) return `${cut}${coloured ? '\u001b[0m' : ''}${ellipsis}`
      cut += segment
    }
  }
  return cut
}

/** Pads on the right by columns rather than by code units. */
export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - columnsOf(text)))
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - columnsOf(text))) + text
}

/** The words of a text on lines of at most `width` columns, harmless; a longer word stays whole. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of harmless(text).split(/\s+/)) {
    if (line !== '' && columnsOf(line) + 1 + columnsOf(word) > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** A text on one line, in quotes, with newlines as \n. */
export function oneLine(text: string): string {
  return JSON.stringify(harmless(text))
}
