/** @file Days of a run against the number of chips. */
import { RegaugeError } from '../errors.ts'
import { amountIssues } from '../simulate/index.ts'
import { planLayouts } from './plan.ts'
import type { PlannedLayout, PlanRequest } from './types.ts'

export interface FrontierPoint {
  /** Chips at hand. */
  readonly count: number
  /** The best layout on them; undefined where nothing fits. */
  readonly planned: PlannedLayout | undefined
}

/** Plans the same run on different numbers of chips. `tokens` of the request makes days of it. */
export function frontier(request: PlanRequest, counts: readonly number[]): readonly FrontierPoint[] {
  return counts.map((count) => {
    const { best } = planLayouts({
      ...request,
      machine: { ...request.machine, count },
      top: 1,
      reasons: false,
    })
    return { count, planned: best[0] }
  })
}

/**
 * The fewest chips, of the numbers given, that end a run within the days given; undefined where none do.
 * @throws RegaugeError 'usage' where the tokens of the run are not given, or the days are none.
 */
export function fewestChips(
  request: PlanRequest,
  days: number,
  counts: readonly number[],
): FrontierPoint | undefined {
  if (request.tokens === undefined) {
    throw new RegaugeError('usage', {
      code: 'PLAN_TOKENS',
      message: 'how long a run takes depends on its tokens',
      hint: 'give the tokens to train on',
    })
  }
  const wrong = amountIssues('the number of days', days)
  if (wrong.length > 0) throw new RegaugeError('usage', wrong)
  for (const count of [...counts].sort((a, b) => a - b)) {
    const [point] = frontier(request, [count])
    if (point?.planned !== undefined && point.planned.cost.days! <= days) return point
  }
  return undefined
}
