/** @file The search against trying everything: the same layouts, whatever its bounds leave out. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINE_IDS, ENGINES, type Engine, type EngineId, EVERYTHING, violations } from '../engines/index.ts'
import { type Decoder, readDecoder } from '../model/index.ts'
import {
  createSimulator,
  type Layout,
  machineOf,
  type PipelineSchedule,
  SCHEDULE_NAMES,
  SCHEDULES,
  turnsBack,
} from '../simulate/index.ts'
import { compare } from './incumbents.ts'
import { planLayouts } from './index.ts'
import { searchBest } from './search.ts'
import { chipsOf, divisorsOf, sizeOf, spaceOf, unevenStages } from './space.ts'
import type { PlanRequest } from './types.ts'

const CHIP = catalogChips().find(({ id }) => id === 'a100-40gb-sxm')!

/** How layers of a decoder differ. */
interface Mix {
  /** Layers at the start that are dense. */
  readonly dense: number
  /** Layers from one that attends to all tokens to the next; those between attend to some. */
  readonly global: number
  readonly predictionLayers: number
}

const mixes: fc.Arbitrary<Mix> = fc.record({
  dense: fc.constantFrom(0, 0, 1, 2, 3),
  global: fc.constantFrom(1, 1, 2, 3),
  predictionLayers: fc.constantFrom(0, 0, 1),
})

/** A small decoder whose weights are about as large as the memory of some chips. */
function decoderOf(layers: number, experts: number, tied: boolean, mix: Mix): Decoder {
  const decoder = readDecoder({
    model_type: experts > 0 ? 'mixtral' : 'llama',
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    vocab_size: 32000,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: tied,
    ...(experts > 0 ? { num_local_experts: experts, num_experts_per_tok: 2 } : {}),
  })
  return {
    ...decoder,
    expertLayers: decoder.expertLayers.map((expert, i) => expert && i >= mix.dense),
    windows: decoder.windows.map((_, i) => (i % mix.global === 0 ? undefined : 128)),
    predictionLayers: mix.predictionLayers,
  }
}

/** All values crossed, and those kept that no rule forbids. */
function* everything({ workload, machine, engine, fixed }: PlanRequest): Generator<Layout> {
  const { decoder, globalBatch, sequenceLength } = workload
  const chips = machine.count
  const upTo = Array.from({ length: chips }, (_, i) => i + 1)
  const domain = machine.links[0]!.size
  for (const tensorParallel of upTo.filter((t) => domain % t === 0 || t % domain === 0))
    for (const sequenceParallel of [false, true])
      for (const contextParallel of divisorsOf(sequenceLength).filter((c) => c <= chips))
        for (const contextMethod of ['ring', 'all-to-all'] as const)
          for (const pipelineParallel of upTo)
            for (const dataParallel of upTo)
              for (const expertParallel of upTo)
                for (const expertTensorParallel of upTo.filter((t) => domain % t === 0))
                  for (const microBatch of divisorsOf(globalBatch)) {
                    const chips = tensorParallel * contextParallel * pipelineParallel * dataParallel
                    if (chips > machine.count) continue
                    if (contextParallel === 1 && contextMethod !== 'ring') continue
                    const base = {
                      tensorParallel,
                      sequenceParallel,
                      contextParallel,
                      contextMethod,
                      pipelineParallel,
                      virtualPipeline: 1,
                      dataParallel,
                      expertParallel,
                      expertTensorParallel,
                      zeroStage: 0,
                      microBatch,
                      recompute: 'none',
                      offloadOptimizer: false,
                      schedule: '1f1b',
                    } as const
                    // rules on these alone first: most have broken one by here
                    if (violations(base, workload, chips, engine).length > 0) continue
                    for (const schedule of SCHEDULE_NAMES.filter((one) => one === (fixed?.schedule ?? one)))
                      for (let virtualPipeline = 1; virtualPipeline <= decoder.layers; virtualPipeline++)
                        for (const stageLayers of [
                          undefined,
                          ...unevenStages(decoder.layers, pipelineParallel),
                        ]) {
                          const split = {
                            ...base,
                            virtualPipeline,
                            schedule,
                            ...(stageLayers ? { stageLayers } : {}),
                          }
                          if (violations(split, workload, chips, engine).length > 0) continue
                          for (const zeroStage of [0, 1, 2, 3] as const)
                            for (const offloadOptimizer of [false, true])
                              for (const recompute of ['none', 'selective', 'full'] as const)
                                for (let n = 0; n < decoder.layers; n++) {
                                  const most = Math.max(
                                    ...(stageLayers ?? [Math.ceil(decoder.layers / pipelineParallel)]),
                                  )
                                  if (n > 0 && (recompute !== 'full' || n >= most)) continue
                                  const layout: Layout = {
                                    ...base,
                                    virtualPipeline,
                                    ...(stageLayers ? { stageLayers } : {}),
                                    zeroStage,
                                    recompute,
                                    ...(n > 0 ? { recomputeLayers: n } : {}),
                                    offloadOptimizer,
                                    schedule,
                                  }
                                  if (pipelineParallel === 1 && stageLayers) continue
                                  if (violations(layout, workload, chips, engine).length === 0) yield layout
                                }
                        }
                  }
}

