/**
 * @file All passes of a pipeline in one order that respects every dependency. It depends on the shape alone, so it is
 * made once and run for any durations.
 */
import {
  BACKWARD_INPUT,
  copiesOf,
  isForward,
  KIND_BITS,
  KIND_MASK,
  KINDS,
  PAIRED_BACKWARD,
  PAIRED_FORWARD,
  type PipelineSchedule,
  placeOf,
  SCHEDULES,
  type Shape,
  stageOf,
  WEIGHT,
} from '../schedules/index.ts'

/**
 * Passes are numbered from 1 on; 0 stands for no pass. A paired backward follows its forward. Passes of one kind in one
 * cell (stage * chunks + chunk) are a sort: kind * cells + cell.
 */
export interface Program {
  readonly schedule: PipelineSchedule
  readonly shape: Shape
  readonly passes: number
  /** By pass: its sort. */
  readonly sort: Int32Array
  /** By pass: the pass whose message it waits for. */
  readonly waits: Int32Array
  /** By pass: micro-batch * chunks + chunk. */
  readonly unit: Int32Array
  /** All passes, stage after stage, each stage's in its order; by stage: where they begin. */
  readonly ofStage: Int32Array
  readonly begin: Int32Array
  /** By sort: its stage. */
  readonly stage: Int32Array
  /** By sort: what the message it waits for travels over, see `transferOf`; 0 is free. */
  readonly over: Int32Array
  /** By sort: what its own message travels over. */
  readonly sends: Int32Array
  /** By sort: how many passes there are. */
  readonly counts: Int32Array
  readonly paired: boolean
  /** By cell: the first forward, and the pass that completes the gradients by weights. */
  readonly firstForward: Int32Array
  readonly lastGradient: Int32Array
  /** By stage: most activations alive at once; by cell: whose they are then. */
  readonly inFlight: Int32Array
  readonly inFlightByChunk: Int32Array
}

/** The place before or after one, and the link to it where it is on another stage. */
interface Hop {
  readonly stage: number
  readonly chunk: number
  readonly link: number
}

/** Index of a link's seconds: 0 is no link, then forward and backward of each. */
export function transferOf(link: number, gradient: boolean): number {
  return 1 + 2 * link + (gradient ? 1 : 0)
}

/** The place before (`step` -1) or after (1) a chunk on a stage, along the way of a micro-batch's forward pass. */
function neighbor(
  schedule: PipelineSchedule,
  { stages, chunks }: Shape,
  stage: number,
  chunk: number,
  step: -1 | 1,
): Hop | undefined {
  const { placement } = SCHEDULES[schedule]
  const next = placeOf(placement, stages, stage, chunk) + step
  if (next < 0 || next >= stages * chunks) return undefined
  const other = { stage: stageOf(placement, stages, next), chunk: Math.floor(next / stages) }
  if (other.chunk === chunk) return { ...other, link: Math.min(stage, other.stage) }
  // a second copy of the layers begins anew; what is folded turns on its stage; else the last stage sends to the first
  if (copiesOf(placement) === 2) return undefined
  return { ...other, link: other.stage === stage ? 0 : stages - 1 }
}

/** Stands for a place that is the first or the last one. */
const NOWHERE = 0x7fffffff

