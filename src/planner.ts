/**
 * @file What plans runs, without what needs Node: for pages, by any bundler that leaves out what nothing uses.
 *
 * @example
 * import { createSimulator, ENGINES, machineOf, planLayouts, readDecoder } from 'regauge/planner'
 */

export {
  type Abilities,
  ENGINE_IDS,
  ENGINES,
  type Engine,
  type EngineId,
  EVERYTHING,
  engineFor,
  violations,
} from './engines/index.ts'
export { type Decoder, decoderFlops, decoderParameters, readDecoder } from './model/index.ts'
export * from './plan/index.ts'
export * from './simulate/index.ts'
