/** @file The pipeline that a layout makes of a model: what each stage's chunks take, and what travels between them. */
import type { CostModel, PassSeconds } from './costs.ts'
import { chunksOf, placeSizes } from './memory/index.ts'
import type { Pipeline } from './pipeline/index.ts'
import {
  copiesOf,
  type PassTimes,
  placeOf,
  SCHEDULES,
  scheduleProblem,
  stageOf,
  turnsBack,
} from './schedules/index.ts'
import { hopSeconds, stageSeconds } from './step.ts'
import type { Layout } from './types.ts'

/**
 * The pipeline of a layout, to be simulated or drawn pass by pass. With chunks, every stage gets its first one before
 * any gets its second. Where no engine runs such a pipeline, says why instead.
 */
export function layoutPipeline(costs: CostModel, layout: Layout): Pipeline | string {
  const { globalBatch, decoder } = costs.workload
  const { pipelineParallel: stages, schedule } = layout
  const microBatches = globalBatch / (layout.microBatch * layout.dataParallel)
  const { placement, groups } = SCHEDULES[schedule]
  const chunks = copiesOf(placement) * chunksOf(layout)
  const group = groups?.usual(stages, microBatches) ?? 1
  const problem = scheduleProblem(schedule, { stages, chunks, microBatches, group })
  if (problem !== undefined) return problem

  const places = placeSizes(decoder.layers, layout)
  // each place is a stage of a longer pipeline: the ends are those of all places
  const longer = { ...layout, pipelineParallel: places.length }
  /** Of each stage, layers in the chunks before this one: the first of a stage are recomputed. */
  const before = new Array<number>(stages).fill(0)
  let from = 0
  const times = places.map((size, place) => {
    const stage = stageOf(placement, stages, place)
    const left = Math.max(0, (layout.recomputeLayers ?? 0) - before[stage]!)
    const own = layout.recomputeLayers === undefined ? longer : { ...longer, recomputeLayers: left }
    const seconds = stageSeconds(costs, own, place, from, size)
    from += size
    before[stage]! += size
    return passTimes(seconds)
  })
  const hop = stages > 1 ? hopSeconds(costs, layout) : 0
  // only where chunks are interleaved the last stage sends to the first
  const links = chunks === 1 || turnsBack(placement) ? stages - 1 : stages
  return {
    schedule,
    microBatches,
    passes: Array.from({ length: stages }, (_, stage) =>
      Array.from({ length: chunks }, (_, chunk) => timesOf(stage, chunk)),
    ),
    links: Array.from({ length: links }, () => ({ forward: hop, backward: hop })),
    overlapsTransfers: costs.engine.overlapsPipeline && chunksOf(layout) > 1,
  }

  /** The second copy of the layers has the places of the first. */
  function timesOf(stage: number, chunk: number): PassTimes {
    return times[placeOf(placement, stages, stage, chunk) % places.length]!
  }
}

function passTimes({ forward, backward, weight }: PassSeconds): PassTimes {
  return { forward, backward: backward - weight, weight }
}
