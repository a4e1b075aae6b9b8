/** @file Bytes that training takes on a chip of each stage: what is held through the step, and the peak of its passes. */
import { type Placement, SCHEDULES } from '../schedules/index.ts'
import { degreesKey, tokensKey } from '../share-key.ts'
import type { Behaviour, Layout, MemoryTerms, StageMemory, Workload } from '../types.ts'
import { addHoldings } from './holdings.ts'
import { type LayerTerms, layerTerms } from './layer-terms.ts'
import { keptOf, raisePeak } from './peak.ts'
import { chunksOf, fullestStages, type StagePlan, stagePlans } from './stages.ts'
import { nothing, type Sums, total } from './sums.ts'

/**
 * Share of the allocated bytes that the allocator holds besides, in blocks that no tensor fits. 43 runs of Llama 3 and
 * DeepSeek on 8 chips (SimuMax 1.2) have 0.048 on average, from 0.028 to 0.093.
 */
export const ALLOCATOR_SLACK = 0.05

/** Bytes that a driver's context and the buffers of collectives take beside the allocator. Assumed, not measured. */
export const LIBRARY_BYTES = 2 ** 30

/** Bytes of workspace of matrix products and of small tensors: what the same 43 runs take besides what is modelled. */
export const WORKSPACE_BYTES = 48 * 2 ** 20

/** Workspace more for products of experts, taken for four at a time with 32 MiB each: fits the same runs. */
const EXPERT_WORKSPACE_BYTES = 4 * 32 * 2 ** 20

export interface MemoryModel {
  /** The peak of each stage, first to last. */
  readonly stages: (layout: Layout) => StageMemory[]
  /** Bytes of the fullest stage, reserve included. */
  readonly peak: (layout: Layout) => number
  /** Whether no stage takes more than some bytes. */
  readonly fits: (layout: Layout, bytes: number) => boolean
  /** The first stage that takes more than some bytes; undefined where all fit. */
  readonly overflow: (layout: Layout, bytes: number) => Overflow | undefined
}

/** A stage that does not fit. */
export interface Overflow {
  readonly memory: StageMemory
  /** Bytes over. */
  readonly over: number
  /** What takes the most of them. */
  readonly term: keyof MemoryTerms
}

/**
 * Memory of layouts of a workload under an engine. What layers take is kept by the degrees that it depends on, so a
 * search can ask for as many layouts as it likes.
 */
export function createMemoryModel(workload: Workload, engine: Behaviour): MemoryModel {
  const { expertLayers, predictionLayers } = workload.decoder
  const kinds = [...expertLayers, ...Array(predictionLayers).fill(expertLayers.at(-1) ?? false)]
  const termsOf = keptTerms((layout) => layerTerms(workload, engine, layout))
  const plansOf = keptPlans((layout) => stagePlans(kinds, predictionLayers, layout))
  // one record for all stages that are only looked at
  const scratch = nothing()
  /** The first stage that does not fit, whose terms it leaves in `scratch`. */
  const firstOver = (layout: Layout, bytes: number): number | undefined => {
    const terms = termsOf(layout)
    const { plans, fullest } = plansOf(layout)
    for (const stage of fullest) {
      sumStage(scratch, workload, engine, layout, stage, terms, plans)
      if (total(scratch) > bytes) return stage
    }
    return undefined
  }
  return {
    stages: (layout) => {
      const terms = termsOf(layout)
      const { plans } = plansOf(layout)
      return plans.map((_, stage) => {
        const sums = nothing()
        sumStage(sums, workload, engine, layout, stage, terms, plans)
        return stageMemory(stage, sums)
      })
    },
    peak: (layout) => {
      const terms = termsOf(layout)
      const { plans, fullest } = plansOf(layout)
      let most = 0
      for (const stage of fullest) {
        sumStage(scratch, workload, engine, layout, stage, terms, plans)
        most = Math.max(most, total(scratch))
      }
      return most
    },
    fits: (layout, bytes) => firstOver(layout, bytes) === undefined,
    overflow: (layout, bytes) => {
      const stage = firstOver(layout, bytes)
      if (stage === undefined) return undefined
      const memory = stageMemory(stage, { ...scratch })
      return { memory, over: total(scratch) - bytes, term: largestTerm(scratch) }
    },
  }
}

