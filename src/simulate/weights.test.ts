/** @file What chips hold of a model's weights, against the model's own count and against what a step moves. */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import { type Decoder, decoderParameters, readDecoder } from '../model/index.ts'
import {
  type Behaviour,
  CostModel,
  createMemoryModel,
  FITTED,
  type Layout,
  machineOf,
  ONE_CHIP,
  type PassSeconds,
  ratesOf,
  stageSeconds,
  stageSums,
  stepSeconds,
} from './index.ts'

const ENGINE: Behaviour = ENGINES['megatron-lm'].behaviour
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
    ['from both ends', { pipelineParallel: 8, schedule: 'dualpipe' }],
    ['folded', { pipelineParallel: 8, schedule: 'dualpipe-v' }],
    ['folded, of passes apart', { pipelineParallel: 8, schedule: 'zb-v' }],
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

test('shared weights of experts are gathered for the layers that have some', () => {
  const mixtral = decoder('mixtral-8x7b')
  const messages = (experts: number) => {
    const d = { ...mixtral, expertLayers: mixtral.expertLayers.map((_, layer) => layer < experts) }
    const costs = costsOf(d, 4096, { ...ENGINE, overlapsData: false })
    // where bytes take no time, messages do
    const links = costs.machine.links.map((link) => ({ ...link, bytesPerSecond: Number.POSITIVE_INFINITY }))
    const endless = new CostModel(costs.workload, { ...costs.machine, links }, costs.engine, costs.rates)
    return stepSeconds(endless, { ...ONE_CHIP, dataParallel: 64, zeroStage: 3 }).dataCommunication
  }
  const { layers } = mixtral
  expect(messages(layers / 4) / messages(0)).toBeCloseTo(1.25, 12)
  expect(messages(layers) / messages(0)).toBeCloseTo(2, 12)
})

describe("an optimizer's state in the host's memory", () => {
  const d = decoder('llama-3-70b')
  const layout: Layout = { ...ONE_CHIP, tensorParallel: 8, sequenceParallel: true, pipelineParallel: 4 }
  const held = createMemoryModel(costsOf(d).workload, ENGINE).stages(layout)
  const most = Math.max(...held.map(({ terms }) => terms.weights)) / 2
  const bus = 32e9
  const update = (engine: Behaviour) =>
    stepSeconds(costsOf(d, 4096, engine), { ...layout, offloadOptimizer: true }).optimizer

  test('that is updated there waits for the bus and for that memory', () => {
    // gradients of 4 bytes there, weights of 2 back; moments and master weights are read and written besides
    const least = (most * 6) / bus + (most * 24) / 51.2e9
    expect(update(ENGINE)).toBeGreaterThan(least)
    expect(update(ENGINE)).toBeLessThan(1.5 * least)
  })

  test('that is updated on the chip goes both ways over the bus', () => {
    expect(update({ ...ENGINE, updatesOnHost: false })).toBeCloseTo((most * 12) / bus, 12)
  })
})

describe('pipelines from both ends', () => {
  const d = decoder('deepseek-v3')
  const costs = costsOf(d)
  const plain: Layout = { ...ONE_CHIP, pipelineParallel: 4, zeroStage: 0, expertParallel: 1 }
  const both: Layout = { ...plain, schedule: 'dualpipe' }

  test('hold two stages a chip, and one table of embeddings where both ends need it', () => {
    const memory = createMemoryModel(costs.workload, ENGINE)
    const weights = (layout: Layout) => memory.stages(layout).map(({ terms }) => terms.weights)
    const [first, second, third, last] = weights(plain)
    const table = 2 * d.vocabularySize * d.hiddenSize
    expect(weights(both)).toEqual([
      first! + last! - table,
      second! + third!,
      second! + third!,
      first! + last! - table,
    ])
  })

  test('sum the gradients of their two copies, even of one replica', () => {
    // one replica has nobody else to exchange with, but for the table that its ends share
    const table = stepSeconds(costs, plain).dataCommunication
    const exchanged = stepSeconds(costs, both).dataCommunication
    const { machine, rates } = costs
    const [chip] = createMemoryModel(costs.workload, ENGINE).stages(both)
    const way = Math.max(...machine.links.map(({ bytesPerSecond }) => bytesPerSecond)) * rates.linkShare
    // each of two chips sends half of what it has, and the other half's sum
    expect(chip!.terms.weights / 2).toBeGreaterThan(1e9)
    expect(exchanged).toBeGreaterThan(table)
    expect(exchanged).toBeGreaterThan(((chip!.terms.weights / 2) * 4 * rates.exposed) / way)
  })

  test('compute on each chip for half of the micro-batches of either stage', () => {
    const { slowest, all } = stageSums(costs, both)
    const stages = [0, 1, 2, 3].map((stage) =>
      stageSeconds(costs, plain, stage, 15 * stage + (stage > 1 ? 1 : 0), stage === 1 ? 16 : 15),
    )
    const pass = ({ forward, backward }: PassSeconds) => forward + backward
    const [first, second, third, last] = stages.map(pass)
    expect(pass(slowest)).toBeCloseTo(Math.max(first! + last!, second! + third!) / 2, 12)
    expect(pass(all)).toBeCloseTo(first! + second! + third! + last!, 12)
  })
})
