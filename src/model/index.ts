/** @file Models: from config.json to sizes, parameters and their names, counts and tables. */
export {
  type Architecture,
  className,
  readArchitecture,
} from './architecture.ts'
export type { Activation, Attention, Decoder, Experts, HeadsAttention } from './decoder.ts'
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
export { DECODER_FAMILY_NAMES, FAMILY_NAMES, type FamilyName, spelledKey } from './families.ts'
export type { Module } from './names.ts'
export {
  initialValues,
  type Parameter,
  type ParameterKind,
  parameterCount,
  parametersOf,
  tensorNames,
} from './parameters.ts'
export { PRESET_NAMES, PRESETS, type PresetName, presetConfig } from './presets.ts'
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
