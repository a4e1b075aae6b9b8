/** @file The highest point of the passes of one micro-batch through a stage, above what the others keep. */
import { SCHEDULES } from '../schedules/index.ts'
import type { Layout } from '../types.ts'
import type { LayerTerms } from './layer-terms.ts'
import { chunksOf, inFlight, type StagePlan } from './stages.ts'
import type { Sums } from './sums.ts'
import type { Walk } from './walk.ts'

/** Bytes that a micro-batch keeps in the layers of a stage. */
function savedOf(layout: Layout, terms: LayerTerms, plan: StagePlan): number {
  return savedBefore(layout, terms, plan, plan.layers) + (plan.first ? terms.embedding.saved : 0)
}

/** Bytes that all micro-batches in flight keep in the layers of a stage, which are its chunk `part` where it has two plans. */
export function keptOf(
  layout: Layout,
  terms: LayerTerms,
  plan: StagePlan,
  stage: number,
  part: 0 | 1,
  microBatches: number,
): number {
  const saved = savedOf(layout, terms, plan)
  const count = inFlight(layout, stage, part, microBatches)
  if (SCHEDULES[layout.schedule].placement !== 'folded') return saved * count
  const near = savedBefore(layout, terms, plan, plan.near) + (plan.first ? terms.embedding.saved : 0)
  return near * count + (saved - near) * inFlight(layout, stage, 1, microBatches)
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

/**
 * Raises activations, logits and transient to the highest point of one micro-batch's passes through a stage: in the last
 * of its layers of each kind, at the head, or at the embedding.
 * @param kept Bytes that all micro-batches in flight keep, this one complete.
 */
export function raisePeak(
  sums: Sums,
  layout: Layout,
  terms: LayerTerms,
  plan: StagePlan,
  kept: number,
): void {
  const again = recomputedLayers(layout, plan)
  if (plan.layers > again) {
    const dense = plan.lastDense[plan.layers]!
    const expert = plan.lastExpert[plan.layers]!
    if (dense >= again) raiseInLayer(sums, layout, terms, plan, kept, dense, terms.dense.plain)
    if (expert >= again) raiseInLayer(sums, layout, terms, plan, kept, expert, terms.expert.plain)
  }
  const dense = plan.lastDense[again]!
  const expert = plan.lastExpert[again]!
  if (dense >= 0) raiseInLayer(sums, layout, terms, plan, kept, dense, terms.dense.recomputed)
  if (expert >= 0) raiseInLayer(sums, layout, terms, plan, kept, expert, terms.expert.recomputed)
  if (plan.first) {
    const { saved, transient } = terms.embedding.peak
    raise(sums, kept - savedOf(layout, terms, plan) / chunksOf(layout) + saved, 0, transient)
  }
  if (plan.last) {
    const { saved, logits, transient } = terms.head
    raise(sums, kept + saved + terms.predictionSaved, logits, transient)
  }
}

function raiseInLayer(
  sums: Sums,
  layout: Layout,
  terms: LayerTerms,
  plan: StagePlan,
  kept: number,
  index: number,
  { saved, peak }: Walk,
): void {
  const chunks = chunksOf(layout)
  const own = savedOf(layout, terms, plan) / chunks
  // of several chunks, which run apart from each other, take this layer for the last of its own
  const before =
    chunks > 1
      ? Math.max(0, own - saved)
      : (plan.first ? terms.embedding.saved : 0) + savedBefore(layout, terms, plan, index)
  raise(sums, kept - own + before + peak.saved, 0, peak.transient)
}

function raise(sums: Sums, activations: number, logits: number, transient: number): void {
  if (activations + logits + transient <= sums.activations + sums.logits + sums.transient) return
  sums.activations = activations
  sums.logits = logits
  sums.transient = transient
}
