/** @file Shards hold the documents' tokens, are made once, and are not trusted when they were changed. */
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openIndexedDataset } from '../formats/index.ts'
import { loadTokenizer } from './load-tokenizer.ts'
import { buildTokenShards, openTokenShards, type ShardOptions } from './shards.ts'

const tokenizer = await loadTokenizer(join(import.meta.dirname, '../../test/golden/tokenizer/tokenizer.json'))
let folder: string
let options: ShardOptions
let run = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regauge-shards-'))
  await mkdir(join(folder, 'texts'))
  for (let i = 0; i < 40; i++)
    await writeFile(join(folder, `texts/${100 + i}.txt`), `Text number ${i}: ü. `.repeat(i + 1))
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(() => {
  run++
  options = {
    sources: [join(folder, 'texts')],
    heldout: { fraction: 0.2 },
    tokenizer,
    directory: join(folder, `${run}`),
  }
})

async function textOf(prefix: string): Promise<string> {
  const dataset = await openIndexedDataset(prefix)
  const ids = await dataset.readTokens(0, dataset.tokenCount)
  await dataset.close()
  return tokenizer.decode(ids)
}

it('hold every document once, each with an end-of-text token, and count the bytes', async () => {
  const shards = await buildTokenShards(options)
  const { train, heldout } = shards
  expect(train.documents + heldout.documents).toBe(40)
  expect(heldout.documents).toBeGreaterThan(2)
  const texts = `${await textOf(train.prefix)}${await textOf(heldout.prefix)}`.split('<|endoftext|>')
  const numbers = texts.slice(0, -1).map((text) => Number(text.match(/\d+/)![0]))
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i))
  let bytes = 0
  for (const name of await readdir(join(folder, 'texts')))
    bytes += (await stat(join(folder, 'texts', name))).size
  expect(train.bytes + heldout.bytes).toBe(bytes)
  expect(shards).toMatchObject({ vocabSize: 1024, reused: false })
  expect(shards.maxTokenId).toBeLessThan(1024)
  expect((await readdir(shards.directory)).sort()).toEqual([
    'data.json',
    'heldout.bin',
    'heldout.idx',
    'train.bin',
    'train.idx',
  ])
})

it('hold out the files that are named, and train on the others', async () => {
  const heldout = { sources: [join(folder, 'texts/13[5-9].txt')] }
  const { train, heldout: held } = await buildTokenShards({ ...options, heldout })
  expect([train.documents, held.documents]).toEqual([35, 5])
  expect(await textOf(held.prefix)).toMatch(/^Text number 35/)
  expect(await textOf(train.prefix)).not.toMatch(/Text number 3[5-9]/)
})

it('hold out by the seed', async () => {
  const held = async (seed: number) => {
    const { heldout } = await buildTokenShards({
      ...options,
      seed,
      directory: `${options.directory}-${seed}`,
    })
    return textOf(heldout.prefix)
  }
  const one = await held(1)
  expect(await held(2)).not.toBe(one)
  await rm(`${options.directory}-1`, { recursive: true })
  expect(await held(1)).toBe(one)
})

describe('are made once', () => {
  const reused = async (change: Partial<ShardOptions> = {}) =>
    (await buildTokenShards({ ...options, ...change })).reused

  it('for the same files, tokenizer and options', async () => {
    const first = await buildTokenShards(options)
    expect(await buildTokenShards(options)).toEqual({ ...first, reused: true })
    expect(await openTokenShards(options.directory)).toEqual({ ...first, reused: true })
    expect(await reused({ seed: 1 })).toBe(false)
    expect(await reused({ seed: 1 })).toBe(true)
    expect(await reused({ seed: 1, tokenizer: { ...tokenizer, eosId: 5 } })).toBe(false)
    expect(await reused()).toBe(false)
    await utimes(join(folder, 'texts/100.txt'), 1e9, 1e9)
    expect(await reused()).toBe(false)
    expect(await reused()).toBe(true)
  })

  it.each([
    [
      'a flipped bit',
      async (path: string) => {
        const bytes = await readFile(path)
        bytes[100]! ^= 4
        await writeFile(path, bytes)
      },
    ],
    ['a cut', (path: string) => truncate(path, 100)],
    ['a missing file', (path: string) => rm(path)],
  ])('and made again after %s', async (_, damage) => {
    const { train } = await buildTokenShards(options)
    await damage(`${train.prefix}.bin`)
    await expect(openTokenShards(options.directory)).rejects.toThrow(
      'train.bin  is missing, cut off, or not as it was written: tokenize again',
    )
    expect(await reused()).toBe(false)
    expect(await reused()).toBe(true)
  })

  it('and made again after a build that did not come to its end', async () => {
    await buildTokenShards(options)
    await writeFile(join(folder, 'texts/200.txt'), Buffer.from([0xff, 0xfe]))
    await expect(buildTokenShards(options)).rejects.toThrow('200.txt  byte 0 (0xff) is not UTF-8')
    await rm(join(folder, 'texts/200.txt'))
    expect((await readdir(options.directory)).filter((name) => name.includes('partial'))).toEqual([])
    await expect(openTokenShards(options.directory)).rejects.toThrow('no token shards here')
    expect(await reused()).toBe(false)
  })
})

it('take away what a killed build left', async () => {
  await mkdir(options.directory)
  const gone = 2 ** 22 + 1 // above the largest process id
  for (const pid of [gone, process.pid])
    await writeFile(join(options.directory, `train.bin.partial-${pid}-x`), '')
  await buildTokenShards(options)
  const left = (await readdir(options.directory)).filter((name) => name.includes('partial'))
  expect(left).toEqual([`train.bin.partial-${process.pid}-x`])
})

describe('cannot be made', () => {
  it.each<[string, (o: ShardOptions) => ShardOptions, string]>([
    ['of nothing', (o) => ({ ...o, sources: [] }), 'no file, folder or glob is named'],
    ['with a fraction of 1', (o) => ({ ...o, heldout: { fraction: 1 } }), 'held-out fraction is 1'],
    ['with all held out', (o) => ({ ...o, heldout: { sources: o.sources } }), 'all 40 files are held out'],
    [
      'without an end-of-text token',
      ({ tokenizer: { eosId: _, ...rest }, ...o }) => ({ ...o, tokenizer: rest }),
      'the tokenizer has no token that ends a text',
    ],
  ])('%s', async (_, change, message) => {
    await expect(buildTokenShards(change(options))).rejects.toThrow(message)
  })

  it.skipIf(process.getuid?.() === 0)('in a folder that is read-only', async () => {
    await mkdir(options.directory)
    await chmod(options.directory, 0o500)
    await expect(buildTokenShards(options)).rejects.toMatchObject({
      name: 'RegaugeError',
      kind: 'environment',
    })
  })

  it('where a file is in the way', async () => {
    await writeFile(options.directory, '')
    await expect(buildTokenShards(options)).rejects.toMatchObject({
      name: 'RegaugeError',
      kind: 'environment',
    })
  })
})
