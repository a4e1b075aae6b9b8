/**
 * @file The best layouts of a whole space, exactly: branch and bound, what takes the least at the least first.
 *
 * A step takes at least the passes of its micro-batches on the slowest stage, which takes at least the mean of all
 * stages. So B / b micro-batches of b sequences, with S seconds in all layers of a replica that is one pipeline of t x c
 * chips a stage, take at least (B / b) S t c chip-seconds, however they are split into stages and replicas; and less per
 * sequence the larger b is, as all parts of S grow by no more than b does. That bounds families of layouts from below
 * before any of their members is looked at; the best of what fits bounds them from above.
 *
 * To the passes comes what is left of exchanging gradients beside them, for a stage of an even share of the layers. It
 * hides behind one pass at the most, so longer passes never make up for themselves by hiding more of it: where there are two
 * micro-batches or more, or no bubble that the slowest stage could take its own passes off.
 *
 * Families are told apart step by step: a share of the work, then one micro-batch, then one number of stages, then one split
 * of layers into them, then the least that is recomputed and still fits. They wait in a queue by their bounds, so that none is
 * looked at whose bound is above the last of the list as it is in the end.
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
import { createLeastFirst } from './least-first.ts'
import { PassBounds } from './pass-bounds.ts'
import { type Candidate, Ranking } from './ranking.ts'
import {
  type Again,
  chipsOf,
  kept,
  layoutOf,
  NONE,
  PLAIN,
  plainLayout,
  type Share,
  type Sharing,
  type Space,
  type Split,
  sizeOf,
  WHOLE,
  widthOf,
} from './space.ts'
import { type KnownElements, StageBounds } from './stage-bounds.ts'
import { type Cell, StepBounds } from './step-bounds.ts'
import type { SearchCounts } from './types.ts'

interface Found extends SearchCounts {
  /** Best first, no two of the same degrees. */
  readonly best: readonly Candidate[]
}

/** Searches a space for its `top` best layouts that fit. */
export function search(space: Space, simulator: Simulator, top: number): Found {
  const all = new Search(space, simulator, top)
  const best = all.run()
  const { evaluated } = all
  const considered = sizeOf(space)
  return { best, considered, evaluated, pruned: considered - evaluated }
}

/**
 * The best layout of a space that fits; undefined where none does.
 * @param known Some of the space that fit: what takes longer is not looked at.
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

/** Layouts of one split, on so many replicas, most first. */
interface Branch {
  readonly cell: Cell
  readonly split: Split
  readonly replicas: readonly number[]
  /** How many of what may be recomputed may be good enough: the first so many. */
  readonly end: number
  readonly nodes: Map<Again, Node>
}

/** Layouts of a split that differ in replicas and what they share alone. */
interface Node {
  readonly again: Again
  /** Seconds of a micro-batch on the slowest stage. */
  readonly pass: number
  /** Seconds of the bubble at the least. */
  readonly bubble: number
  readonly stages: StageSums
}

class Search {
  readonly #space: Space
  readonly #simulator: Simulator
  readonly #layers: number
  readonly #batch: number
  readonly #list: Ranking
  readonly #bounds: StepBounds
  /** What is left to look at, by the least score that it can have. */
  readonly #waiting = createLeastFirst<() => void>()
  /** What of it the last look found. */
  readonly #fresh: (() => void)[] = []
  readonly #freshScores: number[] = []
  /** What goes with so many stages, what saves the most of the optimizer's state first. */
  readonly #sharings: (p: number) => readonly Sharing[]
  /** What stages hold, by what a chip holds of each part of the model. */
  readonly #elements: KnownElements = new Map()
  /** Layouts whose step time was worked out. */
  evaluated = 0

  constructor(space: Space, simulator: Simulator, top: number) {
    this.#space = space
    this.#simulator = simulator
    this.#layers = simulator.workload.decoder.layers
    this.#batch = simulator.workload.globalBatch
    this.#list = new Ranking(top)
    this.#bounds = new StepBounds(space, simulator, this.#list)
    const saved = ({ offloadOptimizer, zeroStage }: Sharing) => (offloadOptimizer ? 4 : 0) + zeroStage
    this.#sharings = kept((p) => space.sharings(p).toSorted((a, b) => saved(b) - saved(a)))
  }

