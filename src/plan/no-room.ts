/** @file Answers where no layout fits: the one that comes closest, and remedies. */
import { createSimulator, type Layout, largestTerm, type Simulator } from '../simulate/index.ts'
import { gridOf, layoutOf, plainLayout, type Space, scheduleGoes, spaceOf, widthOf } from './space.ts'
import type { MemoryShortage, PlanRequest } from './types.ts'

/** The fullest stage of a layout, and the bytes that it takes beyond a chip's memory; below 0 where it fits. */
function shortageOf(simulator: Simulator, layout: Layout): MemoryShortage {
  const stages = simulator.memory.stages(layout)
  const fullest = stages.reduce((most, stage) => (stage.peak > most.peak ? stage : most))
  const term = largestTerm(fullest.terms)
  return {
    layout,
    stage: fullest.stage,
    over: fullest.peak - simulator.machine.memoryBytes,
    term,
    termBytes: fullest.terms[term],
  }
}

/** The layout of the least memory among those that recompute all layers and shard the most; undefined where there are none. */
export function leastMemory(space: Space, simulator: Simulator): MemoryShortage | undefined {
  const { memory, workload } = simulator
  let least: Layout | undefined
  let leastBytes = Number.POSITIVE_INFINITY
  const [microBatch] = space.microBatches
  if (microBatch === undefined) return undefined
  for (const share of space.shares) {
    const width = widthOf(share)
    const grid = gridOf(share)
    for (const p of space.pipelines) {
      const dataParallel = space
        .replicas(microBatch)
        .find((n) => n * width * p <= space.chips && (n * width) % grid === 0)
      if (dataParallel === undefined) continue
      const microBatches = workload.globalBatch / (microBatch * dataParallel)
      for (const split of space.splits(p)) {
        if (!scheduleGoes(split.schedule, p, share.contextParallel, microBatches)) continue
        for (const again of [...split.recomputes.slice(-1), ...split.selective]) {
          for (const sharing of space.sharings(p)) {
            const layout = layoutOf(share, microBatch, p, dataParallel, split, again, sharing)
            const bytes = memory.peak(layout)
            if (bytes >= leastBytes) continue
            leastBytes = bytes
            least = layout
          }
        }
      }
    }
  }
  return least === undefined ? undefined : shortageOf(simulator, plainLayout(least))
}

/** Remedies for a run that no layout fits, one line each. */
export function remediesOf(request: PlanRequest, nearest: MemoryShortage | undefined): string[] {
  const { machine, workload, engine, constants, fixed } = request
  const fits = (other: PlanRequest) => {
    const simulator = createSimulator(other.workload, other.machine, engine.behaviour, constants)
    const shortage = leastMemory(spaceOf(other, true), simulator)
    return shortage !== undefined && shortage.over <= 0
  }
  const remedies: string[] = []
  for (let count = 2 * machine.count; count <= 64 * machine.count && count < 1e6; count *= 2) {
    if (!fits({ ...request, machine: { ...machine, count } })) continue
    remedies.push(`${count} chips of the same kind would hold it, if not fewer`)
    break
  }
  for (let length = workload.sequenceLength / 2; length >= 128 && Number.isInteger(length); length /= 2) {
    if (!fits({ ...request, workload: { ...workload, sequenceLength: length } })) continue
    remedies.push(`sequences of ${length} tokens would fit on these chips`)
    break
  }
  if (fixed !== undefined && Object.keys(fixed).length > 0 && fits(without(request))) {
    remedies.push(`it fits where ${Object.keys(fixed).join(', ')} may be chosen freely`)
  }
  if (nearest !== undefined) {
    const bytes = machine.memoryBytes + nearest.over
    remedies.push(`chips with ${(bytes / 1e9).toFixed(0)} GB of memory would hold it`)
  }
  return remedies
}

function without({ fixed: _, ...request }: PlanRequest): PlanRequest {
  return request
}
