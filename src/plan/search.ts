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
 * Families are halved again and again: a share of the work with a range of micro-batches, then one of them, then one
 * number of stages, then one split of layers into them. They wait in a queue by their bounds, so that none is looked at
 * whose bound is above the last of the list as it is in the end.
 */
import {
  bubbleSeconds,
  dataSeconds,
  exposedSends,
  heldWeights,
  hopSeconds,
  type Layout,
  type MemoryModel,
  noSeconds,
  optimizerSeconds,
  overheadSeconds,
  type PassSeconds,
  type Schedule,
  type Simulator,
  type StageSums,
  stageSums,
  stepSeconds,
} from '../simulate/index.ts'
import { bareMemoryOf } from './bare-memory.ts'
import { createLeastFirst, ROUNDING } from './least-first.ts'
import { Bubbles, PassBounds } from './pass-bounds.ts'
import { type Candidate, Ranking } from './ranking.ts'
import {
  type Again,
  chipsOf,
  kept,
  layoutOf,
  plainLayout,
  type Share,
  type Sharing,
  type Space,
  type Split,
  scheduleGoes,
  sizeOf,
  WHOLE,
} from './space.ts'
import { type KnownElements, StageBounds } from './stage-bounds.ts'
import type { SearchCounts } from './types.ts'

export interface Found extends SearchCounts {
  /** Best first, no two of the same degrees. */
  readonly best: readonly Candidate[]
}

/** Searches a space for its `top` best layouts that fit; the size of the space is only counted where it is asked for. */
export function search(space: Space, simulator: Simulator, top: number, counted = true): Found {
  return new Search(space, simulator, top).run(counted)
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
  return one.run(false).best[0]
}

/** Layouts of one share, micro-batch and number of stages. */
interface Cell {
  readonly share: Share
  readonly microBatch: number
  readonly p: number
  /** Seconds of one micro-batch in all layers of a replica. */
  readonly all: PassSeconds
  readonly stages: StageBounds
  /** Sums over stages that are as even as can be, by what is recomputed: schedules share them, unless chips have two. */
  readonly even: Map<Again['recompute'] | number, StageSums>
  readonly paired: Map<Again['recompute'] | number, StageSums>
  readonly folded: Map<Again['recompute'] | number, StageSums>
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

/** Layouts that differ in replicas and what they share alone. */
interface Node {
  readonly cell: Cell
  readonly replicas: readonly number[]
  readonly split: Split
  readonly again: Again
  /** Seconds of a micro-batch on the slowest stage. */
  readonly pass: number
  /** Seconds of the bubble at the least. */
  readonly bubble: number
  readonly stages: StageSums
}

/** Scores of what goes into a step, by the place of a number of stages. */
interface Prices {
  /** Of a chip-second of passes. */
  readonly passes: readonly number[]
  /** Of a second in the bubble. */
  readonly bubble: readonly number[]
  /** Of passes, on any. */
  readonly least: number
}

interface Going {
  readonly replicas: readonly number[]
  readonly least: number
}

class Search {
  readonly #space: Space
  readonly #simulator: Simulator
  readonly #memory: MemoryModel
  readonly #bytes: number
  readonly #layers: number
  readonly #batch: number
  readonly #byChips: boolean
  readonly #limit: number
  readonly #domain: number
  readonly #list: Ranking
  /** What is left to look at, by the least score that it can have. */
  readonly #waiting = createLeastFirst<() => void>()
  /** Replicas that go with a micro-batch, chips of a stage and chips that experts are spread over, most first. */
  readonly #replicasOf: (microBatch: number, width: number, grid: number) => readonly number[]
  /** Numbers of stages that some schedule has, and what so many hold of weights and gradients at the most. */
  readonly #pipelines: readonly number[]
  readonly #room: readonly number[]
  readonly #bubbles: Bubbles
  /** By the chips of a stage, and those that experts are spread over. */
  readonly #prices: (width: number, grid: number) => Prices
  /** What goes with so many stages, what saves the most of the optimizer's state first. */
  readonly #sharings: (p: number) => readonly Sharing[]
  /** What stages hold, by what a chip holds of each part of the model. */
  readonly #elements: KnownElements = new Map()
  #evaluated = 0

