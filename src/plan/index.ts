/** @file Search over layouts: which one of all that an engine runs takes the least, and why the others lost. */
export { type Abilities, abilitiesOf } from './abilities.ts'
export { MOST_LAYERS, MOST_LAYOUTS } from './check.ts'
export { explainLayout } from './explain.ts'
export { planFleet } from './fleet.ts'
export { type FrontierPoint, fewestChips, frontier } from './frontier.ts'
export { planLayouts } from './plan.ts'
export { violations } from './rules.ts'
export * from './types.ts'
