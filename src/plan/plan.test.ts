/** @file Plans of small runs: what is answered besides the best layout. */

import { expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES, violations } from '../engines/index.ts'
import { RegaugeError } from '../errors.ts'
import { readDecoder } from '../model/index.ts'
import { createSimulator, machineOf } from '../simulate/index.ts'
import { explainLayout, fewestChips, frontier, type PlanRequest, planLayouts, planPools } from './index.ts'

const chip = catalogChips().find(({ id }) => id === 'a100-40gb-sxm')!

function requestOf(chips: number, over: Partial<PlanRequest> = {}, layers = 24): PlanRequest {
  const decoder = readDecoder({
    model_type: 'llama',
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    vocab_size: 32000,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: false,
  })
  return {
    workload: { decoder, sequenceLength: 4096, globalBatch: 64, precision: 'bf16' },
    machine: machineOf(chip, chips, 'bf16'),
    engine: ENGINES['megatron-lm'],
    ...over,
  }
}

test('every layout can be launched, fits, and takes what the simulator says', () => {
  const request = requestOf(16, { top: 20, reasons: false })
  const { best } = planLayouts(request)
  expect(best).toHaveLength(20)
  for (const { layout, chips, idle, seconds, prediction, peakBytes, memoryBytes } of best) {
    expect(violations(layout, request.workload, chips, request.engine)).toEqual([])
    expect(chips + idle).toBe(16)
    expect(peakBytes).toBeLessThanOrEqual(memoryBytes)
    const machine = { ...request.machine, count: chips }
    expect(createSimulator(request.workload, machine, request.engine.behaviour).seconds(layout)).toBe(seconds)
    expect(prediction.seconds).toBe(seconds)
  }
  expect(best.map(({ seconds }) => seconds)).toEqual(best.map(({ seconds }) => seconds).sort((a, b) => a - b))
})

test('says why no chunks are possible, not that there are none', () => {
  const { rejected } = planLayouts(requestOf(16, { top: 1, engine: ENGINES['mindspeed-llm'] }, 23))
  const interleaved = rejected.find(({ aspect, value }) => aspect === 'schedule' && value === 'interleaved')
  expect(interleaved).toMatchObject({ kind: 'not possible' })
  expect(interleaved!.reason).toMatch(
    /layers do not divide into \d+ stages of 2 chunks|needs pipeline parallelism/,
  )
})

test('tells what others lost by being too slow from what they lost by not fitting', () => {
  const [best] = planLayouts(requestOf(16, { top: 1, reasons: false })).best
  const { rejected } = planLayouts(requestOf(16, { top: 1, maximumSeconds: best!.seconds * 1.001 }))
  expect(rejected.map(({ kind }) => kind)).toContain('too slow')
  for (const { kind, shortage, reason } of rejected) {
    if (kind === 'too slow') expect(shortage!.over).toBeLessThanOrEqual(0)
    if (kind === 'does not fit') expect(shortage!.over).toBeGreaterThan(0)
    expect(reason.includes('too long')).toBe(kind === 'too slow')
  }
})

test('says why others lost', () => {
  const { best, rejected } = planLayouts(requestOf(16))
  const reasons = rejected.map(({ reason }) => reason)
  expect(new Set(rejected.map(({ kind }) => kind))).toContain('slower')
  for (const { kind, ratio, value, aspect } of rejected) {
    expect(best[0]!.layout[aspect]).not.toBe(value)
    if (kind === 'slower') expect(ratio).toBeGreaterThan(1)
  }
  expect(reasons.find((reason) => reason.startsWith('recompute full: '))).toMatch(
    /% slower \(.* s a step.*\): /,
  )
})

test('leaves chips idle where their number does not divide', () => {
  const { best } = planLayouts(requestOf(17, { reasons: false, top: 1 }))
  expect(best[0]).toMatchObject({ chips: 16, idle: 1 })
})

test('says what is nearest and what helps where nothing fits', () => {
  const { best, nearest, remedies } = planLayouts(requestOf(1, {}, 64))
  expect(best).toEqual([])
  expect(nearest!.over).toBeGreaterThan(0)
  expect(remedies.join('\n')).toMatch(/\d+ chips of the same kind would hold it/)
  const chips = Number(remedies.join('\n').match(/(\d+) chips of the same kind/)![1])
  expect(planLayouts(requestOf(chips, { reasons: false }, 64)).best).not.toEqual([])
})

test('names what is wrong with a request, all of it', () => {
  const bad = (over: Partial<PlanRequest>) => {
    try {
      planLayouts(requestOf(16, over))
    } catch (error) {
      expect(error).toBeInstanceOf(RegaugeError)
      return (error as RegaugeError).issues.map(({ message, hint }) => `${message}: ${hint}`)
    }
    return []
  }
  expect(bad({ fixed: { tensorParallel: 5, microBatch: 7 } })).toEqual([
    'tensorParallel 5 does not divide the attention heads, 32: 4 and 8 do',
    'microBatch 7 does not divide the global batch, 64: 4 and 8 do',
  ])
  expect(bad({ fixed: { pipelineParallel: 40 } })[0]).toContain(
    'no layout has pipelineParallel 40 on 16 chips',
  )
  expect(bad({ fixed: { schedule: 'dualpipe' } })[0]).toContain('this engine runs 1f1b, interleaved')
  expect(bad({ top: 0, tokens: -1 })).toEqual([
    'the number of layouts to answer is 0: give an integer from 1 to 1000',
    'the number of tokens of the run is -1: give a number above 0',
  ])
})

