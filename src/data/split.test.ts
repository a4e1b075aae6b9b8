/** @file What is held out: whole documents by their number, named files, or the end of the longest document. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SplitOptions, splitCorpus } from './split.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regauge-split-'))
})
afterAll(() => rm(folder, { recursive: true }))

let counter = 0
async function corpus(...texts: string[]): Promise<string> {
  const home = join(folder, String(counter++))
  await mkdir(home)
  for (const [i, text] of texts.entries()) await writeFile(join(home, `${1000 + i}.txt`), text)
  return home
}

async function parts(options: SplitOptions) {
  const split = await splitCorpus(options)
  const texts: { train: string[]; heldout: string[] } = { train: [], heldout: [] }
  for await (const { text, part } of split.documents()) texts[part].push(text)
  for (const part of ['train', 'heldout'] as const) {
    const alone: string[] = []
    for await (const { text } of split.documents(part)) alone.push(text)
    expect(alone).toEqual(texts[part])
  }
  return { tail: split.tail, ...texts }
}

describe('a fraction', () => {
  it('holds out whole documents where there are enough', async () => {
    const texts = Array.from({ length: 400 }, (_, i) => `text ${i}`)
    const { tail, train, heldout } = await parts({
      sources: [await corpus(...texts)],
      heldout: { fraction: 0.1 },
    })
    expect(tail).toBeUndefined()
    expect(heldout.length).toBeGreaterThan(20)
    expect([...train, ...heldout].sort()).toEqual([...texts].sort())
  })

  it.each([
    ['paragraph', 'One sentence. And one more.\nA line.\n\n', /\n\n$/],
    ['line', 'A line of text without any blank one.\n', /\n$/],
    ['word', 'only words ', / $/],
  ])('of a sole document holds out its end, from a whole %s on', async (_, unit, end) => {
    const text = unit.repeat(20_000)
    const source = await corpus(text)
    const { tail, train, heldout } = await parts({ sources: [source], heldout: { fraction: 0.05 } })
    expect(train.concat(heldout).join('')).toBe(text)
    expect([train.length, heldout.length]).toEqual([1, 1])
    expect(train[0]).toMatch(end)
    expect(heldout[0]!.length / text.length).toBeCloseTo(0.05, 2)
    expect(tail).toMatchObject({ document: 0, documents: 1, length: heldout[0]!.length })
    expect(tail!.source).toBe(join(source, '1000.txt'))
  })

  it('that would be too little to measure by is made more, up to a tenth', async () => {
    const held = async (length: number) => {
      const sources = [await corpus('word '.repeat(length / 5))]
      return (await parts({ sources, heldout: { fraction: 0.01 } })).heldout[0]!.length
    }
    expect(await held(1_000)).toBeCloseTo(100, -1)
    expect(await held(200_000)).toBeCloseTo(4096, -1)
    expect(await held(1_000_000)).toBeCloseTo(10_000, -1)
  })

  it('of few documents takes the end of the longest, and the others as they are', async () => {
    const texts = ['short', 'the longest\nof all\nthree', 'middle one']
    const { tail, train, heldout } = await parts({
      sources: [await corpus(...texts)],
      heldout: { fraction: 1e-6 },
    })
    expect(train).toEqual(['short', 'the longest\nof all\n', 'middle one'])
    expect(heldout).toEqual(['three'])
    expect(tail).toMatchObject({ document: 1, documents: 3 })
  })

  it('loses nothing and cuts no character, whatever the text', async () => {
    const unit = fc.oneof(
      fc.constantFrom(' ', '\n', '\n\n', 'a', '\u{1f600}'),
      fc.string({ unit: 'grapheme' }),
    )
    const texts = fc.array(unit, { minLength: 2, maxLength: 60 }).map((units) => units.join(''))
    await fc.assert(
      fc.asyncProperty(texts, fc.double({ min: 1e-6, max: 0.999, noNaN: true }), async (text, fraction) => {
        fc.pre([...text.replace(/^\ufeff/, '')].length > 1)
        const { train, heldout } = await parts({ sources: [await corpus(text)], heldout: { fraction } })
        expect(train.concat(heldout).join('')).toBe(text.replace(/^\ufeff/, ''))
        expect(train.join('')).not.toBe('')
        expect(heldout.join('')).not.toBe('')
        expect(heldout.join('')).not.toMatch(/\p{Surrogate}/u)
      }),
      { numRuns: 200 },
    )
  })

  it('of a single character is an error', async () => {
    const sources = [await corpus('x')]
    await expect(splitCorpus({ sources, heldout: { fraction: 0.5 } })).rejects.toThrow(
      'no document has more than one character',
    )
  })
})

it('named files are held out, and not trained on where both name them', async () => {
  const home = await corpus('one', 'two', 'three')
  const { tail, train, heldout } = await parts({
    sources: [home],
    heldout: { sources: [join(home, '1001.txt')] },
  })
  expect({ tail, train, heldout }).toEqual({ tail: undefined, train: ['one', 'three'], heldout: ['two'] })
})
