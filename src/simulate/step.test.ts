/** @file Seconds of steps held to the last bit: caches and shortcuts must not change what is predicted. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import { readDecoder } from '../model/index.ts'
import { CostModel, type Layout, machineOf, ONE_CHIP, type Rates, stepSeconds } from './index.ts'
import { hopSeconds } from './step.ts'

/** Round numbers near what is fitted, so that a new fit changes nothing here. */
const RATES: Rates = {
  matmul: 0.7,
  matmul8: 0.6,
  perWatt: 1.1e12,
  perWatt8: 2.5e12,
  grouped: 0.65,
  attention: 0.4,
  attentionEarlier: 0.6,
  attentionStart: 150,
  operands: 0.3,
  bandwidth: 0.6,
  kernel: 1e-5,
  host: 5e-5,
  software: 1.1,
  linkShare: 0.75,
  networkShare: 0.6,
  linkLatency: 5e-6,
  networkLatency: 1e-5,
  step: 0.01,
  straggling: 0.005,
  exposed: 0.2,
  exposedTensor: 0.5,
}

const base: Layout = {
  ...ONE_CHIP,
  tensorParallel: 8,
  sequenceParallel: true,
  pipelineParallel: 4,
  dataParallel: 8,
}

const VARIANTS: Readonly<Record<string, Partial<Layout>>> = {
  plain: {},
  'without sequence parallelism': { sequenceParallel: false, zeroStage: 0 },
  ring: { contextParallel: 2, dataParallel: 4 },
  'all to all': { contextParallel: 2, contextMethod: 'all-to-all', dataParallel: 4, recompute: 'selective' },
  interleaved: { virtualPipeline: 2, schedule: 'interleaved', microBatch: 2 },
  'all layers again': { recompute: 'full' },
  'some layers again': { recompute: 'full', recomputeLayers: 3, offloadOptimizer: true },
  'zero bubble': { schedule: 'zero-bubble' },
  'both ends': { schedule: 'dualpipe', tensorParallel: 1, sequenceParallel: false, dataParallel: 64 },
  folded: { schedule: 'dualpipe-v', recompute: 'full', recomputeLayers: 3 },
  'folded, of passes apart': { schedule: 'zb-v' },
  'all sharded': { pipelineParallel: 1, zeroStage: 3, dataParallel: 32 },
}

test('what stages send in parts is gathered again where it arrives', () => {
  const config = JSON.parse(readFileSync('examples/models/gpt3-175b/config.json', 'utf8'))
  const decoder = readDecoder(config)
  const machine = machineOf(catalogChips().find(({ id }) => id === 'a100-80gb-sxm')!, 256, 'bf16')
  const workload = { decoder, sequenceLength: 2048, globalBatch: 512, precision: 'bf16' } as const
  const hop = (scattersSends: boolean, sequenceParallel: boolean) =>
    hopSeconds(
      new CostModel(workload, machine, { ...ENGINES['megatron-lm'].behaviour, scattersSends }, RATES),
      {
        ...base,
        sequenceParallel,
      },
    )
  const sent = hop(true, true)
  // an eighth over the network, and seven eighths within the server
  const bytes = 2048 * decoder.hiddenSize * 2
  expect(hop(true, false) - sent).toBeCloseTo((7 / 8) * (bytes / (300e9 * 0.75)) + 7 * 5e-6, 9)
  expect(hop(false, false)).toBeGreaterThan(hop(true, false))
})

test('gathering all tokens costs what their gather and its reverse cost, however many experts a token has', () => {
  const config = JSON.parse(readFileSync('examples/models/mixtral-8x7b/config.json', 'utf8'))
  const workload = {
    decoder: readDecoder(config),
    sequenceLength: 4096,
    globalBatch: 64,
    precision: 'bf16',
  } as const
  const machine = machineOf(catalogChips().find(({ id }) => id === 'h100-sxm')!, 64, 'bf16', {
    networkBytesPerSecond: 25e9,
  })
  const layout: Layout = { ...ONE_CHIP, dataParallel: 8, expertParallel: 8 }
  const engine = { ...ENGINES['mindspeed-llm'].behaviour, gathersTokens: true }
  const { expertCommunication } = stepSeconds(new CostModel(workload, machine, engine, RATES), layout)
  const gather = (7 / 8) * ((8 * 4096 * 4096 * 2) / (450e9 * 0.75)) + 7 * 5e-6
  // both ways, forward and backward, in each of 32 layers for each of 8 micro-batches
  expect(expertCommunication).toBeCloseTo(4 * gather * 32 * 8, 6)
})

for (const [model, chip] of [
  ['gpt3-175b', 'a100-80gb-sxm'],
  ['deepseek-v3', 'ascend-910b2'],
  ['mixtral-8x7b', 'h100-sxm'],
] as const) {
  test(`${model} on ${chip}`, () => {
    const config = JSON.parse(readFileSync(`examples/models/${model}/config.json`, 'utf8'))
    const decoder = readDecoder(config)
    const found = catalogChips().find(({ id }) => id === chip)
    const machine = machineOf(found!, 256, 'bf16', { networkBytesPerSecond: 25e9 })
    const workload = { decoder, sequenceLength: 4096, globalBatch: 512, precision: 'bf16' } as const
    const costs = new CostModel(workload, machine, ENGINES['mindspeed-llm'].behaviour, RATES)
    const seconds = Object.entries(VARIANTS).map(([name, variant]) => {
      const experts = decoder.experts === null ? {} : { expertParallel: 8 }
      return [name, stepSeconds(costs, { ...base, ...experts, ...variant })]
    })
    expect(Object.fromEntries(seconds)).toMatchSnapshot()
  })
}
