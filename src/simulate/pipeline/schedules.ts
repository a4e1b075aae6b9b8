/** @file In which order each stage of a pipeline runs its passes, by schedule. Durations play no part in it. */
import type { PipelineSchedule } from './types.ts'

/** What a stage may be told to do next. */
export const FORWARD = 0
/** Gradients by input and by weights in one go. */
export const BACKWARD = 1
/** Gradients by input alone. */
export const BACKWARD_INPUT = 2
/** Gradients by weights, kept back by a BACKWARD_INPUT before. */
export const WEIGHT = 3
/** A forward that runs side by side with the backward that follows it in the order. */
export const PAIRED_FORWARD = 4
export const PAIRED_BACKWARD = 5
export const KINDS = 6

export function isForward(kind: number): boolean {
  return kind === FORWARD || kind === PAIRED_FORWARD
}

/** What the order of passes depends on. */
export interface Shape {
  readonly schedule: PipelineSchedule
  readonly stages: number
  /** Chunks a stage. */
  readonly chunks: number
  readonly microBatches: number
  /** Micro-batches a chunk runs in a row ('interleaved'). */
  readonly group: number
}

/** A pass as one number: kind in the lowest three bits, above them micro-batch * chunks + chunk. */
export function encode(kind: number, chunk: number, microBatch: number, chunks: number): number {
  return ((microBatch * chunks + chunk) << KIND_BITS) | kind
}

export const KIND_BITS = 3
export const KIND_MASK = 7

/**
 * The fewest micro-batches from `stages` on that interleaved chunks can take in a row: they divide all micro-batches,
 * or leave at least as many as there are stages, as `microbatch_group_size_per_vp_stage` of github.com/NVIDIA/Megatron-LM asks.
 */
export function interleavedGroup(stages: number, microBatches: number): number {
  let group = stages
  while (group < microBatches && !dividesWell(group, stages, microBatches)) group++
  return group
}

function dividesWell(group: number, stages: number, microBatches: number): boolean {
  const rest = microBatches % group
  return rest === 0 || rest >= stages
}

/** Why no engine runs such a pipeline; undefined when one does. */
export function scheduleProblem(shape: Shape): string | undefined {
  const { schedule, stages, chunks, microBatches, group } = shape
  if (!(stages >= 1)) return `${stages} stages`
  if (!(microBatches >= 1)) return `${microBatches} micro-batches`
  switch (schedule) {
    case '1f1b':
    case 'gpipe':
    case 'zero-bubble':
      return chunks === 1 ? undefined : `${schedule} has one chunk a stage, not ${chunks}`
    case 'interleaved':
      if (chunks === 1) return undefined
      if (microBatches < stages) return `${microBatches} micro-batches are fewer than the ${stages} stages`
      if (group < stages || group > microBatches)
        return `${group} micro-batches in a row are not between the ${stages} stages and the ${microBatches} micro-batches`
      return dividesWell(group, stages, microBatches)
        ? undefined
        : `groups of ${group} leave ${microBatches % group} of ${microBatches} micro-batches, fewer than the ${stages} stages`
    case 'dualpipe':
      if (chunks !== 2) return `dualpipe has two chunks a stage, not ${chunks}`
      if (stages % 2 === 1) return `dualpipe needs an even number of stages, not ${stages}`
      if (microBatches % 2 === 1) return `dualpipe needs an even number of micro-batches, not ${microBatches}`
      return microBatches >= 2 * stages
        ? undefined
        : `dualpipe needs two micro-batches a stage: ${2 * stages}, not ${microBatches}`
    case 'dualpipe-v':
      if (chunks !== 2) return `dualpipe-v has two chunks a stage, not ${chunks}`
      return microBatches >= 2 * stages
        ? undefined
        : `dualpipe-v needs two micro-batches a stage: ${2 * stages}, not ${microBatches}`
  }
}

/**
 * Most micro-batches whose activations a stage keeps at once, each counted once a chunk that holds them: what
 * `StageRun.inFlight` says, without a simulation.
 */
export function activationsInFlight(shape: Shape, stage: number): number {
  const { schedule, stages, chunks, microBatches } = shape
  switch (schedule) {
    case 'gpipe':
      return microBatches
    case '1f1b':
    case 'interleaved':
      return chunksInFlight(stages, chunks, shape.group, microBatches, stage)
    case 'zero-bubble':
      return Math.min(stages, microBatches)
    case 'dualpipe':
      return stages + 1
    case 'dualpipe-v':
      return 2 * stages + 1
  }
}

