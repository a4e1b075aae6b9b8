/**
 * @file Bounds against what they bound: stages over all splits of a decoder of several kinds of layers, passes over
 * micro-batches, memory and whole steps over layouts from all over a space.
 */

import { expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES, type Engine, EVERYTHING } from '../engines/index.ts'
import { type Decoder, readDecoder } from '../model/index.ts'
import {
  bubbleSeconds,
  createSimulator,
  exposedSends,
  hopSeconds,
  type Layout,
  machineOf,
  noSeconds,
  SCHEDULES,
  type Simulator,
  stageSums,
} from '../simulate/index.ts'
import { bareMemoryOf } from './bare-memory.ts'
import { Incumbents } from './incumbents.ts'
import { Bubbles, PassBounds } from './pass-bounds.ts'
import {
  chipsOf,
  divisorsOf,
  gridOf,
  layoutOf,
  NONE,
  PLAIN,
  type Share,
  type Space,
  type Split,
  scheduleGoes,
  spaceOf,
  WHOLE,
  widthOf,
} from './space.ts'
import { StageBounds } from './stage-bounds.ts'
import { StepBounds } from './step-bounds.ts'
import type { PlanRequest } from './types.ts'

const LAYERS = 11

/** For what is summed in another order. */
const ROUNDED = 1 + 1e-9

function decoder(): Decoder {
  const plain = readDecoder({
    model_type: 'mixtral',
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: LAYERS,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    vocab_size: 32000,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    num_local_experts: 4,
    num_experts_per_tok: 2,
  })
  return {
    ...plain,
    expertLayers: plain.expertLayers.map((_, i) => i >= 3),
    windows: plain.windows.map((_, i) => (i % 3 === 0 ? undefined : 128)),
    predictionLayers: 1,
  }
}

const ENGINES_AND_ALL: readonly Engine[] = [
  ...Object.values(ENGINES),
  {
    ...ENGINES['megatron-lm'],
    name: 'an engine of everything',
    behaviour: { ...ENGINES['megatron-lm'].behaviour, measuredAs: null },
    abilities: EVERYTHING,
  },
]

function searched(
  engine: Engine,
  sequenceLength = 2048,
  changed: Partial<PlanRequest> = {},
): [Space, Simulator] {
  const chip = catalogChips().find(({ id }) => id === 'a100-40gb-sxm')!
  const machine = machineOf(chip, 16, 'bf16', { networkBytesPerSecond: 25e9 })
  const workload = { decoder: decoder(), sequenceLength, globalBatch: 192, precision: 'bf16' } as const
  const request = { workload, machine, engine, ...changed }
  return [spaceOf(request), createSimulator(request.workload, machine, engine.behaviour)]
}

/** Layouts from all over a space, of some of its shares and splits, on the most and the fewest replicas. */
function* someOf(space: Space): Generator<{ share: Share; split: Split; layout: Layout }> {
  const { request, shares, pipelines, chips } = space
  const { globalBatch } = request.workload
  for (const share of shares.filter((_, i) => i % Math.ceil(shares.length / 12) === 0))
    for (const p of pipelines.filter((p) => p * widthOf(share) <= chips))
      for (const microBatch of [1, 4, globalBatch / 4, globalBatch]) {
        const replicas = space
          .replicas(microBatch)
          .filter((n) => n * widthOf(share) * p <= chips && (n * widthOf(share)) % gridOf(share) === 0)
        for (const split of space.splits(p).filter((_, i) => i % 5 === 0))
          for (const n of new Set([...replicas.slice(0, 1), ...replicas.slice(-1)])) {
            if (!scheduleGoes(split.schedule, p, share.contextParallel, globalBatch / (microBatch * n)))
              continue
            for (const again of [NONE, ...split.selective, ...split.recomputes.slice(-1)])
              for (const sharing of space.sharings(p))
                yield { share, split, layout: layoutOf(share, microBatch, p, n, split, again, sharing) }
          }
      }
}

function wholeOf(share: Share, microBatch: number) {
  return layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
}

test.each(ENGINES_AND_ALL)('no stage takes or holds less, with $name', (engine) => {
  const [space, simulator] = searched(engine)
  const share = space.shares.at(-1)!
  const bounds = new StageBounds(space, simulator, wholeOf(share, 2), new Map())
  for (const p of space.pipelines) {
    for (const split of space.splits(p)) {
      const sumsWith = (again: typeof NONE) =>
        stageSums(simulator.costs, layoutOf(share, 2, p, 1, split, again, PLAIN))
      const { slowest, held } = sumsWith(NONE)
      const plain = slowest.forward + slowest.backward
      expect(bounds.slowest(split) / plain).toBeCloseTo(1, 9)
      expect(bounds.even(split.schedule, p)).toBeLessThanOrEqual(plain * ROUNDED)
      const least = bounds.elements(split.schedule, p)
      expect(held.some(({ dense, expert }) => dense >= least.dense && expert >= least.expert)).toBe(true)
      if (SCHEDULES[split.schedule].bubble.isFilled) continue
      for (const again of split.recomputes) {
        const { slowest } = sumsWith(again)
        const layers = again.recompute === 'none' ? 0 : (again.layers ?? split.most)
        const longest = bounds.again(split.most, layers)
        expect(longest).toBeLessThanOrEqual((slowest.forward + slowest.backward) * ROUNDED)
        expect(longest).toBeGreaterThan(0)
      }
    }
  }
})

