/** @file What steps take at the least for the passes of their micro-batches, before it is known how stages are split. */
import { bubbleSeconds, noSeconds, type PassSeconds, type Schedule } from '../simulate/index.ts'
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

/**
 * Bubbles of so many stages, as parts of what passes take in all layers: the shortest of the schedules that go there, in
 * three groups, each in proportion to something else. Infinite where there is none.
 */
export class Bubbles {
  readonly #inverse: Float64Array
  /** Bubbles, of forward and backward. */
  readonly #plain: Float64Array
  /** Of those without twice the gradients of weights. */
  readonly #filled: Float64Array
  /** Of forward and twice backward without three times the gradients of weights. */
  readonly #both: Float64Array

  constructor({ schedules }: Space, pipelines: readonly number[]) {
    const parts = (names: readonly Schedule[]) =>
      Float64Array.from(pipelines, (p) =>
        Math.min(
          ...schedules(p)
            .filter(({ schedule }) => names.includes(schedule))
            .map(({ schedule, virtualPipeline }) =>
              bubbleSeconds(schedule, virtualPipeline, p, NOTHING, FORWARD, 0),
            ),
        ),
      )
    this.#inverse = Float64Array.from(pipelines, (p) => 1 / p)
    this.#plain = parts(['1f1b', 'interleaved'])
    this.#filled = parts(['zero-bubble'])
    this.#both = parts(['dualpipe', 'dualpipe-v'])
  }

  /**
   * Seconds that the bubble takes more than an even share of one micro-batch's passes, at the least.
   * @param place Of a number of stages.
   * @param all Seconds of one micro-batch in all layers.
   * @param ends Whether pipelines may start at both ends, or be folded.
   */
  least(place: number, { forward, backward, weight }: PassSeconds, ends: boolean): number {
    const passes = forward + backward
    let least = this.#plain[place]! * passes
    // where no schedule is of a group, infinity times 0 is not a number, and no comparison with that holds
    const filled = this.#filled[place]! * Math.max(0, passes - 2 * weight)
    if (filled < least) least = filled
    if (ends) {
      const both = this.#both[place]! * Math.max(0, passes + backward - 3 * weight)
      if (both < least) least = both
    }
    return Math.max(0, least - passes * this.#inverse[place]!)
  }
}

const NOTHING = noSeconds()
const FORWARD: PassSeconds = { ...noSeconds(), forward: 1 }
