/** @file What training does for each row of OPTIMIZERS by its rule alone: keeps, writes, loads, estimates, compares, resumes. */
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readSafetensorsHeader } from '../src/formats/index.ts'
import { parameterCount, parametersOf } from '../src/model/index.ts'
import { createRuntime } from '../src/runtime/index.ts'
import {
  OPTIMIZER_KINDS,
  type OptimizerKind,
  optimizerState,
  optimizerStateBytes,
  stateNames,
} from '../src/steps/index.ts'
import {
  allocateState,
  type Batch,
  checkRun,
  createTrainer,
  initializeState,
  type Run,
  type TrainerOptions,
  type TrainingState,
} from '../src/train/index.ts'
import { verifyRuntimes } from '../src/verify/index.ts'
import { MODEL as a, optimizerOf } from './optimizer-steps.ts'
import { bits, fails, openRuns } from './whole-runs.ts'

const runtime = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => runtime.dispose())
const runs = openRuns()

const shape = { batchSize: 4, microBatchSize: 2, sequenceLength: 12, recompute: 'selective' } as const

function batch(step: number): Batch {
  const ids = Int32Array.from({ length: 48 }, (_, i) => (i * i + 7 * step) % 50)
  return { ids, labels: ids.map((id, i) => (i % 7 === 0 ? -100 : (id * 3 + 1) % 50)) }
}

async function bytesOf(state: TrainingState): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for (const name of state.names) found.set(name, Buffer.from(await state.current(name).read()))
  return found
}

async function trained(kind: OptimizerKind, extra: Partial<TrainerOptions> = {}, steps = 3) {
  const state = allocateState(runtime, a, kind)
  await initializeState(state, a, 3)
  const made = await createTrainer(runtime, a, state, { ...shape, optimizer: optimizerOf(kind), ...extra })
  const losses: number[] = []
  for (let step = 1; step <= steps; step++) losses.push((await made.step(batch(step), step, 3e-3)).loss)
  return { state, trainer: made, losses }
}

describe.each(OPTIMIZER_KINDS)('%s', (kind) => {
  test('a step that is not finite leaves the bits of all of its state', async () => {
    const { state, trainer } = await trained(kind)
    await state.current('model.norm.weight').write(new Uint8Array(Float32Array.of(Number.NaN).buffer), 8)
    const before = await bytesOf(state)
    await expect(trainer.step(batch(4), 4, 3e-3)).rejects.toMatchObject({ kind: 'diverged' })
    for (const [name, bytes] of await bytesOf(state)) expect(bytes.equals(before.get(name)!), name).toBe(true)
    trainer.dispose()
    state.dispose()
  })

  test('in place and with two sets of buffers the bits are the same', async () => {
    const [over, beside] = [await trained(kind, { inPlace: true }), await trained(kind, { inPlace: false })]
    expect(over.losses).toEqual(beside.losses)
    expect(await bytesOf(over.state)).toEqual(await bytesOf(beside.state))
    for (const one of [over, beside]) {
      one.trainer.dispose()
      one.state.dispose()
    }
  })

  test('in float16 a step that overflows is done again, of the state as it was', async () => {
    // a power of two more or less in the scale leaves the bits of what does not overflow
    const usual = await trained(kind, { precision: 'float16' })
    const high = await trained(kind, { precision: 'float16', lossScale: { scale: 2 ** 40, steps: 0 } })
    expect(high.trainer.lossScale!.scale).toBeLessThan(2 ** 40)
    for (const [i, loss] of high.losses.entries())
      expect(Math.abs(loss / usual.losses[i]! - 1)).toBeLessThan(1e-3)
    for (const one of [usual, high]) {
      one.trainer.dispose()
      one.state.dispose()
    }
  })

  test('what is allocated is what is written, loaded and estimated; 3 steps and 3 more are 6, bit for bit', async () => {
    const extra = { optimizer: { kind }, train: { steps: 6, batchSize: 4 } } as Partial<Run>
    const plan = await checkRun(runs.runOf(kind, extra), { threads: 1 })
    const whole = await runs.start(`${kind}-whole`, extra)
    const first = await runs.stopped(kind, 3, extra)
    expect(first.step).toBe(3)
    const second = await runs.start(kind, extra)
    expect(second.events.find(({ type }) => type === 'start')).toMatchObject({ startStep: 3 })
    expect(await bits(second)).toEqual(await bits(whole))

    const kept = optimizerState(kind, parametersOf(plan.architecture))
    const file = await readSafetensorsHeader(join(second.checkpoint!, 'optimizer.safetensors'))
    expect([...file.tensors].map(([name, { shape }]) => [name, shape])).toEqual(
      kept.map(({ name, shape }) => [name, shape]),
    )
    const bytes = optimizerStateBytes(kind, parametersOf(plan.architecture))
    expect(bytes).toBe([...file.tensors.values()].reduce((sum, { end, begin }) => sum + end - begin, 0))
    expect(plan.estimate.memory.moments).toBe(bytes)
    expect(plan.estimate.checkpointBytes).toBe(4 * parameterCount(plan.architecture) + bytes)

    // and with another optimizer it does not go on
    const other = OPTIMIZER_KINDS.find((one) => one !== kind)!
    const error = await fails(runs.start(kind, { ...extra, optimizer: { kind: other } }))
    expect(error).toMatchObject({ kind: 'usage' })
    expect(error.message).toContain(`optimizer.kind was ${kind} when this run began and is ${other} now`)
  })

  test('two runtimes are compared in all that it keeps', async () => {
    const run = runs.runOf(`${kind}-verified`, { optimizer: { kind } as Run['optimizer'] })
    const cpu = { name: 'cpu', index: 0 } as const
    const { verdict, comparisons } = await verifyRuntimes(run, { on: [cpu, cpu], steps: 3 })
    expect(verdict).toBe('same')
    const seen = new Set(comparisons[0]!.tensors.map(({ kind, name }) => `${kind} ${name}`))
    const { architecture } = await checkRun(run, { threads: 1 })
    for (const { words, parameter } of optimizerState(kind, parametersOf(architecture)))
      expect(seen).toContain(`${words} ${parameter}`)
  })
})

test('a tensor that no state has is said by its name', () => {
  const state = allocateState(runtime, a, 'adamw')
  expect(() => state.current(stateNames.accumulated('model.norm.weight'))).toThrow(
    'the state has no tensor grad/model.norm.weight',
  )
  state.dispose()
})
