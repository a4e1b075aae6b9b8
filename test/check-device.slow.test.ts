/** @file What check says of a run on a device of its own. */
import { expect, test } from 'vitest'
import { readArchitecture } from '../src/model/index.ts'
import { createRuntime } from '../src/runtime/index.ts'
import { peakOf } from '../src/train/estimate/peak.ts'
import { checkRun } from '../src/train/estimate/preview.ts'
import { legalizeProgram, requirePrecision } from '../src/train/kernels.ts'
import { stepPrograms } from '../src/train/step-programs.ts'
import { missingRuntime } from './runtimes.ts'
import { openRuns } from './whole-runs.ts'

const { runOf } = openRuns()

test.skipIf(missingRuntime('webgpu') !== undefined)('the memory is that of the device', async () => {
  const host = await checkRun(runOf('planned'), { threads: 1 })
  const plan = await checkRun(runOf('planned'), { on: { name: 'webgpu', index: 0 } })
  expect(plan.memoryOn).toBe('device')
  expect(plan.estimate.memory).toMatchObject({
    weights: 2 * host.estimate.memory.weights,
    moments: 2 * host.estimate.memory.moments,
    process: 0,
  })
})

test.skipIf(missingRuntime('webgpu') !== undefined)('16 bits are asked of the device itself', async () => {
  const runtime = createRuntime({ name: 'webgpu' })
  await requirePrecision(runtime, 'float32')
  // software devices are without it, GPUs may be
  const problem = await requirePrecision(runtime, 'float16').catch((error: Error) => error.message)
  if (problem !== undefined)
    expect(problem).toMatch(/^float16 on webgpu needs a device with shader-f16 \(ONNX Runtime .*requires f16/)
  expect(runtime.memory()).toBeNull()
  runtime.dispose()
})

test.each(['selective', 'layer'] as const)(
  'what a device needs rewritten keeps no more, recomputing %s',
  (recompute) => {
    const a = readArchitecture({
      model_type: 'llama',
      vocab_size: 256,
      hidden_size: 64,
      intermediate_size: 128,
      num_hidden_layers: 6,
      num_attention_heads: 2,
      num_key_value_heads: 2,
      tie_word_embeddings: true,
    })
    const { train } = stepPrograms(a, {
      batchSize: 2,
      microBatchSize: 2,
      sequenceLength: 64,
      recompute,
      optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
    })
    const total = (peak: object) => Object.values(peak).reduce((sum: number, bytes: number) => sum + bytes, 0)
    expect(total(peakOf(legalizeProgram(train, 'webgpu'))) / total(peakOf(train))).toBeLessThan(1.05)
  },
)
