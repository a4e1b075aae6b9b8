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
  type Simulator,
  type StageSums,
  stageSums,
  stepSeconds,
} from '../simulate/index.ts'
import { BareMemory } from './bare-memory.ts'
import {
  type Again,
  chipsOf,
  layoutOf,
  type Share,
  type Sharing,
  type Space,
  type Split,
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

/** Searches a space for its `top` best layouts that fit. */
export function search(space: Space, simulator: Simulator, top: number): Found {
  return new Search(space, simulator, top).run()
}

/** Layouts of one share of the work, with the least chip-seconds that any of them takes. */
interface Family {
  readonly share: Share
  readonly microBatches: readonly number[]
  readonly chipSeconds: number
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

  run(): Found {
    for (const { share, microBatches, chipSeconds } of this.#families()) {
      if (this.#hopeless(chipSeconds, this.#space.chips)) break
      for (const microBatch of microBatches) this.#microBatch(share, microBatch)
    }
    return {
      best: this.#list.sorted(),
      considered: 0,
      evaluated: this.#evaluated,
      pruned: 0,
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
      const chipSeconds = this.#chipSeconds(share, microBatches[most - 1]!)
      families.push({ share, microBatches: microBatches.slice(0, most).reverse(), chipSeconds })
    }
    return families.sort((a, b) => a.chipSeconds - b.chipSeconds)
  }

  /** Chip-seconds that the passes of a step take at the least. */
  #chipSeconds(share: Share, microBatch: number): number {
    const layout = layoutOf(share, microBatch, 1, 1, WHOLE, NONE, PLAIN)
    const { forward, backward } = this.#simulator.costs.stage(layout, 0, this.#layers, 0, true, true)
    const chips = share.tensorParallel * share.contextParallel
    return (this.#batch / microBatch) * (forward + backward) * chips
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
    const all = this.#simulator.costs.stage(whole, 0, this.#layers, 0, true, true)
    const seconds = all.forward + all.backward
    const width = share.tensorParallel * share.contextParallel
    const steps = this.#batch / microBatch
    if (this.#hopeless(steps * seconds * width, space.chips)) return
    const grid = share.expertParallel * share.expertTensorParallel
    const weights = this.#weights(share)
    for (const p of space.pipelines) {
      // stages of a pipeline hold their weights and gradients whole
      if (p > 1 && weights > p * this.#bytes) continue
      const replicas = space
        .replicas(microBatch)
        .filter((n) => n * width * p <= space.chips && (n * width) % grid === 0)
      if (replicas.length === 0) continue
      const most = replicas[0]!
      const pass = Math.max(seconds / p, this.#longest(whole, p))
      // what the slowest stage adds to its passes, the bubble cannot lose more than once
      const bubble = Math.min(
        ...space.schedules(p).map(([schedule, v]) => bubbleSeconds(schedule, v, p, NOTHING, all, 0)),
      )
      const least = Math.max((steps / most) * pass, (steps / most - 1) * pass + bubble)
      if (this.#hopeless(least * most * width * p, most * width * p)) continue
      this.#pipeline(share, microBatch, p, replicas)
    }
  }

  /** Seconds that some stage takes at the least: one of them has as many layers as an even share, rounded up. */
  #longest(whole: Layout, p: number): number {
    const size = Math.ceil(this.#layers / p)
    let least = Number.POSITIVE_INFINITY
    for (const from of this.#space.windows(size)) {
      const { forward, backward } = this.#simulator.costs.stage(whole, from, size, 0, false, false)
      least = Math.min(least, forward + backward)
    }
    return least
  }

  /** Bytes of weights and gradients of a whole replica on the chips of a stage. */
  #weights({ tensorParallel, expertParallel, expertTensorParallel }: Share): number {
    const { dense, expert } = this.#simulator.costs.parameters(0, this.#layers, true, true)
    const each = 2 + this.#simulator.engine.gradientBytes
    return each * (dense / tensorParallel + expert / (expertParallel * expertTensorParallel))
  }

  #pipeline(share: Share, microBatch: number, p: number, replicas: readonly number[]): void {
    const { costs } = this.#simulator
    const sharings = this.#space.sharings(p)
    const first = layoutOf(share, microBatch, p, replicas[0]!, WHOLE, NONE, PLAIN)
    const known = replicas.map((dataParallel) => this.#list.known({ ...first, dataParallel }))
    /** Of stages as even as can be: schedules share them. */
    const even = new Map<Again['recompute'] | number, StageSums>()
    for (const split of this.#space.splits(p)) {
      let full: boolean | undefined
      for (const again of split.recomputes) {
        let stages: StageSums | undefined
        const key = again.layers ?? again.recompute
        if (split.stageLayers === undefined) stages = even.get(key)
        if (stages === undefined) {
          stages = stageSums(costs, layoutOf(share, microBatch, p, replicas[0]!, split, again, PLAIN))
          if (split.stageLayers === undefined) even.set(key, stages)
        }
        const node: Node = {
          share,
          microBatch,
          p,
          replicas,
          known,
          split,
          again,
          stages,
          pass: stages.slowest.forward + stages.slowest.backward,
          bubble: bubbleSeconds(split.schedule, split.virtualPipeline, p, stages.slowest, stages.all, 0),
        }
        if (!replicas.some((_, i) => this.#hopeful(node, i))) {
          // more layers take longer yet
          if (again.recompute === 'selective') continue
          break
        }
        if (again.recompute !== 'selective') {
          // all layers recomputed keep the least
          full ??= sharings.some((sharing) => this.#leastFits(node, ALL_AGAIN, sharing))
          if (!full) continue
        }
        for (const sharing of sharings) this.#replicas(node, sharing)
      }
    }
  }

  /** Whether a layout of a node, on its i-th number of replicas, could be better than what is known. */
  #hopeful(node: Node, i: number): boolean {
    const { share, microBatch, p, replicas } = node
    const chips = replicas[i]! * share.tensorParallel * share.contextParallel * p
    const steps = this.#batch / (microBatch * replicas[i]!)
    const seconds = this.#overhead(steps * node.pass + node.bubble, chips) * ROUNDING
    const score = this.#byChips ? seconds * chips : seconds
    return seconds <= this.#limit && score <= this.#list.threshold && score <= node.known[i]!
  }

  /** Whether a layout fits that takes the least of a node: its replicas are the most, the optimizer's state is elsewhere. */
  #leastFits({ share, microBatch, p, replicas, split }: Node, again: Again, { zeroStage }: Sharing): boolean {
    const offloadOptimizer = this.#space.abilities.offloadFrom !== undefined
    return this.#fits(
      layoutOf(share, microBatch, p, replicas[0]!, split, again, { zeroStage, offloadOptimizer }),
    )
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
      fits ??= this.#leastFits(node, again, sharing)
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
    return this.#memory.overflow(layout, this.#bytes) === undefined
  }
}

/** Layouts that differ in replicas and what they share alone. */
interface Node {
  readonly share: Share
  readonly microBatch: number
  readonly p: number
  readonly replicas: readonly number[]
  /** The best score of the degrees that go with each number of replicas. */
  readonly known: number[]
  readonly split: Split
  readonly again: Again
  readonly stages: StageSums
  readonly pass: number
  /** Seconds of the bubble at the least. */
  readonly bubble: number
}

const NOTHING = { forward: 0, backward: 0, weight: 0, recompute: 0, tensor: 0, context: 0, expert: 0 }
const ALL_AGAIN: Again = { recompute: 'full', layers: undefined }
const WHOLE: Split = { schedule: '1f1b', virtualPipeline: 1, stageLayers: undefined, recomputes: [] }
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