function degreesOf(l: Layout): string {
  return [l.tensorParallel, l.contextParallel, l.pipelineParallel, l.dataParallel, l.expertParallel].join()
}

function bruteForce(request: PlanRequest, top: number) {
  const { workload, machine, engine, objective } = request
  const simulator = createSimulator(workload, machine, engine.behaviour)
  const best = new Map<string, { layout: Layout; seconds: number; score: number }>()
  let count = 0
  for (const layout of everything(request)) {
    count++
    const seconds = simulator.seconds(layout)
    const score = objective === 'chip-time' ? seconds * chipsOf(layout) : seconds
    const known = best.get(degreesOf(layout))
    if (seconds > (request.maximumSeconds ?? Number.POSITIVE_INFINITY)) continue
    if (known !== undefined && compare({ layout, seconds, score }, known) >= 0) continue
    if (simulator.memory.overflow(layout, machine.memoryBytes) !== undefined) continue
    best.set(degreesOf(layout), { layout, seconds, score })
  }
  return { count, best: [...best.values()].sort(compare).slice(0, top) }
}

const shared = {
  experts: fc.constantFrom(0, 0, 4),
  mix: mixes,
  domain: fc.constantFrom(1, 2, 8),
  objective: fc.constantFrom('time' as const, 'time' as const, 'chip-time' as const),
  limited: fc.boolean(),
}

const ALL: Engine = {
  ...ENGINES['megatron-lm'],
  name: 'an engine of everything',
  behaviour: { ...ENGINES['megatron-lm'].behaviour, measuredAs: null, dropout: true },
  abilities: EVERYTHING,
}

interface Drawn {
  readonly layers: number
  readonly experts: number
  readonly tied: boolean
  readonly mix: Mix
  readonly chips: number
  readonly batch: number
  readonly sequenceLength: number
  readonly engine: EngineId | 'all'
  readonly domain: number
  readonly memory: number
  readonly objective: 'time' | 'chip-time'
  readonly limited: boolean
}

function requestOf(drawn: Drawn): PlanRequest {
  const { layers, experts, tied, mix, chips, engine, domain, memory } = drawn
  const machine = machineOf(CHIP, chips, 'bf16', { domainSize: domain, networkBytesPerSecond: 25e9 })
  return {
    workload: {
      decoder: decoderOf(layers, experts, tied, mix),
      sequenceLength: drawn.sequenceLength,
      globalBatch: drawn.batch,
      precision: 'bf16',
    },
    machine: { ...machine, memoryBytes: memory },
    engine: engine === 'all' ? ALL : ENGINES[engine],
    objective: drawn.objective,
    reasons: false,
    top: 3,
    ...(drawn.limited ? { maximumSeconds: 1.5 } : {}),
  }
}

