/** @file Is this run the same run? Between runtimes, and between runs that were moved, resumed or done again. */
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
export { verifyRuns } from './runs.ts'
export { type VerifyRuntimesOptions, verifyRuntimes } from './runtimes.ts'
export { parseTargets } from './targets.ts'
export type { SettingDifference, Verification } from './verification.ts'
