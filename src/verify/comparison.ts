/** @file A comparison as a whole: what was found, judged, and the first departure. */
import { CRITERIA, type Judgement, judge } from './criteria.ts'
import { type Departure, firstDeparture } from './departure.ts'
import type { Evidence } from './evidence.ts'

/** `within-criteria`: not within the strict limits of float32, but within everything that is published. */
export type Verdict = 'same' | 'within-criteria' | 'different'

/** One run or runtime beside the reference. */
export interface Comparison extends Evidence {
  /** A runtime, for instance `cpu`, or a run's folder. */
  readonly name: string
  /** Of the runtime, for people. */
  readonly description: string
  readonly verdict: Verdict
  readonly criteria: readonly Judgement[]
  readonly departure?: Departure
  /** Why it did not do all of the steps. */
  readonly stopped?: string
}

/** The reference once more. */
export interface Spread extends Evidence {
  /** How: `again`, or with other threads. */
  readonly name: string
}

/** Causes that no rounding explains, whatever the size of the difference. */
const FAULTS: readonly Departure['cause'][] = ['data', 'schedule', 'optimizer']

/** Judges evidence. `spread` is that of the reference against itself; `half`: products of either are of 16 bits. */
export function conclude(
  side: Pick<Comparison, 'name' | 'description' | 'stopped'>,
  evidence: Evidence,
  spread: readonly Evidence[],
  half = false,
): Comparison {
  const criteria = CRITERIA.map((criterion) => judge(criterion, evidence, spread))
  const departure = firstDeparture(evidence, half)
  const failed = (role: Judgement['role']) =>
    criteria.some((one) => one.role === role && one.verdict === 'fail')
  const fault = departure !== undefined && FAULTS.includes(departure.cause)
  const verdict =
    fault || failed('acceptance') || side.stopped !== undefined
      ? 'different'
      : failed('strict')
        ? 'within-criteria'
        : 'same'
  return { ...side, ...evidence, verdict, criteria, ...(departure !== undefined && { departure }) }
}

/** The verdict of several: the worst. */
export function worstVerdict(verdicts: readonly Verdict[]): Verdict {
  const order: readonly Verdict[] = ['different', 'within-criteria', 'same']
  return order.find((one) => verdicts.includes(one)) ?? 'same'
}
