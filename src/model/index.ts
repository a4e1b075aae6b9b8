/** @file Architectures of decoders: from config.json to parameters and tables. */
export {
  type Architecture,
  className,
  FAMILY_NAMES,
  type FamilyName,
  readArchitecture,
} from './architecture.ts'
export type { Attention, Decoder, Experts } from './decoder.ts'
export {
  type DecoderFlops,
  type DecoderParameters,
  decoderFlops,
  decoderParameters,
  type LayerKind,
  type LayerParameters,
  layerParameters,
  meanSeen,
} from './decoder-counts.ts'
export { DECODER_FAMILY_NAMES } from './decoder-families.ts'
export {
  initialValues,
  type Parameter,
  type ParameterKind,
  parameterCount,
  parametersOf,
} from './parameters.ts'
export { PRESET_NAMES, PRESETS, type PresetName } from './presets.ts'
export { uniform } from './random.ts'
export { readDecoder } from './read-decoder.ts'
export { type Rope, type RopeScaling, ropeTables } from './rope.ts'
export {
  type Operation,
  type StepShape,
  TRAINING_STATE_BYTES,
  trainingOperations,
  trainingStateBytes,
} from './workload.ts'
