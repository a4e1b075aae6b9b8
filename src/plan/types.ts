/** @file The request and the result of a plan. Seconds, bytes, chips; money in the currency of the price. */
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
 * What is minimized: the time of a step, or its chip-seconds. On chips of one kind, energy and money both grow with
 * chip-seconds alone, so the layout of the fewest chip-seconds takes the least of either.
 */
export type Objective = (typeof OBJECTIVES)[number]

/** Parameters held fixed; the search goes over the others. */
export type Fixed = { readonly [Name in Exclude<keyof Layout, 'stageLayers' | 'shardGroup'>]?: Layout[Name] }

export interface PlanRequest {
  readonly workload: Workload
  /** Its `count` is the chips at hand: a layout may leave some of them idle. */
  readonly machine: Machine
  readonly engine: Engine
  /** Constants of the prediction; those that ship with regauge where it is undefined. */
  readonly constants?: Constants
  /** Number of layouts in the answer, each with degrees of its own. 5 where it is undefined. */
  readonly top?: number
  readonly objective?: Objective
  readonly fixed?: Fixed
  /** Longest step allowed. */
  readonly maximumSeconds?: number
  /** Tokens of the whole run, from which days, energy and money follow. */
  readonly tokens?: number
  readonly pricePerChipHour?: number
  /** Whether to say why other layouts lost, which takes further searches. True where it is undefined. */
  readonly reasons?: boolean
}

/** Days, energy and money of a run; null where a figure is missing, which `missing` names. */
export interface RunCost {
  readonly days: number | null
  /** Kilowatt-hours of the chips alone at their design power: no hosts, no cooling. */
  readonly energy: number | null
  readonly money: number | null
  readonly missing: readonly string[]
}

export interface PlannedLayout {
  readonly layout: Layout
  /** Chips in use, and chips at hand that are not. */
  readonly chips: number
  readonly idle: number
  /** Seconds of a step. */
  readonly seconds: number
  /** The prediction on the chips in use. */
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
  /** Terms that it loses by, largest first: seconds beyond those of the best. */
  readonly lost?: readonly TermDifference[]
  /** Where none fits, or what fits is too slow: the least memory over the layouts with all that saves it. */
  readonly shortage?: MemoryShortage
}

export interface TermDifference {
  readonly term: keyof TimeTerms
  readonly seconds: number
}

export interface SearchCounts {
  /** Layouts in the space: each is evaluated or pruned. */
  readonly considered: number
  /** Layouts whose step time was predicted. */
  readonly evaluated: number
  /** Layouts pruned by a bound of time or memory. */
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

/** One layout compared to the best. */
export interface Explanation {
  readonly layout: Layout
  readonly chips: number
  /** Problems that keep it from being launched. */
  readonly violations: readonly string[]
  readonly shortages: readonly MemoryShortage[]
  /** Undefined where the layout is so wrong that no time can be given. */
  readonly prediction?: Prediction
  readonly best?: PlannedLayout
  /** Its seconds as a factor on those of the best. */
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
  /** Tokens of the whole run, from which days follow. */
  readonly tokens?: number
}

/** One pool's part of a step. */
export interface PoolPart {
  readonly pool: string
  readonly layout: Layout
  readonly chips: number
  /** Sequences of a batch that it trains. */
  readonly batch: number
  /** Layers that it holds. */
  readonly layers: number
  /** Seconds of its own work and of waits within it. */
  readonly seconds: number
}

export interface PoolsPlan {
  readonly way: 'alone' | 'replicas' | 'pipeline'
  /** Seconds of a step. */
  readonly seconds: number
  /** Seconds of these in which pools wait for messages between them. */
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
