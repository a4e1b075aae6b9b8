/** @file File formats that others defined: what the other rooms use of them. */
export { type IndexedDataset, openIndexedDataset } from './indexed-dataset.ts'
export { type IndexedDatasetDType, indexedDatasetDType } from './indexed-dataset-index.ts'
export {
  createIndexedDatasetWriter,
  type IndexedDatasetCounts,
  type IndexedDatasetWriter,
} from './indexed-dataset-write.ts'
export * from './onnx/index.ts'
export { type HfConfig, hfConfigText, readHfConfig } from './hf-config.ts'
