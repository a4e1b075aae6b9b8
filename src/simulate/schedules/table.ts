/** @file All schedules of pipelines, a row each, and what is asked of all of them. */
import { dualPipe } from './dualpipe.ts'
import { dualPipeV } from './dualpipe-v.ts'
import { interleaved, oneForwardOneBackward } from './one-forward-one-backward.ts'
import { copiesOf } from './placement.ts'
import type { ScheduleRule, Shape } from './types.ts'
import { zeroBubble } from './zero-bubble.ts'
import { zeroBubbleV } from './zero-bubble-v.ts'

const ROWS = {
  '1f1b': oneForwardOneBackward,
  interleaved,
  'zero-bubble': zeroBubble,
  dualpipe: dualPipe,
  'dualpipe-v': dualPipeV,
  'zb-v': zeroBubbleV,
} as const satisfies Readonly<Record<string, ScheduleRule>>

/** Order of the passes of a pipeline, by the name that a layout gives it. */
export type PipelineSchedule = keyof typeof ROWS

export const SCHEDULES: { readonly [K in PipelineSchedule]: ScheduleRule } = ROWS
export const SCHEDULE_NAMES = Object.keys(SCHEDULES) as readonly PipelineSchedule[]

/** What any stages and micro-batches run under, one chunk of layers a stage. */
export const PLAIN_SCHEDULE: PipelineSchedule = '1f1b'

/** What is meant where nobody says, with so many chunks of layers a stage. */
export function usualSchedule(chunks: number): PipelineSchedule {
  return chunks > 1 ? 'interleaved' : PLAIN_SCHEDULE
}

/** Whether a schedule goes with so many stages and micro-batches: `countsProblem` as a yes or no, for searches. */
export function countsGo(schedule: PipelineSchedule, stages: number, microBatches: number): boolean {
  const { stagesMultiple, leastMicroBatches, microBatchMultiple } = SCHEDULES[schedule].needs
  return (
    stages % stagesMultiple === 0 &&
    microBatches >= leastMicroBatches(stages) &&
    microBatches % microBatchMultiple(stages) === 0
  )
}

/** Why a schedule does not go with so many stages and micro-batches; undefined where it does. */
export function countsProblem(
  schedule: PipelineSchedule,
  stages: number,
  microBatches: number,
): string | undefined {
  const { stagesMultiple, leastMicroBatches, microBatchMultiple } = SCHEDULES[schedule].needs
  const least = leastMicroBatches(stages)
  const multiple = microBatchMultiple(stages)
  if (stages % stagesMultiple !== 0) return `${schedule} needs an even number of stages, not ${stages}`
  if (!(microBatches >= least))
    return `${schedule} needs at least ${least} micro-batches, there are ${microBatches}`
  return microBatches % multiple === 0
    ? undefined
    : `${schedule} needs micro-batches in multiples of ${multiple}, there are ${microBatches}`
}

/** Why no engine runs such a pipeline; undefined when one does. */
export function scheduleProblem(
  schedule: PipelineSchedule,
  { stages, chunks, microBatches, group }: Shape,
): string | undefined {
  if (!(stages >= 1)) return `${stages} stages`
  if (!(microBatches >= 1)) return `${microBatches} micro-batches`
  const rule = SCHEDULES[schedule]
  if (rule.chunks === 'virtual') {
    // with one chunk there is nothing to interleave
    if (chunks === 1) return undefined
  } else {
    const own = rule.chunks * copiesOf(rule.placement)
    if (chunks !== own) return `${schedule} has ${own} chunk${own === 1 ? '' : 's'} a stage, not ${chunks}`
  }
  return rule.groups === null
    ? countsProblem(schedule, stages, microBatches)
    : rule.groups.problem({ stages, chunks, microBatches, group })
}

/**
 * Most micro-batches whose activations a stage keeps at once, each counted once a chunk that holds them: what
 * `StageRun.inFlight` says, without a simulation.
 */
export function activationsInFlight(
  schedule: PipelineSchedule,
  { stages, chunks, microBatches, group }: Shape,
  stage: number,
): number {
  const { placement, inFlight } = SCHEDULES[schedule]
  const first = inFlight(stage, 0, stages, microBatches, chunks, group)
  return placement === 'straight' ? first : first + inFlight(stage, 1, stages, microBatches, chunks, group)
}
