/** @file Lower bounds of the seconds of passes and bubbles, before layers are split into stages. */
import { type Bubble, noSeconds, type PassSeconds, SCHEDULES } from '../simulate/index.ts'
import type { Space } from './space.ts'

/** Seconds of one micro-batch, by its sequences. */
interface Sample {
  readonly microBatch: number
  readonly seconds: PassSeconds
}

/**
 * Bounds of the passes by the size of a micro-batch, from samples at two small sizes and the largest. A pass is a sum of
 * maxima and norms of terms that are proportional to the size or constant (of messages that hide behind attention: the
 * longer of both, and a part of the shorter), so it is convex in the size: nowhere below the line through two smaller
 * samples, nowhere above the chord between two samples. Its time per sequence never grows with the size.
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

  /** Lower bounds of forward and backward, and an upper bound of the gradients of weights. */
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

/** Schedules whose bubbles are proportional to the same seconds of passes, and that go with the same shares. */
interface Group {
  readonly idle: Bubble['idle']
  readonly contextParallel: boolean
  /** The shortest bubble as a factor on those seconds, by the index of a number of stages; infinite without a schedule. */
  readonly parts: Float64Array
}

/** Lower bounds of bubbles by the number of stages: the shortest of the schedules that go, as factors on passes in all layers. */
export class Bubbles {
  readonly #inverse: Float64Array
  readonly #groups: readonly Group[]

  constructor({ schedules }: Space, pipelines: readonly number[]) {
    this.#inverse = Float64Array.from(pipelines, (p) => 1 / p)
    const groups: Group[] = []
    for (const [place, p] of pipelines.entries()) {
      for (const { schedule, virtualPipeline } of schedules(p)) {
        const { bubble, needs } = SCHEDULES[schedule]
        const { contextParallel } = needs
        let group = groups.find((one) => one.idle === bubble.idle && one.contextParallel === contextParallel)
        if (group === undefined) {
          const parts = new Float64Array(pipelines.length).fill(Number.POSITIVE_INFINITY)
          group = { idle: bubble.idle, contextParallel, parts }
          groups.push(group)
        }
        const part = p === 1 ? 0 : bubble.seconds(1, 0, p, virtualPipeline)
        group.parts[place] = Math.min(group.parts[place]!, part)
      }
    }
    this.#groups = groups
  }

  /**
   * Lower bound of the bubble's seconds beyond an even share of one micro-batch's passes.
   * @param place Index of a number of stages.
   * @param all Seconds of one micro-batch in all layers.
   * @param whole Whether the context is on one chip, where all schedules go.
   */
  least(place: number, { forward, backward, weight }: PassSeconds, whole: boolean): number {
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.#groups.length; i++) {
      const group = this.#groups[i]!
      if (!whole && !group.contextParallel) continue
      // a group without a schedule may give infinity times 0, which is NaN: the comparison is false then
      const seconds = group.parts[place]! * Math.max(0, group.idle(forward, backward, weight))
      if (seconds < least) least = seconds
    }
    return Math.max(0, least - (forward + backward) * this.#inverse[place]!)
  }
}
