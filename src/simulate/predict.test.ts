/** @file Predictions as a whole: their parts add up, and they move the way that they must. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { catalogChips, EXAMPLE_CHIPS, findChip } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import { type Decoder, layerParameters, readDecoder } from '../model/index.ts'
import { CostModel } from './costs.ts'
import { FITTED } from './fitted/values.ts'
import { createSimulator, ratesOf, stepSeconds } from './index.ts'
import { machineOf } from './machine.ts'
import { mixedStepSeconds } from './mixed.ts'
import { type Layout, ONE_CHIP, type Workload } from './types.ts'

const chips = catalogChips()
const [first, second] = EXAMPLE_CHIPS.map((name) => findChip(chips, name).chip)
const decoderOf = (name: string) =>
  readDecoder(JSON.parse(readFileSync(`examples/models/${name}/config.json`, 'utf8')))
const decoder = decoderOf('llama-3-70b')
const workload: Workload = { decoder, sequenceLength: 8192, globalBatch: 256, precision: 'bf16' }
const engine = ENGINES['megatron-lm'].behaviour
const layout: Layout = {
  ...ONE_CHIP,
  tensorParallel: 8,
  sequenceParallel: true,
  pipelineParallel: 4,
  dataParallel: 4,
  recompute: 'selective',
}

describe('a prediction', () => {
  const simulator = createSimulator(workload, machineOf(second!, 128, 'bf16'), engine)
  const prediction = simulator.predict(layout)

  test('adds up', () => {
    const sum = Object.values(prediction.terms).reduce((total, term) => total + term, 0)
    expect(sum).toBeCloseTo(prediction.seconds, 9)
    expect(prediction.seconds).toBe(simulator.seconds(layout))
    expect(prediction.band.low).toBeLessThan(prediction.seconds)
    expect(prediction.band.high).toBeGreaterThan(prediction.seconds)
    expect(prediction.tokensPerSecond * prediction.seconds).toBeCloseTo(256 * 8192, 3)
    expect(prediction.modelFlopsUtilization).toBeGreaterThan(0.2)
    expect(prediction.modelFlopsUtilization).toBeLessThan(0.7)
    expect(prediction.memory).toHaveLength(4)
  })

  test('moves as it must', () => {
    const { seconds } = simulator
    const base = seconds(layout)
    expect(seconds({ ...layout, recompute: 'full' })).toBeGreaterThan(base)
    expect(seconds({ ...layout, recompute: 'none' })).toBeLessThan(base)
    // interleaving shortens the bubble
    expect(seconds({ ...layout, virtualPipeline: 5, schedule: 'interleaved' })).toBeLessThan(base)
    expect(seconds({ ...layout, schedule: 'zero-bubble' })).toBeLessThan(base)
    // an uneven stage makes all wait
    expect(seconds({ ...layout, stageLayers: [26, 18, 18, 18] })).toBeGreaterThan(base)
    const larger = createSimulator({ ...workload, globalBatch: 512 }, machineOf(second!, 128, 'bf16'), engine)
    expect(larger.seconds(layout) / base).toBeGreaterThan(1.7)
    expect(larger.seconds(layout) / base).toBeLessThan(2)
  })
})

describe('chips of several kinds', () => {
  const model = (chip: typeof first, name: keyof typeof ENGINES = 'megatron-lm') => {
    const machine = machineOf(chip!, 128, 'bf16')
    return new CostModel(
      workload,
      machine,
      ENGINES[name].behaviour,
      ratesOf(FITTED, machine, ENGINES[name].behaviour),
    )
  }
  const a = model(second)
  const b = model(first)
  const own = { ...layout, dataParallel: 1 }
  const one = { ...workload, globalBatch: 64 }
  const stages = (models: readonly CostModel[], layers: readonly number[]) =>
    models.map((each, i) => ({ layers: layers[i]!, replicas: [{ model: each, layout: own }] }))

  test('that are one kind after all take as long as the plain simulation says', () => {
    const machine = machineOf(second!, 32, 'bf16')
    const plain = new CostModel(one, machine, engine, ratesOf(FITTED, machine, engine))
    const mixed = mixedStepSeconds(stages([plain, plain, plain, plain], [20, 20, 20, 20]), [64])
    expect(mixed / stepSeconds(plain, own).seconds).toBeCloseTo(1, 1)
  })

  test('are as slow as the slower, and quicker with layers moved to the quicker', () => {
    const even = mixedStepSeconds(stages([a, a, b, b], [20, 20, 20, 20]), [64])
    const alone = mixedStepSeconds(stages([a, a, a, a], [20, 20, 20, 20]), [64])
    const slow = mixedStepSeconds(stages([b, b, b, b], [20, 20, 20, 20]), [64])
    expect(even).toBeGreaterThan(Math.min(alone, slow))
    expect(even).toBeLessThan(Math.max(alone, slow) * 1.05)
    const shifts = [-4, -3, -2, -1, 1, 2, 3, 4].map((by) =>
      mixedStepSeconds(stages([a, a, b, b], [20 + by, 20 + by, 20 - by, 20 - by]), [64]),
    )
    expect(Math.min(...shifts)).toBeLessThan(even)
  })

  test('sum the gradients of experts, and of a table that both ends have', () => {
    const machine = machineOf(second!, 32, 'bf16', { networkBytesPerSecond: 1e9 })
    const rates = { ...ratesOf(FITTED, machine, engine), straggling: 0 }
    const seconds = (decoder: Decoder, change: Partial<Layout>, replicas: number, count: number) => {
      const model = new CostModel({ ...workload, decoder }, machine, engine, rates)
      const each = { ...layout, ...change, dataParallel: replicas, pipelineParallel: count }
      const places = Array.from({ length: replicas }, () => ({ model, layout: each }))
      return mixedStepSeconds(
        Array.from({ length: count }, () => ({ layers: decoder.layers / count, replicas: places })),
        places.map(() => 64),
      )
    }
    const network = 1e9 * rates.networkShare
    const experts = decoderOf('mixtral-8x7b')
    const spread = { expertParallel: 8 }
    // two replicas of one stage, on a server each: half of the gradients out, and sums of as much
    const alone = seconds(experts, spread, 1, 1)
    const { expert } = layerParameters(experts, 'expert')
    expect(seconds(experts, spread, 2, 1) - alone).toBeGreaterThan((experts.layers * expert * 4) / network)
    // each of 8 chips has an eighth of the table
    const tied = seconds({ ...decoder, tiedEmbeddings: true }, {}, 1, 2) - seconds(decoder, {}, 1, 2)
    const table = (decoder.vocabularySize * decoder.hiddenSize) / 8
    expect(tied / ((table * 4) / network)).toBeGreaterThan(1)
    expect(tied / ((table * 4) / network)).toBeLessThan(1.1)
  })
})
