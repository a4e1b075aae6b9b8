/** @file Which layers each stage of a pipeline holds, and how many micro-batches it keeps at once. */
import { chunksInFlight } from '../pipeline/index.ts'
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
}

/**
 * Layers of each stage, first to last. Where the layout does not say, stages differ by one layer at most.
 */
export function stageLayers(layers: number, layout: Layout): readonly number[] {
  return layout.stageLayers ?? spread(layers, layout.pipelineParallel)
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
 * Layers dealt out to stages. With chunks, every stage gets its first one before any gets its second.
 * @param kinds For each layer, whether it has experts; `extra` ones at the end are prediction layers of the last stage.
 */
export function stagePlans(kinds: readonly boolean[], extra: number, layout: Layout): readonly StagePlan[] {
  const { pipelineParallel: stages, virtualPipeline: chunks } = layout
  const main = kinds.length - extra
  const sizes = layout.stageLayers
    ? Array.from({ length: chunks }, (_, chunk) =>
        layout.stageLayers!.map((size) => spread(size, chunks)[chunk] ?? 0),
      ).flat()
    : spread(main, stages * chunks)
  const owned: boolean[][] = Array.from({ length: stages }, () => [])
  let next = 0
  sizes.forEach((size, index) => {
    owned[index % stages]!.push(...kinds.slice(next, next + size))
    next += size
  })
  owned[stages - 1]!.push(...kinds.slice(main))
  return owned.map((own, stage) => planOf(own, stage === 0, stage === stages - 1))
}

function planOf(own: readonly boolean[], first: boolean, last: boolean): StagePlan {
  const expertsBefore = [0]
  const lastDense = [-1]
  const lastExpert = [-1]
  own.forEach((expert, index) => {
    expertsBefore.push(expertsBefore[index]! + (expert ? 1 : 0))
    lastDense.push(expert ? lastDense[index]! : index)
    lastExpert.push(expert ? index : lastExpert[index]!)
  })
  return { layers: own.length, first, last, expertsBefore, lastDense, lastExpert }
}

/**
 * The stages of which one is the fullest: of those with the same layers the first has the most micro-batches at once.
 * All of them where pipelines start at both ends.
 */
export function fullestStages(plans: readonly StagePlan[], layout: Layout): readonly number[] {
  const all = plans.map((_, stage) => stage)
  if (layout.schedule === 'dualpipe') return all
  const seen = new Set<string>()
  return all.filter((stage) => {
    const { first, last, expertsBefore } = plans[stage]!
    const key = [first, last, ...expertsBefore].join()
    return seen.size < seen.add(key).size
  })
}

/**
 * Micro-batches whose activations a stage keeps at its peak, in units of all its layers. For DualPipe, of the pipeline that
 * starts at stage 0: the one from the other end has those of p - 1 - stage.
 */
export function inFlight(layout: Layout, stage: number, microBatches: number): number {
  const { pipelineParallel: p, virtualPipeline, schedule } = layout
  if (schedule === 'dualpipe') return Math.min(p - stage, Math.max(1, microBatches / 2))
  if (schedule === 'zero-bubble') return Math.min(p, microBatches)
  const chunks = schedule === 'interleaved' ? virtualPipeline : 1
  return chunksInFlight(p, chunks, p, microBatches, stage) / chunks
}
