/** @file Reports of what is planned: pages with pictures, and traces. */
export type { FrontierPoint } from './frontier.ts'
export {
  energyText,
  moneyText,
  type PlannedPool,
  type PlanReport,
  writePlan,
} from './plan.ts'
export { type Simulation, simulationFile, simulationHtml, writeSimulation } from './simulation.ts'
export {
  GRADES,
  largestTerm,
  MEMORY_TERMS,
  parameters,
  seconds,
  TIME_TERMS,
  threeDigits,
} from './terms.ts'
export { bestText, partText, TOGETHER_NOTE } from './together.ts'
export { type TraceEvent, traceEvents, traceFile, writeTrace } from './trace.ts'