test('days, energy and money follow from tokens, watts and a price', () => {
  const { best } = planLayouts(requestOf(16, { tokens: 1e12, pricePerChipHour: 2, reasons: false, top: 1 }))
  const { cost, prediction, chips } = best[0]!
  expect(cost.days).toBeCloseTo(1e12 / prediction.tokensPerSecond / 86_400)
  expect(cost.energy).toBeCloseTo(cost.days! * 24 * chips * 0.4)
  expect(cost.money).toBeCloseTo(cost.days! * 24 * chips * 2)
  const machine = { ...requestOf(16).machine, watts: null }
  const unknown = planLayouts(requestOf(16, { machine, tokens: 1e12, reasons: false, top: 1 })).best[0]!.cost
  expect(unknown.energy).toBeNull()
  expect(unknown.missing).toEqual([
    'the power of a100-40gb-sxm, which nobody published',
    'the price of a chip-hour',
  ])
})

test('fewer chip-seconds take fewer chips', () => {
  const time = planLayouts(requestOf(64, { reasons: false, top: 1 })).best[0]!
  const frugal = planLayouts(requestOf(64, { reasons: false, top: 1, objective: 'chip-time' })).best[0]!
  expect(frugal.seconds * frugal.chips).toBeLessThanOrEqual(time.seconds * time.chips)
  expect(frugal.chips).toBeLessThan(64)
})

test('more chips take fewer days; the fewest that end in time are found', () => {
  const request = requestOf(64, { tokens: 1e11 })
  const points = frontier(request, [8, 16, 32])
  const days = points.map(({ planned }) => planned!.cost.days!)
  expect(days).toEqual([...days].sort((a, b) => b - a))
  expect(fewestChips(request, days[1]!, [8, 16, 32])?.count).toBe(16)
  expect(fewestChips(request, days[2]! / 2, [8, 16, 32])).toBeUndefined()
})

test('explains a layout beside the best', () => {
  const request = requestOf(16)
  const best = planLayouts({ ...request, reasons: false }).best[0]!
  const worse = explainLayout(request, { ...best.layout, recompute: 'full' })
  expect(worse.ratio).toBeGreaterThan(1)
  expect(worse.lost[0]!.term).toBe('recompute')
  const broken = explainLayout(request, { ...best.layout, dataParallel: 100 })
  expect(broken.violations.join('\n')).toContain('are needed, there are 16')
})

test('two pools do better together over a fast network, and apart over a slow one', () => {
  const { workload, engine } = requestOf(16)
  const pools = [
    { name: 'old', machine: machineOf(chip, 16, 'bf16'), engine },
    {
      name: 'new',
      machine: machineOf(catalogChips().find(({ id }) => id === 'h100-sxm')!, 16, 'bf16'),
      engine,
    },
  ]
  const fast = planPools({ workload, pools, link: { bytesPerSecond: 400e9, latency: 1e-4 } })
  expect(fast.best!.way).not.toBe('alone')
  expect(fast.best!.parts.map(({ pool }) => pool).sort()).toEqual(['new', 'old'])
  const slow = planPools({ workload, pools, link: { bytesPerSecond: 1e7, latency: 1e-1 } })
  expect(slow.best).toMatchObject({ way: 'alone', parts: [{ pool: 'new' }] })
  for (const { parts, way } of fast.plans) {
    if (way === 'replicas') expect(parts.reduce((sum, { batch }) => sum + batch, 0)).toBe(64)
    if (way === 'pipeline') expect(parts.reduce((sum, { layers }) => sum + layers, 0)).toBe(24)
  }
  expect(() => planPools({ workload, pools: [], link: { bytesPerSecond: 0, latency: 0 } })).toThrow(
    'no pool of chips',
  )
}, 60_000)

test('what fits and is too slow is told from what does not fit', () => {
  const slow = planLayouts(requestOf(16, { maximumSeconds: 1e-6, tokens: 1e12 }))
  expect(slow.best).toEqual([])
  expect(slow.nearest).toBeUndefined()
  const fastest = planLayouts(requestOf(16, { tokens: 1e12, reasons: false, top: 1 })).best[0]!
  expect(slow.fastest).toEqual(fastest)
  expect(slow.remedies).toEqual([
    expect.stringMatching(/^the fastest that fits, tp.*, takes [\d.]+ m?s a step, \d+ days for the run$/),
  ])
  const small = { ...requestOf(16).machine, memoryBytes: 1e6 }
  const full = planLayouts(requestOf(16, { maximumSeconds: 1e-6, machine: small }))
  expect(full.fastest).toBeUndefined()
  expect(full.nearest!.over).toBeGreaterThan(0)
})
