/**
 * @file ZB-V (Qi et al. 2023, arXiv 2401.10241, section 6; the V-ZB of their "Pipeline Parallelism with Controllable
 * Memory", 2024): two chunks a stage on the way there and back, so that gradients return to the stages that are first to run
 * out of forwards, and gradients by weights that are put off fill what is left. Where forward and both gradients take as
 * long as each other no stage waits once it has begun, with the activations that the first stage keeps under 1F1B.
 */
import { linkAfter, linkBefore } from './links.ts'
import { sendsOfChunks } from './one-way.ts'
import { BACKWARD_INPUT, encode, FORWARD, WEIGHT } from './passes.ts'
import { type PipelineTimes, type ScheduleRule, type Shape, unknown } from './types.ts'

export const zeroBubbleV: ScheduleRule = {
  placement: 'folded',
  chunks: 2,
  pairs: false,
  groups: null,
  needs: {
    leastStages: 2,
    stagesMultiple: 1,
    layersPerStage: 2,
    leastMicroBatches: () => 1,
    microBatchMultiple: () => 1,
    givenStages: false,
    contextParallel: true,
    tiedEmbeddings: true,
  },
  // (p - 1) max(B, 2 (B - W)) of a chunk's passes, half a stage's, B without W: what the simulation of stages that are alike
  // takes where B is at least F and W. Once it has begun, no stage waits for (p - 1) B of it. Messages that overlap are only
  // waited for at both ends, on 5p - 7 links.
  bubble: {
    idle: (_forward, backward, weight) => Math.max(backward - weight, 2 * backward - 4 * weight),
    isFilled: true,
    seconds: (idle, hops) => (idle + 5 * hops) / 2,
  },
  exposedSends: (stages, chunks, overlaps, exposed) =>
    overlaps ? 0 : sendsOfChunks(stages, chunks, overlaps, exposed),
  exchangesBesidePasses: true,
  // 2p chunks, half a stage each; the nearer chunk is the longer one, and at one of two such moments it has the most of them
  inFlight: (stage, part, stages, microBatches) => {
    const most = 2 * stages - stage
    if (part === 0) return Math.min(most, microBatches)
    return microBatches >= most ? stage : Math.min(stage + 1, microBatches)
  },
  order: orderOf,
  steady: ({ stages, microBatches }) => ({
    microBatches: 1,
    passes: 6,
    periods: microBatches - (2 * stages - 1),
    start: Array.from({ length: stages }, (_, stage) => 5 * (stages - stage) - 1 + 2 * stage),
  }),
  bound: boundOf,
  closedForm: unknown,
  quickSeconds: unknown,
}

/** The passes of a stage, those of micro-batches that there are too few of left out. */
function orderOf({ stages, microBatches }: Shape, stage: number): Int32Array {
  const order = new Int32Array(6 * microBatches)
  let placed = 0
  /** By kind and chunk: the micro-batch that is next. */
  const next = new Int32Array(2 * (WEIGHT + 1))
  const run = (kind: number, chunk: number) => {
    const microBatch = next[2 * kind + chunk]!++
    if (microBatch < microBatches) order[placed++] = encode(kind, chunk, microBatch, 2)
  }
  const gradients = (chunk: number) => {
    run(BACKWARD_INPUT, chunk)
    run(WEIGHT, chunk)
  }
  const ahead = stages - stage
  const all = Math.max(microBatches, 2 * stages - 1)

  // until the first micro-batch is back from the turn
  for (let i = 0; i < 2 * ahead - 1; i++) run(FORWARD, 0)
  for (let i = 0; i < stage; i++) {
    run(FORWARD, 1)
    run(FORWARD, 0)
  }
  // until its gradient is
  for (let i = 0; i < ahead; i++) {
    run(FORWARD, 1)
    gradients(1)
  }
  for (let i = next[2 * FORWARD]!; i < all; i++) {
    run(FORWARD, 0)
    gradients(0)
    run(FORWARD, 1)
    gradients(1)
  }
  for (let i = 1; i < ahead; i++) {
    gradients(0)
    run(FORWARD, 1)
    gradients(1)
  }
  // others wait for gradients by inputs, those by weights are put off
  for (let i = 0; i < stage; i++) {
    run(BACKWARD_INPUT, 0)
    run(BACKWARD_INPUT, 1)
  }
  for (let i = 0; i < ahead; i++) gradients(0)
  for (const chunk of [1, 0]) for (let i = 0; i < stage; i++) run(WEIGHT, chunk)
  return order
}

/** A stage's passes, after the first message has reached it. */
function boundOf({ microBatches, passes, links, overlapsTransfers }: PipelineTimes): number {
  const stages = passes.length
  let bound = 0
  let head = 0
  for (let stage = 0; stage < stages; stage++) {
    const after = linkAfter(links, stages, stage)
    const before = linkBefore(links, stage)
    let own = 0
    for (const { forward, backward, weight } of passes[stage]!) own += forward + backward + weight
    if (!overlapsTransfers) own += after.forward + after.backward + before.forward + before.backward
    bound = Math.max(bound, head + microBatches * own)
    head += passes[stage]![0]!.forward + after.forward
  }
  return bound
}
