/** @file The run file: its schema, and how it is read, checked, resolved and written. */
export type { Path } from '../../formats/index.ts'
export { completeRun, defineRun, type LoadedRun, loadRun, runJsonSchema, shownPath } from './load.ts'
export { knownName, knownNames, settingHint } from './other-names.ts'
export { formatRun, type PlannedSteps, plannedSteps } from './resolve.ts'
export type { ResolvedRun, Run } from './schema.ts'
