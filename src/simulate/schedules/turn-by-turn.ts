/** @file The makespan of 1F1B without its passes: stages and links that differ, in time that hardly grows with micro-batches. */
import type { PipelineTimes } from './types.ts'

/** Relative error that the jump over the steady state may bring in, above that of adding up. */
const TOLERANCE = 1e-12

// Scratch, by stage; grows, and is reused.
let forward = new Float64Array(0)
let backward = new Float64Array(0)
let forwardLatency = new Float64Array(0)
let backwardLatency = new Float64Array(0)
/** End of the stage's last forward, and of its message where messages do not overlap. */
let ahead = new Float64Array(0)
/** The same of its last backward. */
let back = new Float64Array(0)

/**
 * Makespan in seconds of a '1f1b' pipeline with at least as many micro-batches as stages; `lastBackward` is filled with
 * the second in which each stage ends its last backward.
 *
 * In turn k a stage runs backward k, then the forward that comes `stages - stage` micro-batches later. What a turn makes
 * of the ends of the forwards takes maxima of sums, so it moves with them (adding c to all of them adds c to all that
 * follow) and never widens the difference of two states (it is non-expansive in the maximum norm; Baccelli et al.,
 * "Synchronization and Linearity", 1992). Once all ends grow by the same in a turn, they will in every later turn, and
 * the rest of the steady state is one multiplication; where they grow by amounts that are `spread` apart, n turns differ
 * from it by n * spread at most. The jump is taken when that is below `TOLERANCE` of the result.
 */
export function oneForwardOneBackwardSeconds(times: PipelineTimes, lastBackward?: Float64Array): number {
  const { passes, links, microBatches, overlapsTransfers } = times
  const stages = passes.length
  const last = stages - 1
  if (ahead.length < stages) grow(stages)
  for (let stage = 0; stage < stages; stage++) {
    const own = passes[stage]![0]!
    const down = stage < last ? (links?.[stage]?.forward ?? 0) : 0
    const up = stage > 0 ? (links?.[stage - 1]?.backward ?? 0) : 0
    // a message belongs to the stage that sends it: its seconds hold it up, or come after
    forward[stage] = own.forward + (overlapsTransfers ? 0 : down)
    backward[stage] = own.backward + own.weight + (overlapsTransfers ? 0 : up)
    forwardLatency[stage] = overlapsTransfers ? down : 0
    backwardLatency[stage] = overlapsTransfers ? up : 0
  }

  // Warm-up: `back` holds the forwards of the stage before, stage s runs stages - s of them.
  back.fill(0, 0, stages)
  for (let stage = 0; stage < stages; stage++) {
    let free = 0
    const latency = stage > 0 ? forwardLatency[stage - 1]! : 0
    for (let i = 0; i < stages - stage; i++) {
      const arrival = back[i]! + latency
      free = (arrival > free ? arrival : free) + forward[stage]!
      back[i] = free
    }
    ahead[stage] = free
  }

  const steady = microBatches - stages
  let jumped = 0
  for (let turn = 0; turn < steady; turn++) {
    let least = Number.POSITIVE_INFINITY
    let most = 0
    let arrival = 0
    for (let stage = last; stage >= 0; stage--) {
      const before = ahead[stage]!
      const end = (arrival > before ? arrival : before) + backward[stage]!
      arrival = end + backwardLatency[stage]!
      let start = end
      if (stage > 0) {
        const message = ahead[stage - 1]! + forwardLatency[stage - 1]!
        if (message > start) start = message
      }
      const now = start + forward[stage]!
      ahead[stage] = now
      const growth = now - before
      if (growth < least) least = growth
      if (growth > most) most = growth
    }
    const left = steady - 1 - turn
    if ((most - least) * left <= TOLERANCE * ahead[0]!) {
      jumped = most * left
      break
    }
  }

  // Drain: turns in which ever more stages have no forward left.
  for (let turn = 0; turn < stages; turn++) {
    let arrival = 0
    for (let stage = last; stage >= 0; stage--) {
      const before = turn > stage ? back[stage]! : ahead[stage]!
      const end = (arrival > before ? arrival : before) + backward[stage]!
      arrival = end + backwardLatency[stage]!
      back[stage] = end
      if (turn >= stage) continue
      const message = ahead[stage - 1]! + forwardLatency[stage - 1]!
      ahead[stage] = (message > end ? message : end) + forward[stage]!
    }
  }
  if (lastBackward !== undefined)
    for (let stage = 0; stage < stages; stage++) {
      const held = overlapsTransfers || stage === 0 ? 0 : (links?.[stage - 1]?.backward ?? 0)
      lastBackward[stage] = back[stage]! + jumped - held
    }
  return back[0]! + jumped
}

function grow(stages: number): void {
  forward = new Float64Array(stages)
  backward = new Float64Array(stages)
  forwardLatency = new Float64Array(stages)
  backwardLatency = new Float64Array(stages)
  ahead = new Float64Array(stages)
  back = new Float64Array(stages)
}