export function compile(schedule: PipelineSchedule, shape: Shape): Program {
  const { stages, chunks, microBatches } = shape
  const { order, pairs } = SCHEDULES[schedule]
  const cells = stages * chunks
  const units = microBatches * chunks
  const orders = Array.from({ length: stages }, (_, stage) => order(shape, stage))
  const passes = orders.reduce((sum, order) => sum + order.length, 0)
  const program: Program = {
    schedule,
    shape,
    passes,
    sort: new Int32Array(passes + 1),
    waits: new Int32Array(passes + 1),
    unit: new Int32Array(passes + 1),
    ofStage: new Int32Array(passes),
    begin: new Int32Array(stages),
    stage: new Int32Array(KINDS * cells),
    over: new Int32Array(KINDS * cells),
    sends: new Int32Array(KINDS * cells),
    counts: new Int32Array(KINDS * cells),
    paired: pairs,
    firstForward: new Int32Array(cells),
    lastGradient: new Int32Array(cells),
    inFlight: new Int32Array(stages),
    inFlightByChunk: new Int32Array(cells),
  }
  const { sort, waits, unit: unitOf, ofStage, begin, counts, firstForward, lastGradient } = program
  for (let stage = 1; stage < stages; stage++) begin[stage] = begin[stage - 1]! + orders[stage - 1]!.length

  /** By sort: how far off in `done` the pass is that sends its message. */
  const distance = new Int32Array(KINDS * cells).fill(NOWHERE)
  for (let stage = 0; stage < stages; stage++)
    for (let chunk = 0; chunk < chunks; chunk++) {
      const cell = stage * chunks + chunk
      const before = neighbor(schedule, shape, stage, chunk, -1)
      const after = neighbor(schedule, shape, stage, chunk, 1)
      for (let kind = 0; kind < KINDS; kind++) {
        const at = kind * cells + cell
        program.stage[at] = stage
        if (kind === WEIGHT) continue
        const gradient = !isForward(kind)
        const [from, to] = gradient ? [after, before] : [before, after]
        if (from !== undefined) distance[at] = (from.stage - stage) * units + from.chunk - chunk
        if (from !== undefined && from.stage !== stage) program.over[at] = transferOf(from.link, gradient)
        if (to !== undefined && to.stage !== stage) program.sends[at] = transferOf(to.link, gradient)
      }
    }

  /** By kind of message, stage and micro-batch * chunks + chunk: the pass that sends it, once it is placed. */
  const done = new Int32Array(2 * stages * units)
  const cursor = new Int32Array(stages)
  let placed = 0

  /** Places the pass `code`; false where it has to wait for another. */
  const place = (stage: number, code: number): boolean => {
    const kind = code & KIND_MASK
    const unit = code >> KIND_BITS
    const cell = stage * chunks + (unit % chunks)
    const at = kind * cells + cell
    const pass = placed + 1
    if (kind === WEIGHT) lastGradient[cell] = pass
    else {
      const forward = isForward(kind)
      const slot = (forward ? stage : stages + stage) * units + unit
      const far = distance[at]!
      if (far !== NOWHERE) {
        const source = done[slot + far]!
        if (source === 0) return false
        waits[pass] = source
      }
      done[slot] = pass
      if (forward) firstForward[cell] ||= pass
      else if (kind !== BACKWARD_INPUT) lastGradient[cell] = pass
    }
    sort[pass] = at
    unitOf[pass] = unit
    counts[at]!++
    placed = pass
    return true
  }

  /** Whether the backward of a pair, which begins with its forward, has what it waits for. */
  const ready = (stage: number, code: number): boolean => {
    const unit = code >> KIND_BITS
    const far = distance[PAIRED_BACKWARD * cells + stage * chunks + (unit % chunks)]!
    return far === NOWHERE || done[(stages + stage) * units + unit + far] !== 0
  }

  /** Places passes of a stage until one of them has to wait. */
  const advance = (stage: number): void => {
    const order = orders[stage]!
    let at = cursor[stage]!
    for (; at < order.length; at++) {
      const code = order[at]!
      if ((code & KIND_MASK) === PAIRED_FORWARD && !ready(stage, order[at + 1]!)) break
      if (!place(stage, code)) break
      ofStage[begin[stage]! + at] = placed
    }
    cursor[stage] = at
  }

  while (placed < passes) {
    const earlier = placed
    for (let stage = 0; stage < stages; stage++) advance(stage)
    for (let stage = stages - 1; stage >= 0; stage--) advance(stage)
    if (placed === earlier)
      throw new Error(`${schedule} pipeline ${JSON.stringify(shape)} deadlocks after ${placed} passes`)
  }
  for (let stage = 0; stage < stages; stage++) countInFlight(program, stage, orders[stage]!)
  return program
}

/** Activations live from a forward's start to the end of the last pass that reads them. */
function countInFlight(
  { shape, inFlight, inFlightByChunk }: Program,
  stage: number,
  order: Int32Array,
): void {
  const { chunks } = shape
  const alive = new Int32Array(chunks)
  let sum = 0
  for (const code of order) {
    const kind = code & KIND_MASK
    const chunk = (code >> KIND_BITS) % chunks
    if (isForward(kind)) {
      alive[chunk]!++
      if (++sum > inFlight[stage]!) {
        inFlight[stage] = sum
        inFlightByChunk.set(alive, stage * chunks)
      }
    } else if (kind !== BACKWARD_INPUT) {
      alive[chunk]!--
      sum--
    }
  }
}

/** Passes that the programs kept for reuse may have together: some 100 MB. */
const KEPT_PASSES = 4_000_000
const kept = new Map<string, Program>()
let keptPasses = 0

/** The program of a shape, from an earlier call where there was one. */
export function programOf(schedule: PipelineSchedule, shape: Shape): Program {
  const key = `${schedule} ${shape.stages} ${shape.chunks} ${shape.microBatches} ${shape.group}`
  const known = kept.get(key)
  if (known !== undefined) return known
  const program = compile(schedule, shape)
  if (keptPasses + program.passes > KEPT_PASSES) {
    kept.clear()
    keptPasses = 0
  }
  kept.set(key, program)
  keptPasses += program.passes
  return program
}