  /** A layout of the space that fits. */
  add(candidate: Candidate): void {
    if (this.#list.wants(candidate)) this.#list.add(candidate)
  }

  /** Best first. */
  run(): Candidate[] {
    const bare = bareMemoryOf(this.#simulator)
    for (const share of this.#space.shares) {
      const largest = bare.largest(share)
      const to = this.#space.microBatches.findLastIndex((microBatch) => microBatch <= largest)
      if (to >= 0) this.#share(share, to)
    }
    for (;;) {
      const look = this.#next()
      if (look === undefined) break
      look()
    }
    return this.#list.sorted().map((one) => ({ ...one, layout: plainLayout(one.layout) }))
  }

  /** Lets something wait to be looked at, where it may be good enough. */
  #wait(score: number, look: () => void): void {
    if (!this.#bounds.enters(score)) return
    this.#fresh.push(look)
    this.#freshScores.push(score)
  }

  /**
   * What is to be looked at next: what may score the least; but until there is a list to be better than, the best of what the
   * last look found, so that there soon is one.
   */
  #next(): (() => void) | undefined {
    const scores = this.#freshScores
    const deeper = this.#list.threshold === Number.POSITIVE_INFINITY && scores.length > 0
    const best = deeper ? scores.indexOf(least(scores)) : -1
    const next = this.#fresh[best]
    for (let i = 0; i < scores.length; i++) if (i !== best) this.#waiting.push(scores[i]!, this.#fresh[i]!)
    this.#fresh.length = 0
    scores.length = 0
    return next ?? this.#waiting.pop(this.#list.threshold)
  }

  /** Seconds of one micro-batch in all layers of a replica, embedding and head included. */
  #whole(share: Share, microBatch: number): PassSeconds {
    return this.#simulator.costs.stage(wholeLayout(share, microBatch), 0, this.#layers, 0, true, true)
  }

  /** Lets a share with its micro-batches wait, by what the passes of the largest take. */
  #share(share: Share, to: number): void {
    // before anything is worked out
    if (this.#bounds.ofPasses(share, 1) === Number.POSITIVE_INFINITY) return
    const microBatch = this.#space.microBatches[to]!
    const largest = this.#whole(share, microBatch)
    const chipSeconds = this.#bounds.chipSeconds(share, microBatch, largest)
    this.#wait(this.#bounds.ofPasses(share, chipSeconds), () => this.#microBatches(share, to, largest))
  }

