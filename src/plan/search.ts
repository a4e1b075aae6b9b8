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
    const chipSeconds = this.#chipSeconds(share, microBatch)
    if (this.#hopeless(chipSeconds, space.chips)) return
    const width = share.tensorParallel * share.contextParallel
    const grid = share.expertParallel * share.expertTensorParallel
    const all = space.replicas(microBatch)
    for (const p of space.pipelines) {
      const replicas = all.filter((n) => n * width * p <= space.chips && (n * width) % grid === 0)
      if (replicas.length === 0) continue
      if (this.#hopeless(chipSeconds, replicas[0]! * width * p)) continue
      this.#pipeline(share, microBatch, p, replicas)
    }
  }

  #pipeline(share: Share, microBatch: number, p: number, replicas: readonly number[]): void {
    const { costs } = this.#simulator
    const width = share.tensorParallel * share.contextParallel
    const most = replicas[0]!
    /** Of stages as even as can be: schedules share them. */
    const even = new Map<Again['recompute'] | number, StageSums>()
    for (const split of this.#space.splits(p)) {
      for (const again of split.recomputes) {
        const layout = layoutOf(share, microBatch, p, most, split, again, PLAIN)
        let stages: StageSums | undefined
        if (split.stageLayers === undefined) {
          const key = again.layers ?? again.recompute
          stages = even.get(key) ?? stageSums(costs, layout)
          even.set(key, stages)
        } else {
          stages = stageSums(costs, layout)
        }
        const pass = stages.slowest.forward + stages.slowest.backward
        const chipSeconds = (this.#batch / microBatch) * pass * width * p
        if (this.#hopeless(chipSeconds, most * width * p)) {
          // more layers take longer yet
          if (again.recompute === 'full') break
          continue
        }
        for (const sharing of this.#space.sharings(p)) {
          this.#replicas(share, microBatch, p, replicas, split, again, sharing, stages, chipSeconds)
        }
      }
    }
  }

  #replicas(
    share: Share,
    microBatch: number,
    p: number,
    replicas: readonly number[],
    split: Split,
    again: Again,
    sharing: Sharing,
    stages: StageSums,
    chipSeconds: number,
  ): void {
    const width = share.tensorParallel * share.contextParallel
    let fits: boolean | undefined
    for (const dataParallel of replicas) {
      const chips = dataParallel * width * p
      if (this.#hopeless(chipSeconds, chips)) {
        // fewer chips take longer yet, but not more chip-seconds
        if (this.#byChips && (chipSeconds / chips) * ROUNDING <= this.#limit) continue
        return
      }
      const microBatches = this.#batch / (microBatch * dataParallel)
      if (!splitGoes(split, p, share.contextParallel, microBatches)) continue
      const layout = layoutOf(share, microBatch, p, dataParallel, split, again, sharing)
      const { seconds } = stepSeconds(this.#simulator.costs, layout, stages)
      this.#evaluated++
      if (seconds > this.#limit) continue
      const score = this.#byChips ? seconds * chips : seconds
      if (score > this.#list.threshold) continue
      const candidate = { layout, seconds, score }
      if (!this.#list.wants(candidate)) continue
      // what the first fits in takes the least: its replicas are the most, and its optimizer's state is elsewhere
      fits ??= this.#fits(
        layoutOf(share, microBatch, p, replicas[0]!, split, again, {
          ...sharing,
          offloadOptimizer: this.#space.abilities.offloadFrom !== undefined,
        }),
      )
      if (!fits) {
        this.#overfull++
        return
      }
      if (this.#fits(layout)) this.#list.add(candidate)
      else this.#overfull++
    }
  }

  #fits(layout: Layout): boolean {
    return this.#memory.overflow(layout, this.#bytes) === undefined
  }
}

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
