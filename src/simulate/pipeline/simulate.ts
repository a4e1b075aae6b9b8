/** @file Runs a pipeline pass by pass: when each stage computes, waits and has its gradients. */
import {
  BACKWARD,
  BACKWARD_INPUT,
  FORWARD,
  KINDS,
  PAIRED_BACKWARD,
  PAIRED_FORWARD,
  SCHEDULES,
  type Shape,
  type Steady,
  scheduleProblem,
  WEIGHT,
} from '../schedules/index.ts'
import { type Program, programOf, transferOf } from './program.ts'
import type { Pass, PassKind, Pipeline, PipelineRun, StageRun } from './types.ts'

/**
 * Each stage runs its passes in the order of the schedule, each as soon as the stage is free and its message is there.
 * @throws RangeError where no engine runs such a pipeline (`scheduleProblem` says why beforehand).
 */
export function simulatePipeline(pipeline: Pipeline): PipelineRun {
  return stagesOf(simulate(pipeline))
}

/** The same with every pass, in an order that respects their dependencies: for pictures and traces. */
export function tracePipeline(pipeline: Pipeline): PipelineRun & { readonly timeline: readonly Pass[] } {
  const program = programOf(pipeline.schedule, shapeOf(pipeline))
  const clock = clockOf(pipeline, program)
  const simulation = { program, clock, makespan: run(program, clock), periods: 0, shift: 0 }
  return { ...stagesOf(simulation), timeline: timelineOf(program, clock) }
}

/** The makespan alone; `lastBackward` is filled with the second in which each stage has all its gradients. */
export function simulatedSeconds(pipeline: Pipeline, lastBackward?: Float64Array): number {
  const { program, clock, makespan, shift } = simulate(pipeline)
  if (lastBackward !== undefined) {
    const { stages, chunks } = program.shape
    lastBackward.fill(0, 0, stages)
    program.lastGradient.forEach((pass, cell) => {
      const stage = Math.floor(cell / chunks)
      lastBackward[stage] = Math.max(lastBackward[stage]!, endOf(program, clock, pass) + shift)
    })
  }
  return makespan
}

/** A program that was run, and the periods of its steady part that were left out of it. */
interface Simulation {
  readonly program: Program
  readonly clock: Clock
  /** Seconds of the whole pipeline. */
  readonly makespan: number
  readonly periods: number
  /** Seconds that those periods take: by how much all that follows them is later. */
  readonly shift: number
}

/** Periods of the steady part that are tried at first, or micro-batches a stage in them; and by how much more then. */
const FIRST_PERIODS = 6
const FIRST_MICRO_BATCHES = 2
const MORE_PERIODS = 4

/** Relative error that periods left out may bring in, above that of adding up. */
const TOLERANCE = 1e-12

/**
 * Leaves out what repeats. Every end is a maximum of sums of earlier ends and durations: where the ends that a period
 * builds on are later by the same seconds as those of the period before, so are its own, and those of all periods to
 * come (see `turn-by-turn.ts`, which does the same without passes). That is tested, on every pass of two
 * periods in a row; a pipeline that has not settled is simulated for longer, in the end as a whole.
 */
function simulate(pipeline: Pipeline): Simulation {
  const shape = shapeOf(pipeline)
  const steady = SCHEDULES[pipeline.schedule].steady(shape)
  if (steady !== undefined) {
    const first = Math.ceil((FIRST_MICRO_BATCHES * shape.stages) / steady.microBatches)
    for (let tried = Math.max(FIRST_PERIODS, first); tried < steady.periods / 2; tried *= MORE_PERIODS) {
      const periods = steady.periods - tried
      const program = programOf(pipeline.schedule, {
        ...shape,
        microBatches: shape.microBatches - periods * steady.microBatches,
      })
      const clock = clockOf(pipeline, program)
      const makespan = run(program, clock)
      const growth = growthOf(program, steady, tried, (TOLERANCE * makespan) / periods)
      if (growth === undefined) continue
      const shift = growth * periods
      return { program, clock, makespan: makespan + shift, periods, shift }
    }
  }
  const program = programOf(pipeline.schedule, shape)
  const clock = clockOf(pipeline, program)
  return { program, clock, makespan: run(program, clock), periods: 0, shift: 0 }
}

/**
 * By how many seconds the passes of the last two of `periods` are later than those of the period before; undefined
 * where that differs by more than `tolerance`. After `run`.
 */
function growthOf(program: Program, steady: Steady, periods: number, tolerance: number): number | undefined {
  const { shape, ofStage, begin } = program
  const { passes, start } = steady
  let least = Number.POSITIVE_INFINITY
  let most = 0
  for (let stage = 0; stage < shape.stages; stage++) {
    const end = begin[stage]! + start[stage]! + periods * passes
    for (let i = end - 2 * passes; i < end; i++) {
      const seconds = ends[ofStage[i]!]! - ends[ofStage[i - passes]!]!
      if (seconds < least) least = seconds
      if (seconds > most) most = seconds
    }
    if (most - least > tolerance) return undefined
  }
  return (least + most) / 2
}