  constructor(space: Space, simulator: Simulator, top: number) {
    this.#space = space
    this.#simulator = simulator
    this.#memory = simulator.memory
    this.#bytes = simulator.machine.memoryBytes
    this.#layers = simulator.workload.decoder.layers
    this.#batch = simulator.workload.globalBatch
    this.#byChips = space.request.objective === 'chip-time'
    this.#limit = space.request.maximumSeconds ?? Number.POSITIVE_INFINITY
    this.#domain = simulator.machine.links[0]!.size
    this.#list = new Ranking(top)
    const replicas = kept((microBatch) =>
      kept((width) => kept((grid) => space.replicas(microBatch).filter((n) => (n * width) % grid === 0))),
    )
    this.#replicasOf = (microBatch, width, grid) => replicas(microBatch)(width)(grid)
    this.#sharings = kept((p) =>
      space
        .sharings(p)
        .toSorted(
          (a, b) => Number(b.offloadOptimizer) - Number(a.offloadOptimizer) || b.zeroStage - a.zeroStage,
        ),
    )
    this.#pipelines = space.pipelines.filter((p) => space.schedules(p).length > 0)
    this.#room = this.#pipelines.map((p) =>
      this.#holdsWhole(p) ? p * this.#bytes : Number.POSITIVE_INFINITY,
    )
    this.#bubbles = new Bubbles(space, this.#pipelines)
    const prices = kept((width) => kept((grid) => this.#pricesOf(width, grid)))
    this.#prices = (width, grid) => prices(width)(grid)
  }

  /** A layout of the space that fits. */
  add(candidate: Candidate): void {
    if (this.#list.wants(candidate)) this.#list.add(candidate)
  }

  run(counted: boolean): Found {
    const bare = bareMemoryOf(this.#simulator)
    for (const share of this.#space.shares) {
      const largest = bare.largest(share)
      const to = this.#space.microBatches.findLastIndex((microBatch) => microBatch <= largest)
      if (to >= 0) this.#share(share, to)
    }
    for (;;) {
      const look = this.#waiting.pop(this.#list.threshold)
      if (look === undefined) break
      look()
    }
    const considered = counted ? sizeOf(this.#space) : this.#evaluated
    return {
      best: this.#list.sorted().map((one) => ({ ...one, layout: plainLayout(one.layout) })),
      considered,
      evaluated: this.#evaluated,
      pruned: considered - this.#evaluated,
    }
  }

  /** Whether so many stages hold their weights and gradients whole, rather than share them with other replicas. */
  #holdsWhole(p: number): boolean {
    return this.#space.sharings(p).every(({ zeroStage }) => zeroStage < 2)
  }

  /** Bytes of weights and gradients of a whole replica on the chips of a stage. */
  #weights(share: Share): number {
    const layout = layoutOf(share, this.#space.microBatches[0]!, 1, 1, WHOLE, NONE, PLAIN)
    const { dense, expert } = this.#simulator.costs.elements(layout, 0, this.#layers, true, true)
    return (2 + this.#simulator.engine.gradientBytes) * (dense + expert)
  }

  /** Seconds of one micro-batch in all layers of a replica, embedding and head included. */
  #whole(share: Share, microBatch: number): PassSeconds {
    const layout = layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
    return this.#simulator.costs.stage(layout, 0, this.#layers, 0, true, true)
  }

  /** Scores of a chip-second of passes, and of a second in the bubble, on so many stages at the least. */
  #pricesOf(width: number, grid: number): Prices {
    const replicas = this.#replicasOf(1, width, grid)
    const { straggling } = this.#simulator.costs.rates
    const most = this.#pipelines.map((p) => {
      const n = replicas.find((n) => n * width * p <= this.#space.chips)
      return n === undefined ? 0 : n * width * p
    })
    const waiting = (chips: number) => 1 + overheadSeconds(1, { straggling, step: 0 }, chips / this.#domain)
    // more chips take less time, as long as a doubling costs less than a third; chip-time only grows with them
    const passes = most.map((chips) =>
      chips === 0 ? Number.POSITIVE_INFINITY : this.#byChips ? 1 : waiting(chips) / chips,
    )
    const bubble = this.#pipelines.map((p) => (this.#byChips ? (replicas.at(-1) ?? 0) * width * p : 1))
    return { passes, bubble, least: Math.min(...passes) }
  }

  /** Lets a share with its micro-batches wait, by what the passes of the largest take. */
  #share(share: Share, to: number): void {
    const { least } = this.#prices(widthOf(share), gridOf(share))
    if (least === Number.POSITIVE_INFINITY) return
    const microBatch = this.#space.microBatches[to]!
    const largest = this.#whole(share, microBatch)
    const chipSeconds = this.#chipSeconds(share, microBatch, largest)
    this.#wait(chipSeconds * least * ROUNDING, () => this.#microBatches(share, to, largest))
  }

  /** Of the passes of the whole batch. */
  #chipSeconds(share: Share, microBatch: number, { forward, backward }: PassSeconds): number {
    return widthOf(share) * (forward + backward) * (this.#batch / microBatch)
  }

  /** Lets each micro-batch of a share wait, by what it takes at the least. */
  #microBatches(share: Share, to: number, largest: PassSeconds): void {
    const { microBatches } = this.#space
    const sample = (i: number) => ({
      microBatch: microBatches[i]!,
      seconds: i === to ? largest : this.#whole(share, microBatches[i]!),
    })
    const passes = new PassBounds(sample(0), sample(Math.min(1, to)), sample(to))
    const weights = this.#weights(share)
    const fewest = this.#chipSeconds(share, microBatches[to]!, largest)
    for (const microBatch of microBatches.slice(0, to + 1)) {
      const all = passes.at(microBatch)
      const chipSeconds = this.#chipSeconds(share, microBatch, all)
      this.#wait(this.#leastScore(share, chipSeconds, all, weights), () =>
        this.#cells(share, microBatch, weights),
      )
      // those that are larger have longer bubbles, and passes that take no less than those of the largest
      if (!this.#enters(this.#leastScore(share, fewest, all, weights))) break
    }
  }

