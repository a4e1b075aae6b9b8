/** @file Schedules of pipelines: in which order stages run their passes, and all that follows from it. */
export * from './passes.ts'
export { copiesOf, placeOf, stageOf, turnsBack } from './placement.ts'
export {
  activationsInFlight,
  countsGo,
  countsProblem,
  type PipelineSchedule,
  PLAIN_SCHEDULE,
  SCHEDULE_NAMES,
  SCHEDULES,
  scheduleProblem,
  usualSchedule,
} from './table.ts'
export type * from './types.ts'
