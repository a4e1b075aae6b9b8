/** @file Runs on two pools: what is known of a pool changes nothing, a thin link leaves one pool, a layout is explained beside a known best. */

import { expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import { readDecoder } from '../model/index.ts'
import { machineOf, parseLayout } from '../simulate/index.ts'
import { explainLayout, type Pool, planLayouts, planPools } from './index.ts'

const decoder = readDecoder({
  model_type: 'llama',
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  num_key_value_heads: 8,
  vocab_size: 32_000,
})
const workload = { decoder, sequenceLength: 4096, globalBatch: 64, precision: 'bf16' } as const
const machine = (id: string, count: number) =>
  machineOf(catalogChips().find((chip) => chip.id === id)!, count, 'bf16', { networkBytesPerSecond: 25e9 })
const pools: Pool[] = [
  { name: 'one', machine: machine('a100-80gb-sxm', 16), engine: ENGINES['megatron-lm'] },
  { name: 'other', machine: machine('h100-sxm', 8), engine: ENGINES['megatron-lm'] },
]
const fast = { bytesPerSecond: 400e9, latency: 1e-5 }

test('joins pools where that is faster, and each way adds up', () => {
  const { best, plans } = planPools({ workload, pools, link: fast, tokens: 1e9 })
  expect(new Set(plans.map(({ way }) => way))).toEqual(new Set(['alone', 'replicas', 'pipeline']))
  expect(best!.way).not.toBe('alone')
  for (const { way, parts, seconds } of plans) {
    const sum = (of: 'batch' | 'layers') => parts.reduce((total, part) => total + part[of], 0)
    if (way === 'replicas') expect(sum('batch')).toBe(64)
    if (way === 'pipeline') expect(sum('layers')).toBe(24)
    expect(seconds).toBeGreaterThanOrEqual(Math.max(...parts.map((part) => part.seconds)) * 0.999)
  }
})

test('answers the same where the best of each pool is known', () => {
  const known = pools.map((pool) => {
    const [alone] = planLayouts({ workload, ...pool, top: 1, reasons: false }).best
    return { ...pool, alone: alone! }
  })
  const seconds = (some: readonly Pool[]) =>
    planPools({ workload, pools: some, link: fast }).plans.map((plan) => plan.seconds)
  expect(seconds(known)).toEqual(seconds(pools))
})

test('leaves a pool out where the link is too thin', () => {
  const { best } = planPools({ workload, pools, link: { bytesPerSecond: 1e6, latency: 1 } })
  expect(best!.way).toBe('alone')
})

test('explains a layout beside a best that is known', () => {
  const request = { workload, machine: pools[0]!.machine, engine: pools[0]!.engine }
  const layout = parseLayout('tp4 pp2 recompute=full', 16)
  const [best] = planLayouts({ ...request, top: 1, reasons: false }).best
  expect(explainLayout(request, layout, best).lines).toEqual(explainLayout(request, layout).lines)
})
