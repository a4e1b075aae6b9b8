/** @file Seconds of a training step: stages, the pipeline, what data-parallel chips exchange, the update. */
import { HALF, SINGLE } from './bytes.ts'
import { gatherSeconds, pathOf, reduceSeconds, sendSeconds } from './collectives.ts'
import { add, type CostModel, noSeconds, type PassSeconds, scale } from './costs.ts'
import type { Rates } from './fitted/rates.ts'
import { chunksOf, nearLayers, stageSize } from './memory/index.ts'
import { copiesOf, type PipelineSchedule, SCHEDULES, turnsBack } from './schedules/index.ts'
import type { Layout, TimeTerms } from './types.ts'
import type { StageElements } from './weights.ts'
import { sharesTable } from './work.ts'

/** Where the seconds of a step go, and their sum. */
export interface StepSeconds extends TimeTerms {
  readonly seconds: number
}

/** Sums over a pipeline's stages: seconds of one micro-batch on the slowest and on all, and the weights that stages hold. */
export interface StageSums {
  readonly slowest: PassSeconds
  /** What chips of stages hold, without stages that another holds as much as of either kind of weights. */
  readonly held: readonly StageElements[]
  readonly all: PassSeconds
}

/** The part of a step that depends neither on the data-parallel degree nor on sharding. */
export function stageSums(model: CostModel, layout: Layout): StageSums {
  const { placement } = SCHEDULES[layout.schedule]
  if (placement === 'both-ends') return pairedSums(model, layout)
  if (placement === 'folded') return foldedSums(model, layout)
  const p = layout.pipelineParallel
  const { layers } = model.workload.decoder
  let from = 0
  let slowest = noSeconds()
  const held: StageElements[] = []
  const all = noSeconds()
  let before = slowest
  let sizeBefore = 0
  for (let stage = 0; stage < p; stage++) {
    const size = stageSize(layers, layout, stage)
    // stages between the ends are mostly alike
    const same = stage > 1 && stage < p - 1 && size === sizeBefore && model.alike(from - size, from, size)
    const seconds = same ? before : stageSeconds(model, layout, stage, from, size)
    if (!same) addHeld(held, model.elements(layout, from, size, stage === 0, stage === p - 1))
    before = seconds
    sizeBefore = size
    add(all, seconds, 1)
    if (seconds.forward + seconds.backward > slowest.forward + slowest.backward) slowest = seconds
    from += size
  }
  return { slowest, held, all }
}

/** Adds a stage's weights, unless another stage holds as much of both kinds; drops stages that hold no more of either. */
function addHeld(held: StageElements[], own: StageElements): void {
  for (let i = held.length - 1; i >= 0; i--) {
    const other = held[i]!
    if (other.dense >= own.dense && other.expert >= own.expert) return
    if (other.dense <= own.dense && other.expert <= own.expert) held.splice(i, 1)
  }
  held.push(own)
}

/**
 * The same where pipelines start at both ends: a chip holds a stage of each, and half of the micro-batches pass through
 * either.
 */
function pairedSums(model: CostModel, layout: Layout): StageSums {
  const p = layout.pipelineParallel
  const { layers } = model.workload.decoder
  let [from, to] = [0, layers]
  let slowest = noSeconds()
  const held: StageElements[] = []
  const all = noSeconds()
  for (let stage = 0; 2 * stage < p; stage++) {
    const mirror = p - 1 - stage
    const isFirst = stage === 0
    const size = stageSize(layers, layout, stage)
    const more = mirror > stage ? stageSize(layers, layout, mirror) : 0
    to -= more
    const mean = noSeconds()
    add(mean, stageSeconds(model, layout, stage, from, size), 1)
    if (mirror > stage) {
      add(mean, stageSeconds(model, layout, mirror, to, more), 1)
      add(all, mean, 1)
      scale(mean, 1 / 2)
    } else add(all, mean, 1)
    if (mean.forward + mean.backward > slowest.forward + slowest.backward) slowest = mean
    addHeld(held, model.elements(layout, from, size, isFirst, isFirst, to, more))
    from += size
  }
  return { slowest, held, all }
}

/** The same where each stage has a chunk of layers on the way down and one on the way up. */
function foldedSums(model: CostModel, layout: Layout): StageSums {
  const { layers } = model.workload.decoder
  let [from, to] = [0, layers]
  let slowest = noSeconds()
  const held: StageElements[] = []
  const all = noSeconds()
  const again = recomputedLayers(layout)
  for (let stage = 0; stage < layout.pipelineParallel; stage++) {
    const size = stageSize(layers, layout, stage)
    const near = nearLayers(size)
    const far = size - near
    to -= far
    const isFirst = stage === 0
    const seconds = model.stage(layout, from, near, again, isFirst, false)
    add(seconds, model.stage(layout, to, far, Math.max(0, again - near), false, isFirst), 1)
    add(all, seconds, 1)
    if (seconds.forward + seconds.backward > slowest.forward + slowest.backward) slowest = seconds
    addHeld(held, model.elements(layout, from, near, isFirst, isFirst, to, far))
    from += near
  }
  return { slowest, held, all }
}

