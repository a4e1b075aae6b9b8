/** @file Is this run the same run? Between runtimes, and between runs that were moved, resumed or done again. */
import type * as Runs from './runs.ts'
import type * as Runtimes from './runtimes.ts'

export type { Comparison, Spread, Verdict } from './comparison.ts'
export {
  CRITERIA,
  type Criterion,
  type CriterionVerdict,
  type Judgement,
  type Measure,
  PUBLISHED,
} from './criteria.ts'
export type { Cause, Departure } from './departure.ts'
export {
  type DepartedTensor,
  type Evidence,
  isKept,
  STRICT,
  type StepPair,
  type TensorFigures,
  type TensorKind,
  type TensorStep,
} from './evidence.ts'
export {
  compareTensors,
  relativeDifference,
  type TensorDifference,
  worse,
} from './metrics.ts'
export type { VerifyRuntimesOptions } from './runtimes.ts'
export { parseTargets } from './targets.ts'
export type { SettingDifference, Verification } from './verification.ts'

// what trains is only loaded for those who verify: others read what was found
export const verifyRuns: typeof Runs.verifyRuns = async (...asked) =>
  (await import('./runs.ts')).verifyRuns(...asked)
export const verifyRuntimes: typeof Runtimes.verifyRuntimes = async (...asked) =>
  (await import('./runtimes.ts')).verifyRuntimes(...asked)
