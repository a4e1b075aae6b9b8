/**
 * @file The best layouts of a whole space, exactly: branch and bound.
 *
 * A step takes at least the passes of its micro-batches on the slowest stage, which takes at least the mean of all
 * stages. So B / b micro-batches of b sequences, with S seconds in all layers of a replica that is one pipeline of t x c
 * chips a stage, take at least (B / b) S t c chip-seconds, however they are split into stages and replicas; and less per
 * sequence the larger b is, as all parts of S grow by no more than b does. That bounds families of layouts from below
 * before any of their members is looked at; the best of what fits bounds them from above.
 */
import {
  bubbleSeconds,
  type Layout,
  type MemoryModel,
  noSeconds,
  type PassSeconds,
  type Simulator,
  type StageSums,
  stageSums,
  stepSeconds,
} from '../simulate/index.ts'
import { BareMemory } from './bare-memory.ts'
import {
  type Again,
  chipsOf,
  kept,
  layoutOf,
  type Share,
  type Sharing,
  type Space,
  type Split,
  sizeOf,
  splitGoes,
} from './space.ts'
import type { SearchCounts } from './types.ts'

export interface Candidate {
  readonly layout: Layout
  readonly seconds: number
  /** What is made least. */
  readonly score: number
}

export interface Found extends SearchCounts {
  /** Best first, no two of the same degrees. */
  readonly best: readonly Candidate[]
}

/** Bounds are sums in another order than what they bound: what rounding can make of that. */
const ROUNDING = 1 - 1e-9

/** Searches a space for its `top` best layouts that fit; the size of the space is only counted where it is asked for. */
export function search(space: Space, simulator: Simulator, top: number, counted = true): Found {
  return new Search(space, simulator, top).run(counted)
}

