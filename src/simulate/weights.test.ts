/** @file What chips hold of a model's weights, against the model's own count and against what a step moves. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { type Decoder, decoderParameters, readDecoder } from '../model/index.ts'
import {
  CostModel,
  createMemoryModel,
  ENGINES,
  type Engine,
  FITTED,
  type Layout,
  machineOf,
  ONE_CHIP,
  ratesOf,
  stageSums,
  stepSeconds,
} from './index.ts'

const ENGINE: Engine = ENGINES['megatron-lm']
const CHIP = catalogChips().find(({ id }) => id === 'h100-sxm')!

function decoder(name: string): Decoder {
  return readDecoder(JSON.parse(readFileSync(`examples/models/${name}/config.json`, 'utf8')))
}

function costsOf(decoder: Decoder, sequenceLength = 4096, engine = ENGINE): CostModel {
  const machine = machineOf(CHIP, 1024, 'bf16', { networkBytesPerSecond: 25e9 })
  const workload = { decoder, sequenceLength, globalBatch: 512, precision: 'bf16' } as const
  return new CostModel(workload, machine, engine, ratesOf(FITTED, machine, engine))
}

const MODELS = ['gpt3-175b', 'bloom-176b', 'llama-3.1-405b', 'mixtral-8x7b', 'deepseek-v3']

describe.each(MODELS)('%s', (name) => {
  const d = decoder(name)
  const split = { tensorParallel: 8, sequenceParallel: true }
  const spread = d.experts === null ? {} : { expertParallel: 8 }

  test('has all its parameters on one chip', () => {
    const { dense, expert } = costsOf(d, 4096, { ...ENGINE, vocabularyMultiple: 1 }).elements(
      ONE_CHIP,
      0,
      d.layers,
      true,
      true,
    )
    const { total, predictionLayers } = decoderParameters(d)
    expect(dense + expert).toBe(total + predictionLayers)
  })

  test.each<[string, Partial<Layout>]>([
    ['whole', {}],
    ['split', split],
    ['split, with experts spread', { ...split, ...spread }],
    ['in stages', { pipelineParallel: 8 }],
    ['in stages, most layers on the last', { pipelineParallel: 2, stageLayers: [1, d.layers - 1] }],
    ['in stages, most layers on the first', { pipelineParallel: 2, stageLayers: [d.layers - 1, 1] }],
    ['folded', { pipelineParallel: 8, schedule: 'dualpipe-v' }],
  ])('updates until the chip that holds the most weights is done: %s', (_, more) => {
    const costs = costsOf(d)
    // nothing shared: each chip updates all that it holds
    const layout: Layout = { ...ONE_CHIP, dataParallel: 8, zeroStage: 0, ...more }
    const held = createMemoryModel(costs.workload, ENGINE).stages(layout)
    const most = Math.max(...held.map(({ terms }) => terms.weights)) / 2
    // gradients of 4 bytes read twice; master weights and moments read and written; the weights written
    const bytes = most * (2 * 4 + 6 * 4 + 2)
    const { machine, rates } = costs
    const seconds = bytes / (machine.memoryBytesPerSecond * rates.bandwidth)
    expect(stepSeconds(costs, layout).optimizer / seconds).toBeCloseTo(1, 12)
  })
})

test('the exchange waits for the stage with the most weights, though another computes longer', () => {
  // attention to all tokens takes long and holds little: experts behind it see few tokens each, and hold much
  const mixtral = decoder('mixtral-8x7b')
  const half = mixtral.layers / 2
  const d: Decoder = {
    ...mixtral,
    expertLayers: mixtral.expertLayers.map((_, layer) => layer >= half),
    windows: mixtral.windows.map((_, layer) => (layer >= half ? 16 : undefined)),
  }
  const costs = costsOf(d, 262_144, { ...ENGINE, overlapsData: false })
  const exchanged = (pipelineParallel: number) => {
    const layout: Layout = { ...ONE_CHIP, pipelineParallel, dataParallel: 8, expertParallel: 2 }
    return stepSeconds(costs, layout).dataCommunication
  }
  const sums = stageSums(costs, { ...ONE_CHIP, pipelineParallel: 2 })
  const attention = costs.stage({ ...ONE_CHIP, pipelineParallel: 2 }, 0, half, 0, true, false)
  expect(sums.slowest).toEqual(attention)
  // more than half of the weights are those of the second stage
  expect(exchanged(2) / exchanged(1)).toBeGreaterThan(0.5)
})
