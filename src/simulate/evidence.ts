/** @file The insides of the simulation that constants are fitted by: a second face, for `scripts/` alone. */

export { HALF } from './bytes.ts'
export { CostModel } from './costs.ts'
export { bandOf, fromScale, gradeOf, lesserGrade, RATE_NAMES, ratesOf, toScale } from './fitted/constants.ts'
export { deviceSeconds } from './fitted/rates.ts'
export { mixedStepSeconds } from './mixed.ts'
export { layoutIssues, workloadIssues } from './sound.ts'
export { stepSeconds } from './step.ts'
export { NO_WORK, type Work } from './work.ts'
