/** @file Search over layouts: which one of all that an engine runs takes the least, and why the others lost. */
export { MOST_LAYERS, MOST_LAYOUTS } from './check.ts'
export { explainLayout } from './explain.ts'
export { type FrontierPoint, fewestChips, frontier } from './frontier.ts'
export { planLayouts } from './plan.ts'
export { planPools } from './pools.ts'
export * from './types.ts'
