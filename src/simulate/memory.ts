/** @file Bytes that training takes on a chip of each stage: what is held through the step, and the peak of its passes. */
import { type LayerTerms, layerTerms } from './memory-layer-terms.ts'
import { gatheredBytes, HALF, type MemoryEngine, SINGLE, streamBytes } from './memory-layers.ts'
import { inFlight, type StagePlan, stagePlans } from './memory-stages.ts'
import type { Walk } from './memory-walk.ts'
import type { Layout, MemoryTerms, StageMemory, Workload } from './types.ts'

/** Bytes that a parameter's master weight and both moments of Adam take in fp32. */
export const OPTIMIZER_BYTES = 3 * SINGLE

/**
 * Share of the allocated bytes that the allocator holds besides, in blocks that no tensor fits: the mean of 43 runs of
 * Llama 3 and DeepSeek on 8 chips (SimuMax 1.2), which lie between 0.028 and 0.093.
 */
export const ALLOCATOR_SLACK = 0.05

/** Bytes that a driver's context and the buffers of collectives take beside the allocator. Assumed, not measured. */
export const LIBRARY_BYTES = 2 ** 30

/** Bytes of workspace of matrix products and of small tensors: what the same 43 runs take besides what is modelled. */
export const WORKSPACE_BYTES = 48 * 2 ** 20

/** Workspace more for products of experts, four at a time with 32 MiB each. */
export const EXPERT_WORKSPACE_BYTES = 4 * 32 * 2 ** 20