  /** Lets each micro-batch of a share wait, up to the largest. */
  #microBatches(share: Share, to: number, largest: PassSeconds): void {
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
      this.#wait(score, () => this.#cells(share, microBatch, weights))
      if (bounds.enters(score)) continue
      // those that are larger take no less, and per sequence no less than the largest, whose gradients of weights fill the most
      const larger = { ...all, weight: largest.weight }
      if (!bounds.enters(least(bounds.ofStages(share, fewest, larger, weights)))) return
    }
  }

  /** Lets each number of stages of one micro-batch of a share wait, under each schedule. */
  #cells(share: Share, microBatch: number, weights: number): void {
    const bounds = this.#bounds
    const all = this.#whole(share, microBatch)
    const chipSeconds = bounds.chipSeconds(share, microBatch, all)
    const replicas = bounds.replicasOf(share, microBatch)
    const whole = wholeLayout(share, microBatch)
    const stages = new StageBounds(this.#space, this.#simulator, whole, this.#elements)
    const scores = bounds.ofStages(share, chipSeconds, all, weights)
    for (let place = 0; place < scores.length; place++) {
      if (!bounds.enters(scores[place]!)) continue
      const p = bounds.pipelines[place]!
      const cell: Cell = { share, microBatch, p, all, stages, sums: new Map() }
      for (const { schedule, virtualPipeline } of this.#space.schedules(p)) {
        const pass = Math.max((all.forward + all.backward) / p, stages.even(schedule, p))
        const bubble = wholeBubble(cell, schedule, virtualPipeline, 0)
        const hopeful = bounds.hopeful(cell, pass, bubble, replicas, schedule)
        this.#wait(hopeful.score, () => this.#splits(cell, schedule, pass, bubble, hopeful.replicas))
      }
    }
  }

  /**
   * Lets the splits under one schedule wait.
   * @param pass Seconds of a micro-batch on the slowest stage of any; `bubble` is that of the one with the most chunks.
   */
  #splits(
    cell: Cell,
    schedule: PipelineSchedule,
    pass: number,
    bubble: number,
    hopeful: readonly number[],
  ): void {
    const replicas = hopeful.filter((n) => this.#bounds.allowsExchange(cell, schedule, n, pass, 0, bubble))
    if (replicas.length === 0) return
    for (const split of this.#space.splits(cell.p)) {
      if (split.schedule !== schedule) continue
      const slowest = cell.stages.slowest(split)
      const idle = wholeBubble(cell, schedule, split.virtualPipeline, 0)
      const own = this.#bounds.hopeful(cell, slowest, idle, replicas)
      this.#wait(own.score, () => this.#split(cell, split, slowest, own.replicas))
    }
  }

  /** Lets one split wait, whose slowest stage takes so many seconds for a micro-batch, with what is recomputed so that it fits. */
  #split(cell: Cell, split: Split, pass: number, hopeful: readonly number[]): void {
    const { costs } = this.#simulator
    const { share, microBatch, p } = cell
    const replicas = hopeful.filter((n) => {
      const layout = layoutOf(share, microBatch, p, n, split, NONE, PLAIN)
      const hop = p > 1 ? hopSeconds(costs, layout) : 0
      const sends = p > 1 ? exposedSends(costs, layout) * hop : 0
      const bubble = wholeBubble(cell, split.schedule, split.virtualPipeline, hop)
      return this.#bounds.allowsExchange(cell, split.schedule, n, pass, sends, bubble)
    })
    if (replicas.length === 0) return
    const end = this.#endOfHope(cell, split, pass, replicas)
    const branch = { cell, split, replicas, end, nodes: new Map() }
    const sharings = this.#sharings(p)
    // what shares out or offloads less takes more, but for shared gradients, which need buffers: only one stage has those
    if (p > 1) this.#sharing(branch, sharings, 0)
    else for (const sharing of sharings) this.#sharing(branch, [sharing], 0)
  }

  /** How many of what may be recomputed may be good enough, the first so many, if a micro-batch takes so long without. */
  #endOfHope(cell: Cell, split: Split, pass: number, replicas: readonly number[]): number {
    const { recomputes, most, schedule, virtualPipeline } = split
    if (!recomputingIsLonger(split)) return recomputes.length
    const bubble = wholeBubble(cell, schedule, virtualPipeline, 0)
    return firstWhere(0, recomputes.length, (i) => {
      const { recompute, layers } = recomputes[i]!
      const again = cell.stages.again(most, recompute === 'none' ? 0 : (layers ?? most))
      return this.#bounds.hopeful(cell, Math.max(pass, again), bubble, replicas).replicas.length === 0
    })
  }

  /**
   * Lets the first that fits of what may be recomputed wait, and after it all that recompute more or save less: those take no
   * less time, so that none of them waits where it does not.
   * @param sharings What replicas share out, what saves the most first.
   * @param from The place among what may be recomputed to begin at: those before do not fit even with what saves more.
   */
  #sharing(branch: Branch, sharings: readonly Sharing[], from: number): void {
    const sharing = sharings[0]
    if (sharing === undefined) return
    const { split, end } = branch
    const first = this.#firstThatFits(branch, sharing, from)
    const longer = recomputingIsLonger(split)
    const nodes = [
      ...split.selective.filter((again) => this.#leastFits(branch, again, sharing)),
      ...split.recomputes.slice(first, longer ? Math.min(first + 1, end) : end),
    ].map((again) => this.#nodeOf(branch, again))
    const score = Math.min(...nodes.map((node) => this.#scoreOf(branch, node)))
    const look = () => {
      let short = false
      for (const node of nodes) short = this.#replicas(branch, node, sharing) || short
      if (longer && short) this.#longer(branch, sharing, first + 1)
      this.#sharing(branch, sharings.slice(1), first)
    }
    // one that is surely better than what is known rules out others that would wait
    if (score < PROMISING * this.#list.threshold) look()
    else this.#wait(score, look)
  }

  /** Lets more layers that are recomputed wait, for what would be good enough and does not fit; until it takes too long. */
  #longer(branch: Branch, sharing: Sharing, place: number): void {
    if (place >= branch.end) return
    const node = this.#nodeOf(branch, branch.split.recomputes[place]!)
    this.#wait(this.#scoreOf(branch, node), () => {
      if (this.#replicas(branch, node, sharing)) this.#longer(branch, sharing, place + 1)
    })
  }

  #nodeOf({ cell, split, replicas, nodes }: Branch, again: Again): Node {
    let node = nodes.get(again)
    if (node === undefined) {
      const stages = this.#sums(cell, split, replicas, again)
      const { slowest, all } = stages
      const pass = slowest.forward + slowest.backward
      const bubble = bubbleSeconds(split.schedule, split.virtualPipeline, cell.p, slowest, all, 0)
      node = { again, pass, bubble, stages }
      nodes.set(again, node)
    }
    return node
  }

  #sums(
    { share, microBatch, p, sums }: Cell,
    split: Split,
    replicas: readonly number[],
    again: Again,
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

  /** Where among what may be recomputed, from one place on, a split may begin to fit: the more layers, the less they keep. */
  #firstThatFits(branch: Branch, sharing: Sharing, from: number): number {
    const { end, split } = branch
    const fits = (i: number) => this.#leastFits(branch, split.recomputes[i]!, sharing)
    // most often nothing helps
    return from >= end || !fits(end - 1) ? end : firstWhere(from, end - 1, fits)
  }

  /** The score of the best layout of a node at the least. */
  #scoreOf({ cell, replicas }: Branch, node: Node): number {
    const chips = widthOf(cell.share) * cell.p
    return Math.min(...replicas.map((n) => this.#bounds.score(this.#idealOf(cell, node, n), n * chips)))
  }

  /** Seconds of a layout of a node on so many replicas at the least, besides waiting. */
  #idealOf({ microBatch }: Cell, { pass, bubble }: Node, n: number): number {
    return (this.#batch / (microBatch * n)) * pass + bubble
  }

  /** Whether a layout fits that keeps the least: its replicas are the most. */
  #leastFits({ cell, split, replicas }: Branch, again: Again, sharing: Sharing): boolean {
    const { share, microBatch, p } = cell
    const fitsOn = (n: number) => this.#fits(layoutOf(share, microBatch, p, n, split, again, sharing))
    // gradients that are shared need buffers, but not on a single replica
    return fitsOn(replicas[0]!) || (sharing.zeroStage >= 2 && fitsOn(replicas.at(-1)!))
  }

  /** Works out the layouts of a node; whether one that would be good enough does not fit. */
  #replicas({ cell, split, replicas }: Branch, node: Node, sharing: Sharing): boolean {
    const { maximumSeconds = Number.POSITIVE_INFINITY, objective } = this.#space.request
    let short = false
    for (const n of replicas) {
      if (!this.#bounds.allows(cell, n, this.#idealOf(cell, node, n))) continue
      const layout = layoutOf(cell.share, cell.microBatch, cell.p, n, split, node.again, sharing)
      const { seconds } = stepSeconds(this.#simulator.costs, layout, node.stages)
      this.evaluated++
      if (seconds > maximumSeconds) continue
      const score = objective === 'chip-time' ? seconds * chipsOf(layout) : seconds
      const candidate = { layout, seconds, score }
      if (!this.#list.wants(candidate)) continue
      if (this.#fits(layout)) this.#list.add(candidate)
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

/** All layers of a share on one stage. */
function wholeLayout(share: Share, microBatch: number): Layout {
  return layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
}

/** Seconds of the bubble of a cell with those of the slowest stage, nothing recomputed. */
function wholeBubble(
  { p, all }: Cell,
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
  return SCHEDULES[schedule].bubble.weight === 0
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

/** Of the threshold: bounds are closer than that to what they bound. */
const PROMISING = 0.97

const NOTHING = noSeconds()
