/**
 * @file DualPipe (DeepSeek-V3, arXiv 2412.19437): micro-batches enter at both ends, so each stage holds the layers of two,
 * and runs forwards of one direction beside backwards of the other.
 */
import { linkAfter, linkBefore } from './links.ts'
import { sendsOfChunks } from './one-way.ts'
import {
  BACKWARD,
  BACKWARD_INPUT,
  encode,
  FORWARD,
  PAIRED_BACKWARD,
  PAIRED_FORWARD,
  WEIGHT,
} from './passes.ts'
import {
  type PassTimes,
  type PipelineTimes,
  type ScheduleRule,
  type Shape,
  type Steady,
  unknown,
} from './types.ts'

export const dualPipe: ScheduleRule = {
  placement: 'both-ends',
  chunks: 1,
  pairs: true,
  groups: null,
  // as the engine asks that has the folded one, even of tables that a stage holds both of (`dualpipev_feature.py`)
  needs: {
    leastStages: 2,
    stagesMultiple: 2,
    layersPerStage: 2,
    leastMicroBatches: (stages) => 2 * stages,
    microBatchMultiple: () => 2,
    givenStages: false,
    contextParallel: false,
    tiedEmbeddings: false,
  },
  // (p / 2 - 1)(F&B + B - 3W) (DeepSeek-V3, table 2)
  bubble: {
    idle: (forward, backward, weight) => forward + 2 * backward - 3 * weight,
    isFilled: true,
    seconds: (idle, hops, stages) => idle * (Math.max(stages / 2 - 1, 0) / (stages - 1)) + hops / 2,
  },
  exposedSends: sendsOfChunks,
  exchangesBesidePasses: true,
  // half of the micro-batches pass through either
  inFlight: (stage, part, stages, microBatches) =>
    Math.min(part === 0 ? stages - stage : stage + 1, Math.max(1, microBatches / 2)),
  order: (shape, stage) => dualPipeOrder(shape, stage, false),
  steady: (shape) => dualPipeSteady(shape, false),
  bound: (times) => dualPipeBound(times, false),
  closedForm: unknown,
  quickSeconds: unknown,
}

export function dualPipeSteady({ stages, microBatches }: Shape, folded: boolean): Steady {
  const half = folded ? stages : stages / 2
  const start = Array.from({ length: stages }, (_, stage) => {
    const rank = Math.min(stage, folded ? stage : stages - 1 - stage)
    return 5 * (half - rank - 1) + 2 * (rank + 1) + 4 // the first turn of the middle differs
  })
  const each = folded ? microBatches : microBatches / 2
  return { microBatches: folded ? 1 : 2, passes: 4, periods: each - 2 * half, start }
}

/**
 * The passes of a stage, step by step as DeepSeek published them (github.com/deepseek-ai/DualPipe).
 * @param folded Whether it is the V-shaped half: one copy of the layers, the turn on the last stage.
 */
export function dualPipeOrder({ stages, microBatches }: Shape, stage: number, folded: boolean): Int32Array {
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

/** A stage's passes, side by side where they are paired, after its first message from the nearer end. */
export function dualPipeBound(
  { microBatches, passes, links, overlapsTransfers }: PipelineTimes,
  folded: boolean,
): number {
  const stages = passes.length
  const half = folded ? stages : stages / 2
  const each = folded ? microBatches : microBatches / 2
  let bound = 0
  for (const mirrored of folded ? [false] : [false, true]) {
    let head = 0
    for (let rank = 0; rank < half; rank++) {
      const stage = mirrored ? stages - 1 - rank : rank
      const near = passes[stage]![mirrored ? 1 : 0]!
      const far = passes[stage]![mirrored ? 0 : 1]!
      const after = linkAfter(links, stages, stage)
      const before = linkBefore(links, stage)
      const crossing = each - 2 * half + rank + 1
      let own = each * (whole(near) + whole(far))
      own -= (crossing - (rank === half - 1 ? 1 : 0)) * saved(near, far)
      own -= (crossing + half - rank - 1) * saved(far, near)
      if (!overlapsTransfers)
        own += each * (after.forward + after.backward + before.forward + before.backward)
      bound = Math.max(bound, head + own)
      head += near.forward + (mirrored ? before : after).forward
    }
  }
  return bound
}

function whole({ forward, backward, weight }: PassTimes): number {
  return forward + backward + weight
}

/** Seconds that a forward and a backward of the other chunk save side by side. */
function saved(chunk: PassTimes, other: PassTimes): number {
  const apart = chunk.forward + other.backward + other.weight
  return apart - (chunk.paired ?? apart)
}
