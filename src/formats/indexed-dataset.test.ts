import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { openIndexedDataset } from './indexed-dataset.ts'
import { createIndexedDatasetWriter } from './indexed-dataset-write.ts'

const GOLDEN = join(import.meta.dirname, '../../test/golden/indexed-dataset')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'indexed-dataset-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function write(prefix: string, vocabSize: number, documents: readonly number[][]) {
  const writer = createIndexedDatasetWriter(prefix, { vocabSize })
  for (const tokens of documents) writer.addDocument(tokens)
  return writer.finish()
}

/** Writes two sequences and lets `spoil` change the files' bytes before they are opened. */
async function openSpoiled(spoil: (idx: Buffer, bin: Buffer) => { idx?: Buffer; bin?: Buffer } | undefined) {
  const prefix = join(folder, 'spoiled')
  await write(prefix, 100, [[1, 2, 3], [4]])
  const idx = readFileSync(`${prefix}.idx`)
  const bin = readFileSync(`${prefix}.bin`)
  const changed = spoil(idx, bin)
  writeFileSync(`${prefix}.idx`, changed?.idx ?? idx)
  writeFileSync(`${prefix}.bin`, changed?.bin ?? bin)
  const dataset = await openIndexedDataset(prefix)
  await dataset.close()
}

describe('against files that Megatron-LM wrote', () => {
  const names = readdirSync(GOLDEN).filter((name) => name.endsWith('.json'))
  test.each(names.map((name) => name.slice(0, -5)))('%s', async (name) => {
    const golden = join(GOLDEN, name)
    const { vocabSize, documents } = JSON.parse(readFileSync(`${golden}.json`, 'utf8'))
    const prefix = join(folder, name)
    const counts = await write(prefix, vocabSize, documents)
    expect(readFileSync(`${prefix}.bin`)).toEqual(readFileSync(`${golden}.bin`))
    expect(readFileSync(`${prefix}.idx`)).toEqual(readFileSync(`${golden}.idx`))

    const dataset = await openIndexedDataset(golden)
    const tokens: number[] = documents.flat()
    expect(counts).toEqual({
      sequences: dataset.sequenceCount,
      documents: dataset.documentCount,
      tokens: dataset.tokenCount,
    })
    expect([...(await dataset.readTokens(0, tokens.length))]).toEqual(tokens)
    await dataset.close()
  })
})

test('any range of tokens is read as it was written, for any documents', async () => {
  const document = fc.array(fc.nat(69_999), { maxLength: 20 })
  const cases = fc.record({
    vocabSize: fc.constantFrom(70_000, 100),
    documents: fc.array(document, { maxLength: 8 }),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ vocabSize, documents, from, share }) => {
      const prefix = join(folder, 'property')
      const inside = documents.map((tokens) => tokens.map((token) => token % vocabSize))
      await write(prefix, vocabSize, inside)
      const dataset = await openIndexedDataset(prefix)
      const tokens = inside.flat()
      const begin = Math.floor(from * tokens.length)
      const end = begin + Math.floor(share * (tokens.length - begin))
      expect([...(await dataset.readTokens(begin, end - begin))]).toEqual(tokens.slice(begin, end))
      const full = inside.filter((document) => document.length > 0)
      expect([...(await dataset.sequenceLengths())]).toEqual(full.map((document) => document.length))
      const starts = await Promise.all([...full, []].map((_, i) => dataset.sequenceStart(i)))
      expect(starts).toEqual([...full, []].map((_, i) => full.slice(0, i).flat().length))
      await dataset.close()
    }),
    { numRuns: 15 },
  )
}, 30_000)

test('a document longer than the buffers is written whole', async () => {
  const prefix = join(folder, 'long')
  const tokens = Uint32Array.from({ length: 600_000 }, (_, i) => i % 70_001)
  const writer = createIndexedDatasetWriter(prefix, { vocabSize: 70_001 })
  writer.addDocument(tokens)
  for (let i = 0; i < 140_000; i++) writer.addDocument([i % 70_001])
  expect(await writer.finish()).toEqual({ sequences: 140_001, documents: 140_001, tokens: 740_000 })
  const dataset = await openIndexedDataset(prefix)
  expect([...(await dataset.readTokens(599_999, 3))]).toEqual([599_999 % 70_001, 0, 1])
  expect(await dataset.sequenceStart(140_000)).toBe(739_999)
  await dataset.close()
})

test('a dataset appears only when it is finished, and nothing else is left', async () => {
  const prefix = join(mkdtempSync(join(folder, 'names-')), 'tokens')
  const names = () => readdirSync(join(prefix, '..')).sort()
  const aborted = createIndexedDatasetWriter(prefix, { vocabSize: 9 })
  aborted.addDocument([1])
  expect(names().filter((name) => !name.includes('.partial-'))).toEqual([])
  aborted.abort()
  expect(names()).toEqual([])
  await write(prefix, 9, [[1]])
  expect(names()).toEqual(['tokens.bin', 'tokens.idx'])
  await write(prefix, 9, [[2, 3]])
  expect(names()).toEqual(['tokens.bin', 'tokens.idx'])
  expect(() => aborted.addDocument([1])).toThrow('already finished')
})

