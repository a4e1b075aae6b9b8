/** @file Texts of others, made safe to show. */
import { stripVTControlCharacters } from 'node:util'

/**
 * A text from a model or a file, safe to print: escapes are taken out, and control characters other than
 * newline and tab, and those that turn the direction of writing, are shown as U+FFFD, so that it cannot move
 * the cursor, set the title or hide what it says.
 */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
}