/** What the order of the passes of a pipeline depends on. */
export function shapeOf({ schedule, microBatches, passes, group }: Pipeline): Shape {
  const stages = passes.length
  const { groups } = SCHEDULES[schedule]
  const shape: Shape = {
    stages,
    chunks: passes[0]?.length ?? 0,
    microBatches,
    group: groups === null ? 1 : (group ?? groups.usual(stages, microBatches)),
  }
  const problem = scheduleProblem(schedule, shape)
  if (problem !== undefined) throw new RangeError(problem)
  return shape
}

/** Seconds of a pipeline by the sort of a pass. */
interface Clock {
  readonly durations: Float64Array
  /** From the end of the pass it waits for to the arrival of the message. */
  readonly latencies: Float64Array
  /** How long its own message holds up the stage. */
  readonly holds: Float64Array
}

function clockOf({ passes, links, overlapsTransfers }: Pipeline, { shape, over, sends }: Program): Clock {
  const { stages, chunks } = shape
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
  const latencies = new Float64Array(KINDS * cells)
  const holds = new Float64Array(KINDS * cells)
  for (let sort = 0; sort < latencies.length; sort++)
    if (overlapsTransfers) latencies[sort] = transfers[over[sort]!]!
    else holds[sort] = transfers[sends[sort]!]!
  return { durations, latencies, holds }
}

/** When each pass has ended and, where messages do not overlap, its message has arrived. Grows, and is reused. */
let ends = new Float64Array(1)

/** Makespan in seconds; `ends` holds the passes. */
function run({ passes, sort, waits, stage, paired, shape }: Program, clock: Clock): number {
  const { durations, latencies, holds } = clock
  if (ends.length <= passes) ends = new Float64Array(passes + 1)
  const free = new Float64Array(shape.stages)
  const pairs = paired ? PAIRED_FORWARD * shape.stages * shape.chunks : Number.POSITIVE_INFINITY
  for (let pass = 1; pass <= passes; pass++) {
    const at = sort[pass]!
    const own = stage[at]!
    let start = ends[waits[pass]!]! + latencies[at]!
    if (free[own]! > start) start = free[own]!
    let end = start + durations[at]! + holds[at]!
    if (at >= pairs) {
      const other = sort[pass + 1]!
      const arrival = ends[waits[pass + 1]!]! + latencies[other]!
      if (arrival > start) end += arrival - start
      end += holds[other]!
      ends[pass++] = end
    }
    ends[pass] = end
    free[own] = end
  }
  return Math.max(...free)
}

/** When a pass has ended on its own stage, before its message. After `run`. */
function endOf({ sort, shape }: Program, { holds }: Clock, pass: number): number {
  const at = sort[pass]!
  const kind = Math.floor(at / (shape.stages * shape.chunks))
  let held = holds[at]!
  if (kind === PAIRED_FORWARD) held += holds[sort[pass + 1]!]!
  if (kind === PAIRED_BACKWARD) held += holds[sort[pass - 1]!]!
  return ends[pass]! - held
}

function stagesOf({ program, clock, makespan, periods, shift }: Simulation): PipelineRun {
  const { shape, counts, stage, firstForward, lastGradient, inFlight, inFlightByChunk } = program
  const { stages, chunks } = shape
  const busy = new Float64Array(stages)
  const sending = new Float64Array(stages)
  for (let sort = 0; sort < counts.length; sort++) {
    busy[stage[sort]!]! += counts[sort]! * clock.durations[sort]!
    sending[stage[sort]!]! += counts[sort]! * clock.holds[sort]!
  }
  const steady = periods > 0 ? SCHEDULES[program.schedule].steady(shape) : undefined
  if (steady !== undefined)
    for (let at = 0; at < stages; at++) {
      const first = program.begin[at]! + steady.start[at]!
      for (let i = first; i < first + steady.passes; i++) {
        const sort = program.sort[program.ofStage[i]!]!
        busy[at]! += periods * clock.durations[sort]!
        sending[at]! += periods * clock.holds[sort]!
      }
    }
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
        gradientsReady: own((cell) => endOf(program, clock, lastGradient[cell]!) + shift),
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
    const sort = program.sort[pass]!
    const kind = Math.floor(sort / cells)
    const end = endOf(program, clock, pass)
    // a paired backward begins with its forward
    const takes = kind === PAIRED_BACKWARD ? program.sort[pass - 1]! : sort
    return {
      stage: program.stage[sort]!,
      chunk: program.unit[pass]! % chunks,
      microBatch: Math.floor(program.unit[pass]! / chunks),
      pass: PASS_KINDS[kind]!,
      start: end - clock.durations[takes]!,
      end,
    }
  })
}
