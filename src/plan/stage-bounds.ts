/** @file Lower bounds of the seconds and the weights of a pipeline's stages, before recomputation and split are fixed. */
import {
  type Layout,
  nearLayers,
  type PartElements,
  type PipelineSchedule,
  SCHEDULES,
  type Simulator,
  type StageElements,
} from '../simulate/index.ts'
import type { Space, Split } from './space.ts'

/** Elements that stages hold, by the elements of each part of the model on a chip, then by the sizes of both chunks. */
export type KnownElements = Map<PartElements, Map<number, StageElements>>

/** Bounds of stages for one share of the work: seconds of one micro-batch both ways, nothing recomputed; elements on a chip. */
export class StageBounds {
  readonly #space: Space
  readonly #simulator: Simulator
  readonly #whole: Layout
  readonly #layers: number
  readonly #embedding: number
  readonly #head: number
  /** Prefix sums: seconds of the first n layers, n from 0 to all. */
  readonly #upTo: readonly number[]
  /** Least seconds of n layers in a row, wherever they begin; NaN where not computed yet. */
  readonly #longest: number[]
  /** Least seconds to recompute a layer. */
  readonly #again: number
  readonly #elements: Map<number, StageElements>

  /**
   * @param whole Any layout of the share, with its micro-batch.
   * @param known Elements, memoized over all shares.
   */
  constructor(space: Space, simulator: Simulator, whole: Layout, known: KnownElements) {
    const { costs, workload } = simulator
    const { layers } = workload.decoder
    const embedding = costs.stage(whole, 0, 0, 0, true, false)
    const head = costs.stage(whole, layers, 0, 0, false, true)
    this.#space = space
    this.#simulator = simulator
    this.#whole = whole
    this.#layers = layers
    this.#embedding = embedding.forward + embedding.backward
    this.#head = head.forward + head.backward
    this.#upTo = costs.upTo(whole)
    this.#longest = new Array(layers + 1).fill(Number.NaN)
    this.#again = costs.leastAgain(whole)
    const parts = costs.parts(whole)
    this.#elements = known.get(parts) ?? new Map()
    known.set(parts, this.#elements)
  }

  /** Lower bound of the seconds of the slowest of `p` stages, over all splits of the layers. */
  even(schedule: PipelineSchedule, p: number): number {
    // one stage at least has an even share of the layers, rounded up
    const size = Math.ceil(this.#layers / p)
    const long = this.#longestOf(size)
    switch (SCHEDULES[schedule].placement) {
      case 'both-ends':
        // a chip has it for half of the micro-batches, and its mirror image for the others
        return (long + this.#longestOf(Math.floor(this.#layers / p))) / 2
      case 'folded':
        return this.#longestOf(nearLayers(size)) + this.#longestOf(size - nearLayers(size))
      case 'straight':
        return long
    }
  }

  /** Seconds of the slowest stage of a split. */
  slowest({ schedule, sizes }: Split): number {
    const { placement } = SCHEDULES[schedule]
    if (placement === 'both-ends') return this.#slowestPair(sizes)
    const upTo = this.#upTo
    const folded = placement === 'folded'
    let slowest = 0
    let from = 0
    let to = this.#layers
    for (let stage = 0; stage < sizes.length; stage++) {
      const near = folded ? nearLayers(sizes[stage]!) : sizes[stage]!
      const far = sizes[stage]! - near
      let seconds = upTo[from + near]! - upTo[from]! + upTo[to]! - upTo[to - far]!
      if (stage === 0) seconds += this.#embedding
      if (stage === (folded ? 0 : sizes.length - 1)) seconds += this.#head
      slowest = Math.max(slowest, seconds)
      from += near
      to -= far
    }
    return slowest
  }

  /** The largest mean of a stage and its mirror image. */
  #slowestPair(sizes: readonly number[]): number {
    const upTo = this.#upTo
    let slowest = 0
    let from = 0
    let to = this.#layers
    for (let stage = 0; 2 * stage < sizes.length; stage++) {
      const near = sizes[stage]!
      const far = sizes[sizes.length - 1 - stage]!
      const ends = stage === 0 ? this.#embedding + this.#head : 0
      const both = upTo[from + near]! - upTo[from]! + upTo[to]! - upTo[to - far]! + ends
      slowest = Math.max(slowest, both / 2)
      from += near
      to -= far
    }
    return slowest
  }

  /** Lower bound of the seconds of a stage of `size` layers, `layers` of which are recomputed. */
  again(size: number, layers: number): number {
    return this.#longestOf(size) + Math.min(layers, size) * this.#again
  }

  /** Lower bound of the elements on the chip that holds the most, with `p` stages under a schedule; without the ends. */
  elements(schedule: PipelineSchedule, p: number): StageElements {
    // one stage at least has an even share of the layers, rounded up, wherever its chunks begin
    const size = Math.ceil(this.#layers / p)
    const { placement } = SCHEDULES[schedule]
    if (placement === 'both-ends') return this.#elementsOf(size, Math.floor(this.#layers / p))
    const near = placement === 'folded' ? nearLayers(size) : size
    return this.#elementsOf(near, size - near)
  }

  #elementsOf(near: number, far: number): StageElements {
    const key = near * (this.#layers + 1) + far
    const known = this.#elements.get(key)
    if (known !== undefined) return known
    const least = { dense: 0, layers: near + far, expert: 0, expertLayers: 0 }
    for (const chunk of [near, far]) {
      const all = this.#space
        .windows(chunk)
        .map((from) => this.#simulator.costs.elements(this.#whole, from, chunk, false, false))
      least.dense += Math.min(...all.map(({ dense }) => dense))
      least.expert += Math.min(...all.map(({ expert }) => expert))
      least.expertLayers += Math.min(...all.map(({ expertLayers }) => expertLayers))
    }
    this.#elements.set(key, least)
    return least
  }

  #longestOf(size: number): number {
    const known = this.#longest[size]!
    if (!Number.isNaN(known)) return known
    let least = Number.POSITIVE_INFINITY
    for (const from of this.#space.windows(size))
      least = Math.min(least, this.#upTo[from + size]! - this.#upTo[from]!)
    this.#longest[size] = least
    return least
  }
}
