/** @file What a run begins from: a Hugging Face folder, and what cannot be begun from. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { fails, openRuns, type Started } from '../../test/whole-runs.ts'
import { readHistory } from './log/history.ts'
import type { Run } from './run/index.ts'

const { place, start } = openRuns()

let reference: Started
beforeAll(async () => {
  reference = await start('reference')
})

describe('beginnings', () => {
  test('a checkpoint trains on as a Hugging Face folder, with its tokenizer', async () => {
    const { folder, step } = await start('tuned', {
      model: { from: reference.checkpoint! },
      tokenizer: { file: join(reference.checkpoint!, 'tokenizer.json') },
      train: { steps: 3, batchSize: 4 },
    })
    expect(step).toBe(3)
    expect(readFileSync(join(folder, 'tokenizer.json'))).toEqual(
      readFileSync(join(reference.folder, 'tokenizer.json')),
    )
    const { steps } = await readHistory(join(folder, 'events.jsonl'))
    expect(steps[0]!.loss).toBeLessThan(Math.log(280) - 0.3)
  })

  const problems: [string, Partial<Run>, string, RegExp][] = [
    ['text that is missing', { data: { train: '/nowhere/at/all.txt' } }, 'data', /\/nowhere\/at\/all.txt/],
    [
      'a vocabulary that the model lacks',
      { model: { preset: 'nano', overrides: { vocab_size: 260 } } },
      'usage',
      /the model has 260 tokens, the tokenizer \d+/,
    ],
    [
      'a config.json that is missing',
      { model: { config: '/nowhere/config.json' } },
      'usage',
      /cannot be read/,
    ],
    [
      'a folder that cannot be made',
      { output: '/dev/null/runs' },
      'environment',
      /the run folder cannot be made \(E\w+\)/,
    ],
  ]
  test.each(problems)('%s is one clear error', async (_, extra, kind, message) => {
    const error = await fails(start('beginning', extra))
    expect(error.kind).toBe(kind)
    expect(error.message).toMatch(message)
  })

  test('text shorter than a sequence is one clear error', async () => {
    mkdirSync(join(place, 'short'))
    for (const name of ['a', 'b', 'c'])
      writeFileSync(join(place, 'short', `${name}.txt`), 'rail gauge rail gauge')
    const data = {
      train: join(place, 'short', '[ab].txt'),
      heldout: join(place, 'short', 'c.txt'),
      sequenceLength: 1024,
    }
    const error = await fails(start('short', { data }))
    expect(error.message).toMatch(/has \d+ tokens, a sequence needs 1025/)
  })
})
