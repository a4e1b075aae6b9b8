/**
 * @file Whether a run is the same run: on another runtime, or after it was moved, resumed or done again.
 *
 * @example Fifty steps on two runtimes, side by side.
 * ```ts
 * import { loadRun, parseTarget } from 'regauge'
 * import { verifyRuntimes } from 'regauge/verify'
 *
 * const { run } = await loadRun('run.yaml')
 * const { verdict, comparisons } = await verifyRuntimes(run, { on: ['cpu', 'webgpu'].map(parseTarget) })
 * console.log(verdict, comparisons[0]?.departure)
 * ```
 */
export {
  type Cause,
  type Comparison,
  CRITERIA,
  type Criterion,
  type CriterionVerdict,
  compareTensors,
  type DepartedTensor,
  type Departure,
  type Evidence,
  type Judgement,
  type Measure,
  PUBLISHED,
  type SettingDifference,
  type Spread,
  STRICT,
  type StepPair,
  type TensorDifference,
  type TensorFigures,
  type TensorKind,
  type TensorStep,
  type Verdict,
  type Verification,
  type VerifyRuntimesOptions,
  verifyRuns,
  verifyRuntimes,
} from './verify/index.ts'
export { writeVerification } from './watch/index.ts'
