/** @file The trainer: accumulation, buffers in place or doubled, evaluation, and steps that are not finite. */
import { afterAll, describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { type Architecture, PRESETS, readArchitecture } from '../model/index.ts'
import { createRuntime } from '../runtime/index.ts'
import { allocateState, initializeState, type TrainingState } from './state.ts'
import type { TrainerOptions } from './step-programs.ts'
import { type Batch, createTrainer, type Trainer } from './trainer.ts'

const sizes = { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, vocab_size: 64 }
const tied = readArchitecture({ ...PRESETS.nano, ...sizes })
const untied = readArchitecture({ ...PRESETS.nano, ...sizes, tie_word_embeddings: false })
const runtime = createRuntime({ name: 'cpu', threads: 1 })
const options: TrainerOptions = {
  batchSize: 8,
  microBatchSize: 8,
  sequenceLength: 12,
  recompute: 'none',
  optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
}

afterAll(() => runtime.dispose())

/** A batch that has something to learn. Later rows have fewer labels, so that micro-batches differ in their number. */
function batchOf(step: number, sequences = options.batchSize): Batch {
  const { sequenceLength } = options
  const ids = new Int32Array(sequences * sequenceLength)
  const labels = new Int32Array(ids.length)
  for (let row = 0; row < sequences; row++) {
    for (let at = 0; at < sequenceLength; at++) {
      const i = row * sequenceLength + at
      ids[i] = (7 * at + 3 * row + step) % 64
      labels[i] = at < sequenceLength - row ? (7 * (at + 1) + 3 * row + step) % 64 : -100
    }
  }
  return { ids, labels }
}

/** Trainers by what they are made for: to compile their programs is what takes the time. */
const made = new Map<string, { readonly state: TrainingState; readonly trainer: Trainer }>()

/** A trainer over first values; one that is there already begins anew. */
async function begun(extra: Partial<TrainerOptions>, architecture: Architecture) {
  const key = JSON.stringify([architecture, extra])
  const state = made.get(key)?.state ?? allocateState(runtime, architecture, 'adamw')
  for (const name of state.names) {
    const tensor = state.current(name)
    await tensor.write(new Uint8Array(tensor.byteLength))
  }
  await initializeState(state, architecture, 1)
  const trainer =
    made.get(key)?.trainer ?? (await createTrainer(runtime, architecture, state, { ...options, ...extra }))
  made.set(key, { state, trainer })
  return { state, trainer }
}

async function trained(extra: Partial<TrainerOptions>, architecture = tied, steps = 5) {
  const { state, trainer } = await begun(extra, architecture)
  const losses: number[] = []
  const norms: number[] = []
  for (let step = 1; step <= steps; step++) {
    const { loss, gradNorm } = await trainer.step(batchOf(step), step, 1e-2)
    losses.push(loss)
    norms.push(gradNorm)
  }
  return { state, trainer, losses, norms }
}

async function bytesOf(state: TrainingState): Promise<Map<string, Buffer>> {
  const all = new Map<string, Buffer>()
  for (const name of state.names) all.set(name, Buffer.from(await state.current(name).read()))
  return all
}

async function valuesOf(state: TrainingState): Promise<Float32Array> {
  const parts: number[] = []
  for (const { name } of state.parameters) {
    const bytes = await state.current(name).read()
    parts.push(...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4))
  }
  return Float32Array.from(parts)
}

function distance(a: Float32Array, b: Float32Array): number {
  const norm = (x: Float32Array) => Math.hypot(...x)
  return norm(a.map((value, i) => value - b[i]!)) / norm(b)
}

describe('step', () => {
  test('learns', async () => {
    const { losses } = await trained({}, tied, 30)
    expect(losses[0]).toBeCloseTo(Math.log(64), 0)
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 1)
  })

  test.each([1, 2, 4])('accumulating micro-batches of %i equals the whole batch', async (microBatchSize) => {
    const whole = await trained({})
    const parts = await trained({ microBatchSize })
    for (const [i, loss] of parts.losses.entries()) expect(loss).toBeCloseTo(whole.losses[i]!, 4)
    for (const [i, norm] of parts.norms.entries()) expect(norm).toBeCloseTo(whole.norms[i]!, 3)
    expect(distance(await valuesOf(parts.state), await valuesOf(whole.state))).toBeLessThan(1e-4)
  })

  test.each([
    ['tied, one program', tied, {}],
    ['untied, accumulating', untied, { microBatchSize: 2 }],
    ['no clipping', tied, { optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 } }],
    ['recomputing layers', tied, { recompute: 'layer' }],
  ] as const)(
    'in place and with doubled buffers the bits are the same: %s',
    async (_, architecture, extra) => {
      const doubled = await trained({ ...extra, inPlace: false }, architecture)
      const inPlace = await trained(extra, architecture)
      expect(inPlace.losses).toEqual(doubled.losses)
      expect(await bytesOf(inPlace.state)).toEqual(await bytesOf(doubled.state))
    },
  )
})

describe('a step that is not finite', () => {
  const poisons: [string, number][] = [
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a value whose square overflows', 3e38],
  ]
  for (const microBatchSize of [8, 2]) {
    test.each(poisons)(`leaves the state as it was: %s, micro-batch ${microBatchSize}`, async (_, poison) => {
      const { state, trainer } = await trained({ microBatchSize })
      await state.current('model.norm.weight').write(new Uint8Array(Float32Array.of(poison).buffer), 8)
      const before = await bytesOf(state)
      const error: unknown = await trainer.step(batchOf(6), 6, 1e-2).catch((caught) => caught)
      expect(error).toBeInstanceOf(RegaugeError)
      expect((error as RegaugeError).kind).toBe('diverged')
      expect((error as RegaugeError).message).toMatch(
        /step 6 diverged: loss .+, gradient norm .+, learning rate 0.01/,
      )
      expect(await bytesOf(state)).toEqual(before)
      // gradients that were summed to infinity stay, which no run goes on from
      if (microBatchSize < options.batchSize) made.clear()
    })
  }

  test('comes from an absurd learning rate in the end, and the state before it stays', async () => {
    const { state, trainer } = await trained({})
    let before = await bytesOf(state)
    let error: unknown
    for (let step = 6; step < 60 && error === undefined; step++) {
      before = await bytesOf(state)
      await trainer.step(batchOf(step), step, 1e18).catch((caught) => {
        error = caught
      })
    }
    expect((error as RegaugeError).kind).toBe('diverged')
    expect(await bytesOf(state)).toEqual(before)
  })
})

describe('evaluate', () => {
  test('gives the mean over labels, not over batches, and leaves the state alone', async () => {
    const { state, trainer } = await trained({ microBatchSize: 2 })
    const before = await bytesOf(state)
    const part = (batch: Batch, from: number): Batch => ({
      ids: batch.ids.subarray(from * 12, (from + 2) * 12),
      labels: batch.labels.subarray(from * 12, (from + 2) * 12),
    })
    const { nats, labels } = await trainer.evaluate([0, 2, 4, 6].map((row) => part(batchOf(6), row)))
    expect(labels).toBe([...batchOf(6).labels].filter((label) => label >= 0).length)
    expect(await bytesOf(state)).toEqual(before)
    const { loss } = await trainer.step(batchOf(6), 6, 1e-2)
    expect(nats / labels).toBeCloseTo(loss, 4)
  })
})
