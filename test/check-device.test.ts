/** @file What check says of a run on a device of its own. */
import { expect, test } from 'vitest'
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
