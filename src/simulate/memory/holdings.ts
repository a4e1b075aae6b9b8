/** @file Memory that a stage holds from step to step: weights, gradients, optimizer, and buffers of communication. */

import { HALF, SINGLE } from '../bytes.ts'
import type { Behaviour, Layout, Workload } from '../types.ts'
import { stageElements } from '../weights.ts'
import { tablesOf } from '../work.ts'
import { gatheredBytes, streamBytes } from './extent.ts'
import type { LayerTerms } from './layer-terms.ts'
import type { StagePlan } from './stages.ts'
import type { Sums } from './sums.ts'

/** Bytes that a parameter's master weight and both moments of Adam take in fp32. */
const OPTIMIZER_BYTES = 3 * SINGLE

/**
 * Adds what a chip holds from step to step, and its buffers.
 * @param other Another stage that it has as well, of the pipeline that starts at the other end.
 */
export function addHoldings(
  sums: Sums,
  workload: Workload,
  engine: Behaviour,
  layout: Layout,
  terms: LayerTerms,
  plan: StagePlan,
  other?: StagePlan,
): void {
  const { tensorParallel, contextParallel, dataParallel, zeroStage } = layout
  const { decoder } = workload
  const { elements: parts, extent } = terms
  // in the middle of an odd number of stages both are the same
  const more = other === plan ? undefined : other
  const layers = plan.layers + (more?.layers ?? 0)
  const experts = plan.expertsBefore[plan.layers]! + (more?.expertsBefore[more.layers] ?? 0)
  const first = plan.first || more?.first === true
  const last = plan.last || more?.last === true
  const { dense, expert } = stageElements(decoder, parts, layers, experts, first, last)

  const copies = dataParallel * contextParallel
  const expertCopies = Math.max(
    1,
    (copies * tensorParallel) / (layout.expertParallel * layout.expertTensorParallel),
  )
  const shards = Math.min(layout.shardGroup ?? copies, copies)
  const expertShards = Math.min(layout.shardGroup ?? expertCopies, expertCopies)
  const whole = dense + expert
  const share = dense / shards + expert / expertShards

  sums.weights += HALF * (zeroStage === 3 ? share : whole)
  if (workload.precision === 'fp8' && zeroStage < 3) {
    // matrices of layers once by rows and once by columns, 8 bits each
    sums.weights += 2 * ((layers - experts) * parts.denseLayer + experts * parts.expertLayer + expert)
  }
  const holds = (layers > experts ? 1 : 0) + (experts > 0 ? 2 : 0) + (last ? 4 : 0)
  sums.gradients += engine.gradientBytes * (zeroStage >= 2 ? share : whole) + terms.placeholders[holds]!
  if (!layout.offloadOptimizer) sums.optimizer += OPTIMIZER_BYTES * (zeroStage >= 1 ? share : whole)

  const largestLayer = Math.max(
    layers > experts ? parts.denseLayer : 0,
    experts > 0 ? parts.expertLayer + parts.experts : 0,
  )
  if (zeroStage >= 2 && Math.max(shards, expertShards) > 1) {
    // the gradients of one layer, as they come and as they are reduced
    sums.communication += (HALF + engine.gradientBytes) * largestLayer
  }
  if (zeroStage === 3 && Math.max(shards, expertShards) > 1) {
    // the layer that runs and the next; embedding and head stay gathered
    sums.communication += HALF * (2 * largestLayer + tablesOf(decoder, first, last) * parts.table)
  }
  if (layout.pipelineParallel > 1) {
    // what the previous stage sends while this one works; the first one, where it is the last as well, has one too
    if (!plan.first || plan.last) sums.communication += streamBytes(extent)
    if (other !== undefined && (!other.first || other.last)) sums.communication += streamBytes(extent)
  }
  // the head's gathered input is never given back
  if (last) sums.communication += gatheredBytes(extent)
}
