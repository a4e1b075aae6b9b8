/**
 * @file The best layouts of a whole space, exactly: best-first branch and bound.
 *
 * A step takes at least the passes of its micro-batches on the slowest stage, which takes at least the mean of all
 * stages. So B / b micro-batches of b sequences, with S seconds in all layers of a replica that is one pipeline of t x c
 * chips a stage, take at least (B / b) S t c chip-seconds, however they are split into stages and replicas; and less per
 * sequence the larger b is, as all parts of S grow by no more than b does. These are lower bounds of families of layouts,
 * known before any member is evaluated; the incumbents, the best layouts found to fit, are the upper bound.
 *
 * The exchange of gradients adds the part of it that passes do not hide, for a stage with an even share of the layers. At
 * most one pass hides it, so a longer pass never pays for itself by hiding more: this holds with two micro-batches or more,
 * or without a bubble that the slowest stage could take its own passes off.
 *
 * A node of the tree is a family of layouts. Branches fix, in turn: the share of the work on a chip; the micro-batch; the
 * number of stages and the schedule; the split of layers into stages; the least recomputation that fits. Nodes wait in an
 * open list by lower bound, so that none is expanded whose bound is above the last incumbent of the final list.
 */
import {
  bubbleSeconds,
  exposedSends,
  hopSeconds,
  type Layout,
  noSeconds,
  type PassSeconds,
  type PipelineSchedule,
  SCHEDULES,
  type Simulator,
  type StageSums,
  stageSums,
  stepSeconds,
} from '../simulate/index.ts'
import { bareMemoryOf } from './bare-memory.ts'
import { type Candidate, Incumbents } from './incumbents.ts'
import { PassBounds } from './pass-bounds.ts'
import { createPriorityQueue } from './priority-queue.ts'
import {
  chipsOf,
  layoutOf,
  memoize,
  NONE,
  PLAIN,
  plainLayout,
  type Recomputation,
  type Share,
  type Sharing,
  type Space,
  type Split,
  sizeOf,
  WHOLE,
  widthOf,
} from './space.ts'
import { type KnownElements, StageBounds } from './stage-bounds.ts'
import { type StagesNode, StepBounds } from './step-bounds.ts'
import type { SearchCounts } from './types.ts'

interface Found extends SearchCounts {
  /** Best first, no two of the same degrees. */
  readonly best: readonly Candidate[]
}

/** Finds the `top` best layouts of a space that fit. */
export function search(space: Space, simulator: Simulator, top: number): Found {
  const all = new Search(space, simulator, top)
  const best = all.run()
  const { evaluated } = all
  const considered = sizeOf(space)
  return { best, considered, evaluated, pruned: considered - evaluated }
}

/**
 * The best layout of a space that fits; undefined where none does.
 * @param known Layouts of the space that fit: the first incumbents.
 */
export function searchBest(
  space: Space,
  simulator: Simulator,
  known: readonly Candidate[] = [],
): Candidate | undefined {
  const one = new Search(space, simulator, 1)
  for (const candidate of known) one.add(candidate)
  return one.run()[0]
}

/** A node of the tree: layouts of one split of layers, with the numbers of replicas that are not pruned, most first. */
interface SplitNode {
  readonly stagesNode: StagesNode
  readonly split: Split
  readonly replicas: readonly number[]
  /** Number of recomputations, the least first, that are not pruned. */
  readonly promising: number
  readonly nodes: Map<Recomputation, RecomputationNode>
}

/** A leaf of the tree: layouts of one split and recomputation, which differ in replicas and sharding alone. */
interface RecomputationNode {
  readonly again: Recomputation
  /** Seconds of a micro-batch on the slowest stage. */
  readonly pass: number
  /** Lower bound of the seconds of the bubble. */
  readonly bubble: number
  readonly stages: StageSums
}

