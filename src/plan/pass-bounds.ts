/** @file What steps take at the least for the passes of their micro-batches, before it is known how stages are split. */
import { bubbleSeconds, noSeconds, type PassSeconds, SCHEDULES } from '../simulate/index.ts'
import type { Space } from './space.ts'

/** Seconds of one micro-batch of so many sequences. */
interface Sample {
  readonly microBatch: number
  readonly seconds: PassSeconds
}

/**
 * Passes by the size of a micro-batch, from two small ones and the largest. Each is a sum of maxima and norms of what
 * grows in proportion to it or not at all (messages that hide behind attention with it: the longer of both, and some more),
 * and so convex in it: nowhere below the line through two that are smaller, nowhere above the line between two; and what it
 * takes per sequence never grows.
 */
export class PassBounds {
  readonly #first: Sample
  readonly #second: Sample
  readonly #last: Sample

  constructor(first: Sample, second: Sample, last: Sample) {
    this.#first = first
    this.#second = second
    this.#last = last
  }

  /** Forward and backward at the least, gradients of weights at the most. */
  at(microBatch: number): PassSeconds {
    const first = this.#first
    const second = this.#second
    const last = this.#last
    if (microBatch === first.microBatch) return first.seconds
    if (microBatch === second.microBatch) return second.seconds
    if (microBatch === last.microBatch) return last.seconds
    const beyond = (microBatch - second.microBatch) / (second.microBatch - first.microBatch)
    const between = (microBatch - second.microBatch) / (last.microBatch - second.microBatch)
    const part = microBatch / last.microBatch
    const least = (a: number, b: number, c: number) => Math.max(b + (b - a) * beyond, c * part)
    const bounds = noSeconds()
    bounds.forward = least(first.seconds.forward, second.seconds.forward, last.seconds.forward)
    bounds.backward = least(first.seconds.backward, second.seconds.backward, last.seconds.backward)
    bounds.weight = second.seconds.weight + (last.seconds.weight - second.seconds.weight) * between
    return bounds
  }
}

/** Schedules whose bubbles are in proportion to the same sum of passes, and that go with the same shares. */
interface Group {
  /** Of the sum: whole backward passes, and gradients of weights that are taken off. */
  readonly backward: number
  readonly weight: number
  readonly contextParallel: boolean
  /** By the place of a number of stages: the shortest bubble, as a part of that sum. Infinite where there is none. */
  readonly parts: Float64Array
}

/** Bubbles of so many stages, as parts of what passes take in all layers: the shortest of the schedules that go there. */
export class Bubbles {
  readonly #inverse: Float64Array
  readonly #groups: readonly Group[]

  constructor({ schedules }: Space, pipelines: readonly number[]) {
    this.#inverse = Float64Array.from(pipelines, (p) => 1 / p)
    const groups = new Map<string, Group>()
    for (const [place, p] of pipelines.entries()) {
      for (const { schedule, virtualPipeline } of schedules(p)) {
        const { bubble, needs } = SCHEDULES[schedule]
        const { backward, weight } = bubble
        const { contextParallel } = needs
        const key = `${backward} ${weight} ${contextParallel}`
        const parts =
          groups.get(key)?.parts ?? new Float64Array(pipelines.length).fill(Number.POSITIVE_INFINITY)
        groups.set(key, { backward, weight, contextParallel, parts })
        const part = bubbleSeconds(schedule, virtualPipeline, p, NOTHING, FORWARD, 0)
        parts[place] = Math.min(parts[place]!, part)
      }
    }
    this.#groups = [...groups.values()]
  }

  /**
   * Seconds that the bubble takes more than an even share of one micro-batch's passes, at the least.
   * @param place Of a number of stages.
   * @param all Seconds of one micro-batch in all layers.
   * @param whole Whether the context is on one chip, where all schedules go.
   */
  least(place: number, { forward, backward, weight }: PassSeconds, whole: boolean): number {
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.#groups.length; i++) {
      const group = this.#groups[i]!
      if (!whole && !group.contextParallel) continue
      const sum = forward + group.backward * backward - group.weight * weight
      // where no schedule is of a group, infinity times 0 is not a number, and no comparison with that holds
      const seconds = group.parts[place]! * Math.max(0, sum)
      if (seconds < least) least = seconds
    }
    return Math.max(0, least - (forward + backward) * this.#inverse[place]!)
  }
}

const NOTHING = noSeconds()
const FORWARD: PassSeconds = { ...noSeconds(), forward: 1 }
