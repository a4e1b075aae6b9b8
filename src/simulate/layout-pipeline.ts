/** @file The pipeline that a layout makes of a model: what each stage's chunks take, and what travels between them. */
import type { CostModel, PassSeconds } from './costs.ts'
import { chunksOf, placeSizes, stageOf } from './memory/index.ts'
import type { PassTimes, Pipeline } from './pipeline/index.ts'
import { interleavedGroup, scheduleProblem } from './pipeline/index.ts'
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
  const twoEnds = schedule === 'dualpipe'
  const folded = schedule === 'dualpipe-v'
  const chunks = twoEnds ? 2 : chunksOf(layout)
  const problem = scheduleProblem({
    schedule,
    stages,
    chunks,
    microBatches,
    group: interleavedGroup(stages, microBatches),
  })
  if (problem !== undefined) return problem

  const places = placeSizes(decoder.layers, layout)
  // each place is a stage of a longer pipeline: the ends are those of all places
  const longer = { ...layout, pipelineParallel: places.length }
  /** Of each stage, layers in the chunks before this one: the first of a stage are recomputed. */
  const before = new Array<number>(stages).fill(0)
  let from = 0
  const times = places.map((size, place) => {
    const stage = stageOf(place, layout)
    const left = Math.max(0, (layout.recomputeLayers ?? 0) - before[stage]!)
    const own = layout.recomputeLayers === undefined ? longer : { ...longer, recomputeLayers: left }
    const seconds = stageSeconds(costs, own, place, from, size)
    from += size
    before[stage]! += size
    return passTimes(seconds)
  })
  const hop = stages > 1 ? hopSeconds(costs, layout) : 0
  // only where chunks are interleaved the last stage sends to the first
  const links = chunks === 1 || twoEnds || folded ? stages - 1 : stages
  return {
    schedule,
    microBatches,
    passes: Array.from({ length: stages }, (_, stage) =>
      Array.from({ length: chunks }, (_, chunk) => times[placeOf(stage, chunk)]!),
    ),
    links: Array.from({ length: links }, () => ({ forward: hop, backward: hop })),
    overlapsTransfers: costs.engine.overlapsPipeline && chunksOf(layout) > 1,
  }

  function placeOf(stage: number, chunk: number): number {
    if (chunk === 0 || !(twoEnds || folded)) return chunk * stages + stage
    return places.length - 1 - stage
  }
}

function passTimes({ forward, backward, weight }: PassSeconds): PassTimes {
  return { forward, backward: backward - weight, weight }
}
