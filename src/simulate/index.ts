/** @file Step time and memory of a layout of a model on chips: what a run would take there. */
export { createMemoryModel, type MemoryModel, type Overflow, overflowMessage } from './memory.ts'
export type { MemoryEngine } from './memory-layers.ts'
export { stageLayers } from './memory-stages.ts'
export * from './types.ts'
