/** @file Pools of different chips: which way of joining them is found, and that it agrees with one pool. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { catalogChips, EXAMPLE_CHIPS, findChip } from '../chips/index.ts'
import { readDecoder } from '../model/index.ts'
import { ENGINES, machineOf, type Workload } from '../simulate/index.ts'
import { planFleet } from './index.ts'

const chip = findChip(catalogChips(), EXAMPLE_CHIPS[1]).chip
const config = JSON.parse(readFileSync('examples/models/llama-3-70b/config.json', 'utf8'))
const workload: Workload = {
  decoder: {
    ...readDecoder(config),
    layers: 8,
    windows: Array(8).fill(undefined),
    expertLayers: Array(8).fill(false),
  },
  sequenceLength: 4096,
  globalBatch: 16,
  precision: 'bf16',
}
const pool = (name: string, count: number) => ({
  name,
  machine: machineOf(chip, count, 'bf16', { networkBytesPerSecond: 25e9 }),
  engine: ENGINES['megatron-lm'],
})
const FAST = { bytesPerSecond: 1e12, latency: 1e-5 }

test('two pools alike, well joined, take half as long as one, and no less than both as one', () => {
  const { plans, impossible } = planFleet({ workload, pools: [pool('a', 8), pool('b', 8)], link: FAST })
  expect(impossible).toEqual([])
  expect(new Set(plans.map(({ way }) => way))).toEqual(new Set(['alone', 'replicas', 'pipeline']))
  const least = (way: string) =>
    Math.min(...plans.filter((plan) => plan.way === way).map((plan) => plan.seconds))
  expect(least('replicas') / least('alone')).toBeGreaterThan(0.5)
  expect(least('replicas') / least('alone')).toBeLessThan(0.65)
  expect(least('pipeline') / least('alone')).toBeGreaterThan(0.5)
  const [one] = planFleet({ workload, pools: [pool('both', 16)], link: FAST }).plans
  expect(least('pipeline')).toBeGreaterThan(0.98 * one!.seconds)
  for (const { parts, way } of plans) {
    const layers = parts.reduce((sum, part) => sum + part.layers, 0)
    const batch = parts.reduce((sum, part) => sum + part.batch, 0)
    expect(way === 'pipeline' ? layers : batch).toBe(way === 'pipeline' ? 8 : 16)
  }
})

test('over a slow link one pool alone is best', () => {
  const slow = { bytesPerSecond: 1e6, latency: 0.1 }
  const { best } = planFleet({ workload, pools: [pool('a', 16), pool('b', 8)], link: slow })
  expect(best).toMatchObject({ way: 'alone', crossing: 0 })
  expect(best!.parts.map((part) => part.pool)).toEqual(['a'])
})