/** Layouts of one share of the work, with the least chip-seconds that any of them takes. */
interface Family {
  readonly share: Share
  readonly microBatches: readonly number[]
  readonly bound: number
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
  readonly #list: Ranking
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
    this.#list = new Ranking(top)
  }

  run(counted: boolean): Found {
    for (const { share, microBatches, bound } of this.#families()) {
      if (this.#hopeless(bound, this.#space.chips)) break
      this.#range(share, microBatches, 0, microBatches.length - 1)
    }
    const considered = counted ? sizeOf(this.#space) : this.#evaluated
    return {
      best: this.#list.sorted(),
      considered,
      evaluated: this.#evaluated,
      pruned: considered - this.#evaluated,
      overfull: this.#overfull,
    }
  }

  /** Families by their bounds, least first. */
  #families(): Family[] {
    const { shares, microBatches } = this.#space
    const bare = new BareMemory(this.#simulator, microBatches)
    const families: Family[] = []
    for (const share of shares) {
      const most = bare.mostMicroBatches(share)
      if (most === 0) continue
      const bound = this.#bound(share, microBatches[0]!, microBatches[most - 1]!)
      families.push({ share, microBatches: microBatches.slice(0, most), bound })
    }
    return families.sort((a, b) => a.bound - b.bound)
  }

  /** Chip-seconds of a share at the least, with micro-batches in a range: the bubble is that of the smallest of them. */
  #bound(share: Share, smallest: number, largest: number): number {
    const all = this.#whole(share, largest)
    const width = share.tensorParallel * share.contextParallel
    const passes = (this.#batch / largest) * (all.forward + all.backward) * width
    return passes + this.#leastBubble(share, this.#whole(share, smallest)) * this.#space.chips
  }

  /** Goes through a range of micro-batches by halves, the smaller ones first. */
  #range(share: Share, microBatches: readonly number[], from: number, to: number): void {
    if (this.#hopeless(this.#bound(share, microBatches[from]!, microBatches[to]!), this.#space.chips)) return
    if (from === to) {
      this.#microBatch(share, microBatches[from]!)
      return
    }
    const middle = (from + to) >> 1
    this.#range(share, microBatches, from, middle)
    this.#range(share, microBatches, middle + 1, to)
  }

  /** What the bubble takes at the least of any number of stages that can hold the weights. */
  #leastBubble(share: Share, all: PassSeconds): number {
    if (this.#byChips) return 0
    const weights = this.#weights(share)
    let least = Number.POSITIVE_INFINITY
    for (const p of this.#space.pipelines) {
      if (this.#holdsWhole(p) && weights > p * this.#bytes) continue
      least = Math.min(least, Math.max(0, this.#bubble(all, p) - (all.forward + all.backward) / p))
      if (least === 0) break
    }
    return least
  }

  /** Seconds of the bubble, with those of one micro-batch on the slowest stage, at the least. */
  #bubble(all: PassSeconds, p: number): number {
    let least = Number.POSITIVE_INFINITY
    for (const [schedule, v] of this.#space.schedules(p))
      least = Math.min(least, bubbleSeconds(schedule, v, p, NOTHING, all, 0))
    return p === 1 ? all.forward + all.backward : least
  }

  /** Seconds of one micro-batch in all layers of a replica, embedding and head included. */
  #whole(share: Share, microBatch: number): PassSeconds {
    const layout = layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
    return this.#simulator.costs.stage(layout, 0, this.#layers, 0, true, true)
  }

  /** Whether layouts on so many chips at most that take so many chip-seconds at the least cannot enter the list. */
  #hopeless(chipSeconds: number, chips: number): boolean {
    const seconds = this.#overhead(chipSeconds / chips, chips) * ROUNDING
    if (seconds > this.#limit) return true
    return (this.#byChips ? chipSeconds * ROUNDING : seconds) > this.#list.threshold
  }

  /** Adds what waiting for each other costs on so many chips, and what belongs to no pass. */
  #overhead(seconds: number, chips: number): number {
    const { machine, rates } = this.#simulator.costs
    const domains = Math.max(1, chips / machine.links[0]!.size)
    return seconds * (1 + rates.straggling * Math.log2(domains)) + rates.step
  }

  #microBatch(share: Share, microBatch: number): void {
    const space = this.#space
    const whole = layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
    const all = this.#whole(share, microBatch)
    const seconds = all.forward + all.backward
    const width = share.tensorParallel * share.contextParallel
    const steps = this.#batch / microBatch
    const grid = share.expertParallel * share.expertTensorParallel
    const weights = this.#weights(share)
    const replicas = space.replicas(microBatch).filter((n) => (n * width) % grid === 0)
    const stages = stageBounds(space, this.#simulator, whole)
    let longest = 0
    let size = 0
    for (const p of space.pipelines) {
      if (this.#holdsWhole(p) && weights > p * this.#bytes) continue
      const from = replicas.findIndex((n) => n * width * p <= space.chips)
      if (from < 0) continue
      const most = replicas[from]!
      const chips = most * width * p
      if (this.#hopeless(steps * seconds * width, chips)) continue
      if (size !== Math.ceil(this.#layers / p)) {
        size = Math.ceil(this.#layers / p)
        longest = stages.longest(size)
      }
      const pass = Math.max(seconds / p, longest)
      // what the slowest stage adds to its passes, the bubble cannot lose more than once
      const least = (steps / most) * pass + Math.max(0, this.#bubble(all, p) - pass)
      if (this.#hopeless(least * chips, chips)) continue
      // fewer replicas take longer, each with as many micro-batches more
      const to = this.#byChips
        ? replicas.length
        : replicas.findIndex(
            (n, i) =>
              i > from &&
              this.#hopeless((least + (steps / n - steps / most) * pass) * n * width * p, n * width * p),
          )
      this.#pipeline(share, microBatch, p, replicas.slice(from, to < 0 ? undefined : to), stages)
    }
  }

  /** Whether so many stages hold their weights and gradients whole, rather than share them with other replicas. */
  #holdsWhole(p: number): boolean {
    return this.#space.sharings(p).every(({ zeroStage }) => zeroStage < 2)
  }

  /** Bytes of weights and gradients of a whole replica on the chips of a stage. */
  #weights({ tensorParallel, expertParallel, expertTensorParallel }: Share): number {
    const { dense, expert } = this.#simulator.costs.parameters(0, this.#layers, true, true)
    const each = 2 + this.#simulator.engine.gradientBytes
    return each * (dense / tensorParallel + expert / (expertParallel * expertTensorParallel))
  }

  #pipeline(
    share: Share,
    microBatch: number,
    p: number,
    replicas: readonly number[],
    stages: StageBounds,
  ): void {
    const { costs } = this.#simulator
    const sharings = this.#space.sharings(p)
    const first = layoutOf(share, microBatch, p, replicas[0]!, WHOLE, NONE, PLAIN)
    const known = replicas.map((dataParallel) => this.#list.known({ ...first, dataParallel }))
    /** Of stages as even as can be: schedules share them. */
    const even = new Map<Again['recompute'] | number, StageSums>()
    const nodeOf = (split: Split, again: Again): Node => {
      const key = again.layers ?? again.recompute
      let sums = split.stageLayers === undefined ? even.get(key) : undefined
      if (sums === undefined) {
        sums = stageSums(costs, layoutOf(share, microBatch, p, replicas[0]!, split, again, PLAIN))
        if (split.stageLayers === undefined) even.set(key, sums)
      }
      const pass = sums.slowest.forward + sums.slowest.backward
      const bubble = bubbleSeconds(split.schedule, split.virtualPipeline, p, sums.slowest, sums.all, 0)
      return { share, microBatch, p, replicas, known, split, again, pass, bubble, stages: sums }
    }
    const sum = this.#whole(share, microBatch)
    /** Whether a split may be good enough by the stage that has the most layers, and those at the ends, alone. */
    const worth = ({ schedule, virtualPipeline, stageLayers, most }: Split): boolean => {
      let pass = Math.max((sum.forward + sum.backward) / p, stages.longest(most))
      if (stageLayers !== undefined)
        pass = Math.max(pass, stages.first(stageLayers[0]!), stages.last(stageLayers.at(-1)!))
      const bubble = Math.max(0, bubbleSeconds(schedule, virtualPipeline, p, NOTHING, sum, 0) - pass)
      return replicas.some((_, i) =>
        this.#hopeful({ share, microBatch, p, replicas, known, pass, bubble }, i),
      )
    }
    const hopeful = (node: Node) => replicas.some((_, i) => this.#hopeful(node, i))
    for (const split of this.#space.splits(p)) {
      if (!worth(split)) continue
      // whatever is recomputed takes longer
      if (!hopeful(nodeOf(split, NONE))) continue
      for (const again of split.selective) {
        const node = nodeOf(split, again)
        if (hopeful(node)) for (const sharing of sharings) this.#replicas(node, sharing)
      }
      // the more layers, the longer it takes and the less they keep
      const { recomputes } = split
      let [low, high] = [0, recomputes.length]
      while (low < high) {
        const middle = (low + high) >> 1
        const fits = sharings.some((one) =>
          this.#leastFits(share, microBatch, p, replicas, split, recomputes[middle]!, one),
        )
        if (fits) high = middle
        else low = middle + 1
      }
      for (; low < recomputes.length; low++) {
        const node = nodeOf(split, recomputes[low]!)
        if (!hopeful(node)) break
        for (const sharing of sharings) this.#replicas(node, sharing)
      }
    }
  }

  /** Whether a layout of a node, on its i-th number of replicas, could be better than what is known. */
  #hopeful(node: Timed, i: number): boolean {
    const { share, microBatch, p, replicas } = node
    const chips = replicas[i]! * share.tensorParallel * share.contextParallel * p
    const steps = this.#batch / (microBatch * replicas[i]!)
    const seconds = this.#overhead(steps * node.pass + node.bubble, chips) * ROUNDING
    const score = this.#byChips ? seconds * chips : seconds
    return seconds <= this.#limit && score <= this.#list.threshold && score <= node.known[i]!
  }

  /** Whether a layout fits that keeps the least: its replicas are the most, the optimizer's state is elsewhere. */
  #leastFits(
    share: Share,
    microBatch: number,
    p: number,
    replicas: readonly number[],
    split: Split,
    again: Again,
    { zeroStage }: Sharing,
  ): boolean {
    const offloadOptimizer = this.#space.abilities.offloadFrom !== undefined
    const fitsOn = (dataParallel: number) =>
      this.#fits(layoutOf(share, microBatch, p, dataParallel, split, again, { zeroStage, offloadOptimizer }))
    // gradients that are shared need buffers, but not on a single replica
    return fitsOn(replicas[0]!) || (zeroStage >= 2 && fitsOn(replicas.at(-1)!))
  }

  #replicas(node: Node, sharing: Sharing): void {
    const { share, microBatch, p, replicas, split, again, stages } = node
    let fits: boolean | undefined
    for (let i = 0; i < replicas.length; i++) {
      if (!this.#hopeful(node, i)) continue
      const dataParallel = replicas[i]!
      const microBatches = this.#batch / (microBatch * dataParallel)
      if (!splitGoes(split, p, share.contextParallel, microBatches)) continue
      const layout = layoutOf(share, microBatch, p, dataParallel, split, again, sharing)
      const { seconds } = stepSeconds(this.#simulator.costs, layout, stages)
      this.#evaluated++
      if (seconds > this.#limit) continue
      const score = this.#byChips ? seconds * chipsOf(layout) : seconds
      if (score > this.#list.threshold || score > node.known[i]!) continue
      const candidate = { layout, seconds, score }
      if (!this.#list.wants(candidate)) continue
      fits ??= this.#leastFits(share, microBatch, p, replicas, split, again, sharing)
      if (!fits) {
        this.#overfull++
        return
      }
      if (this.#fits(layout)) {
        this.#list.add(candidate)
        node.known[i] = score
      } else this.#overfull++
    }
  }

  #fits(layout: Layout): boolean {
    return this.#memory.fits(layout, this.#bytes)
  }
}

/** Seconds of one micro-batch on stages of so many layers, nothing recomputed. */
interface StageBounds {
  /** At the least, wherever the layers begin. */
  longest(size: number): number
  /** With the embedding. */
  first(size: number): number
  /** With the head. */
  last(size: number): number
}

function stageBounds(space: Space, { costs, workload }: Simulator, whole: Layout): StageBounds {
  const { layers } = workload.decoder
  const seconds = (from: number, size: number, isFirst: boolean, isLast: boolean) => {
    const { forward, backward } = costs.stage(whole, from, size, 0, isFirst, isLast)
    return forward + backward
  }
  return {
    // one of the stages has as many layers as an even share, rounded up
    longest: kept((size) =>
      Math.min(...space.windows(size).map((from) => seconds(from, size, false, false))),
    ),
    first: kept((size) => seconds(0, size, true, false)),
    last: kept((size) => seconds(layers - size, size, false, true)),
  }
}

/** Layouts with what they take at the least. */
interface Timed {
  readonly share: Share
  readonly microBatch: number
  readonly p: number
  readonly replicas: readonly number[]
  /** The best score of the degrees that go with each number of replicas. */
  readonly known: number[]
  readonly pass: number
  /** Seconds of the bubble at the least. */
  readonly bubble: number
}

/** Layouts that differ in replicas and what they share alone. */
interface Node extends Timed {
  readonly split: Split
  readonly again: Again
  readonly stages: StageSums
}

const NOTHING = noSeconds()
const WHOLE: Split = {
  schedule: '1f1b',
  virtualPipeline: 1,
  stageLayers: undefined,
  most: 0,
  recomputes: [],
  selective: [],
}
const NONE: Again = { recompute: 'none', layers: undefined }
const PLAIN: Sharing = { zeroStage: 0, offloadOptimizer: false }

/** The best so many layouts, one for each set of degrees. */
export class Ranking {
  readonly #top: number
  readonly #best = new Map<string, Candidate>()
  /** Scores above it do not enter. */
  threshold = Number.POSITIVE_INFINITY

  constructor(top: number) {
    this.#top = top
  }

  /** Whether a candidate is better than what there is of its degrees. */
  wants(candidate: Candidate): boolean {
    if (candidate.score > this.threshold) return false
    const known = this.#best.get(degreesOf(candidate.layout))
    return known === undefined || compare(candidate, known) < 0
  }

  /** The score of what there is of the degrees of a layout. */
  known(layout: Layout): number {
    return this.#best.get(degreesOf(layout))?.score ?? Number.POSITIVE_INFINITY
  }

  add(candidate: Candidate): void {
    this.#best.set(degreesOf(candidate.layout), candidate)
    if (this.#best.size < this.#top) return
    const sorted = this.sorted()
    for (const worse of sorted.slice(this.#top)) this.#best.delete(degreesOf(worse.layout))
    this.threshold = sorted[this.#top - 1]!.score
  }

  sorted(): Candidate[] {
    return [...this.#best.values()].sort(compare)
  }
}

/** The degrees by which layouts of a list differ. */
export function degreesOf(l: Layout): string {
  return `${l.tensorParallel} ${l.contextParallel} ${l.pipelineParallel} ${l.dataParallel} ${l.expertParallel}`
}

/** A total order: by score, then by what is simpler. */
export function compare(a: Candidate, b: Candidate): number {
  if (a.score !== b.score) return a.score - b.score
  const [x, y] = [rankOf(a.layout), rankOf(b.layout)]
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return x[i]! - y[i]!
  return 0
}

function rankOf(l: Layout): number[] {
  return [
    chipsOf(l),
    l.offloadOptimizer ? 1 : 0,
    ['none', 'selective', 'full'].indexOf(l.recompute),
    l.recomputeLayers ?? 2 ** 20,
    l.zeroStage,
    l.tensorParallel,
    l.contextParallel,
    l.pipelineParallel,
    l.virtualPipeline,
    l.expertParallel,
    l.expertTensorParallel,
    l.microBatch,
    l.sequenceParallel ? 0 : 1,
    l.contextMethod === 'ring' ? 0 : 1,
    l.stageLayers === undefined ? 0 : 1,
    ...(l.stageLayers ?? []),
  ]
}
