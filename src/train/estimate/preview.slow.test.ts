/** @file A run checked without training: what it takes, and every problem at once. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { fails, openRuns, STEPS, type Started } from '../../../test/whole-runs.ts'
import { checkRun } from './preview.ts'

const { place, runOf, start } = openRuns()

let reference: Started
beforeAll(async () => {
  reference = await start('reference')
})

describe('checkRun', () => {
  test('plans without training', async () => {
    const plan = await checkRun(runOf('planned'), { threads: 1 })
    expect(plan).toMatchObject({ steps: STEPS, tokens: STEPS * 64, startStep: 0 })
    expect(plan.estimate.memoryBytes).toBe(
      Object.values(plan.estimate.memory).reduce((sum, term) => sum + term, 0),
    )
    expect(plan.seconds!.best).toBeLessThan(plan.seconds!.expected)
    expect(plan.memoryOn).toBe('host')
    expect(plan.availableBytes).toBeGreaterThan(plan.estimate.memoryBytes)
    expect(existsSync(join(place, 'runs', 'planned'))).toBe(false)
  })

  test('begins where the run would go on: its step, its runtime, its settings', async () => {
    const run = runOf('reference')
    const plan = await checkRun(run, { threads: 1 })
    expect(plan.startStep).toBe(STEPS)
    expect(plan.seconds!.best).toBe(0)
    expect(plan.place).toMatch(/cpu.*\(as before\)/)
    const error = await fails(checkRun({ ...run, seed: run.seed + 1 }, { threads: 1 }))
    expect(error.issues).toMatchObject([{ code: 'RESUME_CHANGED' }])
    expect(error.message).toContain('seed was')
  })

  test.each<Record<string, Record<string, number>>>([
    { train: { batchSize: 2 ** 20, microBatchSize: 2 ** 20 }, data: { sequenceLength: 32 } },
    { train: { batchSize: 2 ** 20, microBatchSize: 1 }, data: { sequenceLength: 2 ** 20 } },
    // to build one would take more memory than there is, or until the time-out
  ])('refuses a step that is far too large before it builds one: %j', async ({ train, data }) => {
    const known = runOf('huge')
    const run = { ...known, train: { ...known.train, ...train }, data: { ...known.data, ...data } }
    const error = await fails(checkRun(run, { threads: 1, on: { name: 'cpu', index: 0 } }))
    const memory = error.issues.find(({ code }) => code === 'TRAIN_MEMORY')
    expect(memory?.message).toMatch(/training needs [\d.]+ GiB.*the most is for activations [\d.]+ GiB/)
    expect(memory?.hint).toContain('lower train.microBatchSize')
  })

  test('reports weights, text and output folder together', async () => {
    const from = join(place, 'spoilt')
    cpSync(reference.checkpoint!, from, { recursive: true })
    const config = join(from, 'config.json')
    writeFileSync(
      config,
      readFileSync(config, 'utf8').replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'),
    )
    writeFileSync(join(place, 'a-file'), '')
    const run = runOf('spoilt', {
      model: { from },
      tokenizer: undefined,
      data: { train: '/nowhere/at/all.txt' },
      output: join(place, 'a-file', 'runs'),
    })
    const codes = (await fails(checkRun(run))).issues.map(({ code }) => code)
    expect([...new Set(codes)]).toEqual(['WEIGHTS_MISSING', 'DATA_NOT_FOUND', 'RUN_UNWRITABLE'])
    const tokenizer = join(from, 'tokenizer.json')
    writeFileSync(tokenizer, readFileSync(tokenizer, 'utf8').replaceAll('<|endoftext|>', '<|nothing|>'))
    rmSync(join(from, 'tokenizer_config.json'))
    truncateSync(join(from, 'model.safetensors'), 4000)
    rmSync(config)
    const damaged = (await fails(checkRun(run))).issues.map(({ message }) => message).join('\n')
    expect(damaged).toContain('the tokenizer has no token that ends a text')
    expect(damaged).toMatch(/tensor ".*" ends at byte \d+, the file has 4000/)
  })

  test('looks at folders that the run would make in its own', async () => {
    mkdirSync(join(place, 'runs', 'blocked'), { recursive: true })
    writeFileSync(join(place, 'runs', 'blocked', 'checkpoints'), '')
    const error = await fails(checkRun(runOf('blocked')))
    expect(error).toMatchObject({ kind: 'environment', issues: [{ code: 'RUN_UNWRITABLE' }] })
    expect(error.message).toMatch(/blocked\/checkpoints {2}the run folder cannot be written \(ENOTDIR\)/)
  })

  test.skipIf(process.getuid?.() === 0)('says so when the output folder may not be written', async () => {
    mkdirSync(join(place, 'locked'), { mode: 0o500 })
    const error = await fails(checkRun(runOf('locked', { output: join(place, 'locked', 'runs') })))
    expect(error.message).toMatch(/the run folder cannot be made \(EACCES\)/)
  })

  test('reports every problem at once, and the largest term of memory', async () => {
    const run = runOf('planned', {
      model: {
        preset: 'base',
        overrides: { hidden_size: 12288, intermediate_size: 65536, num_hidden_layers: 100 },
      },
      data: { train: '/nowhere/at/all.txt' },
    })
    const error = await fails(checkRun(run))
    expect(error.issues.map(({ code }) => code)).toEqual(expect.arrayContaining(['TRAIN_MEMORY']))
    expect(error.issues.length).toBeGreaterThan(1)
    expect(error.message).toMatch(
      /training needs [\d.]+ GiB of the host's memory or more, there is [\d.]+ GiB; the most is for moments/,
    )
  })
})