class Search {
  readonly #space: Space
  readonly #simulator: Simulator
  readonly #layers: number
  readonly #batch: number
  readonly #incumbents: Incumbents
  readonly #bounds: StepBounds
  /** Nodes that wait to be expanded, by the lower bound of their scores. */
  readonly #open = createPriorityQueue<() => void>()
  /** Nodes that the last expansion made, and their lower bounds. */
  readonly #children: (() => void)[] = []
  readonly #childBounds: number[] = []
  /** Shardings by the number of stages, the one that saves the most of the optimizer's state first. */
  readonly #sharings: (p: number) => readonly Sharing[]
  /** Elements that stages hold, by the elements of each part of the model on a chip. */
  readonly #elements: KnownElements = new Map()
  /** Number of layouts whose step time was predicted. */
  evaluated = 0

  constructor(space: Space, simulator: Simulator, top: number) {
    this.#space = space
    this.#simulator = simulator
    this.#layers = simulator.workload.decoder.layers
    this.#batch = simulator.workload.globalBatch
    this.#incumbents = new Incumbents(top)
    this.#bounds = new StepBounds(space, simulator, this.#incumbents)
    const saved = ({ offloadOptimizer, zeroStage }: Sharing) => (offloadOptimizer ? 4 : 0) + zeroStage
    this.#sharings = memoize((p) => space.sharings(p).toSorted((a, b) => saved(b) - saved(a)))
  }

  /** Adds a layout of the space that fits to the incumbents, where it is better. */
  add(candidate: Candidate): void {
    if (this.#incumbents.improves(candidate)) this.#incumbents.add(candidate)
  }

  /** The incumbents once the open list holds nothing better, best first. */
  run(): Candidate[] {
    const bare = bareMemoryOf(this.#simulator)
    for (const share of this.#space.shares) {
      const largest = bare.largest(share)
      const to = this.#space.microBatches.findLastIndex((microBatch) => microBatch <= largest)
      if (to >= 0) this.#enqueueShare(share, to)
    }
    for (;;) {
      const expand = this.#select()
      if (expand === undefined) break
      expand()
    }
    return this.#incumbents.sorted().map((one) => ({ ...one, layout: plainLayout(one.layout) }))
  }

  /** Adds a node to the open list, unless its lower bound prunes it. */
  #enqueue(bound: number, expand: () => void): void {
    if (!this.#bounds.admits(bound)) return
    this.#children.push(expand)
    this.#childBounds.push(bound)
  }

  /**
   * The node to expand next: the one of the least bound (best first). As long as the list of incumbents is not full, the best
   * child of the last node (depth first), so that there is soon an upper bound to prune by.
   */
  #select(): (() => void) | undefined {
    const bounds = this.#childBounds
    const deeper = this.#incumbents.threshold === Number.POSITIVE_INFINITY && bounds.length > 0
    const best = deeper ? bounds.indexOf(least(bounds)) : -1
    const next = this.#children[best]
    for (let i = 0; i < bounds.length; i++) if (i !== best) this.#open.push(bounds[i]!, this.#children[i]!)
    this.#children.length = 0
    bounds.length = 0
    return next ?? this.#open.pop(this.#incumbents.threshold)
  }

  /** Seconds of one micro-batch in all layers of a replica, embedding and head included. */
  #whole(share: Share, microBatch: number): PassSeconds {
    return this.#simulator.costs.stage(wholeLayout(share, microBatch), 0, this.#layers, 0, true, true)
  }

  /** Opens the node of a share, bounded by the passes of its largest micro-batch. */
  #enqueueShare(share: Share, to: number): void {
    // pruned before any cost is computed
    if (this.#bounds.ofPasses(share, 1) === Number.POSITIVE_INFINITY) return
    const microBatch = this.#space.microBatches[to]!
    const largest = this.#whole(share, microBatch)
    const chipSeconds = this.#bounds.chipSeconds(share, microBatch, largest)
    this.#enqueue(this.#bounds.ofPasses(share, chipSeconds), () => this.#expandShare(share, to, largest))
  }

