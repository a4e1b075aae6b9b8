/** @file Memory of a layout: the peak bytes of each stage, and whether they fit. */
export {
  ALLOCATOR_SLACK,
  createMemoryModel,
  LIBRARY_BYTES,
  largestTerm,
  type MemoryModel,
  type Overflow,
  overflowMessage,
} from './model.ts'
export {
  chunksOf,
  evenShare,
  inFlight,
  nearLayers,
  placeSizes,
  stageLayers,
  stageSize,
} from './stages.ts'
