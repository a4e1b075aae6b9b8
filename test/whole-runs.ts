/** @file Whole runs of a very small model, in this process and in a folder that goes away: for the tests of `train`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { RegaugeError } from '../src/errors.ts'
import { hashFile } from '../src/formats/index.ts'
import {
  completeRun,
  type ResolvedRun,
  type Run,
  type RunEvent,
  type TrainOptions,
  type TrainResult,
  train,
} from '../src/train/index.ts'

/** Steps of a run, where it says nothing else. */
export const STEPS = 24

export interface Started extends TrainResult {
  readonly events: RunEvent[]
  /** Lines. */
  readonly notes: string
}

/** A folder with ten texts in `text/`, and runs over them in `runs/`. It goes away after the tests of the file. */
export function openRuns() {
  const place = mkdtempSync(join(tmpdir(), 'train-'))
  afterAll(() => rmSync(place, { recursive: true, force: true }))
  mkdirSync(join(place, 'text'))
  for (let i = 0; i < 10; i++) writeFileSync(join(place, 'text', `${i}.txt`), textOf(i))

  const runOf = (name: string, extra: Partial<Run> = {}): ResolvedRun =>
    completeRun({
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
  const start = async (
    name: string,
    extra: Partial<Run> = {},
    options: TrainOptions = {},
  ): Promise<Started> => {
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
  return {
    place,
    runOf,
    start,
    /** A run that is stopped after the step. */
    async stopped(name: string, after: number, extra: Partial<Run> = {}): Promise<Started> {
      const stop = new AbortController()
      const onEvent = (event: RunEvent) => {
        if (event.type === 'step' && event.step === after) stop.abort()
      }
      return start(name, extra, { stop: stop.signal, onEvent })
    },
  }
}

/** A text of 300 words. */
export function textOf(seed: number): string {
  const words = ['north', 'south', 'east', 'west', 'rail', 'gauge', 'train', 'stops', 'goes']
  return Array.from({ length: 300 }, (_, i) => words[(i * i + seed * i) % words.length]).join(' ')
}

/** The error that the work ends in; throws when it is a bug, or there is none. */
export async function fails(work: Promise<unknown>): Promise<RegaugeError> {
  const error: unknown = await work.then(
    () => undefined,
    (caught) => caught,
  )
  if (!(error instanceof RegaugeError)) throw error ?? new Error('nothing failed')
  return error
}

/** Hashes of the weights and the optimizer's state that a run has come to. */
export function bits({ checkpoint }: TrainResult): Promise<string[]> {
  return Promise.all(['model', 'optimizer'].map((name) => hashFile(join(checkpoint!, `${name}.safetensors`))))
}