test.each(ENGINES_AND_ALL)('no micro-batch takes less than others tell, with $name', (engine) => {
  // where kernels take longer to start than to run, and where they do not
  for (const sequenceLength of [64, 4096]) {
    const [space, simulator] = searched(engine, sequenceLength)
    const sample = (share: Share, microBatch: number) => ({
      microBatch,
      seconds: simulator.costs.stage(wholeOf(share, microBatch), 0, LAYERS, 0, true, true),
    })
    for (const share of space.shares) {
      const [first, second, ...others] = divisorsOf(192)
      const last = others.pop()!
      const bounds = new PassBounds(sample(share, first!), sample(share, second!), sample(share, last))
      for (const microBatch of [first!, second!, ...others, last]) {
        const least = bounds.at(microBatch)
        const { seconds } = sample(share, microBatch)
        expect(least.forward).toBeLessThanOrEqual(seconds.forward * ROUNDED)
        expect(least.backward).toBeLessThanOrEqual(seconds.backward * ROUNDED)
        expect(least.weight * ROUNDED).toBeGreaterThanOrEqual(seconds.weight)
        // close enough to be of use
        expect(least.forward / seconds.forward).toBeGreaterThan(0.5)
      }
    }
  }
})

test.each(ENGINES_AND_ALL)('no bubble is shorter, with $name', (engine) => {
  const [space, simulator] = searched(engine)
  const pipelines = space.pipelines.filter((p) => space.schedules(p).length > 0)
  const bubbles = new Bubbles(space, pipelines)
  const all = simulator.costs.stage(wholeOf(space.shares[0]!, 4), 0, LAYERS, 0, true, true)
  for (const [place, p] of pipelines.entries()) {
    const each = space.schedules(p).map(({ schedule, virtualPipeline }) => ({
      split: SCHEDULES[schedule].needs.contextParallel,
      seconds: Math.max(
        0,
        bubbleSeconds(schedule, virtualPipeline, p, noSeconds(), all, 0) - (all.forward + all.backward) / p,
      ),
    }))
    const leastOf = (some: typeof each) => Math.min(...some.map(({ seconds }) => seconds))
    expect(bubbles.least(place, all, true)).toBeCloseTo(leastOf(each), 12)
    expect(bubbles.least(place, all, false)).toBeCloseTo(leastOf(each.filter(({ split }) => split)), 12)
  }
})

test.each([
  ...ENGINES_AND_ALL,
  {
    ...ENGINES['megatron-lm'],
    name: 'an engine that stores scores',
    behaviour: { ...ENGINES['megatron-lm'].behaviour, measuredAs: null, fusedAttention: false },
    abilities: EVERYTHING,
  },
])('no micro-batch that fits is left out, with $name', (engine) => {
  const one = readDecoder({
    model_type: 'llama',
    hidden_size: 2048,
    intermediate_size: 128,
    num_hidden_layers: 1,
    num_attention_heads: 64,
    num_key_value_heads: 64,
    vocab_size: 1024,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: false,
  })
  const workload = { sequenceLength: 256, globalBatch: 1536, precision: 'bf16' } as const
  let tight = 0
  for (const each of [decoder(), one]) {
    const [space, simulator] = searched(engine, workload.sequenceLength, {
      workload: { ...workload, decoder: each },
    })
    for (const { share, layout } of someOf(space)) {
      if (layout.recompute === 'none') continue
      // chips that it just fits on
      const machine = { ...simulator.machine, memoryBytes: simulator.memory.peak(layout) }
      const largest = bareMemoryOf({ ...simulator, machine }).largest(share)
      expect(largest).toBeGreaterThanOrEqual(layout.microBatch)
      if (largest === layout.microBatch && largest < workload.globalBatch) tight++
    }
  }
  expect(tight).toBeGreaterThan(0)
})

test.each(
  ENGINES_AND_ALL.flatMap((engine) => [
    { name: engine.name, engine, objective: 'time' as const },
    { name: engine.name, engine, objective: 'chip-time' as const },
  ]),
)('no layout is looked at for more $objective than it takes, with $name', ({ engine, objective }) => {
  const [space, simulator] = searched(engine, 512, { objective })
  const { costs } = simulator
  for (const { share, split, layout } of someOf(space)) {
    const { microBatch, pipelineParallel: p, dataParallel: n } = layout
    const { schedule } = split
    const seconds = simulator.seconds(layout)
    const score = objective === 'chip-time' ? seconds * chipsOf(layout) : seconds
    // what is known is this layout alone: all families that it is of must be looked at
    const list = new Incumbents(1)
    list.add({ layout, seconds, score })
    const bounds = new StepBounds(space, simulator, list)
    const whole = wholeOf(share, microBatch)
    const all = costs.stage(whole, 0, LAYERS, 0, true, true)
    const chipSeconds = bounds.chipSeconds(share, microBatch, all)
    const place = bounds.pipelines.indexOf(p)
    const ofStages = bounds.ofStages(share, chipSeconds, all, 0)[place]!
    expect(bounds.ofPasses(share, chipSeconds)).toBeLessThanOrEqual(ofStages)
    expect(ofStages).toBeLessThanOrEqual(score)

    const stages = new StageBounds(space, simulator, whole, new Map())
    const cell = { share, microBatch, p, all, stages, sums: new Map() }
    const bubble = (hop: number) => bubbleSeconds(schedule, split.virtualPipeline, p, noSeconds(), all, hop)
    const slowest = stages.slowest(split)
    expect(bounds.promising(cell, slowest, bubble(0), [n]).replicas).toEqual([n])
    const hop = p > 1 ? hopSeconds(costs, layout) : 0
    const sends = exposedSends(costs, layout) * hop
    expect(bounds.allowsExchange(cell, schedule, n, slowest, sends, bubble(hop))).toBe(true)
  }
})
