/**
 * @file ZB-H1 (Qi et al. 2023, arXiv 2401.10241): 1F1B whose gradients by weights stay behind by as many micro-batches as
 * stages came before, so that every stage holds what the first one holds under 1F1B, and has them to do while it would
 * drain.
 */
import { oneForwardOneBackward } from './one-forward-one-backward.ts'
import { oneWayBound } from './one-way.ts'
import { BACKWARD_INPUT, encode, FORWARD, WEIGHT } from './passes.ts'
import { type ScheduleRule, type Shape, unknown } from './types.ts'

export const zeroBubble: ScheduleRule = {
  ...oneForwardOneBackward,
  needs: { ...oneForwardOneBackward.needs, leastStages: 2 },
  // (p - 1)(F + B - W), B without W (table 1)
  bubble: {
    idle: (forward, backward, weight) => forward + backward - 2 * weight,
    isFilled: true,
    seconds: (idle, hops) => idle + hops,
  },
  inFlight: (_stage, _part, stages, microBatches) => Math.min(stages, microBatches),
  order: orderOf,
  steady: ({ stages, microBatches }) => ({
    microBatches: 1,
    passes: 3,
    periods: microBatches - (stages - 1),
    start: Array.from({ length: stages }, (_, stage) => stages - 1 + stage),
  }),
  bound: (times) => oneWayBound(times, { split: true, waits: false }),
  closedForm: unknown,
  quickSeconds: unknown,
}

function orderOf({ stages, microBatches }: Shape, stage: number): Int32Array {
  const warm = Math.min(stages - 1 - stage, microBatches)
  const order = new Int32Array(3 * microBatches)
  let at = 0
  for (let i = 0; i < warm; i++) order[at++] = encode(FORWARD, 0, i, 1)
  for (let i = 0; i < microBatches; i++) {
    if (warm + i < microBatches) order[at++] = encode(FORWARD, 0, warm + i, 1)
    order[at++] = encode(BACKWARD_INPUT, 0, i, 1)
    if (i >= stage) order[at++] = encode(WEIGHT, 0, i - stage, 1)
  }
  for (let i = Math.max(0, microBatches - stage); i < microBatches; i++) order[at++] = encode(WEIGHT, 0, i, 1)
  return order
}
