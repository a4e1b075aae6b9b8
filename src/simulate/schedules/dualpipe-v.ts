/**
 * @file DualPipeV (github.com/deepseek-ai/DualPipe): half of a DualPipe, folded. The first stage holds both ends, the last
 * one the turn; nothing is held twice.
 */
import { dualPipe, dualPipeBound, dualPipeOrder, dualPipeSteady } from './dualpipe.ts'
import { sendsOfChunks } from './one-way.ts'
import type { ScheduleRule } from './types.ts'

export const dualPipeV: ScheduleRule = {
  ...dualPipe,
  placement: 'folded',
  chunks: 2,
  needs: { ...dualPipe.needs, stagesMultiple: 1, microBatchMultiple: () => 1 },
  // (p - 1)(F&B + B - 3W) of a chunk's passes, which are half a stage's (its README)
  bubble: { ...dualPipe.bubble, seconds: (idle, hops) => idle / 2 + hops },
  // where messages overlap, each way over the p - 1 links takes longer once in p micro-batches
  exposedSends: (stages, chunks, overlaps, exposed) =>
    overlaps ? (2 * (stages - 1)) / stages : sendsOfChunks(stages, chunks, overlaps, exposed),
  // the engine that has it refuses to exchange beside its passes (`dualpipev_feature.py` of gitcode.com/Ascend/MindSpeed)
  exchangesBesidePasses: false,
  inFlight: (stage, part, stages, microBatches) =>
    Math.min(part === 0 ? 2 * stages - stage : stage + 1, microBatches),
  order: (shape, stage) => dualPipeOrder(shape, stage, true),
  steady: (shape) => dualPipeSteady(shape, true),
  bound: (times) => dualPipeBound(times, true),
}
