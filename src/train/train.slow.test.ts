/** @file Whole runs in this process: finished, stopped, moved, changed, diverged. */
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bits, fails, openRuns, STEPS, type Started } from '../../test/whole-runs.ts'
import { readEvents as readBoard } from '../formats/index.ts'
import type { RunEvent } from './log/events.ts'
import { readHistory } from './log/history.ts'
import { loadRun } from './run/index.ts'
import { type TrainOptions, train } from './train.ts'
import { createSampler } from './use/model.ts'

const { place, runOf, start, stopped } = openRuns()

let reference: Started
beforeAll(async () => {
  reference = await start('reference')
})

describe('a run', () => {
  test('on a runtime that cannot be had is refused before the text is read', async () => {
    const events: RunEvent[] = []
    const options: TrainOptions = {
      on: { name: 'cpu', index: 3 },
      onEvent: (event) => void events.push(event),
    }
    const { message } = await fails(train(runOf('nowhere'), options))
    expect(message).toContain('cpu:3 is not a device')
    expect(events.map(({ type }) => type)).toEqual(['state', 'state'])
  })

  test('leaves its folder as documented', async () => {
    expect(reference).toMatchObject({ state: 'finished', step: STEPS, steps: STEPS, tokens: STEPS * 4 * 16 })
    expect(readdirSync(reference.folder).sort()).toEqual([
      'checkpoints',
      'data',
      'events.jsonl',
      'lock',
      'run.yaml',
      'tensorboard',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    const history = await readHistory(join(reference.folder, 'events.jsonl'))
    expect(history.state).toBe('finished')
    expect(history.steps.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1))
    expect(history.evals.map(({ step }) => step)).toEqual([10, 20, STEPS])
    expect(history.samples.map(({ step }) => step)).toEqual([10, 20, STEPS])
    expect(history.checkpoints.map(({ step }) => step)).toEqual([8, 16, STEPS])
    expect(history.summary).toMatchObject({ step: STEPS, heldoutLoss: reference.heldoutLoss })
    expect(reference.bitsPerByte!).toBeGreaterThan(0)
    const [board] = readdirSync(join(reference.folder, 'tensorboard'))
    const file = join(reference.folder, 'tensorboard', board!)
    const steps = readBoard(readFileSync(file), file).events.filter(({ values }) =>
      values.some(({ tag }) => tag === 'train/loss'),
    )
    expect(steps).toHaveLength(STEPS)
  })

  test('that is finished does nothing more', async () => {
    const log = readFileSync(join(reference.folder, 'events.jsonl'))
    const again = await start('reference')
    expect(again).toMatchObject({ state: 'finished', heldoutLoss: reference.heldoutLoss })
    expect(again.notes).toMatch('this run is finished')
    expect(readFileSync(join(reference.folder, 'events.jsonl'))).toEqual(log)
  })

  test('stopped between checkpoints saves, and goes on to the same bits', async () => {
    const first = await stopped('stopped', 11)
    expect(first).toMatchObject({ state: 'stopped', step: 11 })
    expect((await readHistory(join(first.folder, 'events.jsonl'))).state).toBe('stopped')
    const second = await start('stopped')
    expect(second.events.find(({ type }) => type === 'start')).toMatchObject({ startStep: 11 })
    expect(second).toMatchObject({ state: 'finished', tokens: reference.tokens })
    expect(await bits(second)).toEqual(await bits(reference))
  })

  test('stopped while samples are written, by either way, writes no token more', async () => {
    for (const way of ['stop', 'abort'] as const) {
      const control = new AbortController()
      const events: string[] = []
      const work = start(
        `sampling-${way}`,
        { evaluate: { everySteps: 10, samples: ['rail', 'gauge'], sampleTokens: 2000 } },
        {
          [way]: control.signal,
          generateSamples: createSampler(),
          onEvent: (event) => {
            events.push(event.type)
            if (event.type === 'eval') setTimeout(() => control.abort(), 20)
          },
        },
      )
      if (way === 'stop') expect(await work).toMatchObject({ state: 'stopped', step: 10 })
      else expect((await fails(work)).kind).toBe('interrupted')
      expect(events).not.toContain('sample')
    }
  })

  test('stopped at once keeps what was saved before', async () => {
    const abort = new AbortController()
    const error = await fails(
      start(
        'aborted',
        {},
        {
          abort: abort.signal,
          onEvent: (event) => {
            if (event.type === 'step' && event.step === 13) abort.abort()
          },
        },
      ),
    )
    expect(error.kind).toBe('interrupted')
    expect(readdirSync(join(place, 'runs', 'aborted', 'checkpoints'))).toEqual(['step-00000008'])
    expect(await bits(await start('aborted'))).toEqual(await bits(reference))
  })

  test.each([
    ['the tokenizer is trained', /^training a tokenizer/],
    ['the text is tokenized', /^trained the tokenizer/],
  ])('stopped while %s ends there, and starts anew', async (what, note) => {
    const name = what.replaceAll(' ', '-')
    const stop = new AbortController()
    const onEvent = (event: RunEvent) => {
      if (event.type === 'note' && note.test(event.message)) stop.abort()
    }
    const error = await fails(start(name, {}, { stop: stop.signal, onEvent }))
    expect(error.kind).toBe('interrupted')
    const folder = join(place, 'runs', name)
    expect((await readHistory(join(folder, 'events.jsonl'))).state).toBe('stopped')
    expect(
      readdirSync(folder, { recursive: true }).filter((one) => /partial|split/.test(String(one))),
    ).toEqual([])
    expect(await bits(await start(name))).toEqual(await bits(reference))
  })

  test('of more steps with a constant rate goes on; with a cosine it is another run', async () => {
    const schedule = { kind: 'constant', warmupSteps: 2 } as const
    const whole = await start('constant-whole', { schedule, train: { steps: 20, batchSize: 4 } })
    await start('constant', { schedule, train: { steps: 9, batchSize: 4 } })
    const more = await start('constant', { schedule, train: { steps: 20, batchSize: 4 } })
    expect(await bits(more)).toEqual(await bits(whole))
  })

  test('of a folder that was moved alone, by its own run file, ends as the one that stayed', async () => {
    const { folder } = await stopped('moves', 9)
    const to = join(place, 'else', 'where', 'ü * [x] run')
    cpSync(folder, to, { recursive: true })
    const { run } = await loadRun(join(to, 'run.yaml'))
    const moved = await train(run, { folder: to, threads: 1 })
    expect(moved.checkpoint).toBe(join(to, 'checkpoints', 'step-00000024'))
    expect(await bits(moved)).toEqual(await bits(reference))
  })

  test('with changed settings is refused key by key, and its log stays as it is', async () => {
    await stopped('changed', 9)
    const log = readFileSync(join(place, 'runs', 'changed', 'events.jsonl'))
    const error = await fails(
      start('changed', {
        seed: 2,
        train: { steps: STEPS, batchSize: 8 },
        optimizer: { learningRate: 5e-4 },
        evaluate: { everySteps: 5 },
      }),
    )
    expect(error.kind).toBe('usage')
    expect(error.issues.map(({ message }) => message)).toEqual([
      'seed was 1 when this run began and is 2 now',
      'train.batchSize was 4 when this run began and is 8 now',
      'train.microBatchSize was 4 when this run began and is 8 now',
      'optimizer.learningRate was 0.001 when this run began and is 0.0005 now',
    ])
    expect(readFileSync(join(place, 'runs', 'changed', 'events.jsonl'))).toEqual(log)
  })
})

describe('a run that diverges', () => {
  test('stops, names the step and the last good checkpoint, and keeps it', async () => {
    const error = await fails(
      start('diverged', {
        // the decay alone multiplies weights by -99 a step
        optimizer: { learningRate: 10, weightDecay: 10 },
        schedule: { kind: 'constant', warmupSteps: 0 },
        train: { steps: 100, batchSize: 4 },
        checkpoint: { everySteps: 1, keepLast: 1 },
        evaluate: { everySteps: 10_000 },
      }),
    )
    expect(error.kind).toBe('diverged')
    expect(error.message).toMatch(/step \d+ diverged: loss \S+, gradient norm \S+, learning rate 10/)
    const [last] = readdirSync(join(place, 'runs', 'diverged', 'checkpoints'))
    expect(error.message).toMatch(
      `the last good checkpoint is that of step ${Number(last!.slice(5))} and is kept`,
    )
    expect((await readHistory(join(place, 'runs', 'diverged', 'events.jsonl'))).state).toBe('failed')
  })
})
