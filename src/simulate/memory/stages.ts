/** @file Which layers each stage of a pipeline holds, and how many micro-batches it keeps at once. */
import { SCHEDULES, stageOf, turnsBack } from '../schedules/index.ts'
import type { Layout } from '../types.ts'

/** The layers of one stage, by kind, in order. */
export interface StagePlan {
  readonly layers: number
  readonly first: boolean
  readonly last: boolean
  /** Layers of experts among the first i, for i from 0 to `layers`. */
  readonly expertsBefore: readonly number[]
  /** The last dense layer among the first i; -1 without. */
  readonly lastDense: readonly number[]
  /** The last layer of experts among the first i; -1 without. */
  readonly lastExpert: readonly number[]
  /** Layers of the first chunk where the pipeline is folded; all of them otherwise. */
  readonly near: number
}

/**
 * Layers of each stage, first to last. Where the layout does not say, stages differ by one layer at most.
 */
export function stageLayers(layers: number, layout: Layout): readonly number[] {
  return (
    layout.stageLayers ??
    Array.from({ length: layout.pipelineParallel }, (_, stage) => stageSize(layers, layout, stage))
  )
}

/** Layers of one stage. Where a pipeline is folded the longer ones come last: both ends are on the first. */
export function stageSize(
  layers: number,
  { stageLayers, schedule, pipelineParallel }: Pick<Layout, 'stageLayers' | 'schedule' | 'pipelineParallel'>,
  stage: number,
): number {
  if (stageLayers !== undefined) return stageLayers[stage]!
  if (SCHEDULES[schedule].placement !== 'folded') return evenShare(layers, pipelineParallel, stage)
  return Math.floor((layers + stage) / pipelineParallel)
}

/** Of the layers of a stage of a folded pipeline, those of its first chunk. */
export function nearLayers(size: number): number {
  return Math.ceil(size / 2)
}

/** Chunks of each copy of the layers on a stage. */
export function chunksOf({ schedule, virtualPipeline }: Layout): number {
  const { chunks } = SCHEDULES[schedule]
  return chunks === 'virtual' ? virtualPipeline : chunks
}

/** Layers at each place of the pipeline, in the order in which a micro-batch passes them. */
export function placeSizes(layers: number, layout: Layout): readonly number[] {
  const chunks = chunksOf(layout)
  const sizes = stageLayers(layers, layout)
  if (SCHEDULES[layout.schedule].placement === 'folded') {
    const near = sizes.map(nearLayers)
    return [...near, ...sizes.map((size, stage) => size - near[stage]!).reverse()]
  }
  if (layout.stageLayers === undefined) return spread(layers, layout.pipelineParallel * chunks)
  return Array.from({ length: chunks }, (_, chunk) =>
    sizes.map((size) => evenShare(size, chunks, chunk)),
  ).flat()
}

function spread(total: number, parts: number): number[] {
  return Array.from({ length: parts }, (_, part) => evenShare(total, parts, part))
}

/** Layers of one of so many stages: they differ by one at most, the longer ones in the middle, away from the ends' work. */
export function evenShare(layers: number, stages: number, stage: number): number {
  const whole = Math.floor(layers / stages)
  const more = layers - whole * stages
  const before = Math.floor((stages - more) / 2)
  return whole + (stage >= before && stage < before + more ? 1 : 0)
}

/**
 * Layers dealt out to stages.
 * @param kinds For each layer, whether it has experts; `extra` ones at the end are prediction layers of the last place.
 */
export function stagePlans(kinds: readonly boolean[], extra: number, layout: Layout): readonly StagePlan[] {
  const { pipelineParallel: stages, schedule } = layout
  const { placement } = SCHEDULES[schedule]
  const main = kinds.length - extra
  const sizes = placeSizes(main, layout)
  const owned: boolean[][] = Array.from({ length: stages }, () => [])
  let next = 0
  sizes.forEach((size, place) => {
    owned[stageOf(placement, stages, place)]!.push(...kinds.slice(next, next + size))
    next += size
  })
  const end = stageOf(placement, stages, sizes.length - 1)
  owned[end]!.push(...kinds.slice(main))
  return owned.map((own, stage) =>
    planOf(own, stage === 0, stage === end, placement === 'folded' ? sizes[stage]! : own.length),
  )
}

function planOf(own: readonly boolean[], first: boolean, last: boolean, near: number): StagePlan {
  const expertsBefore = [0]
  const lastDense = [-1]
  const lastExpert = [-1]
  own.forEach((expert, index) => {
    expertsBefore.push(expertsBefore[index]! + (expert ? 1 : 0))
    lastDense.push(expert ? lastDense[index]! : index)
    lastExpert.push(expert ? index : lastExpert[index]!)
  })
  return { layers: own.length, first, last, expertsBefore, lastDense, lastExpert, near }
}

/**
 * The stages of which one is the fullest: of those of a straight pipeline with the same layers, the first has the most
 * micro-batches at once. All of them where it turns back.
 */
export function fullestStages(plans: readonly StagePlan[], layout: Layout): readonly number[] {
  const all = plans.map((_, stage) => stage)
  if (turnsBack(SCHEDULES[layout.schedule].placement)) return all
  const seen = new Set<string>()
  return all.filter((stage) => {
    const { first, last, expertsBefore } = plans[stage]!
    const key = [first, last, ...expertsBefore].join()
    return seen.size < seen.add(key).size
  })
}

/**
 * Micro-batches whose activations a stage keeps at its peak: of a straight pipeline in units of all its layers, of one that
 * turns back those of its chunk `part`.
 */
export function inFlight(layout: Layout, stage: number, part: 0 | 1, microBatches: number): number {
  const { pipelineParallel: p, schedule } = layout
  const { placement, inFlight } = SCHEDULES[schedule]
  const chunks = chunksOf(layout)
  const count = inFlight(stage, part, p, microBatches, chunks, p)
  return placement === 'straight' ? count / chunks : count
}
