/** @file The engines that runs are planned for: how they behave, what they can run, what they refuse. */
export { type Abilities, abilitiesOf, chunksDivide } from './abilities.ts'
export { ENGINE_NAMES, ENGINES, type EngineName } from './behaviour.ts'
export { violations } from './rules.ts'
