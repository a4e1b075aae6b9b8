/** @file Step time and memory of a layout of a model on chips: what a run would take there. */

export { CostModel, noSeconds, type PassSeconds } from './costs.ts'
export {
  type Constants,
  type RateName,
  ratesOf,
  type Shifts,
} from './fitted/constants.ts'
export type { Rates } from './fitted/rates.ts'
export { FITTED, type Lineage, type MeasuredSoftware } from './fitted/values.ts'
export { layoutPipeline } from './layout-pipeline.ts'
export { layoutText, parseLayout } from './layout-text.ts'
export { type ClusterFigures, machineOf } from './machine.ts'
export {
  createMemoryModel,
  evenShare,
  LIBRARY_BYTES,
  largestTerm,
  type MemoryModel,
  nearLayers,
  stageLayers,
  stageSize,
} from './memory/index.ts'
export * from './pipeline/index.ts'
export { createSimulator, type Simulator } from './predict.ts'
export {
  type Bubble,
  copiesOf,
  countsGo,
  countsProblem,
  type PassTimes,
  type PipelineSchedule,
  PLAIN_SCHEDULE,
  SCHEDULE_NAMES,
  SCHEDULES,
  type ScheduleRule,
  type TransferTimes,
  turnsBack,
  usualSchedule,
} from './schedules/index.ts'
export {
  amountIssues,
  countIssues,
  DEGREES,
  layoutIssues,
  MOST,
  machineIssues,
  workloadIssues,
} from './sound.ts'
export {
  bubbleSeconds,
  dataSeconds,
  exposedSends,
  type HeldWeights,
  heldWeights,
  hopSeconds,
  optimizerSeconds,
  overheadSeconds,
  type StageSums,
  stageSeconds,
  stageSums,
  stepSeconds,
} from './step.ts'
export * from './types.ts'
export type { PartElements, StageElements } from './weights.ts'
export { sharesTable } from './work.ts'
