/** @file What a plan is asked with and what it answers. Seconds, bytes, chips; money in whatever currency the price is. */
import type { Engine } from '../engines/index.ts'
import type {
  Constants,
  Layout,
  Machine,
  MemoryTerms,
  Prediction,
  Simulator,
  TimeTerms,
  Workload,
} from '../simulate/index.ts'

export const OBJECTIVES = ['time', 'chip-time'] as const
/**
 * What is made least: the time of a step, or its chip-seconds. Energy and money both grow with chip-seconds alone, as
 * long as chips are of one kind, so the layout that takes the fewest is the one that takes the least of either.
 */
export type Objective = (typeof OBJECTIVES)[number]

/** Degrees that may be held fixed; the search goes over the others. */
export type Fixed = { readonly [Name in Exclude<keyof Layout, 'stageLayers' | 'shardGroup'>]?: Layout[Name] }

export interface PlanRequest {
  readonly workload: Workload
  /** Its `count` is the chips at hand: a layout may leave some of them idle. */
  readonly machine: Machine
  readonly engine: Engine
  /** Those that are shipped where it is undefined. */
  readonly constants?: Constants
  /** Layouts that are answered, each of other degrees than those before it. 5 where it is undefined. */
  readonly top?: number
  readonly objective?: Objective
  readonly fixed?: Fixed
  /** Steps that take longer are refused. */
  readonly maximumSeconds?: number
  /** Tokens of the whole run: makes days, energy and money of it. */
  readonly tokens?: number
  readonly pricePerChipHour?: number
  /** Why other layouts lost. True where it is undefined; it takes searches of its own. */
  readonly reasons?: boolean
}

/** What a run takes; null where a figure that it needs is missing, which `missing` names. */
export interface RunCost {
  readonly days: number | null
  /** Of chips alone, at their design power: no hosts, no cooling. Kilowatt-hours. */
  readonly energy: number | null
  readonly money: number | null
  readonly missing: readonly string[]
}

export interface PlannedLayout {
  readonly layout: Layout
  /** Chips that it uses, and those at hand that it does not. */
  readonly chips: number
  readonly idle: number
  /** Seconds of a step. */
  readonly seconds: number
  /** On a machine of as many chips as are used. */
  readonly prediction: Prediction
  /** Bytes of the fullest stage, and those of a chip. */
  readonly peakBytes: number
  readonly memoryBytes: number
  readonly cost: RunCost
}

/** A stage that does not fit. Bytes. */
export interface MemoryShortage {
  readonly layout: Layout
  readonly stage: number
  readonly over: number
  readonly term: keyof MemoryTerms
  readonly termBytes: number
}

/** Parameters of a layout by which families of layouts are told apart. */
export type Aspect =
  | 'tensorParallel'
  | 'sequenceParallel'
  | 'contextParallel'
  | 'pipelineParallel'
  | 'virtualPipeline'
  | 'expertParallel'
  | 'expertTensorParallel'
  | 'zeroStage'
  | 'microBatch'
  | 'recompute'
  | 'offloadOptimizer'
  | 'schedule'

/** Why a family of layouts, all those with one value of one parameter, is not the best. */
export interface Rejection {
  readonly aspect: Aspect
  readonly value: Layout[Aspect]
  readonly kind: 'slower' | 'too slow' | 'does not fit' | 'not possible'
  /** One line for a person, with the numbers. */
  readonly reason: string
  /**
   * The best of the family where one fits, among stages as even as can be, micro-batches of powers of two, and layers
   * recomputed all or not at all.
   */
  readonly nearest?: Layout
  readonly seconds?: number
  /** Score of the family's best over that of the best: 1.14 takes 14 % more. */
  readonly ratio?: number
  /** What it loses by, most first: seconds more than the best of each term. */
  readonly lost?: readonly TermDifference[]
  /** Where none fits, or what fits is too slow: the least memory over the layouts with all that saves it. */
  readonly shortage?: MemoryShortage
}

export interface TermDifference {
  readonly term: keyof TimeTerms
  readonly seconds: number
}

export interface SearchCounts {
  /** Layouts in the space, all of which are accounted for. */
  readonly considered: number
  /** Layouts whose step time was worked out. */
  readonly evaluated: number
  /** Layouts that a bound of time or memory left out. */
  readonly pruned: number
}

export interface PlanResult extends SearchCounts {
  /** Best first. Empty where nothing fits, or is fast enough: then `nearest` or `fastest`, and `remedies`, say more. */
  readonly best: readonly PlannedLayout[]
  readonly rejected: readonly Rejection[]
  /** Where nothing fits, the layout that comes closest. */
  readonly nearest?: MemoryShortage
  /** Where layouts fit and none is as fast as was asked, the fastest. */
  readonly fastest?: PlannedLayout
  /** Where nothing fits or is fast enough, what would help; one line each. */
  readonly remedies: readonly string[]
  readonly simulator: Simulator
}

/** One layout beside the best one. */
export interface Explanation {
  readonly layout: Layout
  readonly chips: number
  /** What keeps it from being launched. */
  readonly violations: readonly string[]
  readonly shortages: readonly MemoryShortage[]
  /** Undefined where the layout is so wrong that no time can be given. */
  readonly prediction?: Prediction
  readonly best?: PlannedLayout
  /** Seconds over those of the best. */
  readonly ratio?: number
  /** Differences to the best, largest first. */
  readonly lost: readonly TermDifference[]
  /** The same as lines for a person. */
  readonly lines: readonly string[]
}

/** Chips of one kind in one place. */
export interface Pool {
  readonly name: string
  readonly machine: Machine
  readonly engine: Engine
  readonly constants?: Constants
  /** Its best layout for the whole batch, where that is known already. */
  readonly alone?: PlannedLayout
}

/** The network between pools: bytes/s out of a pool, all its chips together, each way. */
export interface PoolLink {
  readonly bytesPerSecond: number
  readonly latency: number
}

export interface PoolsRequest {
  readonly workload: Workload
  readonly pools: readonly Pool[]
  readonly link: PoolLink
  /** Makes days of it. */
  readonly tokens?: number
}

/** What one pool does of a step. */
export interface PoolPart {
  readonly pool: string
  readonly layout: Layout
  readonly chips: number
  /** Sequences of a batch that it trains. */
  readonly batch: number
  /** Layers that it holds. */
  readonly layers: number
  /** Seconds that it is at work or waits within itself. */
  readonly seconds: number
}

export interface PoolsPlan {
  readonly way: 'alone' | 'replicas' | 'pipeline'
  /** Seconds of a step. */
  readonly seconds: number
  /** Of these, what crosses between pools and is waited for. */
  readonly crossing: number
  readonly parts: readonly PoolPart[]
  readonly days: number | null
  readonly why: string
}

export interface PoolsResult {
  readonly best: PoolsPlan | undefined
  /** The best of each way and pools, least seconds first. */
  readonly plans: readonly PoolsPlan[]
  /** Ways that are not possible, with the reason. */
  readonly impossible: readonly string[]
}
