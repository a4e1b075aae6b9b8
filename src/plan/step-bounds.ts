/** @file What steps score at the least, of families of layouts that are told apart by less and less. */
import {
  dataSeconds,
  heldWeights,
  optimizerSeconds,
  overheadSeconds,
  type PassSeconds,
  type PipelineSchedule,
  type Simulator,
  type StageSums,
} from '../simulate/index.ts'
import type { Incumbents } from './incumbents.ts'
import { Bubbles } from './pass-bounds.ts'
import { ROUNDING } from './priority-queue.ts'
import {
  gridOf,
  layoutOf,
  memoize,
  NONE,
  PLAIN,
  type Share,
  type Space,
  scheduleGoes,
  WHOLE,
  widthOf,
} from './space.ts'
import type { StageBounds } from './stage-bounds.ts'

/** Layouts of one share, micro-batch and number of stages. */
export interface StagesNode {
  readonly share: Share
  readonly microBatch: number
  readonly p: number
  /** Seconds of one micro-batch in all layers of a replica, nothing recomputed. */
  readonly all: PassSeconds
  readonly stages: StageBounds
  /** Sums over stages that are as even as can be, by what is recomputed. */
  readonly sums: Map<string, StageSums>
}

/** Scores of what goes into a step, by the place of a number of stages. */
interface Prices {
  /** Of a chip-second of passes; infinite where no replicas go. */
  readonly passes: Float64Array
  /** Of a second in the bubble. */
  readonly bubble: Float64Array
  /** Of passes, on any. */
  readonly least: number
}

/** Replicas on which layouts may be good enough, most first, and the least that they may score. */
interface Promising {
  readonly replicas: readonly number[]
  readonly score: number
}

/** Bounds of the scores of a space, against what a list of the best asks for. */
export class StepBounds {
  /** Numbers of stages that some schedule has. */
  readonly pipelines: readonly number[]
  readonly #space: Space
  readonly #simulator: Simulator
  readonly #incumbents: Incumbents
  readonly #batch: number
  readonly #byChips: boolean
  readonly #limit: number
  readonly #domain: number
  /** Bytes of weights and gradients that so many stages hold at the most. */
  readonly #room: readonly number[]
  readonly #bubbles: Bubbles
  readonly #replicas: (width: number) => (grid: number) => (microBatch: number) => readonly number[]
  readonly #prices: (width: number) => (grid: number) => Prices

