/** @file The estimate of memory against what the runtime takes. */
import { expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { PRESETS, parameterCount, readArchitecture } from '../model/index.ts'
import { createRuntime } from '../runtime/index.ts'
import { estimateTraining, estimateWithin } from './estimate.ts'
import { allocateState, initializeState } from './state.ts'
import { createTrainer, type TrainerOptions } from './trainer.ts'

const architecture = readArchitecture({ ...PRESETS.nano, vocab_size: 1024 })
const options: TrainerOptions = {
  batchSize: 4,
  microBatchSize: 4,
  sequenceLength: 128,
  recompute: 'none',
  optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
}

test('comes near the peak of the arena', async () => {
  const { memory, memoryBytes } = estimateTraining(architecture, options)
  expect(memory.weights).toBe(4 * parameterCount(architecture))
  expect(memoryBytes).toBe(Object.values(memory).reduce((sum, term) => sum + term, 0))
  const runtime = createRuntime({ name: 'cpu', threads: 1 })
  const state = allocateState(runtime, architecture, { moments: true })
  await initializeState(state, architecture, 1)
  const trainer = await createTrainer(runtime, architecture, state, options)
  const ids = new Int32Array(512).map((_, i) => (i * 7) % 1024)
  for (let step = 1; step <= 2; step++) await trainer.step({ ids, labels: ids }, step, 1e-3)
  const work = memory.gradients + memory.activations + memory.logits
  expect(work / runtime.memory()!.peak).toBeGreaterThan(0.75)
  expect(work / runtime.memory()!.peak).toBeLessThan(1.4)
  runtime.dispose()
})

test('recomputing and smaller micro-batches take less', () => {
  const bytes = (extra: Partial<TrainerOptions>) =>
    estimateTraining(architecture, { ...options, ...extra }).memory.activations
  expect(bytes({ recompute: 'layer' })).toBeLessThan(bytes({}))
  expect(bytes({ microBatchSize: 1 })).toBeLessThan(bytes({}))
})

test('too little memory is an error that names the terms, the largest first', () => {
  expect(() => estimateWithin(architecture, options, 2 ** 24)).toThrow(RegaugeError)
  expect(() => estimateWithin(architecture, options, 2 ** 24)).toThrow(
    /there is 0.02 GiB; the most is for process/,
  )
})
