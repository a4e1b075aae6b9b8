/** @file The order of batches is a bijection that depends on seed and step alone; evaluation sees every token once. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIndexedDatasetWriter } from '../formats/index.ts'
import { IGNORED_LABEL, openBatches, openEvaluationBatches } from './batches.ts'
import { permute } from './permutation.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regauge-batches-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** A dataset whose tokens are 0, 1, 2, ... */
async function dataset(tokens: number): Promise<string> {
  const prefix = join(folder, `counting-${tokens}`)
  const writer = createIndexedDatasetWriter(prefix, { vocabSize: 60_000 })
  for (let at = 0; at < tokens; at += 7) {
    writer.addDocument(Array.from({ length: Math.min(7, tokens - at) }, (_, i) => at + i))
  }
  await writer.finish()
  return prefix
}

describe('permute', () => {
  it('is a bijection', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.maxSafeNat(), fc.nat(), (count, seed, epoch) => {
        const places = new Set<number>()
        for (let i = 0; i < count; i++) places.add(permute(i, count, seed, epoch))
        expect(places.size).toBe(count)
        expect(Math.max(...places)).toBe(count - 1)
      }),
      { numRuns: 100 },
    )
  })

  it('stays in range for counts that no list could hold', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 52 }), fc.maxSafeNat(), (count, seed) => {
        const place = permute(Math.floor(count / 2), count, seed, 3)
        expect(Number.isInteger(place) && place >= 0 && place < count).toBe(true)
      }),
    )
  })

  it('is another order for another seed or epoch, and none of them the plain one', () => {
    const order = (seed: number, epoch: number) =>
      Array.from({ length: 1000 }, (_, i) => permute(i, 1000, seed, epoch))
    const orders = [order(0, 0), order(0, 1), order(1, 0), order(2 ** 40, 0), order(-1, 0)]
    for (const [i, one] of orders.entries()) {
      // Of two random orders of 1,000 things one place in 1,000 agrees: about one, hardly ever ten.
      for (const other of [...orders.slice(i + 1), one.map((_, place) => place)]) {
        expect(one.filter((value, place) => value === other[place]).length).toBeLessThan(10)
      }
    }
  })

  it('leaves no trace of neighbourhood', () => {
    let distance = 0
    for (let i = 0; i < 9999; i++)
      distance += Math.abs(permute(i, 10_000, 7, 0) - permute(i + 1, 10_000, 7, 0))
    expect(distance / 9999 / 10_000).toBeCloseTo(1 / 3, 1)
  })
})

describe('training batches', () => {
  it('see every window once an epoch, with the next token as label', async () => {
    const prefix = await dataset(1003)
    const batches = await openBatches({ prefix, sequenceLength: 10, batchSize: 3, seed: 5 })
    expect(batches.sequencesPerEpoch).toBe(100)
    for (let epoch = 0; epoch < 3; epoch++) {
      const seen: number[] = []
      for (let sequence = epoch * 100; sequence < (epoch + 1) * 100; sequence++) {
        const { ids, labels } = await batches.batch(Math.floor(sequence / 3))
        const row = (sequence % 3) * 10
        const first = ids[row]!
        seen.push(first)
        expect([...ids.subarray(row, row + 10)]).toEqual(Array.from({ length: 10 }, (_, i) => first + i))
        expect([...labels.subarray(row, row + 10)]).toEqual(
          Array.from({ length: 10 }, (_, i) => first + i + 1),
        )
      }
      expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i * 10))
    }
    expect((await batches.batch(33)).epoch).toBe(0)
    expect((await batches.batch(34)).epoch).toBe(1)
    await batches.close()
  })

  it('are the same sequences whatever the size of a batch, and when opened anew in the middle', async () => {
    const prefix = await dataset(1003)
    const small = await openBatches({ prefix, sequenceLength: 10, batchSize: 2, seed: 9 })
    const large = await openBatches({ prefix, sequenceLength: 10, batchSize: 8, seed: 9 })
    for (const step of [0, 3, 12, 400]) {
      const parts = await Promise.all([0, 1, 2, 3].map((i) => small.batch(step * 4 + i)))
      expect(parts.flatMap((part) => [...part.ids])).toEqual([...(await large.batch(step)).ids])
      const again = await openBatches({ prefix, sequenceLength: 10, batchSize: 8, seed: 9 })
      expect(await again.batch(step)).toEqual(await large.batch(step))
      await again.close()
    }
    await small.close()
    await large.close()
  })

  it('need one whole window', async () => {
    const options = { sequenceLength: 10, batchSize: 1, seed: 0 }
    await expect(openBatches({ ...options, prefix: await dataset(10) })).rejects.toThrow(
      'counting-10.bin  has 10 tokens, a sequence needs 11: add text, or choose a shorter sequence length',
    )
    const batches = await openBatches({ ...options, prefix: await dataset(11) })
    expect(batches.sequencesPerEpoch).toBe(1)
    await batches.close()
    await expect(openBatches({ ...options, prefix: 'x', batchSize: 0 })).rejects.toThrow('batchSize is 0')
  })
})

describe('evaluation batches', () => {
  it.each([2, 11, 30, 31, 32, 95])('see each of %i tokens once, in plain order', async (tokens) => {
    const batches = await openEvaluationBatches({
      prefix: await dataset(tokens),
      sequenceLength: 10,
      batchSize: 3,
    })
    const ids: number[] = []
    const labels: number[] = []
    for (let i = 0; i < batches.batchCount; i++) {
      const batch = await batches.batch(i)
      expect([batch.ids.length, batch.labels.length]).toEqual([30, 30])
      for (const [at, label] of batch.labels.entries()) {
        if (label === IGNORED_LABEL) {
          expect(batch.ids[at]).toBe(0)
          continue
        }
        ids.push(batch.ids[at]!)
        labels.push(label)
      }
    }
    expect(batches.labelCount).toBe(tokens - 1)
    expect(ids).toEqual(Array.from({ length: tokens - 1 }, (_, i) => i))
    expect(labels).toEqual(Array.from({ length: tokens - 1 }, (_, i) => i + 1))
    await batches.close()
  })

  it('need two tokens', async () => {
    const options = { prefix: await dataset(1), sequenceLength: 10, batchSize: 3 }
    await expect(openEvaluationBatches(options)).rejects.toThrow('has 1 tokens, a sequence needs 2: add text')
  })
})
