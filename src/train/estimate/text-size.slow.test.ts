/** @file Little text: split, trained on or refused, in the same words by check and by train. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { fails, openRuns, STEPS } from '../../../test/whole-runs.ts'
import type { Run } from '../run/index.ts'
import { train } from '../train.ts'
import { checkRun } from './preview.ts'

const { place, runOf, start } = openRuns()

describe('little text', () => {
  const little = (name: string, length: number, extra: Partial<Run['data']> = {}): Partial<Run> => {
    const file = join(place, `${name}.txt`)
    writeFileSync(file, 'The rail goes east.\nThe train stops.\n\n'.repeat(length))
    return { data: { train: file, sequenceLength: 16, ...extra }, evaluate: { everySteps: 10 } }
  }

  test('of one file is split by the default settings, which check and train say', async () => {
    const extra = little('sole', 400)
    const { notes } = await checkRun(runOf('sole', extra), { threads: 1 })
    const told = `the text is one document: the last 1520 characters of ${join(place, 'sole.txt')} are held out, the rest is trained on`
    expect(notes).toEqual([told])
    const run = await start('sole', extra)
    expect(run).toMatchObject({ state: 'finished', step: STEPS })
    expect(run.notes).toContain(told)
    expect(run.bitsPerByte).toBeGreaterThan(0)
    // the held-out end is not what the tokenizer has learned from, either
    const { train: trained, heldout } = JSON.parse(
      readFileSync(join(run.folder, 'data', 'data.json'), 'utf8'),
    ) as Record<string, { bytes: number }>
    expect([trained!.bytes, heldout!.bytes]).toEqual([38 * 400 - 1520, 1520])
  })

  test('that is less than a batch is said by check and at the start, with the same numbers', async () => {
    const extra = little('few', 6)
    const { notes } = await checkRun(runOf('few', extra), { threads: 1 })
    expect(notes).toHaveLength(2)
    expect(notes[1]).toMatch(
      /^the training text has (\d+) tokens, less than one batch: 4 sequences of 16 make a batch, the text makes [123], and each step repeats them; add text, or lower/,
    )
    expect((await start('few', extra)).notes).toContain(notes.join('\n'))
  })

  test('that is less than a sequence is the same error in check and in train', async () => {
    const run = runOf('less', little('less', 6, { sequenceLength: 1000 }))
    const error = await fails(checkRun(run, { threads: 1 }))
    expect(error.issues.map(({ code }) => code)).toEqual(['DATA_TOO_SHORT'])
    expect((await fails(train(run, { threads: 1 }))).message).toBe(error.message)
  })

  test('counts epochs in steps before it is tokenized', async () => {
    const extra = { ...little('epochs', 6), train: { epochs: 3, batchSize: 4 } }
    const { steps } = await checkRun(runOf('epochs', extra), { threads: 1 })
    expect((await start('epochs', extra)).steps).toBe(steps)
  })
})
