/** @file What check says of a run on a device of its own. */
import { expect, test } from 'vitest'
import { createRuntime } from '../src/runtime/index.ts'
import { requirePrecision } from '../src/train/kernels.ts'
import { checkRun } from '../src/train/plan.ts'
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
