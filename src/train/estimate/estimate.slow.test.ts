/** @file The estimate of memory against what the runtime takes. */
import { describe, expect, test } from 'vitest'
import { RegaugeError } from '../../errors.ts'
import {
  type Architecture,
  FAMILY_NAMES,
  PRESETS,
  parameterCount,
  presetConfig,
  readArchitecture,
} from '../../model/index.ts'
import { createRuntime, type Runtime } from '../../runtime/index.ts'
import { allocateState, initializeState } from '../state.ts'
import { type StepPrograms, stepPrograms, type TrainerOptions } from '../step-programs.ts'
import { createTrainer } from '../trainer.ts'
import { estimateBySample, estimateTraining, estimateWithin, leastMemory } from './estimate.ts'

const architecture = readArchitecture({ ...PRESETS.nano, vocab_size: 1024 })
const options: TrainerOptions = {
  batchSize: 4,
  microBatchSize: 4,
  sequenceLength: 128,
  recompute: 'none',
  optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
}

/** The families but for one of the two names of Gemma 3. */
const FAMILIES = FAMILY_NAMES.filter((name) => name !== 'gemma3')

/** Bytes at the fullest moment of the arena, over two steps. */
async function measuredPeak(a: Architecture): Promise<number> {
  const runtime = createRuntime({ name: 'cpu', threads: 1 })
  const state = allocateState(runtime, a, 'adamw')
  await initializeState(state, a, 1)
  const trainer = await createTrainer(runtime, a, state, options)
  const ids = new Int32Array(512).map((_, i) => (i * 7) % 1024)
  for (let step = 1; step <= 2; step++) await trainer.step({ ids, labels: ids }, step, 1e-3)
  const { peak } = runtime.memory()!
  runtime.dispose()
  return peak
}

// one of each kind of norm, of MLP and of attention
test.each(['llama', 'gemma2', 'gpt2'] as const)('comes near the peak of the arena: %s', async (family) => {
  const a = readArchitecture(presetConfig('nano', family, { vocabularySize: 1024 }))
  const { memory, memoryBytes } = estimateTraining(a, options)
  expect(memory.weights).toBe(4 * parameterCount(a))
  expect(memoryBytes).toBe(Object.values(memory).reduce((sum, term) => sum + term, 0))
  const work = memory.gradients + memory.activations + memory.logits
  const share = work / (await measuredPeak(a))
  expect(share).toBeGreaterThan(0.75)
  expect(share).toBeLessThan(1.4)
})

test.each(FAMILIES)('a sample of layers tells of more of them, and a bound of the least: %s', (family) => {
  const of = (layers: number) => {
    const sizes = family === 'gpt2' ? { n_layer: layers, n_embd: 32 } : { num_hidden_layers: layers }
    return readArchitecture({ ...presetConfig('nano', family, { vocabularySize: 1024 }), ...sizes })
  }
  const some = { ...options, sequenceLength: 136, recompute: 'selective' } as const
  // the sixth layer of Gemma 3 sees everything, and is in no sample
  const whole = estimateTraining(of(9), some)
  expect(estimateBySample(of(9), some).estimate).toEqual(whole)
  const least = Object.values(leastMemory(of(9), some)).reduce((sum, term) => sum + term, 0)
  expect(least).toBeLessThanOrEqual(whole.memoryBytes)
})

test('recomputing and smaller micro-batches take less', () => {
  const bytes = (extra: Partial<TrainerOptions>) =>
    estimateTraining(architecture, { ...options, ...extra }).memory.activations
  expect(bytes({ recompute: 'layer' })).toBeLessThan(bytes({}))
  expect(bytes({ microBatchSize: 1 })).toBeLessThan(bytes({}))
})

test('grows with the micro-batch, not faster', () => {
  const bytes = (batchSize: number) => {
    const shape = { batchSize, microBatchSize: batchSize, sequenceLength: 32 }
    return estimateTraining(architecture, { ...options, ...shape, recompute: 'selective' }).memory.activations
  }
  expect(bytes(2048) / bytes(1024)).toBeLessThan(2.05)
})

