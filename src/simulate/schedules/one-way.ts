/** @file What pipelines have in common whose micro-batches all enter at the first stage and leave at the last. */
import { linkAfter, linkBefore } from './links.ts'
import type { PipelineTimes } from './types.ts'

/**
 * Sends that a stage waits for in each micro-batch: one forward and one backward for each of its chunks, or a share of
 * them where there are several and messages overlap.
 */
export function sendsOfChunks(_stages: number, chunks: number, overlaps: boolean, exposed: number): number {
  return 2 * chunks * (overlaps && chunks > 1 ? exposed : 1)
}

/** How the passes of a stage go on, as far as a bound depends on it. */
interface Flow {
  /** Gradients by weights run apart from those by input, and may fill the end. */
  readonly split: boolean
  /** A stage that runs ahead also waits for one micro-batch to come back from the last stage. */
  readonly waits: boolean
}

/**
 * The bound of straight pipelines. Equal to the makespan where stages are alike and links are free, under one forward, one
 * backward, and with chunks in groups of as many as stages. What links that overlap add to the steady state is not in it.
 */
export function oneWayBound(
  { microBatches, passes, links, overlapsTransfers }: PipelineTimes,
  { split, waits }: Flow,
): number {
  const stages = passes.length
  const chunks = passes[0]!.length

  // seconds of the first chunk's passes with their messages, which either follow them or are part of them
  const down = (stage: number) => passes[stage]![0]!.forward + linkAfter(links, stages, stage).forward
  const up = (stage: number) =>
    passes[stage]![0]!.backward + (split ? 0 : passes[stage]![0]!.weight) + linkBefore(links, stage).backward

  let beyond = 0
  if (waits) for (let stage = 1; stage < stages; stage++) beyond += down(stage) + up(stage)

  let bound = 0
  let head = 0
  let tail = 0
  for (let stage = 0; stage < stages; stage++) {
    const after = linkAfter(links, stages, stage)
    const before = linkBefore(links, stage)
    let own = 0
    let weights = 0
    for (const { forward, backward, weight } of passes[stage]!) {
      own += forward + backward + (split ? 0 : weight)
      weights += weight
    }
    // messages that overlap come after the last pass, others hold up the stage each time
    let messages = overlapsTransfers ? 0 : microBatches * chunks * (after.forward + before.backward)
    if (!overlapsTransfers && chunks > 1) messages += microBatches * (chunks - 1) * wrap(links, stages, stage)
    const end = tail + (overlapsTransfers ? before.backward : 0)
    let seconds = head + microBatches * own + messages + (split ? Math.max(microBatches * weights, end) : end)
    const ahead = stages - 1 - stage
    if (waits && microBatches >= ahead + 2) {
      // there and back, in place of the passes that the stage is ahead
      const trip = beyond + (overlapsTransfers ? after.forward : 0)
      const forwardSeconds = passes[stage]![0]!.forward + (overlapsTransfers ? 0 : after.forward)
      const backwardSeconds = own - passes[stage]![0]!.forward + (overlapsTransfers ? 0 : before.backward)
      seconds += Math.max(0, trip - ahead * forwardSeconds) + Math.max(0, trip - ahead * backwardSeconds)
    }
    if (seconds > bound) bound = seconds
    if (waits && stage < stages - 1) beyond -= down(stage + 1) + up(stage + 1)
    head += down(stage)
    tail += up(stage)
  }
  return bound
}

/** Seconds a stage sends from one chunk to the next over the link from the last stage to the first. */
function wrap(links: PipelineTimes['links'], stages: number, stage: number): number {
  if (stages === 1) return 0
  const link = links?.[stages - 1]
  return (stage === stages - 1 ? (link?.forward ?? 0) : 0) + (stage === 0 ? (link?.backward ?? 0) : 0)
}