/**
 * Seconds of a step under a layout, on chips of one kind: as many as its degrees multiply to.
 * @param stages Those of the layout, where they are known.
 */
export function stepSeconds(
  model: CostModel,
  layout: Layout,
  stages: StageSums = stageSums(model, layout),
): StepSeconds {
  const { globalBatch } = model.workload
  const { machine, rates } = model
  const p = layout.pipelineParallel
  const microBatches = globalBatch / (layout.microBatch * layout.dataParallel)
  const { slowest, held, all } = stages
  const pass = slowest.forward + slowest.backward
  const hop = p > 1 ? hopSeconds(model, layout) : 0
  const sends = p > 1 ? exposedSends(model, layout) * hop : 0
  const bubble = bubbleSeconds(layout.schedule, layout.virtualPipeline, p, slowest, all, hop)

  // all stages wait for the norm of all gradients between the exchange and the update
  let data = 0
  let optimizer = 0
  for (const elements of held) {
    const weights = heldWeights(layout, elements)
    data = Math.max(data, dataSeconds(model, layout, weights, pass, microBatches))
    optimizer = Math.max(optimizer, optimizerSeconds(model, layout, weights))
  }
  data += tableSeconds(model, layout)
  const ideal = microBatches * (pass + sends) + bubble + data + optimizer
  const chips = layout.tensorParallel * layout.contextParallel * p * layout.dataParallel
  const overhead = overheadSeconds(ideal, rates, chips / machine.links[0]!.size)
  const communication = slowest.tensor + slowest.context + slowest.expert
  return {
    seconds: ideal + overhead,
    compute: microBatches * (pass - communication - slowest.recompute),
    recompute: microBatches * slowest.recompute,
    tensorCommunication: microBatches * slowest.tensor,
    contextCommunication: microBatches * slowest.context,
    expertCommunication: microBatches * slowest.expert,
    pipelineCommunication: microBatches * sends,
    pipelineBubble: bubble,
    dataCommunication: data,
    optimizer,
    overhead,
  }
}

/**
 * Seconds of a step besides what its parts take: each doubling of the domains that wait for each other adds to the chance
 * that one of them is late.
 */
export function overheadSeconds(
  ideal: number,
  { straggling, step }: Pick<Rates, 'straggling' | 'step'>,
  domains: number,
): number {
  return ideal * straggling * Math.log2(Math.max(1, domains)) + step
}

/** Seconds of one micro-batch on one stage. */
export function stageSeconds(
  model: CostModel,
  layout: Layout,
  stage: number,
  from: number,
  size: number,
): PassSeconds {
  const isLast = stage === layout.pipelineParallel - 1
  return model.stage(layout, from, size, recomputedLayers(layout), stage === 0, isLast)
}

/** Number of layers of a stage that are recomputed; infinity where all are. */
function recomputedLayers({ recompute, recomputeLayers }: Layout): number {
  return recompute === 'full' ? (recomputeLayers ?? Number.POSITIVE_INFINITY) : 0
}

/** Seconds to hand the activations of a micro-batch to the next stage. */
export function hopSeconds(model: CostModel, layout: Layout): number {
  const { decoder, sequenceLength } = model.workload
  const tokens = (layout.microBatch * sequenceLength) / layout.contextParallel
  const bytes =
    (tokens * decoder.hiddenSize * HALF) /
    (layout.sequenceParallel || model.engine.scattersSends ? layout.tensorParallel : 1)
  const stride = layout.tensorParallel * layout.contextParallel * layout.dataParallel
  const { machine, rates, engine } = model
  const sent = sendSeconds(machine, rates, stride, bytes)
  if (layout.sequenceParallel || !engine.scattersSends) return sent
  // parts are put together again where they arrive
  const path = pathOf(machine, rates, { size: layout.tensorParallel, stride: 1 })
  return sent + gatherSeconds(path, bytes * layout.tensorParallel)
}

/** Number of transfers that a stage waits for in each micro-batch. */
export function exposedSends({ engine, rates }: CostModel, layout: Layout): number {
  const { exposedSends } = SCHEDULES[layout.schedule]
  return exposedSends(layout.pipelineParallel, chunksOf(layout), engine.overlapsPipeline, rates.exposed)
}

/** Seconds of the bubble, by the schedule: the slowest stage waits for its first micro-batch, and after its last one. */
export function bubbleSeconds(
  schedule: PipelineSchedule,
  virtualPipeline: number,
  stages: number,
  slowest: PassSeconds,
  all: PassSeconds,
  hop: number,
): number {
  if (stages === 1) return 0
  const { bubble } = SCHEDULES[schedule]
  const forward = all.forward - slowest.forward
  const backward = all.backward - slowest.backward
  const weight = all.weight - slowest.weight
  const idle = Math.max(bubble.idle(forward, backward, weight), 0)
  return bubble.seconds(idle, 2 * (stages - 1) * hop, stages, virtualPipeline)
}