test.each([-1, 100, 1.5, Number.NaN])('token id %s is refused and the files are removed', (token) => {
  const prefix = join(mkdtempSync(join(folder, 'ids-')), 'tokens')
  const writer = createIndexedDatasetWriter(prefix, { vocabSize: 100 })
  expect(() => writer.addDocument([1, token])).toThrow(`token id ${token} is outside the vocabulary of 100`)
  expect(readdirSync(join(prefix, '..'))).toEqual([])
})

test('a folder that does not exist is named', () => {
  const prefix = join(folder, 'nowhere', 'tokens')
  expect(() => createIndexedDatasetWriter(prefix, { vocabSize: 9 })).toThrow(/nowhere.*does not exist/)
})

test('a range outside the dataset is refused', async () => {
  const prefix = join(folder, 'range')
  await write(prefix, 9, [[1, 2, 3]])
  const dataset = await openIndexedDataset(prefix)
  for (const [offset, count] of [
    [-1, 1],
    [0, 4],
    [3, 1],
    [0, -1],
    [Number.NaN, 1],
  ] as const) {
    await expect(dataset.readTokens(offset, count)).rejects.toThrow(RangeError)
  }
  await expect(dataset.sequenceStart(2)).rejects.toThrow(RangeError)
  await dataset.close()
})

describe('a damaged dataset gives one clear error', () => {
  const int64 = (value: bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    return bytes
  }
  // Layout with two sequences: lengths at 34, pointers at 42, document indices at 58, end at 82.
  const cases: [string, Parameters<typeof openSpoiled>[0], RegExp][] = [
    ['empty index', () => ({ idx: Buffer.alloc(0) }), /does not begin with MMIDIDX/],
    ['wrong magic', (idx) => void idx.write('X'), /does not begin with MMIDIDX/],
    ['cut in the head', (idx) => ({ idx: idx.subarray(0, 20) }), /ends after 20 bytes/],
    ['wrong version', (idx) => void idx.writeUInt8(2, 9), /index version 2/],
    ['unknown type', (idx) => void idx.writeUInt8(7, 17), /element type 7, known are 4/],
    ['huge sequence count', (idx) => void idx.fill(0xff, 18, 26), /18446744073709551615 sequences/],
    ['huge document count', (idx) => void idx.fill(0xff, 26, 34), /the index has 82/],
    ['cut in the arrays', (idx) => ({ idx: idx.subarray(0, 81) }), /the index has 81/],
    ['more than the arrays', (idx) => ({ idx: Buffer.concat([idx, Buffer.alloc(1)]) }), /the index has 83/],
    ['negative length', (idx) => void idx.writeInt32LE(-3, 34), /sequence 0 has -3 tokens/],
    [
      'longer sequence',
      (idx) => void idx.writeInt32LE(2 ** 31 - 1, 38),
      /take 4294967300 bytes, the .bin file has 8/,
    ],
    [
      'pointer outside',
      (idx) => void int64(2n ** 62n).copy(idx, 50),
      /sequence 1 begins at byte 4611686018427387904/,
    ],
    ['negative pointer', (idx) => void int64(-1n).copy(idx, 42), /sequence 0 begins at byte -1/],
    ['document past the end', (idx) => void int64(3n).copy(idx, 66), /document index 1 is 3 after 0/],
    ['falling documents', (idx) => void int64(1n).copy(idx, 74), /documents end at sequence 1/],
    ['documents not from 0', (idx) => void int64(1n).copy(idx, 58), /document index 0 is 1/],
    ['cut tokens', (_, bin) => ({ bin: bin.subarray(0, 7) }), /the .bin file has 7/],
    ['more tokens', (_, bin) => ({ bin: Buffer.concat([bin, bin]) }), /the .bin file has 16/],
  ]
  test.each(cases)('%s', async (_, spoil, message) => {
    const error = await openSpoiled(spoil).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(RegaugeError)
    expect(error.kind).toBe('data')
    expect(error.issues).toHaveLength(1)
    expect(error.message).toMatch(message)
  })

  test('missing file', async () => {
    const prefix = join(folder, 'half')
    await write(prefix, 9, [[1]])
    rmSync(`${prefix}.bin`)
    await expect(openIndexedDataset(prefix)).rejects.toThrow(/half\.bin.*does not exist/)
  })

  test('random bytes', async () => {
    const prefix = join(folder, 'random')
    const head = Buffer.concat([Buffer.from('MMIDIDX\0\0\x01\0\0\0\0\0\0\0\x08', 'latin1')])
    const bytes = fc.uint8Array({ maxLength: 90 })
    await fc.assert(
      fc.asyncProperty(fc.boolean(), bytes, bytes, async (good, idx, bin) => {
        writeFileSync(`${prefix}.idx`, good ? Buffer.concat([head, idx]) : idx)
        writeFileSync(`${prefix}.bin`, bin)
        await expect(openIndexedDataset(prefix)).rejects.toBeInstanceOf(RegaugeError)
      }),
      { numRuns: 30 },
    )
  })
})
