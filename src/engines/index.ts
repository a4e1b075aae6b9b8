/** @file The engines that runs are planned for: how they behave, what they can run, what they refuse. */
export { type Abilities, chunksDivide, EVERYTHING } from './abilities.ts'
export { BASIC_BEHAVIOUR } from './behaviour.ts'
export { violations } from './rules.ts'
export { ENGINES, engineFor } from './table.ts'
export { ENGINE_IDS, type Engine, type EngineId } from './types.ts'
