/** @file Step time and memory of a layout of a model on chips: what a run would take there. */
export {
  createMemoryModel,
  evenShare,
  type MemoryModel,
  type Overflow,
  overflowMessage,
  stageLayers,
} from './memory/index.ts'
export * from './types.ts'
