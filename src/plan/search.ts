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
import { BareMemory } from './bare-memory.ts'
import { createLeastFirst, ROUNDING } from './least-first.ts'
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
import { StageBounds } from './stage-bounds.ts'
import type { SearchCounts } from './types.ts'

export interface Found extends SearchCounts {
  /** Best first, no two of the same degrees. */
  readonly best: readonly Candidate[]
}

/** Searches a space for its `top` best layouts that fit; the size of the space is only counted where it is asked for. */
export function search(space: Space, simulator: Simulator, top: number, counted = true): Found {
  return new Search(space, simulator, top).run(counted)
}

/** Layouts of one share of the work with micro-batches in a range, from the smallest to the largest. */
interface Range {
  readonly share: Share
  /** Places of the smallest and the largest among those of the space. */
  readonly from: number
  readonly to: number
  /** Seconds of one of either in all layers of a replica. */
  readonly smallest: PassSeconds
  readonly largest: PassSeconds
  /** Stages that may be good enough. */
  readonly pipelines: readonly number[]
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
  readonly #open = createLeastFirst<() => void>()
  /** Replicas that go with a micro-batch, chips of a stage and chips that experts are spread over, most first. */
  readonly #replicasOf: (microBatch: number, width: number, grid: number) => readonly number[]
  /** Most chips that replicas of stages of so many chips can use, with experts over so many. */
  readonly #mostChips: (width: number, grid: number) => number
  #evaluated = 0
  #overfull = 0

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
    const most = kept((width) => kept((grid) => mostChips(space, replicas(1)(width)(grid), width)))
    this.#mostChips = (width, grid) => most(width)(grid)
  }

  run(counted: boolean): Found {
    const { shares, microBatches, schedules } = this.#space
    const pipelines = this.#space.pipelines.filter((p) => schedules(p).length > 0)
    const bare = new BareMemory(this.#simulator, microBatches)
    const room = pipelines.map((p) => (this.#holdsWhole(p) ? p * this.#bytes : Number.POSITIVE_INFINITY))
    for (const share of shares) {
      const to = bare.mostMicroBatches(share) - 1
      if (to < 0) continue
      const weights = this.#weights(share)
      this.#share(
        share,
        to,
        pipelines.filter((_, i) => weights <= room[i]!),
      )
    }
    for (;;) {
      const look = this.#open.pop(this.#list.threshold)
      if (look === undefined) break
      look()
    }
    const considered = counted ? sizeOf(this.#space) : this.#evaluated
    return {
      best: this.#list.sorted().map((one) => ({ ...one, layout: plainLayout(one.layout) })),
      considered,
      evaluated: this.#evaluated,
      pruned: considered - this.#evaluated,
      overfull: this.#overfull,
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

  /** Lets a share with its micro-batches wait, by what the passes of the largest take on as many chips as can be. */
  #share(share: Share, to: number, pipelines: readonly number[]): void {
    const { microBatches } = this.#space
    const chips = this.#mostChips(widthOf(share), gridOf(share))
    if (chips === 0) return
    const largest = this.#whole(share, microBatches[to]!)
    const chipSeconds =
      widthOf(share) * (largest.forward + largest.backward) * (this.#batch / microBatches[to]!)
    // more chips take less time, as long as a doubling costs less than a third
    const score = this.#byChips ? chipSeconds * ROUNDING : this.#seconds(chipSeconds / chips, chips)
    this.#wait(score, () => {
      const smallest = to === 0 ? largest : this.#whole(share, microBatches[0]!)
      this.#range({ share, from: 0, to, smallest, largest, pipelines })
    })
  }

  /** Lets a range of micro-batches wait, with those numbers of stages that may be good enough. */
  #range(range: Range): void {
    const { share, from, to, smallest, largest } = range
    const { microBatches, chips } = this.#space
    const width = widthOf(share)
    const replicas = this.#replicasOf(1, width, gridOf(share))
    const pass = (largest.forward + largest.backward) * (this.#batch / microBatches[to]!)
    const first = smallest.forward + smallest.backward
    const pipelines: number[] = []
    let score = Number.POSITIVE_INFINITY
    let at = 0
    while (at < replicas.length && replicas[at]! * microBatches[from]! > this.#batch) at++
    for (const p of range.pipelines) {
      while (at < replicas.length && replicas[at]! * width * p > chips) at++
      if (at === replicas.length) break
      // what the slowest stage adds to its passes, the bubble cannot lose more than once
      const bubble = Math.max(0, this.#bubble(smallest, p) - first / p)
      const least = this.#least(pass / p, bubble, replicas, at, width * p)
      if (least > this.#list.threshold) continue
      pipelines.push(p)
      score = Math.min(score, least)
    }
    const kept = { ...range, pipelines }
    this.#wait(score, from === to ? () => this.#cells(kept) : () => this.#halve(kept))
  }

  /** Lets something wait to be looked at, where it may be good enough. */
  #wait(score: number, look: () => void): void {
    if (score < Number.POSITIVE_INFINITY && score <= this.#list.threshold) this.#open.push(score, look)
  }

  #halve({ share, from, to, smallest, largest, pipelines }: Range): void {
    const { microBatches } = this.#space
    const middle = (from + to) >> 1
    const below = middle === from ? smallest : this.#whole(share, microBatches[middle]!)
    const above = middle + 1 === to ? largest : this.#whole(share, microBatches[middle + 1]!)
    this.#range({ share, from, to: middle, smallest, largest: below, pipelines })
    this.#range({ share, from: middle + 1, to, smallest: above, largest, pipelines })
  }

  /** Seconds of the bubble, with those of one micro-batch on the slowest stage, at the least. */
  #bubble(all: PassSeconds, p: number): number {
    if (p === 1) return all.forward + all.backward
    let least = Number.POSITIVE_INFINITY
    for (const { schedule, virtualPipeline } of this.#space.schedules(p))
      least = Math.min(least, bubbleSeconds(schedule, virtualPipeline, p, NOTHING, all, 0))
    return least
  }

  /**
   * The least score of some passes and a bubble on any of so many replicas, from one of them on; infinite where all take
   * too long.
   * @param passes Seconds that one replica would take for the whole batch.
   * @param chips Those of a replica.
   */
  #least(passes: number, bubble: number, replicas: readonly number[], from: number, chips: number): number {
    let seconds = Number.POSITIVE_INFINITY
    // without waiting
    if (!this.#byChips && (passes / replicas[from]! + bubble) * ROUNDING > this.#list.threshold)
      return seconds
    // fewer replicas take longer, but wait less for each other: from the most on, time falls before it rises, as long as a
    // doubling costs less than a third
    for (let i = from; i < replicas.length; i++) {
      const n = replicas[i]!
      const own = this.#seconds(passes / n + bubble, n * chips)
      if (own >= seconds) break
      seconds = own
    }
    if (seconds > this.#limit) return Number.POSITIVE_INFINITY
    if (!this.#byChips) return seconds
    // chip-time only grows with replicas
    const fewest = replicas.at(-1)!
    return this.#seconds(passes / fewest + bubble, fewest * chips) * fewest * chips
  }

  /** Adds what waiting for each other costs on so many chips, and what belongs to no pass; a little less, for rounding. */
  #seconds(ideal: number, chips: number): number {
    return (ideal + overheadSeconds(ideal, this.#simulator.costs.rates, chips / this.#domain)) * ROUNDING
  }

  /** Looks at one micro-batch of a share. */
  #cells({ share, from, smallest: all, pipelines }: Range): void {
    const { microBatches, chips } = this.#space
    const microBatch = microBatches[from]!
    const width = widthOf(share)
    const replicas = this.#replicasOf(microBatch, width, gridOf(share))
    const whole = layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
    const stages = new StageBounds(this.#space, this.#simulator, whole)
    for (const p of pipelines) {
      const at = replicas.findIndex((n) => n * width * p <= chips)
      if (at < 0) break
      let cell: Cell | undefined
      for (const { schedule, virtualPipeline } of this.#space.schedules(p)) {
        const pass = Math.max((all.forward + all.backward) / p, stages.even(schedule, p))
        const passes = (this.#batch / microBatch) * pass
        const bubble = Math.max(0, bubbleSeconds(schedule, virtualPipeline, p, NOTHING, all, 0) - pass)
        if (this.#least(passes, bubble, replicas, at, width * p) > this.#list.threshold) continue
        const going = replicas.filter(
          (n, i) =>
            i >= at && scheduleGoes(schedule, p, share.contextParallel, this.#batch / (microBatch * n)),
        )
        if (going.length === 0) continue
        const score = this.#least(passes, bubble, going, 0, width * p)
        cell ??= { share, microBatch, p, all, stages, even: new Map(), paired: new Map(), folded: new Map() }
        const own = cell
        this.#wait(score, () => this.#splits(own, schedule, virtualPipeline, going))
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
      const score = this.#least(passes, Math.max(0, bubble - pass), replicas, 0, widthOf(share) * p)
      this.#wait(score, () => this.#split(cell, split, replicas, pass))
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
    const nodes = new Map<Again, Node>()
    const nodeOf = (again: Again): Node => {
      let node = nodes.get(again)
      if (node === undefined) {
        const stages = this.#sums(cell, split, replicas, again)
        const { slowest, all } = stages
        const pass = slowest.forward + slowest.backward
        const bubble = bubbleSeconds(split.schedule, split.virtualPipeline, p, slowest, all, 0)
        node = { cell, replicas, split, again, pass, bubble, stages }
        nodes.set(again, node)
      }
      return node
    }
    const hopeful = (node: Node) => replicas.some((n) => this.#hopeful(node, n))
    // whatever is recomputed takes longer; but not surely where gradients of weights fill the bubble, as the stage that is
    // slowest then may have fewer of them
    const longer = split.schedule === '1f1b' || split.schedule === 'interleaved'
    const { recomputes, selective } = split
    for (const sharing of this.#space.sharings(p).toReversed()) {
      const first = this.#firstThatFits(cell, split, replicas, sharing)
      const some = selective.filter((again) => this.#leastFits(cell, split, replicas, again, sharing))
      if (first === recomputes.length && some.length === 0) {
        // what shares out or offloads less takes more, but for shared gradients, which need buffers
        if (p > 1) return
        continue
      }
      if (longer && !hopeful(nodeOf(recomputes[0]?.recompute === 'none' ? recomputes[0] : NONE))) return
      for (const again of some) {
        const node = nodeOf(again)
        if (hopeful(node)) this.#replicas(node, sharing)
      }
      for (const again of recomputes.slice(first)) {
        const node = nodeOf(again)
        if (hopeful(node)) this.#replicas(node, sharing)
        else if (longer) break
      }
    }
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

  /** Where among what may be recomputed a split may begin to fit: the more layers, the less they keep. */
  #firstThatFits(cell: Cell, split: Split, replicas: readonly number[], sharing: Sharing): number {
    const { recomputes } = split
    const fits = (i: number) => this.#leastFits(cell, split, replicas, recomputes[i]!, sharing)
    let [low, high] = [0, recomputes.length - 1]
    // most often nothing helps
    if (high < 0 || !fits(high)) return recomputes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (fits(middle)) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Whether a layout of a node, on so many replicas, could be better than what is known. */
  #hopeful({ cell, pass, bubble }: Node, n: number): boolean {
    return this.#wanted(cell, n, (this.#batch / (cell.microBatch * n)) * pass + bubble)
  }

  /** Whether layouts that take so many seconds at the least, without waiting, could be better than what is known. */
  #wanted({ share, p }: Cell, n: number, ideal: number): boolean {
    const chips = n * widthOf(share) * p
    const seconds = this.#seconds(ideal, chips)
    const score = this.#byChips ? seconds * chips : seconds
    return seconds <= this.#limit && score <= this.#list.threshold && score <= this.#list.known(share, p, n)
  }

  /** Whether a layout fits that keeps the least: its replicas are the most. */
  #leastFits(
    { share, microBatch, p }: Cell,
    split: Split,
    replicas: readonly number[],
    again: Again,
    sharing: Sharing,
  ): boolean {
    const fitsOn = (n: number) => this.#fits(layoutOf(share, microBatch, p, n, split, again, sharing))
    // gradients that are shared need buffers, but not on a single replica
    return fitsOn(replicas[0]!) || (sharing.zeroStage >= 2 && fitsOn(replicas.at(-1)!))
  }

  #replicas(node: Node, sharing: Sharing): void {
    const { cell, replicas, split, again, stages } = node
    for (const n of replicas) {
      if (!this.#hopeful(node, n)) continue
      const layout = layoutOf(cell.share, cell.microBatch, cell.p, n, split, again, sharing)
      const { seconds } = stepSeconds(this.#simulator.costs, layout, stages)
      this.#evaluated++
      if (seconds > this.#limit) continue
      const score = this.#byChips ? seconds * chipsOf(layout) : seconds
      const candidate = { layout, seconds, score }
      if (!this.#list.wants(candidate)) continue
      if (this.#fits(layout)) this.#list.add(candidate)
      else this.#overfull++
    }
  }

  #fits(layout: Layout): boolean {
    return this.#memory.fits(layout, this.#bytes)
  }
}

/** Chips that any of so many replicas use at the most, whose stages take so many. */
function mostChips({ chips, pipelines }: Space, replicas: readonly number[], width: number): number {
  const longest = pipelines.at(-1) ?? 0
  return Math.max(0, ...replicas.map((n) => n * width * Math.min(longest, Math.floor(chips / (n * width)))))
}

/** Chips of a stage of one replica. */
function widthOf({ tensorParallel, contextParallel }: Share): number {
  return tensorParallel * contextParallel
}

/** Chips that the experts of a layer are spread over. */
function gridOf({ expertParallel, expertTensorParallel }: Share): number {
  return expertParallel * expertTensorParallel
}

const NOTHING = noSeconds()
const NONE: Again = { recompute: 'none', layers: undefined }
const PLAIN: Sharing = { zeroStage: 0, offloadOptimizer: false }
