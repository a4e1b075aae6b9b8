/** @file Runs a pipeline pass by pass: when each stage computes, waits and has its gradients. */
import { type Program, programOf, transferOf } from './program.ts'
import {
  BACKWARD,
  BACKWARD_INPUT,
  FORWARD,
  interleavedGroup,
  KINDS,
  PAIRED_BACKWARD,
  PAIRED_FORWARD,
  type Shape,
  scheduleProblem,
  WEIGHT,
} from './schedules.ts'
import type { Pass, PassKind, Pipeline, PipelineRun, StageRun } from './types.ts'

/**
 * Each stage runs its passes in the order of the schedule, each as soon as the stage is free and its message is there.
 * @throws RangeError where no engine runs such a pipeline (`scheduleProblem` says why beforehand).
 */
export function simulatePipeline(pipeline: Pipeline): PipelineRun {
  return stagesOf(programOf(shapeOf(pipeline)), clockOf(pipeline))
}

/** The same with every pass, in an order that respects their dependencies: for pictures and traces. */
export function tracePipeline(pipeline: Pipeline): PipelineRun & { readonly timeline: readonly Pass[] } {
  const program = programOf(shapeOf(pipeline))
  const clock = clockOf(pipeline)
  return { ...stagesOf(program, clock), timeline: timelineOf(program, clock) }
}

/** The makespan alone. */
export function simulatedSeconds(pipeline: Pipeline): number {
  return run(programOf(shapeOf(pipeline)), clockOf(pipeline))
}

/** What the order of the passes of a pipeline depends on. */
export function shapeOf({ schedule, microBatches, passes, group }: Pipeline): Shape {
  const stages = passes.length
  const shape: Shape = {
    schedule,
    stages,
    chunks: passes[0]?.length ?? 0,
    microBatches,
    group: schedule === 'interleaved' ? (group ?? interleavedGroup(stages, microBatches)) : 1,
  }
  const problem = scheduleProblem(shape)
  if (problem !== undefined) throw new RangeError(problem)
  return shape
}

/** Durations of a pipeline as the program looks them up. */
interface Clock {
  /** Seconds by kind * cells + cell. */
  readonly durations: Float64Array
  /** Seconds from the end of a pass to the arrival of its message, by `transferOf`. */
  readonly latencies: Float64Array
  /** Seconds a stage is held up by its message, by `transferOf`. */
  readonly holds: Float64Array
}

function clockOf({ passes, links, overlapsTransfers }: Pipeline): Clock {
  const stages = passes.length
  const chunks = passes[0]!.length
  const cells = stages * chunks
  const durations = new Float64Array(KINDS * cells)
  for (let stage = 0; stage < stages; stage++)
    for (let chunk = 0; chunk < chunks; chunk++) {
      const cell = stage * chunks + chunk
      const { forward, backward, weight, paired } = passes[stage]![chunk]!
      durations[FORWARD * cells + cell] = forward
      durations[BACKWARD * cells + cell] = backward + weight
      durations[BACKWARD_INPUT * cells + cell] = backward
      durations[WEIGHT * cells + cell] = weight
      if (chunks === 2) {
        const other = passes[stage]![1 - chunk]!
        durations[PAIRED_FORWARD * cells + cell] = paired ?? forward + other.backward + other.weight
      }
    }
  const transfers = new Float64Array(1 + 2 * stages)
  for (let link = 0; link < stages; link++) {
    transfers[transferOf(link, false)] = links?.[link]?.forward ?? 0
    transfers[transferOf(link, true)] = links?.[link]?.backward ?? 0
  }
  const none = new Float64Array(transfers.length)
  return overlapsTransfers
    ? { durations, latencies: transfers, holds: none }
    : { durations, latencies: none, holds: transfers }
}

/** When each pass has ended and, where messages do not overlap, its message has arrived. Grows, and is reused. */
let ends = new Float64Array(1)

