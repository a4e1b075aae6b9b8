/** @file Lower bounds of the scores of steps, for the nodes of a search: each level of the tree has a closer one. */
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

/** A node of the search: layouts of one share, micro-batch and number of stages. */
export interface StagesNode {
  readonly share: Share
  readonly microBatch: number
  readonly p: number
  /** Seconds of one micro-batch in all layers of a replica, nothing recomputed. */
  readonly all: PassSeconds
  readonly stages: StageBounds
  /** Sums over stages that are as even as can be, by recomputation and placement of layers. */
  readonly sums: Map<string, StageSums>
}

/** Lower bounds of scores for each unit of work in a step, by the index of a number of stages. */
interface Prices {
  /** Score of a chip-second of passes; infinite where no number of replicas goes. */
  readonly passes: Float64Array
  /** Score of a second in the bubble. */
  readonly bubble: Float64Array
  /** The least of `passes`. */
  readonly least: number
}

/** Numbers of replicas that are not pruned, most first, and the lower bound of their scores. */
interface Promising {
  readonly replicas: readonly number[]
  readonly score: number
}

/** Lower bounds of scores in a space, and whether the incumbents prune them. */
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
  /** Most bytes of weights and gradients that all stages hold, by the index of their number. */
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
    // stages hold their weights and gradients whole, unless these are sharded over replicas
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

  /** Numbers of replicas that go with a share and a micro-batch, most first. */
  replicasOf(share: Share, microBatch: number): readonly number[] {
    return this.#replicas(widthOf(share))(gridOf(share))(microBatch)
  }

  /** Chip-seconds of the passes of the whole batch. */
  chipSeconds(share: Share, microBatch: number, { forward, backward }: PassSeconds): number {
    return widthOf(share) * (forward + backward) * (this.#batch / microBatch)
  }

  /** Bytes of a whole replica's weights and gradients on the chips of one stage. */
  weightsOf(share: Share): number {
    const { costs, engine, workload } = this.#simulator
    const layout = layoutOf(share, 1, 1, 1, WHOLE, NONE, PLAIN)
    const { dense, expert } = costs.elements(layout, 0, workload.decoder.layers, true, true)
    return (2 + engine.gradientBytes) * (dense + expert)
  }

  /** Lower bound of the score by the chip-seconds of the passes, over all numbers of stages and replicas. */
  ofPasses(share: Share, chipSeconds: number): number {
    return this.#prices(widthOf(share))(gridOf(share)).least * chipSeconds * ROUNDING
  }

  /**
   * The same with the bubble, for each number of stages.
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
      // on however many chips, a replica has at least one micro-batch
      const once = this.#byChips ? 0 : (all.forward + all.backward) / this.pipelines[place]!
      const own = (Math.max(chipSeconds * passes[place]!, once) + idle * bubble[place]!) * ROUNDING
      scores.push(weights > this.#room[place]! ? Number.POSITIVE_INFINITY : own)
    }
    return scores
  }

  /** Lower bounds of scores, of a chip-second of passes and of a second in the bubble, for each number of stages. */
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

  /** Whether a node of this lower bound stays open; an infinite bound, of what is impossible, is always pruned. */
  admits(score: number): boolean {
    // where time is the score, the longest step allowed is an upper bound too
    const most = this.#byChips
      ? this.#incumbents.threshold
      : Math.min(this.#incumbents.threshold, this.#limit)
    return score < Number.POSITIVE_INFINITY && score <= most
  }

  /** Score of a step by its seconds without waiting for each other; infinite where it is longer than allowed. */
  score(ideal: number, chips: number): number {
    const { rates } = this.#simulator.costs
    const seconds = (ideal + overheadSeconds(ideal, rates, chips / this.#domain)) * ROUNDING
    if (seconds > this.#limit) return Number.POSITIVE_INFINITY
    return this.#byChips ? seconds * chips : seconds
  }

  /**
   * The numbers of replicas that passes and a bubble of this length do not prune.
   * @param pass Seconds of a micro-batch on the slowest stage.
   * @param bubble Seconds of the bubble, the slowest stage's own passes included.
   * @param replicas Most first.
   * @param schedule A schedule whose needs are checked as well; undefined where they were before.
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
    // the bubble is shorter by the slowest stage's own passes, which count already, once at most
    const rest = Math.max(0, bubble - pass)
    const chips = widthOf(share) * p
    const hopeful: number[] = []
    let least = Number.POSITIVE_INFINITY
    // by index: an iterator makes an object of each
    for (let i = 0; i < replicas.length; i++) {
      const n = replicas[i]!
      if (n * chips > this.#space.chips) continue
      const ideal = (all / n) * pass + rest
      // fewer replicas take longer, even without waiting
      if (!this.#byChips && ideal * ROUNDING > threshold) break
      if (schedule !== undefined && !scheduleGoes(schedule, p, share.contextParallel, all / n)) continue
      const score = this.score(ideal, n * chips)
      if (!this.admits(score)) continue
      hopeful.push(n)
      least = Math.min(least, score)
    }
    return { replicas: hopeful, score: least }
  }

  /** Whether layouts of this lower bound (seconds without waiting) may be better than the incumbent of their degrees. */
  allows({ share, p }: StagesNode, n: number, ideal: number): boolean {
    const score = this.score(ideal, n * widthOf(share) * p)
    return this.admits(score) && score <= this.#incumbents.scoreOf(share, p, n)
  }

  /**
   * The same with the messages between replicas and between stages.
   * @param pass Lower bound of the seconds of a micro-batch on the slowest stage; `sends` are seconds that it waits for messages.
   * @param bubble Seconds of the bubble, the slowest stage's own passes included.
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