export interface MemoryModel {
  /** The peak of each stage, first to last. */
  readonly stages: (layout: Layout) => StageMemory[]
  /** Bytes of the fullest stage, reserve included. */
  readonly peak: (layout: Layout) => number
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
 * @example
 * const memory = createMemoryModel(workload, engine)
 * const overflow = memory.overflow(layout, machine.memoryBytes)
 * if (overflow) console.log(overflowMessage(overflow)) // 2.3 GiB over on stage 0: optimizer 45.1 GiB
 */
export function createMemoryModel(workload: Workload, engine: MemoryEngine): MemoryModel {
  const { expertLayers, predictionLayers } = workload.decoder
  const kinds = [...expertLayers, ...Array(predictionLayers).fill(expertLayers.at(-1) ?? false)]
  const termsOf = keptTerms((layout) => layerTerms(workload, engine, layout))
  const plansOf = keptPlans((layout) => stagePlans(kinds, predictionLayers, layout))
  const termsOfStage = (layout: Layout, stage: number) =>
    stageTerms(workload, engine, layout, stage, termsOf(layout), plansOf(layout))
  return {
    stages: (layout) =>
      Array.from({ length: layout.pipelineParallel }, (_, stage) =>
        stageMemory(stage, termsOfStage(layout, stage)),
      ),
    peak: (layout) => {
      let most = 0
      for (let stage = 0; stage < layout.pipelineParallel; stage++) {
        most = Math.max(most, total(termsOfStage(layout, stage)))
      }
      return most
    },
    overflow: (layout, bytes) => {
      for (let stage = 0; stage < layout.pipelineParallel; stage++) {
        const terms = termsOfStage(layout, stage)
        const over = total(terms) - bytes
        if (over > 0) return { memory: stageMemory(stage, terms), over, term: largest(terms) }
      }
      return undefined
    },
  }
}

/** Says where a layout does not fit, by how much, and what takes the most. */
export function overflowMessage({ memory, over, term }: Overflow): string {
  const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  return `${gibibytes(over)} over on stage ${memory.stage}: ${term} ${gibibytes(memory.terms[term])}`
}

function stageTerms(
  workload: Workload,
  engine: MemoryEngine,
  layout: Layout,
  stage: number,
  terms: LayerTerms,
  plans: readonly StagePlan[],
): MemoryTerms {
  const microBatches = Math.max(
    1,
    Math.ceil(workload.globalBatch / (layout.microBatch * layout.dataParallel)),
  )
  const sum = { ...NOTHING }
  const plan = plans[stage]!
  addHoldings(sum, workload, engine, layout, terms, plan)
  const kept = savedOf(layout, terms, plan) * inFlight(layout, stage, microBatches)
  const peak = { activations: 0, logits: 0, transient: 0 }
  raisePeak(peak, layout, terms, plan, kept)
  let holdsExperts = plan.expertsBefore[plan.layers]! > 0

  if (layout.schedule === 'dualpipe') {
    // a second pipeline starts at the other end: this chip has the layers of its mirror image as well
    const mirror = layout.pipelineParallel - 1 - stage
    const other = plans[mirror]!
    addHoldings(sum, workload, engine, layout, terms, other)
    const keptThere = savedOf(layout, terms, other) * inFlight(layout, mirror, microBatches)
    const both = { activations: 0, logits: 0, transient: 0 }
    raisePeak(both, layout, terms, plan, kept + keptThere)
    raisePeak(both, layout, terms, other, kept + keptThere)
    Object.assign(peak, both)
    holdsExperts ||= other.expertsBefore[other.layers]! > 0
  }

  sum.activations = peak.activations
  sum.logits = peak.logits
  sum.transient = peak.transient + WORKSPACE_BYTES + (holdsExperts ? EXPERT_WORKSPACE_BYTES : 0)
  sum.reserve = ALLOCATOR_SLACK * total(sum) + LIBRARY_BYTES
  return sum
}

type Sums = { -readonly [Term in keyof MemoryTerms]: number }

const NOTHING: Sums = {
  weights: 0,
  gradients: 0,
  optimizer: 0,
  activations: 0,
  logits: 0,
  transient: 0,
  communication: 0,
  reserve: 0,
}

/** Adds what a stage holds from step to step, and its buffers. */
function addHoldings(
  sum: Sums,
  workload: Workload,
  engine: MemoryEngine,
  layout: Layout,
  terms: LayerTerms,
  plan: StagePlan,
): void {
  const { tensorParallel, contextParallel, dataParallel, zeroStage } = layout
  const { dense, expert, extent } = terms
  const experts = plan.expertsBefore[plan.layers]!
  const tables =
    (plan.first || (plan.last && (workload.decoder.tiedEmbeddings || workload.decoder.predictionLayers > 0))
      ? 1
      : 0) + (plan.last && !workload.decoder.tiedEmbeddings ? 1 : 0)
  const elements =
    (plan.layers - experts) * dense.elements +
    experts * expert.elements +
    tables * terms.vocabularyElements +
    (plan.first ? terms.firstElements : 0) +
    (plan.last ? terms.lastElements : 0)
  const expertElements = experts * expert.expertElements

  const copies = dataParallel * contextParallel
  const expertCopies = Math.max(
    1,
    (copies * tensorParallel) / (layout.expertParallel * layout.expertTensorParallel),
  )
  const shards = Math.min(layout.shardGroup ?? copies, copies)
  const expertShards = Math.min(layout.shardGroup ?? expertCopies, expertCopies)
  const whole = elements + expertElements
  const share = elements / shards + expertElements / expertShards

  sum.weights += HALF * (zeroStage === 3 ? share : whole)
  if (workload.precision === 'fp8') {
    // matrices of layers once by rows and once by columns, 8 bits each
    sum.weights += 2 * ((plan.layers - experts) * dense.elements + experts * expert.elements + expertElements)
  }
  const holds = (plan.layers > experts ? 1 : 0) + (experts > 0 ? 2 : 0) + (plan.last ? 4 : 0)
  sum.gradients += engine.gradientBytes * (zeroStage >= 2 ? share : whole) + terms.placeholders[holds]!
  if (!layout.offloadOptimizer) sum.optimizer += OPTIMIZER_BYTES * (zeroStage >= 1 ? share : whole)

  const largestLayer = Math.max(
    plan.layers > experts ? dense.elements : 0,
    experts > 0 ? expert.elements + expert.expertElements : 0,
  )
  if (zeroStage >= 2 && Math.max(shards, expertShards) > 1) {
    // the gradients of one layer, as they come and as they are reduced
    sum.communication += (HALF + engine.gradientBytes) * largestLayer
  }
  if (zeroStage === 3 && Math.max(shards, expertShards) > 1) {
    // the layer that runs and the next; embedding and head stay gathered
    sum.communication += HALF * (2 * largestLayer + tables * terms.vocabularyElements)
  }
  // what the previous stage sends while this one works
  if (layout.pipelineParallel > 1 && !plan.first) sum.communication += streamBytes(extent)
  // the head's gathered input is never given back
  if (plan.last) sum.communication += gatheredBytes(extent)
}

/** Bytes that a micro-batch keeps in the layers of a stage. */
function savedOf(layout: Layout, terms: LayerTerms, plan: StagePlan): number {
  return savedBefore(layout, terms, plan, plan.layers) + (plan.first ? terms.embedding.saved : 0)
}

/** Bytes that a micro-batch keeps in the first layers of a stage. */
function savedBefore(layout: Layout, { dense, expert }: LayerTerms, plan: StagePlan, layers: number): number {
  const again = Math.min(recomputedLayers(layout, plan), layers)
  const expertsAgain = plan.expertsBefore[again]!
  const experts = plan.expertsBefore[layers]! - expertsAgain
  return (
    (again - expertsAgain) * dense.recomputed.saved +
    expertsAgain * expert.recomputed.saved +
    (layers - again - experts) * dense.plain.saved +
    experts * expert.plain.saved
  )
}

function recomputedLayers(layout: Layout, plan: StagePlan): number {
  if (layout.recompute !== 'full') return 0
  return Math.min(layout.recomputeLayers ?? plan.layers, plan.layers)
}

type PassPeak = { activations: number; logits: number; transient: number }

/**
 * Raises a peak to the highest point of one micro-batch's passes through a stage: in the last of its layers of each kind,
 * at the head, or at the embedding.
 * @param kept Bytes that all micro-batches in flight keep, this one complete.
 */
function raisePeak(peak: PassPeak, layout: Layout, terms: LayerTerms, plan: StagePlan, kept: number): void {
  const chunks = layout.schedule === 'interleaved' ? layout.virtualPipeline : 1
  const own = savedOf(layout, terms, plan) / chunks
  const others = kept - own
  const again = recomputedLayers(layout, plan)
  const embedding = plan.first ? terms.embedding.saved : 0

  const raise = (activations: number, logits: number, transient: number) => {
    if (activations + logits + transient <= peak.activations + peak.logits + peak.transient) return
    peak.activations = activations
    peak.logits = logits
    peak.transient = transient
  }
  const inLayer = (index: number, { saved, peak: top }: Walk) => {
    if (index < 0) return
    // of a chunk, take this layer for the last
    const before =
      chunks === 1 ? embedding + savedBefore(layout, terms, plan, index) : Math.max(0, own - saved)
    raise(others + before + top.saved, 0, top.transient)
  }
  if (plan.layers > again) {
    const dense = plan.lastDense[plan.layers]!
    const expert = plan.lastExpert[plan.layers]!
    if (dense >= again) inLayer(dense, terms.dense.plain)
    if (expert >= again) inLayer(expert, terms.expert.plain)
  }
  inLayer(plan.lastDense[again]!, terms.dense.recomputed)
  inLayer(plan.lastExpert[again]!, terms.expert.recomputed)
  if (plan.first) raise(others + terms.embedding.peak.saved, 0, terms.embedding.peak.transient)
  if (plan.last) {
    const { saved, logits, transient } = terms.head
    raise(kept + saved + terms.predictionSaved, logits, transient)
  }
}

function total(terms: MemoryTerms): number {
  return (
    terms.weights +
    terms.gradients +
    terms.optimizer +
    terms.activations +
    terms.logits +
    terms.transient +
    terms.communication +
    terms.reserve
  )
}

function stageMemory(stage: number, terms: MemoryTerms): StageMemory {
  const peak = total(terms)
  return { stage, terms, allocated: peak - terms.reserve, peak }
}

function largest(terms: MemoryTerms): keyof MemoryTerms {
  const names = Object.keys(NOTHING) as (keyof MemoryTerms)[]
  return names.reduce((most, name) => (terms[name] > terms[most] ? name : most))
}

/** Keeps what layers take by all that it depends on, as numbers: text would take longer to make than to use. */
function keptTerms(make: (layout: Layout) => LayerTerms): (layout: Layout) => LayerTerms {
  const kept = new Map<number, Map<number, LayerTerms>>()
  return (layout) => {
    const degrees = (layout.tensorParallel * 4096 + layout.contextParallel) * 65536 + layout.expertParallel
    const flags =
      (layout.sequenceParallel ? 1 : 0) +
      (layout.contextMethod === 'ring' ? 2 : 0) +
      (layout.recompute === 'selective' ? 4 : 0) +
      (layout.zeroStage >= 2 ? 8 : 0)
    const rest = (layout.microBatch * 1024 + layout.expertTensorParallel) * 16 + flags
    return at(
      at(kept, degrees, () => new Map()),
      rest,
      () => make(layout),
    )
  }
}

function keptPlans(make: (layout: Layout) => readonly StagePlan[]): (layout: Layout) => readonly StagePlan[] {
  const even = new Map<number, readonly StagePlan[]>()
  const given = new WeakMap<readonly number[], Map<number, readonly StagePlan[]>>()
  return (layout) => {
    const { stageLayers } = layout
    const kept = stageLayers === undefined ? even : (given.get(stageLayers) ?? new Map())
    if (stageLayers !== undefined) given.set(stageLayers, kept)
    return at(kept, layout.pipelineParallel * 4096 + layout.virtualPipeline, () => make(layout))
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