/** Writes the terms of a stage over those of another. */
function sumStage(
  sums: Sums,
  workload: Workload,
  engine: Behaviour,
  layout: Layout,
  stage: number,
  terms: LayerTerms,
  plans: readonly StagePlan[],
): void {
  const microBatches = Math.max(
    1,
    Math.ceil(workload.globalBatch / (layout.microBatch * layout.dataParallel)),
  )
  const plan = plans[stage]!
  sums.weights = sums.gradients = sums.optimizer = sums.communication = 0
  sums.activations = sums.logits = sums.transient = sums.reserve = 0
  // a second pipeline starts at the other end: this chip has the layers of its mirror image as well
  const mirror = layout.pipelineParallel - 1 - stage
  const { placement } = SCHEDULES[layout.schedule]
  const other = placement === 'both-ends' ? plans[mirror]! : undefined
  addHoldings(sums, workload, engine, layout, terms, plan, other)
  let kept = keptOf(layout, terms, plan, stage, 0, microBatches)
  let experts = plan.expertsBefore[plan.layers]!

  if (other !== undefined) {
    kept += keptOf(layout, terms, other, stage, 1, microBatches)
    experts += other.expertsBefore[other.layers]!
    raisePeak(sums, layout, terms, other, kept)
  }
  raisePeak(sums, layout, terms, plan, kept)
  sums.transient += WORKSPACE_BYTES + (experts > 0 ? EXPERT_WORKSPACE_BYTES : 0)
  sums.reserve = ALLOCATOR_SLACK * total(sums) + LIBRARY_BYTES
}

function stageMemory(stage: number, terms: MemoryTerms): StageMemory {
  const peak = total(terms)
  return { stage, terms, allocated: peak - terms.reserve, peak }
}

/** What takes the most. */
export function largestTerm(terms: MemoryTerms): keyof MemoryTerms {
  const names = Object.keys(terms) as (keyof MemoryTerms)[]
  return names.reduce((most, name) => (terms[name] > terms[most] ? name : most))
}

/** Keeps what layers take by all that it depends on, as numbers: text would take longer to make than to use. */
function keptTerms(make: (layout: Layout) => LayerTerms): (layout: Layout) => LayerTerms {
  const kept = new Map<number, Map<number, LayerTerms>>()
  return (layout) => {
    const flags = (layout.recompute === 'selective' ? 1 : 0) + (layout.zeroStage >= 2 ? 2 : 0)
    return at(
      at(kept, degreesKey(layout), () => new Map()),
      tokensKey(layout) * 4 + flags,
      () => make(layout),
    )
  }
}

/** A number for each placement. */
const PLACES: { readonly [Name in Placement]: number } = { straight: 0, 'both-ends': 1, folded: 2 }

interface Plans {
  readonly plans: readonly StagePlan[]
  readonly fullest: readonly number[]
}

function keptPlans(make: (layout: Layout) => readonly StagePlan[]): (layout: Layout) => Plans {
  const even = new Map<number, Plans>()
  const given = new WeakMap<readonly number[], Map<number, Plans>>()
  return (layout) => {
    const { stageLayers, schedule } = layout
    const kept = stageLayers === undefined ? even : (given.get(stageLayers) ?? new Map<number, Plans>())
    if (stageLayers !== undefined) given.set(stageLayers, kept)
    // schedules that place chunks alike share them
    const place = PLACES[SCHEDULES[schedule].placement]
    const key = (layout.pipelineParallel * 2 ** 16 + chunksOf(layout)) * 3 + place
    return at(kept, key, () => {
      const plans = make(layout)
      return { plans, fullest: fullestStages(plans, layout) }
    })
  }
}

/** The value of a key, made where there is none. */
function at<Value>(kept: Map<number, Value>, key: number, make: () => Value): Value {
  const found = kept.get(key)
  if (found !== undefined) return found
  const made = make()
  kept.set(key, made)
  return made
}
