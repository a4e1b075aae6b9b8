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
  stepSeconds,
} from './index.ts'

const ENGINE: Engine = ENGINES['megatron-lm']
const CHIP = catalogChips().find(({ id }) => id === 'h100-sxm')!

function decoder(name: string): Decoder {
  return readDecoder(JSON.parse(readFileSync(`examples/models/${name}/config.json`, 'utf8')))
}

function costsOf(decoder: Decoder, engine = ENGINE): CostModel {
  const machine = machineOf(CHIP, 1024, 'bf16', { networkBytesPerSecond: 25e9 })
  const workload = { decoder, sequenceLength: 4096, globalBatch: 512, precision: 'bf16' } as const
  return new CostModel(workload, machine, engine, ratesOf(FITTED, machine, engine))
}

const MODELS = ['gpt3-175b', 'bloom-176b', 'llama-3.1-405b', 'mixtral-8x7b', 'deepseek-v3']

describe.each(MODELS)('%s', (name) => {
  const d = decoder(name)
  const split = { tensorParallel: 8, sequenceParallel: true }
  const spread = d.experts === null ? {} : { expertParallel: 8 }

  test('has all its parameters on one chip', () => {
    const { dense, expert } = costsOf(d, { ...ENGINE, vocabularyMultiple: 1 }).elements(
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
  ])('updates as many weights as memory holds: %s', (_, more) => {
    const costs = costsOf(d)
    // nothing shared: each chip updates all that it holds
    const layout: Layout = { ...ONE_CHIP, dataParallel: 8, zeroStage: 0, ...more }
    const [held] = createMemoryModel(costs.workload, ENGINE).stages(layout)
    // gradients of 4 bytes read twice; master weights and moments read and written; the weights written
    const bytes = (held!.terms.weights / 2) * (2 * 4 + 6 * 4 + 2)
    const { machine, rates } = costs
    const seconds = bytes / (machine.memoryBytesPerSecond * rates.bandwidth)
    expect(stepSeconds(costs, layout).optimizer / seconds).toBeCloseTo(1, 12)
  })
})
