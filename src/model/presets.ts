/** @file Architectures that train on a laptop, as the keys of a `config.json`. */
import type { HfConfig } from '../formats/index.ts'
import { type FamilyName, trainingOf } from './families.ts'
import type { PresetSizes } from './training.ts'

/** Sizes of a model without its vocabulary. */
type Sizes = Omit<PresetSizes, 'vocabularySize' | 'positions'>

function sizes(
  layers: number,
  hiddenSize: number,
  heads: number,
  keyValueHeads: number,
  intermediateSize: number,
  initializerRange = 0.02,
): Sizes {
  return { layers, hiddenSize, heads, keyValueHeads, intermediateSize, initializerRange }
}

/**
 * Narrow models learn faster from larger first values. On the State of the Union addresses, at a learning rate of 3e-3,
 * 0.05 instead of 0.02 takes the held-out loss after 300 steps of nano from 5.80 to 5.56, after 200 of tiny from 6.12 to
 * 5.98; examples/state-of-the-union ends at 1.79 bits per byte instead of 2.07.
 */
const NARROW = 0.05

/** Presets by name. Widths are multiples of 64 for the kernels. */
const SIZES = {
  /** About 0.8M parameters beside the embeddings: seconds, for a first look and for tests. */
  nano: sizes(4, 128, 4, 2, 384, NARROW),
  /** About 3M beside the embeddings: minutes on two cores. */
  tiny: sizes(4, 256, 4, 4, 704, NARROW),
  /** About 10M beside the embeddings: an hour on two cores. */
  small: sizes(6, 384, 6, 6, 1024),
  /** About 85M beside the embeddings: a day on a desktop. */
  base: sizes(12, 768, 12, 12, 2048),
} as const satisfies Record<string, Sizes>

/** Name of a preset. */
export type PresetName = keyof typeof SIZES

/** Names of the presets, for messages and help. */
export const PRESET_NAMES = Object.keys(SIZES) as readonly PresetName[]

/** Tokens and positions of a preset where nothing asks for others. */
const USUAL = { vocabularySize: 8192, positions: 2048 }

/** The `config.json` of a preset, of any family that trains. */
export function presetConfig(
  name: PresetName,
  family: FamilyName = 'llama',
  given: Partial<Pick<PresetSizes, 'vocabularySize' | 'positions'>> = {},
): HfConfig {
  const config = trainingOf(family).preset({ ...SIZES[name], ...USUAL, ...given })
  return { model_type: family, architectures: [trainingOf(family).className], ...config }
}

/** The presets as models of the family llama. */
export const PRESETS = Object.fromEntries(PRESET_NAMES.map((name) => [name, presetConfig(name)])) as Readonly<
  Record<PresetName, HfConfig>
>
