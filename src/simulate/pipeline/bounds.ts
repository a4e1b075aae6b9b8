/** @file Makespans without a simulation: formulas where one is exact, and a bound from below everywhere else. */
import { type PassTimes, SCHEDULES, type TransferTimes } from '../schedules/index.ts'
import { shapeOf, simulatedSeconds } from './simulate.ts'
import type { Pipeline } from './types.ts'

/**
 * The makespan in seconds, exactly, in the quickest way there is: that of the schedule, a formula, or else the simulation
 * of every pass. `lastBackward` is filled with the second in which each stage has all its gradients.
 */
export function pipelineSeconds(pipeline: Pipeline, lastBackward?: Float64Array): number {
  const quick = SCHEDULES[pipeline.schedule].quickSeconds(pipeline, lastBackward)
  if (quick !== undefined) return quick
  if (lastBackward === undefined) return closedFormSeconds(pipeline) ?? simulatedSeconds(pipeline)
  return simulatedSeconds(pipeline, lastBackward)
}

/** Seconds that the makespan is never below, see `ScheduleRule.bound`. */
export function boundSeconds(pipeline: Pipeline): number {
  return SCHEDULES[pipeline.schedule].bound(pipeline)
}

/** The makespan in seconds of a pipeline whose stages are all alike; undefined where no formula is exact. */
export function closedFormSeconds(pipeline: Pipeline): number | undefined {
  const { schedule, passes, overlapsTransfers } = pipeline
  const shape = shapeOf(pipeline)
  const first = passes[0]![0]!
  if (!passes.every((chunksOf) => chunksOf.every((times) => alike(times, first)))) return undefined
  const link = uniformLink(pipeline)
  if (link === undefined) return undefined
  const transfer = link.forward + link.backward
  if (transfer > 0 && !overlapsTransfers) return undefined
  return SCHEDULES[schedule].closedForm(shape, first.forward + first.backward + first.weight, transfer)
}

function alike(a: PassTimes, b: PassTimes): boolean {
  return a === b || (a.forward === b.forward && a.backward === b.backward && a.weight === b.weight)
}

const FREE: TransferTimes = { forward: 0, backward: 0 }

/** What every link between neighbors takes; undefined where they differ. */
function uniformLink({ links, passes }: Pipeline): TransferTimes | undefined {
  const first = links?.[0] ?? FREE
  const count = passes[0]!.length > 1 ? passes.length : passes.length - 1
  for (let i = 1; i < count; i++) {
    const link = links?.[i] ?? FREE
    if (link.forward !== first.forward || link.backward !== first.backward) return undefined
  }
  return passes.length === 1 ? FREE : first
}