describe.each([
  { recompute: 'none', precision: 'float32', microBatchSize: 4, sequenceLength: 16 },
  { recompute: 'selective', precision: 'float32', microBatchSize: 2, sequenceLength: 136 },
  { recompute: 'selective', precision: 'float16', microBatchSize: 4, sequenceLength: 136 },
  { recompute: 'layer', precision: 'float16', microBatchSize: 2, sequenceLength: 16 },
] as const)('$recompute, $precision, $microBatchSize x $sequenceLength', (kind) => {
  const some = { ...options, ...kind }
  const of = (num_hidden_layers: number) =>
    readArchitecture({ ...PRESETS.nano, vocab_size: 1024, hidden_size: 32, num_hidden_layers })

  let whole: StepPrograms | undefined
  test.each([true, false])('a sample of layers tells of more of them, in place: %s', (inPlace) => {
    const place = { on: 'host', inPlace } as const
    const { estimate } = estimateBySample(of(9), some, place)
    whole ??= stepPrograms(of(9), some)
    expect(estimate).toEqual(estimateTraining(of(9), some, whole, place))
  })

  test('the bound without graphs stays below', () => {
    const least = Object.values(leastMemory(of(3), some)).reduce((sum, term) => sum + term, 0)
    expect(least).toBeLessThanOrEqual(estimateTraining(of(3), some).memoryBytes)
  })
})

test('too little memory is an error that names the terms, the largest first', () => {
  const little = { on: 'host', inPlace: true, bytes: 2 ** 24 } as const
  expect(() => estimateWithin(architecture, options, little)).toThrow(RegaugeError)
  expect(() => estimateWithin(architecture, options, little)).toThrow(
    /of the host's memory or more, there is 0.02 GiB; the most is for process/,
  )
})

describe('on a device that does not write state over itself', () => {
  const device = { on: 'device', inPlace: false, bytes: null } as const
  const small = { ...options, batchSize: 2, microBatchSize: 1, sequenceLength: 16 }

  test("state is counted twice, and the process is the host's", () => {
    const { memory } = estimateTraining(architecture, options, undefined, device)
    const parameters = parameterCount(architecture)
    expect(memory).toMatchObject({ weights: 8 * parameters, moments: 16 * parameters, process: 0 })
  })

  test.each([2, 1])('in micro-batches of %i that is what the tensors take', async (microBatchSize) => {
    const shape = { ...small, microBatchSize }
    const allocated = async (inPlace: boolean): Promise<number> => {
      const runtime = createRuntime({ name: 'cpu', threads: 1 })
      let bytes = 0
      const counting: Runtime = {
        ...runtime,
        allocate(spec) {
          const tensor = runtime.allocate(spec)
          bytes += tensor.byteLength
          return tensor
        },
      }
      const state = allocateState(counting, architecture, 'adamw')
      await initializeState(state, architecture, 1)
      const trainer = await createTrainer(counting, architecture, state, { ...shape, inPlace })
      const ids = new Int32Array(32).map((_, i) => i)
      for (let step = 1; step <= 2; step++) await trainer.step({ ids, labels: ids }, step, 1e-3)
      trainer.dispose()
      state.dispose()
      runtime.dispose()
      return bytes
    }
    const estimated = (inPlace: boolean): number =>
      estimateTraining(architecture, shape, undefined, { on: 'host', inPlace }).memoryBytes
    expect(estimated(false) - estimated(true)).toBe((await allocated(false)) - (await allocated(true)))
  })

  test('its own memory is what counts, where that is known', () => {
    const within = (bytes: number | null) => estimateWithin(architecture, small, { ...device, bytes })
    expect(() => within(2 ** 24)).toThrow(
      /of the device's memory or more, there is 0.02 GiB; the most is for moments/,
    )
    expect(within(null).estimate).toEqual(within(2 ** 40).estimate)
  })
})