  /**
   * The score of any number of stages, whatever else there is to a layout, at the least.
   * @param chipSeconds Of the passes of the whole batch.
   * @param all Seconds of one micro-batch in all layers of a replica.
   * @param weights Bytes of weights and gradients of a replica on chips of one stage.
   */
  #leastScore(share: Share, chipSeconds: number, all: PassSeconds, weights: number): number {
    const prices = this.#prices(widthOf(share), gridOf(share))
    let least = Number.POSITIVE_INFINITY
    for (let place = 0; place < this.#pipelines.length; place++) {
      if (weights > this.#room[place]!) continue
      const score = this.#scoreOn(share, place, prices, chipSeconds, all)
      if (score < least) least = score
    }
    return least
  }

  /** The same of so many stages. */
  #scoreOn(share: Share, place: number, prices: Prices, chipSeconds: number, all: PassSeconds): number {
    const { step } = this.#simulator.costs.rates
    const bubble = this.#bubbles.least(place, all, share.contextParallel === 1)
    return (chipSeconds * prices.passes[place]! + (bubble + step) * prices.bubble[place]!) * ROUNDING
  }

  /** Whether what has such a score at the least may be good enough; never what is impossible. */
  #enters(score: number): boolean {
    return score < Number.POSITIVE_INFINITY && score <= this.#list.threshold
  }

  /** Lets something wait to be looked at, where it may be good enough. */
  #wait(score: number, look: () => void): void {
    if (this.#enters(score)) this.#waiting.push(score, look)
  }

  /**
   * Those of so many replicas on which some passes and a bubble may be good enough, most first, and the least score on any.
   * @param passes Seconds that one replica would take for the whole batch.
   * @param chips Those of a replica.
   */
  #going(passes: number, bubble: number, replicas: readonly number[], chips: number): Going {
    const { threshold } = this.#list
    const going: number[] = []
    let least = Number.POSITIVE_INFINITY
    for (const n of replicas) {
      const ideal = passes / n + bubble
      // fewer take longer, even without waiting
      if (!this.#byChips && ideal * ROUNDING > threshold) break
      const score = this.#score(ideal, n * chips)
      if (score > threshold) continue
      going.push(n)
      least = Math.min(least, score)
    }
    return { replicas: going, least }
  }

  /** The score of a step on so many chips with what waiting for each other adds; infinite where it takes too long. */
  #score(ideal: number, chips: number): number {
    const seconds = this.#seconds(ideal, chips)
    if (seconds > this.#limit) return Number.POSITIVE_INFINITY
    return this.#byChips ? seconds * chips : seconds
  }

  /** Adds what waiting for each other costs on so many chips, and what belongs to no pass; a little less, for rounding. */
  #seconds(ideal: number, chips: number): number {
    return (ideal + overheadSeconds(ideal, this.#simulator.costs.rates, chips / this.#domain)) * ROUNDING
  }

  /** Looks at one micro-batch of a share. */
  #cells(share: Share, microBatch: number, weights: number): void {
    const { chips } = this.#space
    const all = this.#whole(share, microBatch)
    const chipSeconds = this.#chipSeconds(share, microBatch, all)
    const width = widthOf(share)
    const prices = this.#prices(width, gridOf(share))
    const replicas = this.#replicasOf(microBatch, width, gridOf(share))
    const whole = layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
    const stages = new StageBounds(this.#space, this.#simulator, whole, this.#elements)
    for (const [i, p] of this.#pipelines.entries()) {
      if (weights > this.#room[i]! || !this.#enters(this.#scoreOn(share, i, prices, chipSeconds, all)))
        continue
      let cell: Cell | undefined
      for (const { schedule, virtualPipeline } of this.#space.schedules(p)) {
        const pass = Math.max((all.forward + all.backward) / p, stages.even(schedule, p))
        const bubble = Math.max(0, bubbleSeconds(schedule, virtualPipeline, p, NOTHING, all, 0) - pass)
        const able = replicas.filter(
          (n) =>
            n * width * p <= chips &&
            scheduleGoes(schedule, p, share.contextParallel, this.#batch / (microBatch * n)),
        )
        const going = this.#going((this.#batch / microBatch) * pass, bubble, able, width * p)
        cell ??= { share, microBatch, p, all, stages, even: new Map(), paired: new Map(), folded: new Map() }
        const own = cell
        this.#wait(going.least, () => this.#splits(own, schedule, virtualPipeline, going.replicas))
      }
    }
  }

  /** Looks at the splits under one schedule, with so many chunks at the most, by the longest stage and those at the ends. */
  #splits(cell: Cell, schedule: Schedule, virtualPipeline: number, going: readonly number[]): void {
    const { share, microBatch, p, all, stages } = cell
    const even = Math.max((all.forward + all.backward) / p, stages.even(schedule, p))
    const mostChunks = bubbleSeconds(schedule, virtualPipeline, p, NOTHING, all, 0)
    const replicas = going.filter((n) => this.#exchangeHopeful(cell, schedule, n, even, 0, mostChunks))
    if (replicas.length === 0) return
    for (const split of this.#space.splits(p)) {
      if (split.schedule !== schedule) continue
      const { virtualPipeline } = split
      const pass = stages.slowest(split)
      const bubble = bubbleSeconds(schedule, virtualPipeline, p, NOTHING, all, 0)
      const passes = (this.#batch / microBatch) * pass
      const going = this.#going(passes, Math.max(0, bubble - pass), replicas, widthOf(share) * p)
      this.#wait(going.least, () => this.#split(cell, split, going.replicas, pass))
    }
  }

  /** Looks at one split, whose slowest stage takes so many seconds for a micro-batch at the least. */
  #split(cell: Cell, split: Split, going: readonly number[], pass: number): void {
    const { costs } = this.#simulator
    const { share, microBatch, p } = cell
    const replicas = going.filter((n) => {
      const layout = layoutOf(share, microBatch, p, n, split, NONE, PLAIN)
      const hop = p > 1 ? hopSeconds(costs, layout) : 0
      const sends = p > 1 ? exposedSends(costs, layout) * hop : 0
      const bubble = bubbleSeconds(split.schedule, split.virtualPipeline, p, NOTHING, cell.all, hop)
      return this.#exchangeHopeful(cell, split.schedule, n, pass, sends, bubble)
    })
    if (replicas.length === 0) return
    const end = this.#endOfHope(cell, split, replicas, pass)
    const branch = { cell, split, replicas, end, nodes: new Map() }
    const sharings = this.#sharings(p)
    // what shares out or offloads less takes more, but for shared gradients, which need buffers
    if (p > 1) this.#sharing(branch, sharings, 0)
    else for (const sharing of sharings) this.#sharing(branch, [sharing], 0)
  }

  /** How many of what may be recomputed may be good enough, the first so many, if a micro-batch takes so long without. */
  #endOfHope(cell: Cell, split: Split, replicas: readonly number[], pass: number): number {
    const { recomputes, most, schedule, virtualPipeline } = split
    if (!recomputingIsLonger(split)) return recomputes.length
    const bubble = bubbleSeconds(schedule, virtualPipeline, cell.p, NOTHING, cell.all, 0)
    const hopeful = ({ recompute, layers }: Again) => {
      const again = cell.stages.again(most, recompute === 'none' ? 0 : (layers ?? most))
      const longest = Math.max(pass, again)
      return replicas.some((n) => {
        const steps = this.#batch / (cell.microBatch * n)
        return this.#wanted(cell, n, steps * longest + Math.max(0, bubble - longest))
      })
    }
    let [low, high] = [0, recomputes.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (hopeful(recomputes[middle]!)) low = middle + 1
      else high = middle
    }
    return low
  }

  /**
   * Lets the first that fits of what may be recomputed wait, and with it all that recompute more or save less.
   * @param sharings What replicas share out, what saves the most first.
   * @param from Where among what may be recomputed it may be, with the first of them.
   */
  #sharing(branch: Branch, [sharing, ...others]: readonly Sharing[], from: number): void {
    if (sharing === undefined) return
    const { split, end } = branch
    const first = this.#firstThatFits(branch, sharing, from)
    const nodes = split.selective
      .filter((again) => this.#leastFits(branch, again, sharing))
      .map((again) => this.#nodeOf(branch, again))
    const longer = recomputingIsLonger(split)
    for (const again of split.recomputes.slice(first, longer ? Math.min(first + 1, end) : end))
      nodes.push(this.#nodeOf(branch, again))
    const score = Math.min(...nodes.map((node) => this.#scoreOf(node)))
    const look = () => {
      for (const node of nodes) this.#replicas(node, sharing)
      if (longer) this.#longer(branch, sharing, first + 1)
      this.#sharing(branch, others, first)
    }
    // one that is surely better than what is known rules out others that would wait
    if (score < PROMISING * this.#list.threshold) look()
    else this.#wait(score, look)
  }

  /** Lets more layers that are recomputed wait, until it takes too long. */
  #longer(branch: Branch, sharing: Sharing, place: number): void {
    if (place >= branch.end) return
    const node = this.#nodeOf(branch, branch.split.recomputes[place]!)
    this.#wait(this.#scoreOf(node), () => {
      this.#replicas(node, sharing)
      this.#longer(branch, sharing, place + 1)
    })
  }

  #nodeOf({ cell, split, replicas, nodes }: Branch, again: Again): Node {
    let node = nodes.get(again)
    if (node === undefined) {
      const stages = this.#sums(cell, split, replicas, again)
      const { slowest, all } = stages
      const pass = slowest.forward + slowest.backward
      const bubble = bubbleSeconds(split.schedule, split.virtualPipeline, cell.p, slowest, all, 0)
      node = { cell, replicas, split, again, pass, bubble, stages }
      nodes.set(again, node)
    }
    return node
  }

  /**
   * Whether a layout could be good enough on n replicas, with what they and its stages send each other.
   * @param pass Seconds of a micro-batch on the slowest stage at the least; `sends` is what it waits for besides.
   * @param bubble Seconds of it with those of the slowest stage.
   */
  #exchangeHopeful(
    cell: Cell,
    schedule: Schedule,
    n: number,
    pass: number,
    sends: number,
    bubble: number,
  ): boolean {
    const { share, microBatch, p } = cell
    const { costs } = this.#simulator
    const steps = this.#batch / (microBatch * n)
    const passes = steps * (pass + sends) + Math.max(0, bubble - pass)
    if (!this.#wanted(cell, n, passes)) return false
    const elements = cell.stages.elements(schedule, p)
    const beside = p === 1 || steps >= 2 ? pass : Number.POSITIVE_INFINITY
    return this.#space.sharings(p).some((sharing) => {
      const layout = layoutOf(share, microBatch, p, n, { ...WHOLE, schedule }, NONE, sharing)
      const weights = heldWeights(layout, elements)
      const data = dataSeconds(costs, layout, weights, beside, steps)
      return this.#wanted(cell, n, passes + data + optimizerSeconds(costs, layout, weights))
    })
  }

  #sums(cell: Cell, split: Split, replicas: readonly number[], again: Again) {
    const { share, microBatch, p } = cell
    const { schedule } = split
    const known = schedule === 'dualpipe-v' ? cell.folded : schedule === 'dualpipe' ? cell.paired : cell.even
    const key = again.layers ?? again.recompute
    let sums = split.stageLayers === undefined ? known.get(key) : undefined
    if (sums === undefined) {
      const layout = layoutOf(share, microBatch, p, replicas[0]!, split, again, PLAIN)
      sums = stageSums(this.#simulator.costs, layout)
      if (split.stageLayers === undefined) known.set(key, sums)
    }
    return sums
  }

  /** Where among what may be recomputed, from one place on, a split may begin to fit: the more layers, the less they keep. */
  #firstThatFits(branch: Branch, sharing: Sharing, from: number): number {
    const { end, split } = branch
    const { recomputes } = split
    let [low, high] = [from, end - 1]
    // most often nothing helps
    if (high < low || !this.#leastFits(branch, recomputes[high]!, sharing)) return end
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#leastFits(branch, recomputes[middle]!, sharing)) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Seconds of a layout of a node on so many replicas at the least, without waiting. */
  #idealOf({ cell, pass, bubble }: Node, n: number): number {
    return (this.#batch / (cell.microBatch * n)) * pass + bubble
  }

  /** The score of the best layout of a node at the least. */
  #scoreOf(node: Node): number {
    const chips = widthOf(node.cell.share) * node.cell.p
    return Math.min(...node.replicas.map((n) => this.#score(this.#idealOf(node, n), n * chips)))
  }

  /** Whether layouts that take so many seconds at the least, without waiting, could be better than what is known. */
  #wanted({ share, p }: Cell, n: number, ideal: number): boolean {
    const score = this.#score(ideal, n * widthOf(share) * p)
    return this.#enters(score) && score <= this.#list.known(share, p, n)
  }

  /** Whether a layout fits that keeps the least: its replicas are the most. */
  #leastFits({ cell, split, replicas }: Branch, again: Again, sharing: Sharing): boolean {
    const { share, microBatch, p } = cell
    const fitsOn = (n: number) => this.#fits(layoutOf(share, microBatch, p, n, split, again, sharing))
    // gradients that are shared need buffers, but not on a single replica
    return fitsOn(replicas[0]!) || (sharing.zeroStage >= 2 && fitsOn(replicas.at(-1)!))
  }

  #replicas(node: Node, sharing: Sharing): void {
    const { cell, replicas, split, again, stages } = node
    for (const n of replicas) {
      if (!this.#wanted(cell, n, this.#idealOf(node, n))) continue
      const layout = layoutOf(cell.share, cell.microBatch, cell.p, n, split, again, sharing)
      const { seconds } = stepSeconds(this.#simulator.costs, layout, stages)
      this.#evaluated++
      if (seconds > this.#limit) continue
      const score = this.#byChips ? seconds * chipsOf(layout) : seconds
      const candidate = { layout, seconds, score }
      if (!this.#list.wants(candidate)) continue
      if (this.#fits(layout)) this.#list.add(candidate)
    }
  }

  #fits(layout: Layout): boolean {
    return this.#memory.fits(layout, this.#bytes)
  }
}

/**
 * Whether whatever is recomputed makes a step longer: not surely where gradients of weights fill the bubble, as the stage
 * that is slowest then may have fewer of them.
 */
function recomputingIsLonger({ schedule }: Split): boolean {
  return schedule === '1f1b' || schedule === 'interleaved'
}

/** Chips of a stage of one replica. */
function widthOf({ tensorParallel, contextParallel }: Share): number {
  return tensorParallel * contextParallel
}

/** Chips that the experts of a layer are spread over. */
function gridOf({ expertParallel, expertTensorParallel }: Share): number {
  return expertParallel * expertTensorParallel
}

/** Of the threshold: bounds are closer than that to what they bound. */
const PROMISING = 0.97

const NOTHING = noSeconds()
const NONE: Again = { recompute: 'none', layers: undefined }
const PLAIN: Sharing = { zeroStage: 0, offloadOptimizer: false }
