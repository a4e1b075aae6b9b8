/**
 * @file Files that others defined, read within bounds and written: safetensors, `config.json`, token shards, ONNX,
 * TensorBoard's events.
 *
 * @example Names, types and shapes in a folder of Hugging Face, and the values of one tensor.
 * ```ts
 * import { openSafetensorsFolder, readSafetensor, toFloat32 } from 'regauge/formats'
 *
 * const { tensors } = await openSafetensorsFolder('llama')
 * for (const [name, { entry }] of tensors) console.log(name, entry.dtype, entry.shape)
 * const { file, entry } = tensors.get('model.norm.weight')!
 * console.log(toFloat32(await readSafetensor(file, 'model.norm.weight'), entry.dtype))
 * ```
 */
export {
  createEventWriter,
  createIndexedDatasetWriter,
  decodeOnnx,
  type EventValue,
  type EventWriter,
  encodeOnnx,
  fromHalf,
  type HfConfig,
  hfConfigText,
  type IndexedDataset,
  type IndexedDatasetCounts,
  type IndexedDatasetDType,
  type IndexedDatasetWriter,
  ONNX_DTYPES,
  type OnnxAttribute,
  type OnnxDType,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
  openIndexedDataset,
  openSafetensorsFolder,
  readEvents,
  readHfConfig,
  readSafetensor,
  readSafetensorsHeader,
  type SafetensorsDType,
  type SafetensorsEntry,
  type SafetensorsFile,
  type SafetensorsFolder,
  type SafetensorsTensor,
  type TfEvent,
  toFloat32,
  toHalf,
  writeSafetensors,
} from './formats/index.ts'
