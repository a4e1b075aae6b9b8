/** @file Whole runs in this process: stopped, resumed, changed, damaged, diverged, begun from a Hugging Face folder. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { hashFile, readEvents as readBoard } from '../formats/index.ts'
import type { RunEvent } from './events.ts'
import { readHistory } from './history.ts'
import { createSampler } from './model.ts'
import { checkRun } from './plan.ts'
import { completeRun, loadRun, type ResolvedRun, type Run } from './run/index.ts'
import { type TrainOptions, type TrainResult, train } from './train.ts'

let place: string
let reference: TrainResult
const STEPS = 24

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'train-'))
  mkdirSync(join(place, 'text'))
  for (let i = 0; i < 10; i++) writeFileSync(join(place, 'text', `${i}.txt`), text(i))
  reference = await start('reference')
})
afterAll(() => rmSync(place, { recursive: true, force: true }))

function text(seed: number): string {
  const words = ['north', 'south', 'east', 'west', 'rail', 'gauge', 'train', 'stops', 'goes']
  return Array.from({ length: 300 }, (_, i) => words[(i * i + seed * i) % words.length]).join(' ')
}

function runOf(name: string, extra: Partial<Run> = {}): ResolvedRun {
  return completeRun({
    name,
    model: { preset: 'nano', overrides: { hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1 } },
    tokenizer: { train: { vocabSize: 280 } },
    data: { train: join(place, 'text'), heldout: { fraction: 0.2 }, sequenceLength: 16 },
    train: { steps: STEPS, batchSize: 4 },
    evaluate: { everySteps: 10, batches: 2, samples: ['rail'] },
    checkpoint: { everySteps: 8, keepLast: 3 },
    output: join(place, 'runs'),
    ...extra,
  })
}

interface Started {
  readonly events: RunEvent[]
  readonly notes: string
}

async function start(
  name: string,
  extra: Partial<Run> = {},
  options: TrainOptions = {},
): Promise<TrainResult & Started> {
  const events: RunEvent[] = []
  const result = await train(runOf(name, extra), {
    threads: 1,
    generateSamples: async ({ run }) => run.evaluate.samples.map((prompt) => ({ prompt, text: ' goes' })),
    ...options,
    onEvent: (event) => {
      events.push(event)
      options.onEvent?.(event)
    },
  })
  const notes = events.flatMap((event) => (event.type === 'note' ? [event.message] : [])).join('\n')
  return { ...result, events, notes }
}

async function fails(work: Promise<unknown>): Promise<RegaugeError> {
  const error: unknown = await work.then(
    () => undefined,
    (caught) => caught,
  )
  if (!(error instanceof RegaugeError)) throw error ?? new Error('nothing failed')
  return error
}

const bits = (result: TrainResult): Promise<string[]> =>
  Promise.all(['model', 'optimizer'].map((name) => hashFile(join(result.checkpoint!, `${name}.safetensors`))))

/** A run that is stopped after the step. */
async function stopped(
  name: string,
  after: number,
  extra: Partial<Run> = {},
): Promise<TrainResult & Started> {
  const stop = new AbortController()
  return start(name, extra, {
    stop: stop.signal,
    onEvent: (event) => {
      if (event.type === 'step' && event.step === after) stop.abort()
    },
  })
}

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

describe('damage', () => {
  test('of every checkpoint: it does not start anew, and nothing is deleted', async () => {
    const { folder, checkpoint } = await stopped('damaged-checkpoints', 3)
    truncateSync(join(checkpoint!, 'model.safetensors'), 1000)
    for (let time = 0; time < 2; time++) {
      const error = await fails(start('damaged-checkpoints'))
      expect([error.kind, error.message]).toEqual([
        'data',
        expect.stringMatching(/none of the 1 checkpoints of this run is whole: put a good copy back/),
      ])
    }
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000003.damaged'])
  })

  test('of the newest checkpoint: the one before is used, and the end is the same', async () => {
    const { folder } = await stopped('damaged-checkpoint', 18)
    truncateSync(join(folder, 'checkpoints', 'step-00000018', 'optimizer.safetensors'), 1000)
    const again = await start('damaged-checkpoint')
    expect(again.notes).toMatch(
      /the checkpoint of step 18 is damaged .*optimizer.safetensors.*has 1000 bytes/,
    )
    expect(again.notes).toMatch('going on from the good checkpoint of step 16')
    expect(await bits(again)).toEqual(await bits(reference))
  })

  test.each([
    [
      'a flipped bit',
      (file: string) =>
        writeFileSync(
          file,
          readFileSync(file).map((byte, i) => (i === 50 ? byte ^ 1 : byte)),
        ),
    ],
    ['a cut', (file: string) => truncateSync(file, 100)],
    ['a missing file', (file: string) => rmSync(file)],
  ])('of a token shard (%s): it is made again, and the end is the same', async (what, damage) => {
    const name = `shard-${what.split(' ').at(-1)}`
    const { folder } = await stopped(name, 9)
    damage(join(folder, 'data', 'train.bin'))
    const again = await start(name)
    expect(again.notes).toMatch('the token shards are made again')
    expect(await bits(again)).toEqual(await bits(reference))
  })

  test('of a token shard whose text has changed since: refused', async () => {
    const texts = join(place, 'text-2')
    cpSync(join(place, 'text'), texts, { recursive: true })
    const data = { train: texts, heldout: { fraction: 0.2 }, sequenceLength: 16 }
    const { folder } = await stopped('shard-changed', 9, { data })
    rmSync(join(folder, 'data'), { recursive: true })
    for (const name of readdirSync(texts)) writeFileSync(join(texts, name), `other ${text(99)}`)
    const error = await fails(start('shard-changed', { data }))
    expect(error.message).toMatch('training tokens (SHA-256) was')
  })

  test('of the tokenizer: the one of the checkpoint is put back', async () => {
    const { folder } = await stopped('tokenizer', 9)
    truncateSync(join(folder, 'tokenizer.json'), 200)
    const again = await start('tokenizer')
    expect(again.notes).toMatch("tokenizer.json of the run was changed; the checkpoint's is put back")
    expect(await bits(again)).toEqual(await bits(reference))
  })

  test('of the event log: the half-written line is cut off', async () => {
    const { folder } = await stopped('log', 9)
    const log = join(folder, 'events.jsonl')
    truncateSync(log, readFileSync(log).length - 20)
    const again = await start('log')
    expect(again.state).toBe('finished')
    const history = await readHistory(log)
    expect(history.steps).toHaveLength(STEPS)
    expect(history.notes.map(({ message }) => message).join()).toMatch('half-written line')
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

describe('checkRun', () => {
  test('plans without training', async () => {
    const plan = await checkRun(runOf('planned'), { threads: 1 })
    expect(plan).toMatchObject({ steps: STEPS, tokens: STEPS * 64, startStep: 0 })
    expect(plan.estimate.memoryBytes).toBe(
      Object.values(plan.estimate.memory).reduce((sum, term) => sum + term, 0),
    )
    expect(plan.seconds!.best).toBeLessThan(plan.seconds!.expected)
    expect(existsSync(join(place, 'runs', 'planned'))).toBe(false)
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
    expect([...new Set(codes)]).toEqual(['DATA_NOT_FOUND', 'WEIGHTS_MISSING', 'RUN_UNWRITABLE'])
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
      /training needs [\d.]+ GiB or more, there is [\d.]+ GiB; the most is for moments/,
    )
  })
})