/** Seconds that data-parallel chips wait for each other's gradients and weights. */
export function dataSeconds(
  model: CostModel,
  layout: Layout,
  { dense, expert }: HeldWeights,
  pass: number,
  microBatches: number,
): number {
  const { machine, rates, engine } = model
  const { zeroStage } = layout
  // shared gradients of one micro-batch have no room to wait for those of the next
  const times = zeroStage >= 2 ? microBatches : 1
  let whole = 0
  for (const weights of [dense, expert]) {
    const { held, layers, chips, copies, shards } = weights
    if (held === 0 || copies === 1) continue
    const path = (size: number, stride: number) =>
      pathOf(machine, rates, { size, stride }, engine.usesAllRails)
    const gradients = held * engine.gradientBytes
    const buckets = zeroStage === 3 ? layers : Math.ceil(held / engine.gradientBucket)
    if (shards > 1) {
      const group = path(shards, chips)
      // each layer's weights are gathered forward and backward, or all of them once they are updated
      const gathers = zeroStage === 3 ? 2 * microBatches : 1
      whole += times * gatherSeconds(group, gradients, buckets)
      whole += gathers * gatherSeconds(group, held * HALF, buckets)
    }
    if (shards < copies)
      whole += times * reduceSeconds(path(copies / shards, chips * shards), gradients / shards, buckets)
  }
  if (!engine.overlapsData || !SCHEDULES[layout.schedule].exchangesBesidePasses) return whole
  // beside the passes of one micro-batch, or, where each has its own to exchange, of all
  const beside = times * pass
  return Math.max(whole - beside, 0) + rates.exposed * Math.min(whole, beside)
}

/** Seconds of the all-reduce of a table's gradients between the first and the last stage, which both have it. */
function tableSeconds(model: CostModel, layout: Layout): number {
  const { workload, machine, rates, engine } = model
  const { schedule, pipelineParallel: p } = layout
  // where the pipeline turns back, a chip has both ends and one table
  if (p === 1 || turnsBack(SCHEDULES[schedule].placement) || !sharesTable(workload.decoder)) return 0
  const stride = layout.tensorParallel * layout.contextParallel * layout.dataParallel * (p - 1)
  return reduceSeconds(
    pathOf(machine, rates, { size: 2, stride }, engine.usesAllRails),
    model.parts(layout).table * engine.gradientBytes,
  )
}

/**
 * Weights on a chip: elements and the layers that they are of; chips that one copy is split over; copies; and the copies
 * that their optimizer's state is sharded over, 1 where each keeps all of it.
 */
interface Held {
  readonly held: number
  readonly layers: number
  readonly chips: number
  readonly copies: number
  readonly shards: number
}

/** The weights of a stage as a layout spreads them: those of experts, and all others. */
export interface HeldWeights {
  readonly dense: Held
  readonly expert: Held
}

export function heldWeights(layout: Layout, elements: StageElements): HeldWeights {
  const { tensorParallel: t, contextParallel: cp, dataParallel: dp, zeroStage, shardGroup } = layout
  const ranks = layout.expertParallel * layout.expertTensorParallel
  // pipelines from both ends have a copy each, and share nothing out between them
  const ends = copiesOf(SCHEDULES[layout.schedule].placement)
  const copied = (held: number, layers: number, chips: number, copies: number): Held => {
    const shards = zeroStage === 0 ? 1 : Math.min(shardGroup ?? copies, copies)
    return { held, layers, chips, copies: copies * ends, shards }
  }
  return {
    dense: copied(elements.dense, elements.layers, t, dp * cp),
    expert: copied(elements.expert, elements.expertLayers, ranks, Math.max(1, (dp * cp * t) / ranks)),
  }
}

/** Bytes/s each way to the memory of the host: PCI Express 4.0, 16 lanes, by its specification. */
const HOST_BYTES_PER_SECOND = 32e9

/**
 * Bytes/s that a chip's share of the host's memory gives the update there. Assumed, not fitted: the two EPYC 7742 of a DGX
 * A100 have 8 channels of DDR4-3200 each, 204.8 GB/s by their data sheet, for 8 chips. Newer hosts have about twice that.
 */
const HOST_MEMORY_BYTES_PER_SECOND = (2 * 204.8e9) / 8

/** Seconds of the update: gradients read for their norm and again, master weights and moments read and written. */
export function optimizerSeconds(model: CostModel, layout: Layout, { dense, expert }: HeldWeights): number {
  const { machine, rates, engine } = model
  const updated = dense.held / dense.shards + expert.held / expert.shards
  const onChip =
    (updated * (2 * engine.gradientBytes + 6 * SINGLE + HALF)) /
    (machine.memoryBytesPerSecond * rates.bandwidth)
  if (!layout.offloadOptimizer) return onChip
  // master weights and moments come in beside those that go out, some at a time
  if (!engine.updatesOnHost) return Math.max((updated * 3 * SINGLE) / HOST_BYTES_PER_SECOND, onChip)
  // gradients go there and weights come back; in between, the host reads and writes as a chip would
  const moved = updated * (engine.gradientBytes + HALF)
  const touched = updated * (engine.gradientBytes + 6 * SINGLE + HALF)
  return moved / HOST_BYTES_PER_SECOND + touched / HOST_MEMORY_BYTES_PER_SECOND
}
