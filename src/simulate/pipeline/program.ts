/**
 * @file All passes of a pipeline in one order that respects every dependency. It depends on the shape alone, so it is
 * made once and run for any durations.
 */
import {
  BACKWARD,
  BACKWARD_INPUT,
  FORWARD,
  KINDS,
  PAIRED_BACKWARD,
  PAIRED_FORWARD,
  type Shape,
  stageOrder,
  WEIGHT,
} from './schedules.ts'

/** Passes are numbered from 1 on; 0 stands for no pass. A paired backward follows its forward. */
export interface Program {
  readonly shape: Shape
  readonly passes: number
  readonly stage: Int32Array
  /** Which duration: kind * cells + stage * chunks + chunk. */
  readonly duration: Int32Array
  /** The pass whose message it waits for. */
  readonly waits: Int32Array
  /** What that message travels over, see `transferOf`; 0 is free. */
  readonly over: Int32Array
  /** What its own message travels over. */
  readonly sends: Int32Array
  readonly microBatch: Int32Array
  readonly paired: boolean
  /** How many passes take each duration. */
  readonly counts: Int32Array
  /** By stage * chunks + chunk: the first forward, and the pass that completes the gradients by weights. */
  readonly firstForward: Int32Array
  readonly lastGradient: Int32Array
  /** By stage: most activations alive at once; by stage * chunks + chunk: whose they are then. */
  readonly inFlight: Int32Array
  readonly inFlightByChunk: Int32Array
}

/** The place before or after one: its cell (stage * chunks + chunk), and the link to it, -1 on the same stage. */
interface Hop {
  readonly cell: number
  readonly link: number
}

/** Index of a link's seconds: 0 is no link, then forward and backward of each. */
export function transferOf(link: number, gradient: boolean): number {
  return 1 + 2 * link + (gradient ? 1 : 0)
}

/** The place before (`step` -1) or after (1) a chunk on a stage, along the way of a micro-batch's forward pass. */
function neighbor(shape: Shape, stage: number, chunk: number, step: -1 | 1): Hop | undefined {
  const { schedule, stages, chunks } = shape
  const hop = (toStage: number, toChunk: number, link: number): Hop => ({
    cell: toStage * chunks + toChunk,
    link: toStage === stage ? -1 : link,
  })
  const upwards = chunk === 1 && (schedule === 'dualpipe' || schedule === 'dualpipe-v')
  const next = upwards ? stage - step : stage + step
  if (next >= 0 && next < stages) return hop(next, chunk, Math.min(stage, next))
  if (schedule === 'dualpipe-v')
    return next === stages && chunk !== (step + 1) / 2 ? hop(stage, 1 - chunk, 0) : undefined
  if (schedule === 'dualpipe' || chunk + step < 0 || chunk + step >= chunks) return undefined
  return hop(step === 1 ? 0 : stages - 1, chunk + step, stages - 1)
}

