/** @file Memory of a layout: the peak bytes of each stage, and whether they fit. */
export {
  createMemoryModel,
  LIBRARY_BYTES,
  largestTerm,
  type MemoryModel,
} from './model.ts'
export {
  chunksOf,
  evenShare,
  nearLayers,
  placeSizes,
  stageLayers,
  stageSize,
} from './stages.ts'