/** Makespan in seconds; `ends` holds the passes. */
function run(program: Program, { durations, latencies, holds }: Clock): number {
  const { passes, stage, duration, waits, over, sends, paired, shape } = program
  if (ends.length <= passes) ends = new Float64Array(passes + 1)
  const free = new Float64Array(shape.stages)
  const pairs = paired ? PAIRED_FORWARD * shape.stages * shape.chunks : Number.POSITIVE_INFINITY
  for (let pass = 1; pass <= passes; pass++) {
    const at = stage[pass]!
    const takes = duration[pass]!
    let start = ends[waits[pass]!]! + latencies[over[pass]!]!
    if (free[at]! > start) start = free[at]!
    if (takes < pairs) {
      const end = start + durations[takes]! + holds[sends[pass]!]!
      ends[pass] = end
      free[at] = end
    } else {
      start = Math.max(start, ends[waits[pass + 1]!]! + latencies[over[pass + 1]!]!)
      const end = start + durations[takes]! + holds[sends[pass]!]! + holds[sends[pass + 1]!]!
      ends[pass] = end
      ends[++pass] = end
      free[at] = end
    }
  }
  return Math.max(...free)
}

/** When a pass has ended on its own stage, before its message. After `run`. */
function endOf({ duration, sends, shape }: Program, { holds }: Clock, pass: number): number {
  const kind = Math.floor(duration[pass]! / (shape.stages * shape.chunks))
  let held = holds[sends[pass]!]!
  if (kind === PAIRED_FORWARD) held += holds[sends[pass + 1]!]!
  if (kind === PAIRED_BACKWARD) held += holds[sends[pass - 1]!]!
  return ends[pass]! - held
}

function stagesOf(program: Program, clock: Clock): PipelineRun {
  const { shape, counts, firstForward, lastGradient, inFlight, inFlightByChunk, passes, stage, sends } =
    program
  const { stages, chunks } = shape
  const cells = stages * chunks
  const makespan = run(program, clock)
  const busy = new Float64Array(stages)
  for (let kind = 0; kind < KINDS; kind++)
    for (let cell = 0; cell < cells; cell++) {
      const i = kind * cells + cell
      busy[Math.floor(cell / chunks)]! += counts[i]! * clock.durations[i]!
    }
  const sending = new Float64Array(stages)
  if (clock.holds.some((seconds) => seconds > 0))
    for (let pass = 1; pass <= passes; pass++) sending[stage[pass]!]! += clock.holds[sends[pass]!]!
  return {
    makespan,
    stages: Array.from({ length: stages }, (_, at): StageRun => {
      const own = (ofCell: (cell: number) => number) =>
        Array.from({ length: chunks }, (_, chunk) => ofCell(at * chunks + chunk))
      return {
        busy: busy[at]!,
        sending: sending[at]!,
        idle: makespan - busy[at]! - sending[at]!,
        firstForward: own((cell) => endOf(program, clock, firstForward[cell]!) - clock.durations[cell]!),
        gradientsReady: own((cell) => endOf(program, clock, lastGradient[cell]!)),
        inFlight: inFlight[at]!,
        inFlightByChunk: own((cell) => inFlightByChunk[cell]!),
      }
    }),
  }
}

const PASS_KINDS: readonly PassKind[] = ['forward', 'backward', 'backward', 'weight', 'forward', 'backward']

/** After `run`. */
function timelineOf(program: Program, clock: Clock): Pass[] {
  const { stages, chunks } = program.shape
  const cells = stages * chunks
  return Array.from({ length: program.passes }, (_, i) => {
    const pass = i + 1
    const duration = program.duration[pass]!
    const kind = Math.floor(duration / cells)
    const end = endOf(program, clock, pass)
    // a paired backward begins with its forward
    const takes = kind === PAIRED_BACKWARD ? program.duration[pass - 1]! : duration
    return {
      stage: program.stage[pass]!,
      chunk: (duration % cells) % chunks,
      microBatch: program.microBatch[pass]!,
      pass: PASS_KINDS[kind]!,
      start: end - clock.durations[takes]!,
      end,
    }
  })
}
