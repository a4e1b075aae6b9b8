/**
 * @file One forward, one backward in turns (Narayanan et al. 2021), with one chunk of layers a stage, or with several that
 * are interleaved.
 */
import { oneWayBound, sendsOfChunks } from './one-way.ts'
import { BACKWARD, encode, FORWARD } from './passes.ts'
import { oneForwardOneBackwardSeconds } from './turn-by-turn.ts'
import { type ScheduleRule, type Shape, type Steady, unknown } from './types.ts'

export const oneForwardOneBackward: ScheduleRule = {
  placement: 'straight',
  chunks: 1,
  pairs: false,
  groups: null,
  needs: {
    leastStages: 1,
    stagesMultiple: 1,
    layersPerStage: 1,
    leastMicroBatches: () => 1,
    microBatchMultiple: () => 1,
    givenStages: true,
    contextParallel: true,
    tiedEmbeddings: true,
  },
  // the passes of all other stages (section 2.2)
  bubble: { idle: allPasses, isFilled: false, seconds: (idle, hops) => idle + hops },
  exposedSends: sendsOfChunks,
  exchangesBesidePasses: true,
  inFlight: (stage, _part, stages, microBatches, chunks, group) =>
    Math.min(forwardsAhead(stages, chunks, group, stage) + 1, microBatches * chunks),
  order: orderOf,
  steady: steadyOf,
  bound: (times) => oneWayBound(times, { split: false, waits: true }),
  closedForm: ({ stages, microBatches }, chunk, transfer) =>
    (microBatches + stages - 1) * chunk + exposedTransfers(stages, microBatches) * transfer,
  quickSeconds: (times, lastBackward) =>
    times.microBatches >= times.passes.length ? oneForwardOneBackwardSeconds(times, lastBackward) : undefined,
}

export const interleaved: ScheduleRule = {
  ...oneForwardOneBackward,
  chunks: 'virtual',
  groups: { usual: interleavedGroup, problem: groupProblem },
  needs: {
    ...oneForwardOneBackward.needs,
    leastStages: 2,
    leastMicroBatches: (stages) => stages,
    microBatchMultiple: (stages) => stages,
    givenStages: false,
  },
  bubble: {
    idle: allPasses,
    isFilled: false,
    seconds: (idle, hops, _stages, chunks) => (idle + hops) / chunks,
  },
  bound: (times) => oneWayBound(times, { split: false, waits: times.passes[0]!.length === 1 }),
  closedForm: (shape, chunk, transfer) => {
    const { stages, chunks, microBatches, group } = shape
    if (chunks === 1) return oneForwardOneBackward.closedForm(shape, chunk, transfer)
    if (transfer > 0 || group !== stages) return undefined
    return (microBatches * chunks + stages - 1) * chunk
  },
  quickSeconds: unknown,
}

/**
 * The fewest micro-batches from `stages` on that interleaved chunks can take in a row: they divide all micro-batches,
 * or leave at least as many as there are stages, as engines ask (microbatch_group_size_per_vp_stage).
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

function groupProblem({ stages, microBatches, group }: Shape): string | undefined {
  if (group < stages || group > microBatches)
    return `${group} micro-batches in a row are not between the ${stages} stages and the ${microBatches} micro-batches`
  return dividesWell(group, stages, microBatches)
    ? undefined
    : `groups of ${group} leave ${microBatches % group} of ${microBatches} micro-batches, fewer than the ${stages} stages`
}

function allPasses(forward: number, backward: number): number {
  return forward + backward
}

/** Forwards before the first backward (section 2.2). */
function forwardsAhead(stages: number, chunks: number, group: number, stage: number): number {
  return chunks === 1 ? stages - 1 - stage : (stages - 1 - stage) * 2 + (chunks - 1) * group
}

function steadyOf({ stages, chunks, microBatches, group }: Shape): Steady {
  const each = chunks === 1 ? 1 : group
  const whole = microBatches - (microBatches % each)
  const start = Array.from({ length: stages }, (_, stage) => forwardsAhead(stages, chunks, group, stage))
  const periods = Math.floor((whole * chunks - start[0]!) / (each * chunks))
  return { microBatches: each, passes: 2 * each * chunks, periods, start }
}

/**
 * Some forwards to warm up, then one forward and one backward in turns, then the backwards that are left. Chunks take
 * `group` micro-batches in a row, backward from the last chunk on.
 */
function orderOf({ stages, chunks, microBatches, group }: Shape, stage: number): Int32Array {
  const total = microBatches * chunks
  const warm = Math.min(forwardsAhead(stages, chunks, group, stage), total)
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
 * Messages there and back that are waited for with stages all alike. A forward reaches the last stage over p - 1 links;
 * from then on, what a stage hands down comes back to it p - 1 links later, in time for p micro-batches on.
 */
function exposedTransfers(stages: number, microBatches: number): number {
  const later = microBatches - 1
  return (stages - 1) * (1 + Math.floor(later / stages)) + Math.max(0, (later % stages) - 1)
}