const requests = fc
  .record({
    ...shared,
    layers: fc.integer({ min: 1, max: 4 }),
    tied: fc.boolean(),
    chips: fc.integer({ min: 1, max: 4 }),
    batch: fc.constantFrom(4, 6, 8),
    sequenceLength: fc.constantFrom(1024, 6144),
    engine: fc.constantFrom('megatron-lm', 'mindspeed-llm', 'torch', 'all'),
    memory: fc.constantFrom(2.2e9, 3e9, 5e9, 10e9, 40e9),
  })
  .map(requestOf)

/** Where pipelines turn back, stages need more layers, chips and micro-batches; nothing but one schedule is tried then. */
const turningRequests = (schedule: PipelineSchedule) =>
  fc
    .record({
      ...shared,
      layers: fc.integer({ min: 4, max: 9 }),
      tied: fc.constant(false),
      chips: fc.integer({ min: 2, max: 6 }),
      batch: fc.constantFrom(8, 12, 16),
      sequenceLength: fc.constantFrom(512, 4096),
      engine: fc.constantFrom(
        ...ENGINE_IDS.filter((id) => ENGINES[id].abilities.schedules.includes(schedule)),
        'all' as const,
      ),
      memory: fc.constantFrom(2.2e9, 3e9, 5e9, 10e9, 40e9),
    })
    .map((drawn) => ({ ...requestOf(drawn), fixed: { schedule } }))

/** Searches as many requests as `RUNS` says, or so many, and tries everything for each; most have a layout that fits. */
function compareAll(asked: fc.Arbitrary<PlanRequest>, usual: number): void {
  const runs = Number(process.env.RUNS ?? usual)
  let nothing = 0
  fc.assert(
    fc.property(asked, (request) => {
      const { best, considered } = planLayouts(request)
      const expected = bruteForce(request, 3)
      expect(considered).toBe(expected.count)
      expect(sizeOf(spaceOf(request))).toBe(expected.count)
      expect(best.map(({ layout, seconds }) => ({ layout, seconds }))).toEqual(
        expected.best.map(({ layout, seconds }) => ({ layout, seconds })),
      )
      if (best.length === 0) nothing++
    }),
    { numRuns: runs, seed: process.env.SEED ? Number(process.env.SEED) : 1 },
  )
  expect(nothing).toBeLessThan(0.8 * runs)
}

test('finds what trying everything finds', () => {
  compareAll(requests, 10)
}, 240_000)

test.each(SCHEDULE_NAMES.filter((name) => turnsBack(SCHEDULES[name].placement)))(
  'finds it where pipelines turn back: %s',
  (schedule) => {
    compareAll(turningRequests(schedule), 8)
  },
  240_000,
)

test('finds what is a little better than what is known, with a micro-batch whose bubble is shorter', () => {
  // kernels take longer to start than to run: gradients of weights grow with the micro-batch, and what they fill does not
  const decoder = readDecoder({
    model_type: 'llama',
    hidden_size: 256,
    intermediate_size: 1024,
    num_hidden_layers: 16,
    num_attention_heads: 8,
    num_key_value_heads: 8,
    vocab_size: 1000,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: false,
  })
  const workload = { decoder, sequenceLength: 256, globalBatch: 64, precision: 'bf16' } as const
  const machine = machineOf(CHIP, 8, 'bf16', { networkBytesPerSecond: 25e9 })
  const simulator = createSimulator(workload, machine, ALL.behaviour)
  const fixed = { schedule: 'zero-bubble' } as const
  const space = spaceOf({ workload, machine, engine: ALL, objective: 'chip-time', fixed })
  const best = searchBest(space, simulator)!
  expect(best.layout.microBatch).toBe(64)
  const layout = { ...best.layout, stageLayers: [7, 9] }
  const seconds = simulator.seconds(layout)
  const known = { layout, seconds, score: seconds * chipsOf(layout) }
  expect(known.score).toBeGreaterThan(best.score)
  expect(searchBest(space, simulator, [known])).toEqual(best)
})