  constructor(space: Space, simulator: Simulator, incumbents: Incumbents) {
    const { machine, workload } = simulator
    this.#space = space
    this.#simulator = simulator
    this.#incumbents = incumbents
    this.#batch = workload.globalBatch
    this.#byChips = space.request.objective === 'chip-time'
    this.#limit = space.request.maximumSeconds ?? Number.POSITIVE_INFINITY
    this.#domain = machine.links[0]!.size
    this.pipelines = space.pipelines.filter((p) => space.schedules(p).length > 0)
    // stages hold their weights and gradients whole, unless they share them with other replicas
    this.#room = this.pipelines.map((p) =>
      space.sharings(p).every(({ zeroStage }) => zeroStage < 2)
        ? p * machine.memoryBytes
        : Number.POSITIVE_INFINITY,
    )
    this.#bubbles = new Bubbles(space, this.pipelines)
    this.#replicas = memoize((width) =>
      memoize((grid) =>
        memoize((microBatch) => space.replicas(microBatch).filter((n) => (n * width) % grid === 0)),
      ),
    )
    this.#prices = memoize((width) => memoize((grid) => this.#pricesOf(width, grid)))
  }

  /** Replicas that go with a share and a micro-batch, most first. */
  replicasOf(share: Share, microBatch: number): readonly number[] {
    return this.#replicas(widthOf(share))(gridOf(share))(microBatch)
  }

  /** Chip-seconds of the passes of the whole batch. */
  chipSeconds(share: Share, microBatch: number, { forward, backward }: PassSeconds): number {
    return widthOf(share) * (forward + backward) * (this.#batch / microBatch)
  }

  /** Bytes of weights and gradients of a whole replica on the chips of a stage. */
  weightsOf(share: Share): number {
    const { costs, engine, workload } = this.#simulator
    const layout = layoutOf(share, 1, 1, 1, WHOLE, NONE, PLAIN)
    const { dense, expert } = costs.elements(layout, 0, workload.decoder.layers, true, true)
    return (2 + engine.gradientBytes) * (dense + expert)
  }

  /** Of passes that take so many chip-seconds, on any number of stages and replicas. */
  ofPasses(share: Share, chipSeconds: number): number {
    return this.#prices(widthOf(share))(gridOf(share)).least * chipSeconds * ROUNDING
  }

  /**
   * The same with the bubble, on each number of stages.
   * @param all Seconds of one micro-batch in all layers of a replica.
   * @param weights Bytes of weights and gradients of a replica on chips of one stage.
   */
  ofStages(share: Share, chipSeconds: number, all: PassSeconds, weights: number): number[] {
    const { passes, bubble } = this.#prices(widthOf(share))(gridOf(share))
    const { step } = this.#simulator.costs.rates
    const whole = share.contextParallel === 1
    const scores: number[] = []
    for (let place = 0; place < passes.length; place++) {
      const idle = this.#bubbles.least(place, all, whole) + step
      // however many chips there are, a replica has one micro-batch at the least
      const once = this.#byChips ? 0 : (all.forward + all.backward) / this.pipelines[place]!
      const own = (Math.max(chipSeconds * passes[place]!, once) + idle * bubble[place]!) * ROUNDING
      scores.push(weights > this.#room[place]! ? Number.POSITIVE_INFINITY : own)
    }
    return scores
  }

  /** Scores of a chip-second of passes, and of a second in the bubble, on so many stages at the least. */
  #pricesOf(width: number, grid: number): Prices {
    const replicas = this.#replicas(width)(grid)(1)
    const { straggling } = this.#simulator.costs.rates
    const waiting = (chips: number) => 1 + overheadSeconds(1, { straggling, step: 0 }, chips / this.#domain)
    const passes = Float64Array.from(this.pipelines, (p) => {
      const most = replicas.find((n) => n * width * p <= this.#space.chips)
      if (most === undefined) return Number.POSITIVE_INFINITY
      // more chips take less time, as long as a doubling costs less than a third; chip-time only grows with them
      const chips = most * width * p
      return this.#byChips ? 1 : waiting(chips) / chips
    })
    const fewest = replicas.at(-1) ?? 0
    const bubble = Float64Array.from(this.pipelines, (p) => (this.#byChips ? fewest * width * p : 1))
    return { passes, bubble, least: Math.min(...passes) }
  }

  /** Whether what scores so much at the least may be good enough; never what is impossible. */
  admits(score: number): boolean {
    // where time is the score, what takes too long is not waited for
    const most = this.#byChips
      ? this.#incumbents.threshold
      : Math.min(this.#incumbents.threshold, this.#limit)
    return score < Number.POSITIVE_INFINITY && score <= most
  }

  /** Of a step that takes so long besides waiting for each other; infinite where it is too long. */
  score(ideal: number, chips: number): number {
    const { rates } = this.#simulator.costs
    const seconds = (ideal + overheadSeconds(ideal, rates, chips / this.#domain)) * ROUNDING
    if (seconds > this.#limit) return Number.POSITIVE_INFINITY
    return this.#byChips ? seconds * chips : seconds
  }

  /**
   * Of so many replicas, those on which some passes and a bubble may be good enough.
   * @param pass Seconds of a micro-batch on the slowest stage.
   * @param bubble Seconds of the bubble with those of the slowest stage.
   * @param replicas Most first.
   * @param schedule That has to go with them, where it is not known yet to do so.
   */
  promising(
    { share, microBatch, p }: StagesNode,
    pass: number,
    bubble: number,
    replicas: readonly number[],
    schedule?: PipelineSchedule,
  ): Promising {
    const { threshold } = this.#incumbents
    const all = this.#batch / microBatch
    // what the slowest stage adds to its passes, the bubble cannot lose more than once
    const rest = Math.max(0, bubble - pass)
    const chips = widthOf(share) * p
    const hopeful: number[] = []
    let least = Number.POSITIVE_INFINITY
    // by place: iterators make an object of each
    for (let i = 0; i < replicas.length; i++) {
      const n = replicas[i]!
      if (n * chips > this.#space.chips) continue
      const ideal = (all / n) * pass + rest
      // fewer take longer, even without waiting
      if (!this.#byChips && ideal * ROUNDING > threshold) break
      if (schedule !== undefined && !scheduleGoes(schedule, p, share.contextParallel, all / n)) continue
      const score = this.score(ideal, n * chips)
      if (!this.admits(score)) continue
      hopeful.push(n)
      least = Math.min(least, score)
    }
    return { replicas: hopeful, score: least }
  }

  /** Whether layouts that take so long at the least, besides waiting, could be better than what is known of their degrees. */
  allows({ share, p }: StagesNode, n: number, ideal: number): boolean {
    const score = this.score(ideal, n * widthOf(share) * p)
    return this.admits(score) && score <= this.#incumbents.scoreOf(share, p, n)
  }

  /**
   * The same with what replicas and stages send each other.
   * @param pass Seconds of a micro-batch on the slowest stage at the least; `sends` is what it waits for besides.
   * @param bubble Seconds of it with those of the slowest stage.
   */
  allowsExchange(
    stagesNode: StagesNode,
    schedule: PipelineSchedule,
    n: number,
    pass: number,
    sends: number,
    bubble: number,
  ): boolean {
    const { share, microBatch, p } = stagesNode
    const { costs } = this.#simulator
    const steps = this.#batch / (microBatch * n)
    const passes = steps * (pass + sends) + Math.max(0, bubble - pass)
    if (!this.allows(stagesNode, n, passes)) return false
    const elements = stagesNode.stages.elements(schedule, p)
    const beside = p === 1 || steps >= 2 ? pass : Number.POSITIVE_INFINITY
    return this.#space.sharings(p).some((sharing) => {
      const layout = layoutOf(share, microBatch, p, n, { ...WHOLE, schedule }, NONE, sharing)
      const weights = heldWeights(layout, elements)
      const data = dataSeconds(costs, layout, weights, beside, steps)
      return this.allows(stagesNode, n, passes + data + optimizerSeconds(costs, layout, weights))
    })
  }
}
