/** @file Makespans without a simulation: formulas where one is exact, and a bound from below everywhere else. */
import { oneForwardOneBackwardSeconds } from './one-forward-one-backward.ts'
import { shapeOf, simulatedSeconds } from './simulate.ts'
import type { PassTimes, Pipeline, PipelineSchedule, TransferTimes } from './types.ts'

/**
 * The makespan in seconds, exactly, in the quickest way there is: 1F1B turn by turn until it is steady, a formula, or
 * else the simulation of every pass. `lastBackward` is filled with the second in which each stage has all its gradients.
 */
export function pipelineSeconds(pipeline: Pipeline, lastBackward?: Float64Array): number {
  const { schedule, microBatches, passes } = pipeline
  if (schedule === '1f1b' && microBatches >= passes.length && passes[0]?.length === 1)
    return oneForwardOneBackwardSeconds(pipeline, lastBackward)
  if (lastBackward === undefined) return closedFormSeconds(pipeline) ?? simulatedSeconds(pipeline)
  return simulatedSeconds(pipeline, lastBackward)
}

/**
 * Seconds that the makespan is never below, in one look at each stage: what comes before a stage's first pass at the
 * least, its own passes, and what comes after its last. Equal to the makespan where stages are alike and links are
 * free ('1f1b', 'gpipe', and 'interleaved' in groups of as many as stages). What links that overlap add to the steady
 * state is not in it.
 */
export function boundSeconds(pipeline: Pipeline): number {
  const { schedule } = pipeline
  if (schedule === 'dualpipe' || schedule === 'dualpipe-v') return dualPipeBound(pipeline, schedule)
  return oneWayBound(pipeline)
}

function oneWayBound({ schedule, microBatches, passes, links, overlapsTransfers }: Pipeline): number {
  const stages = passes.length
  const chunks = passes[0]!.length
  const split = schedule === 'zero-bubble'
  /** Under 1F1B a stage that runs ahead also waits for one micro-batch to come back from the last stage. */
  const waits = schedule === '1f1b' || (schedule === 'interleaved' && chunks === 1)

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

/** A stage's passes, side by side where they are paired, after its first message from the nearer end. */
function dualPipeBound(
  { microBatches, passes, links, overlapsTransfers }: Pipeline,
  schedule: PipelineSchedule,
): number {
  const stages = passes.length
  const folded = schedule === 'dualpipe-v'
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

const FREE: TransferTimes = { forward: 0, backward: 0 }

function linkAfter(links: Pipeline['links'], stages: number, stage: number): TransferTimes {
  return (stage < stages - 1 ? links?.[stage] : undefined) ?? FREE
}

function linkBefore(links: Pipeline['links'], stage: number): TransferTimes {
  return (stage > 0 ? links?.[stage - 1] : undefined) ?? FREE
}

/** Seconds a stage sends from one chunk to the next over the link from the last stage to the first. */
function wrap(links: Pipeline['links'], stages: number, stage: number): number {
  if (stages === 1) return 0
  const link = links?.[stages - 1] ?? FREE
  return (stage === stages - 1 ? link.forward : 0) + (stage === 0 ? link.backward : 0)
}

/**
 * The makespan in seconds of a pipeline whose stages are all alike; undefined where no formula is exact.
 * With F and B the seconds of a whole forward and backward of a chunk, p stages, v chunks and m micro-batches:
 * '1f1b' and 'gpipe' (m + p - 1)(F + B); 'interleaved' with m a multiple of p (v m + p - 1)(F + B)
 * (Narayanan et al. 2021). With links that are all alike and overlap, see `exposedTransfers`.
 */
export function closedFormSeconds(pipeline: Pipeline): number | undefined {
  const { schedule, microBatches, passes, overlapsTransfers } = pipeline
  const { stages, chunks, group } = shapeOf(pipeline)
  const first = passes[0]![0]!
  if (!passes.every((chunksOf) => chunksOf.every((times) => alike(times, first)))) return undefined
  const link = uniformLink(pipeline)
  if (link === undefined) return undefined
  const transfer = link.forward + link.backward
  if (transfer > 0 && !overlapsTransfers) return undefined
  const chunk = first.forward + first.backward + first.weight
  switch (schedule) {
    case 'gpipe':
      return (microBatches + stages - 1) * chunk + (stages - 1) * transfer
    case 'interleaved':
      if (chunks > 1) {
        if (transfer > 0 || group !== stages) return undefined
        return (microBatches * chunks + stages - 1) * chunk
      }
      break
    case '1f1b':
      break
    default:
      return undefined
  }
  return (microBatches + stages - 1) * chunk + exposedTransfers(stages, microBatches) * transfer
}

/**
 * Messages there and back that 1F1B with stages all alike waits for. A forward reaches the last stage over p - 1 links;
 * from then on, what a stage hands down comes back to it p - 1 links later, in time for p micro-batches on.
 */
function exposedTransfers(stages: number, microBatches: number): number {
  const later = microBatches - 1
  return (stages - 1) * (1 + Math.floor(later / stages)) + Math.max(0, (later % stages) - 1)
}

function alike(a: PassTimes, b: PassTimes): boolean {
  return a === b || (a.forward === b.forward && a.backward === b.backward && a.weight === b.weight)
}

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
