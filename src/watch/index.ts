/** @file Watching: what runs have written, the page made of it, and what this machine has. Data only, no terminal. */
import type * as Report from './report.ts'

export { diagnose, type Finding } from './doctor.ts'
export * from './plan-report/index.ts'
export {
  compareRuns,
  figuresOf,
  findRun,
  type RunComparison,
  type RunFigures,
  type RunRecord,
  readRun,
  readRuns,
} from './records.ts'
export {
  PAGE_HINT,
  requirePlace,
  samePlace,
  TRACE_HINT,
  writePlaced,
  writeWhole,
} from './report/place.ts'
export {
  figure,
  requireVerificationPlace,
  VERDICTS,
  widest,
  worstTensors,
  writeVerification,
} from './verification.ts'

// what trains is only loaded for those who ask for runs
export const writeReport: typeof Report.writeReport = async (...asked) =>
  (await import('./report.ts')).writeReport(...asked)
