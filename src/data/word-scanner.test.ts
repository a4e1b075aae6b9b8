/** @file The hand-written scanners cut text as the regular expressions do that they stand for. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WORD_SCANNERS, type WordPattern } from './word-scanner.ts'

// The expressions in JavaScript's words: \s is White_Space, and (?i:) is spelled out (Node 20 has no modifiers).
// The long s folds to s.
const SPACE = '\\p{White_Space}'
const FOLDED = "'[sS\u017f]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
const qwen = (numbers: string): RegExp =>
  new RegExp(
    `${FOLDED}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^${SPACE}\\p{L}\\p{N}]+[\\r\\n]*|` +
      `${SPACE}*[\\r\\n]+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
    'gu',
  )
const EXPRESSIONS: Readonly<Record<WordPattern, RegExp>> = {
  gpt2: new RegExp(
    `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|` +
      `${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
    'gu',
  ),
  qwen: qwen('\\p{N}'),
  llama3: qwen('\\p{N}{1,3}'),
}

// Characters that were assigned long ago, so that every Node puts them in the same class.
const CHARACTERS = [
  ...' \t\n\r\u0085\u00a0\u2003\u2028\u3000\u200b\ufeff',
  ...'aZ\u017f\u00e9\u4e2d\ud55c\u03a9\u05d0',
  ...'019\u00b2\u00bd\u2167\u0663',
  ...'\'"!?._-<|>`\u0301\u2019\u20ac',
  ...'\u{1f600}\u{1d400}\u{1d7ce}\u{20000}\u{1f1eb}',
]
const PIECES = ["'s", "'RE", "'ll", "'\u017f", '  ', ' \n', '\r\n', '123456', 'word', ' x', '...\n\n']
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(...CHARACTERS),
      fc.constantFrom(...PIECES),
      fc.string({ unit: 'grapheme-ascii' }),
    ),
    {
      maxLength: 30,
    },
  )
  .map((parts) => parts.join(''))

function scan(pattern: WordPattern, input: string): string[] {
  const units = toUnits(input)
  const words: string[] = []
  for (let start = 0; start < units.length; ) {
    const end = WORD_SCANNERS[pattern](units, start, units.length)
    words.push(input.slice(start, end))
    start = end
  }
  return words
}

function toUnits(input: string): Uint16Array {
  return Uint16Array.from({ length: input.length }, (_, i) => input.charCodeAt(i))
}

describe.each(['gpt2', 'qwen', 'llama3'] as const)('%s', (pattern) => {
  it('cuts any text as the regular expression does', () => {
    fc.assert(
      fc.property(text, (input) => {
        expect(scan(pattern, input)).toEqual(input.match(EXPRESSIONS[pattern]) ?? [])
      }),
      { numRuns: 1000 },
    )
  })

  it('takes half a surrogate pair for a symbol', () => {
    expect(scan(pattern, 'a\ud800b').join('')).toBe('a\ud800b')
    expect(scan(pattern, '\udc00')).toEqual(['\udc00'])
  })
})