  /** Branches over the micro-batches of a share, up to the largest that may fit. */
  #expandShare(share: Share, to: number, largest: PassSeconds): void {
    const { microBatches } = this.#space
    const bounds = this.#bounds
    const sample = (i: number) => ({
      microBatch: microBatches[i]!,
      seconds: i === to ? largest : this.#whole(share, microBatches[i]!),
    })
    const passes = new PassBounds(sample(0), sample(Math.min(1, to)), sample(to))
    const weights = bounds.weightsOf(share)
    const fewest = bounds.chipSeconds(share, microBatches[to]!, largest)
    for (const microBatch of microBatches.slice(0, to + 1)) {
      const all = passes.at(microBatch)
      const chipSeconds = bounds.chipSeconds(share, microBatch, all)
      const score = least(bounds.ofStages(share, chipSeconds, all, weights))
      this.#enqueue(score, () => this.#expandMicroBatch(share, microBatch, weights))
      if (bounds.admits(score)) continue
      // larger micro-batches take no less time, and per sequence no less than the largest, whose gradients of weights fill the
      // most of the bubble
      const larger = { ...all, weight: largest.weight }
      if (!bounds.admits(least(bounds.ofStages(share, fewest, larger, weights)))) return
    }
  }

  /** Branches over the numbers of stages and the schedules, for one share and micro-batch. */
  #expandMicroBatch(share: Share, microBatch: number, weights: number): void {
    const bounds = this.#bounds
    const all = this.#whole(share, microBatch)
    const chipSeconds = bounds.chipSeconds(share, microBatch, all)
    const replicas = bounds.replicasOf(share, microBatch)
    const whole = wholeLayout(share, microBatch)
    const stages = new StageBounds(this.#space, this.#simulator, whole, this.#elements)
    const scores = bounds.ofStages(share, chipSeconds, all, weights)
    for (let place = 0; place < scores.length; place++) {
      if (!bounds.admits(scores[place]!)) continue
      const p = bounds.pipelines[place]!
      const stagesNode: StagesNode = { share, microBatch, p, all, stages, sums: new Map() }
      for (const { schedule, virtualPipeline } of this.#space.schedules(p)) {
        const pass = Math.max((all.forward + all.backward) / p, stages.even(schedule, p))
        const bubble = wholeBubble(stagesNode, schedule, virtualPipeline, 0)
        const promising = bounds.promising(stagesNode, pass, bubble, replicas, schedule)
        this.#enqueue(promising.score, () =>
          this.#expandSchedule(stagesNode, schedule, pass, bubble, promising.replicas),
        )
      }
    }
  }

  /**
   * Branches over the splits of layers under one schedule.
   * @param pass Lower bound, over all splits, of the seconds of a micro-batch on the slowest stage.
   * @param bubble Seconds of the bubble with the most chunks a stage.
   */
  #expandSchedule(
    stagesNode: StagesNode,
    schedule: PipelineSchedule,
    pass: number,
    bubble: number,
    promising: readonly number[],
  ): void {
    const replicas = promising.filter((n) =>
      this.#bounds.allowsExchange(stagesNode, schedule, n, pass, 0, bubble),
    )
    if (replicas.length === 0) return
    for (const split of this.#space.splits(stagesNode.p)) {
      if (split.schedule !== schedule) continue
      const slowest = stagesNode.stages.slowest(split)
      const idle = wholeBubble(stagesNode, schedule, split.virtualPipeline, 0)
      const own = this.#bounds.promising(stagesNode, slowest, idle, replicas)
      this.#enqueue(own.score, () => this.#expandSplit(stagesNode, split, slowest, own.replicas))
    }
  }

  /**
   * Branches over shardings and recomputations of one split.
   * @param pass Seconds of a micro-batch on the slowest stage, nothing recomputed.
   */
  #expandSplit(stagesNode: StagesNode, split: Split, pass: number, promising: readonly number[]): void {
    const { costs } = this.#simulator
    const { share, microBatch, p } = stagesNode
    const replicas = promising.filter((n) => {
      const layout = layoutOf(share, microBatch, p, n, split, NONE, PLAIN)
      const hop = p > 1 ? hopSeconds(costs, layout) : 0
      const sends = p > 1 ? exposedSends(costs, layout) * hop : 0
      const bubble = wholeBubble(stagesNode, split.schedule, split.virtualPipeline, hop)
      return this.#bounds.allowsExchange(stagesNode, split.schedule, n, pass, sends, bubble)
    })
    if (replicas.length === 0) return
    const count = this.#countPromising(stagesNode, split, pass, replicas)
    const parent = { stagesNode, split, replicas, promising: count, nodes: new Map() }
    const sharings = this.#sharings(p)
    // less sharding and offloading takes more memory, except for sharded gradients, which need buffers; those need one stage
    if (p > 1) this.#enqueueSharing(parent, sharings, 0)
    else for (const sharing of sharings) this.#enqueueSharing(parent, [sharing], 0)
  }

  /** Number of recomputations, the least first, that are not pruned; `pass` is the slowest stage's time without any. */
  #countPromising(stagesNode: StagesNode, split: Split, pass: number, replicas: readonly number[]): number {
    const { recomputes, most, schedule, virtualPipeline } = split
    if (!recomputingIsLonger(split)) return recomputes.length
    const bubble = wholeBubble(stagesNode, schedule, virtualPipeline, 0)
    return firstWhere(0, recomputes.length, (i) => {
      const { recompute, layers } = recomputes[i]!
      const again = stagesNode.stages.again(most, recompute === 'none' ? 0 : (layers ?? most))
      return this.#bounds.promising(stagesNode, Math.max(pass, again), bubble, replicas).replicas.length === 0
    })
  }

  /**
   * Opens the least recomputation that fits under the first sharding. Once that is expanded, it opens those that recompute
   * more or shard less: they take no less time, so that they are pruned wherever it is.
   * @param sharings Shardings, the one that saves the most first.
   * @param from Index of the first recomputation to try: those before it do not fit even with a sharding that saves more.
   */
  #enqueueSharing(parent: SplitNode, sharings: readonly Sharing[], from: number): void {
    const sharing = sharings[0]
    if (sharing === undefined) return
    const { split, promising } = parent
    const first = this.#firstThatFits(parent, sharing, from)
    const longer = recomputingIsLonger(split)
    const nodes = [
      ...split.selective.filter((again) => this.#leastFits(parent, again, sharing)),
      ...split.recomputes.slice(first, longer ? Math.min(first + 1, promising) : promising),
    ].map((again) => this.#nodeOf(parent, again))
    const bound = Math.min(...nodes.map((node) => this.#boundOf(parent, node)))
    const expand = () => {
      let short = false
      for (const node of nodes) short = this.#evaluate(parent, node, sharing) || short
      if (longer && short) this.#enqueueLonger(parent, sharing, first + 1)
      this.#enqueueSharing(parent, sharings.slice(1), first)
    }
    // a node sure to give a better incumbent is expanded at once, as that prunes others
    if (bound < SURELY_BETTER * this.#incumbents.threshold) expand()
    else this.#enqueue(bound, expand)
  }

  /** Opens the next longer recomputation, for a layout that is fast enough and does not fit, until the bound prunes it. */
  #enqueueLonger(parent: SplitNode, sharing: Sharing, place: number): void {
    if (place >= parent.promising) return
    const node = this.#nodeOf(parent, parent.split.recomputes[place]!)
    this.#enqueue(this.#boundOf(parent, node), () => {
      if (this.#evaluate(parent, node, sharing)) this.#enqueueLonger(parent, sharing, place + 1)
    })
  }

  #nodeOf({ stagesNode, split, replicas, nodes }: SplitNode, again: Recomputation): RecomputationNode {
    let node = nodes.get(again)
    if (node === undefined) {
      const stages = this.#sums(stagesNode, split, replicas, again)
      const { slowest, all } = stages
      const pass = slowest.forward + slowest.backward
      const bubble = bubbleSeconds(split.schedule, split.virtualPipeline, stagesNode.p, slowest, all, 0)
      node = { again, pass, bubble, stages }
      nodes.set(again, node)
    }
    return node
  }

  #sums(
    { share, microBatch, p, sums }: StagesNode,
    split: Split,
    replicas: readonly number[],
    again: Recomputation,
  ): StageSums {
    const { schedule, stageLayers } = split
    // schedules that place layers alike share those of stages that are as even as can be
    const key = `${again.layers ?? again.recompute}${SCHEDULES[schedule].placement}`
    let own = stageLayers === undefined ? sums.get(key) : undefined
    if (own === undefined) {
      own = stageSums(
        this.#simulator.costs,
        layoutOf(share, microBatch, p, replicas[0]!, split, again, PLAIN),
      )
      if (stageLayers === undefined) sums.set(key, own)
    }
    return own
  }

  /** Index of the first recomputation from `from` on that may fit: the more layers are recomputed, the less memory is kept. */
  #firstThatFits(parent: SplitNode, sharing: Sharing, from: number): number {
    const { promising, split } = parent
    const fits = (i: number) => this.#leastFits(parent, split.recomputes[i]!, sharing)
    // most often none fits
    return from >= promising || !fits(promising - 1) ? promising : firstWhere(from, promising - 1, fits)
  }

  /** Lower bound of the scores of a node. */
  #boundOf({ stagesNode, replicas }: SplitNode, node: RecomputationNode): number {
    const chips = widthOf(stagesNode.share) * stagesNode.p
    return Math.min(...replicas.map((n) => this.#bounds.score(this.#idealOf(stagesNode, node, n), n * chips)))
  }

  /** Lower bound of the seconds of a step on `n` replicas, waiting for each other left out. */
  #idealOf({ microBatch }: StagesNode, { pass, bubble }: RecomputationNode, n: number): number {
    return (this.#batch / (microBatch * n)) * pass + bubble
  }

  /** Whether the layout of the least memory fits: the one on the most replicas. */
  #leastFits({ stagesNode, split, replicas }: SplitNode, again: Recomputation, sharing: Sharing): boolean {
    const { share, microBatch, p } = stagesNode
    const fitsOn = (n: number) => this.#fits(layoutOf(share, microBatch, p, n, split, again, sharing))
    // sharded gradients need buffers, except on a single replica
    return fitsOn(replicas[0]!) || (sharing.zeroStage >= 2 && fitsOn(replicas.at(-1)!))
  }

  /** Evaluates the layouts of a node; true where one is better than the incumbents and does not fit. */
  #evaluate({ stagesNode, split, replicas }: SplitNode, node: RecomputationNode, sharing: Sharing): boolean {
    const { maximumSeconds = Number.POSITIVE_INFINITY, objective } = this.#space.request
    let short = false
    for (const n of replicas) {
      if (!this.#bounds.allows(stagesNode, n, this.#idealOf(stagesNode, node, n))) continue
      const layout = layoutOf(
        stagesNode.share,
        stagesNode.microBatch,
        stagesNode.p,
        n,
        split,
        node.again,
        sharing,
      )
      const { seconds } = stepSeconds(this.#simulator.costs, layout, node.stages)
      this.evaluated++
      if (seconds > maximumSeconds) continue
      const score = objective === 'chip-time' ? seconds * chipsOf(layout) : seconds
      const candidate = { layout, seconds, score }
      if (!this.#incumbents.improves(candidate)) continue
      if (this.#fits(layout)) this.#incumbents.add(candidate)
      else short = true
    }
    return short
  }

  #fits(layout: Layout): boolean {
    return this.#simulator.memory.fits(layout, this.#simulator.machine.memoryBytes)
  }
}

function least(scores: readonly number[]): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < scores.length; i++) if (scores[i]! < least) least = scores[i]!
  return least
}

/** The layout of a share with all layers on one stage. */
function wholeLayout(share: Share, microBatch: number): Layout {
  return layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
}

/** Seconds of a node's bubble, the slowest stage's own passes included, nothing recomputed. */
function wholeBubble(
  { p, all }: StagesNode,
  schedule: PipelineSchedule,
  virtualPipeline: number,
  hop: number,
): number {
  return bubbleSeconds(schedule, virtualPipeline, p, NOTHING, all, hop)
}

/**
 * Whether whatever is recomputed makes a step longer: not surely where gradients of weights fill the bubble, as the stage
 * that is slowest then may have fewer of them.
 */
function recomputingIsLonger({ schedule }: Split): boolean {
  return !SCHEDULES[schedule].bubble.isFilled
}

/** The first number from one to another for which something holds that holds for all after it; the other if for none. */
function firstWhere(from: number, to: number, holds: (i: number) => boolean): number {
  let [low, high] = [from, to]
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}

/** Share of the threshold: bounds are within 3 % of what they bound. */
const SURELY_BETTER = 0.97

const NOTHING = noSeconds()