/** The same of one forward, one backward, with chunks or without: numbers alone, as searches ask for it all the time. */
export function chunksInFlight(
  stages: number,
  chunks: number,
  group: number,
  microBatches: number,
  stage: number,
): number {
  return Math.min(forwardsAhead(stages, chunks, group, stage) + 1, microBatches * chunks)
}

/** The part of a schedule that repeats: each period has the same passes with later micro-batches, on every stage. */
export interface Steady {
  /** Micro-batches and, on each stage, passes of a period. */
  readonly microBatches: number
  readonly passes: number
  /** Whole periods that every stage has. */
  readonly periods: number
  /** By stage: how many passes come before. */
  readonly start: readonly number[]
}

/**
 * The steady part, with periods counted so that a pass waits for one of the period before at the earliest; undefined
 * where nothing repeats.
 */
export function steadyPart(shape: Shape): Steady | undefined {
  const { schedule, stages, chunks, microBatches, group } = shape
  const every = (start: (stage: number) => number) =>
    Array.from({ length: stages }, (_, stage) => start(stage))
  switch (schedule) {
    case 'gpipe':
      return undefined
    case '1f1b':
    case 'interleaved': {
      const each = chunks === 1 ? 1 : group
      const whole = microBatches - (microBatches % each)
      const start = every((stage) => warmUp(shape, stage))
      const periods = Math.floor((whole * chunks - start[0]!) / (each * chunks))
      return { microBatches: each, passes: 2 * each * chunks, periods, start }
    }
    case 'zero-bubble': {
      const periods = microBatches - (stages - 1)
      return { microBatches: 1, passes: 3, periods, start: every((stage) => stages - 1 + stage) }
    }
    case 'dualpipe':
    case 'dualpipe-v': {
      const folded = schedule === 'dualpipe-v'
      const half = folded ? stages : stages / 2
      const start = every((stage) => {
        const rank = Math.min(stage, folded ? stage : stages - 1 - stage)
        return 5 * (half - rank - 1) + 2 * (rank + 1) + 4 // the first turn of the middle differs
      })
      const each = folded ? microBatches : microBatches / 2
      return { microBatches: folded ? 1 : 2, passes: 4, periods: each - 2 * half, start }
    }
  }
}

/** Forwards of a stage before its first backward, where there are as many. */
function warmUp({ schedule, stages, chunks, microBatches, group }: Shape, stage: number): number {
  return schedule === 'gpipe' ? microBatches : forwardsAhead(stages, chunks, group, stage)
}

/** Forwards before the first backward of one forward, one backward (Narayanan et al. 2021, section 2.2). */
function forwardsAhead(stages: number, chunks: number, group: number, stage: number): number {
  return chunks === 1 ? stages - 1 - stage : (stages - 1 - stage) * 2 + (chunks - 1) * group
}

/** The passes of a stage in their order, as `encode` writes them. */
export function stageOrder(shape: Shape, stage: number): Int32Array {
  switch (shape.schedule) {
    case 'gpipe':
    case '1f1b':
    case 'interleaved':
      return oneForwardOneBackward(shape, warmUp(shape, stage))
    case 'zero-bubble':
      return zeroBubble(shape, stage)
    case 'dualpipe':
    case 'dualpipe-v':
      return dualPipe(shape, stage)
  }
}

/**
 * Some forwards to warm up, then one forward and one backward in turns, then the backwards that are left (Narayanan et
 * al. 2021). Chunks take `group` micro-batches in a row, backward from the last chunk on.
 */
function oneForwardOneBackward(shape: Shape, forwardsFirst: number): Int32Array {
  const { chunks, microBatches, group } = shape
  const total = microBatches * chunks
  const warm = Math.min(forwardsFirst, total)
  const order = new Int32Array(2 * total)
  const nth = (kind: number, i: number): number => {
    if (chunks === 1) return encode(kind, 0, i, 1)
    const first = Math.floor(i / (group * chunks)) * group
    const size = Math.min(group, microBatches - first) // the last group takes what is left
    const within = i - first * chunks
    const chunk = Math.floor(within / size)
    return encode(kind, kind === FORWARD ? chunk : chunks - 1 - chunk, first + (within % size), chunks)
  }
  let at = 0
  for (let i = 0; i < warm; i++) order[at++] = nth(FORWARD, i)
  for (let i = 0; i < total - warm; i++) {
    order[at++] = nth(FORWARD, warm + i)
    order[at++] = nth(BACKWARD, i)
  }
  for (let i = total - warm; i < total; i++) order[at++] = nth(BACKWARD, i)
  return order
}