export function compile(shape: Shape): Program {
  const { stages, chunks, microBatches } = shape
  const cells = stages * chunks
  const before: (Hop | undefined)[] = []
  const after: (Hop | undefined)[] = []
  for (let stage = 0; stage < stages; stage++)
    for (let chunk = 0; chunk < chunks; chunk++) {
      before.push(neighbor(shape, stage, chunk, -1))
      after.push(neighbor(shape, stage, chunk, 1))
    }
  const orders = Array.from({ length: stages }, (_, stage) => stageOrder(shape, stage))
  const passes = orders.reduce((sum, order) => sum + order.length, 0)

  const program: Program = {
    shape,
    passes,
    stage: new Int32Array(passes + 1),
    duration: new Int32Array(passes + 1),
    waits: new Int32Array(passes + 1),
    over: new Int32Array(passes + 1),
    sends: new Int32Array(passes + 1),
    microBatch: new Int32Array(passes + 1),
    paired: shape.schedule === 'dualpipe' || shape.schedule === 'dualpipe-v',
    counts: new Int32Array(KINDS * cells),
    firstForward: new Int32Array(cells),
    lastGradient: new Int32Array(cells),
    inFlight: new Int32Array(stages),
    inFlightByChunk: new Int32Array(cells),
  }
  const { waits, over, sends, counts, firstForward, lastGradient } = program

  // by cell * microBatches + micro-batch: the pass that was placed
  const forwardOf = new Int32Array(cells * microBatches)
  const backwardOf = new Int32Array(cells * microBatches)
  const cursor = new Int32Array(stages)
  let placed = 0

  /** The pass that a kind waits for: 0 for none, -1 where it is not placed yet. */
  const sourceOf = (kind: number, cell: number, microBatch: number): number => {
    if (kind === WEIGHT) return 0
    const forward = kind === FORWARD || kind === PAIRED_FORWARD
    const from = forward ? before[cell] : after[cell]
    if (from === undefined) return 0
    return (forward ? forwardOf : backwardOf)[from.cell * microBatches + microBatch]! || -1
  }

  const place = (stage: number, kind: number, cell: number, microBatch: number, source: number): void => {
    const pass = ++placed
    const forward = kind === FORWARD || kind === PAIRED_FORWARD
    const duration = kind * cells + cell
    program.stage[pass] = stage
    program.microBatch[pass] = microBatch
    program.duration[pass] = duration
    counts[duration]!++
    waits[pass] = source
    if (forward) {
      forwardOf[cell * microBatches + microBatch] = pass
      firstForward[cell] ||= pass
    } else if (kind !== WEIGHT) backwardOf[cell * microBatches + microBatch] = pass
    if (kind === BACKWARD || kind === WEIGHT || kind === PAIRED_BACKWARD) lastGradient[cell] = pass
    if (kind === WEIGHT) return
    const from = (forward ? before : after)[cell]
    const to = (forward ? after : before)[cell]
    if (from !== undefined && from.link >= 0) over[pass] = transferOf(from.link, !forward)
    if (to !== undefined && to.link >= 0) sends[pass] = transferOf(to.link, !forward)
  }

  /** Places passes of a stage until one of them has to wait. */
  const advance = (stage: number): void => {
    const order = orders[stage]!
    let at = cursor[stage]!
    while (at < order.length) {
      const code = order[at]!
      const kind = code % KINDS
      const unit = (code - kind) / KINDS
      const microBatch = Math.floor(unit / chunks)
      const cell = stage * chunks + (unit % chunks)
      const from = sourceOf(kind, cell, microBatch)
      if (from < 0) break
      if (kind === PAIRED_FORWARD) {
        const other = (order[at + 1]! - PAIRED_BACKWARD) / KINDS
        const otherCell = stage * chunks + (other % chunks)
        const otherMicroBatch = Math.floor(other / chunks)
        const otherFrom = sourceOf(PAIRED_BACKWARD, otherCell, otherMicroBatch)
        if (otherFrom < 0) break
        place(stage, kind, cell, microBatch, from)
        place(stage, PAIRED_BACKWARD, otherCell, otherMicroBatch, otherFrom)
        at += 2
      } else {
        place(stage, kind, cell, microBatch, from)
        at++
      }
    }
    cursor[stage] = at
  }

  while (placed < passes) {
    const earlier = placed
    for (let stage = 0; stage < stages; stage++) advance(stage)
    for (let stage = stages - 1; stage >= 0; stage--) advance(stage)
    if (placed === earlier)
      throw new Error(`pipeline ${JSON.stringify(shape)} deadlocks after ${placed} passes`)
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
    const kind = code % KINDS
    const chunk = ((code - kind) / KINDS) % chunks
    if (kind === FORWARD || kind === PAIRED_FORWARD) {
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
export function programOf(shape: Shape): Program {
  const key = `${shape.schedule} ${shape.stages} ${shape.chunks} ${shape.microBatches} ${shape.group}`
  const known = kept.get(key)
  if (known !== undefined) return known
  const program = compile(shape)
  if (keptPasses + program.passes > KEPT_PASSES) {
    kept.clear()
    keptPasses = 0
  }
  kept.set(key, program)
  keptPasses += program.passes
  return program
}
