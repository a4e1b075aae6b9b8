/** @file File formats that others defined: what the other rooms use of them. */
export { fromHalf, toFloat32, toHalf } from './float.ts'
export { type HfConfig, hfConfigText, readHfConfig } from './hf-config.ts'
export { type IndexedDataset, openIndexedDataset } from './indexed-dataset.ts'
export type { IndexedDatasetDType } from './indexed-dataset-dtype.ts'
export {
  createIndexedDatasetWriter,
  type IndexedDatasetCounts,
  type IndexedDatasetWriter,
} from './indexed-dataset-write.ts'
export * from './onnx/index.ts'
export {
  hashFile,
  openSafetensorsFolder,
  readSafetensor,
  readSafetensorChunks,
  readSafetensorsHeader,
  type SafetensorsFile,
  type SafetensorsFolder,
} from './safetensors.ts'
export type { SafetensorsDType, SafetensorsEntry } from './safetensors-header.ts'
export { type SafetensorsTensor, writeSafetensors } from './safetensors-write.ts'
export { createEventWriter, type EventValue, type EventWriter, readEvents, type TfEvent } from './tfevents.ts'
export * from './yaml/index.ts'