/**
 * ZB-H1 (Qi et al. 2023): 1F1B whose gradients by weights stay behind by as many micro-batches as stages came before,
 * so that every stage holds what the first one holds under 1F1B, and has them to do while it would drain.
 */
function zeroBubble(shape: Shape, stage: number): Int32Array {
  const { stages, microBatches } = shape
  const warm = Math.min(stages - 1 - stage, microBatches)
  const order = new Int32Array(3 * microBatches)
  let at = 0
  for (let i = 0; i < warm; i++) order[at++] = encode(FORWARD, 0, i, 1)
  for (let i = 0; i < microBatches; i++) {
    if (warm + i < microBatches) order[at++] = encode(FORWARD, 0, warm + i, 1)
    order[at++] = encode(BACKWARD_INPUT, 0, i, 1)
    if (i >= stage) order[at++] = encode(WEIGHT, 0, i - stage, 1)
  }
  for (let i = Math.max(0, microBatches - stage); i < microBatches; i++) order[at++] = encode(WEIGHT, 0, i, 1)
  return order
}

/**
 * DualPipe and its V-shaped half, step by step as DeepSeek published them (github.com/deepseek-ai/DualPipe). Micro-
 * batches enter at both ends; a stage runs forwards of one direction beside backwards of the other.
 */
function dualPipe(shape: Shape, stage: number): Int32Array {
  const { schedule, stages, microBatches } = shape
  const folded = schedule === 'dualpipe-v'
  const half = folded ? stages : stages / 2
  const mirrored = !folded && stage >= half
  const rank = mirrored ? stages - 1 - stage : stage
  const each = folded ? microBatches : microBatches / 2

  const order: number[] = []
  const forwards = [0, 0]
  const backwards = [0, 0]
  const kept: number[] = []
  /** Chunk of a direction as seen from the nearer end. */
  const chunkOf = (direction: number) => (mirrored ? 1 - direction : direction)
  const code = (kind: number, chunk: number, i: number) =>
    encode(kind, chunk, folded || chunk === 0 ? i : each + i, 2)
  const forward = (direction: number, kind = FORWARD) => {
    const chunk = chunkOf(direction)
    order.push(code(kind, chunk, forwards[chunk]!++))
  }
  const backward = (direction: number, kind = BACKWARD) => {
    const chunk = chunkOf(direction)
    const i = backwards[chunk]!++
    order.push(code(kind, chunk, i))
    if (kind === BACKWARD_INPUT) kept.push(code(WEIGHT, chunk, i))
  }
  const weight = () => order.push(kept.shift()!)
  const pair = (forwardDirection: number) => {
    forward(forwardDirection, PAIRED_FORWARD)
    backward(1 - forwardDirection, PAIRED_BACKWARD)
  }
  const far = half - rank - 1

  for (let i = 0; i < 2 * far; i++) forward(0)
  for (let i = 0; i <= rank; i++) {
    forward(0)
    forward(1)
  }
  for (let i = 0; i < far; i++) {
    backward(1, BACKWARD_INPUT)
    weight()
    forward(1)
  }
  for (let i = 0; i < each - 2 * half + rank + 1; i++) {
    if (i === 0 && far === 0) {
      // in the middle nothing waits for this forward, and the other side waits for this backward
      forward(0)
      backward(1)
    } else pair(0)
    pair(1)
  }
  for (let i = 0; i < far; i++) {
    backward(1)
    pair(1)
  }
  // from about half of them on, gradients by weights are left for the end
  const turn = (rank + 1) >> 1
  for (let i = 0; i <= rank; i++) {
    backward(1, i > turn || (i === turn && rank % 2 === 1) ? BACKWARD_INPUT : BACKWARD)
    backward(0, i >= turn ? BACKWARD_INPUT : BACKWARD)
  }
  for (let i = 0; i < far; i++) {
    weight()
    backward(0, BACKWARD_INPUT)
  }
  while (kept.length > 0) weight()
  return Int32Array.from(order)
}
