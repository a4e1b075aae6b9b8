/** @file What training needs of a family beside the sizes of its decoders. */
import type { HfConfig } from '../formats/index.ts'
import type { ConfigReader } from './config-reader.ts'
import type { Activation, Decoder, HeadsAttention } from './decoder.ts'
import { LLAMA_NAMES, type Names } from './names.ts'
import { type Rope, readRope } from './rope.ts'

/** A decoder of which all is known that training needs of its sizes. */
export interface TrainedDecoder extends Decoder {
  readonly attention: HeadsAttention
  readonly activation: Activation
  readonly maxPositions: number
}

/** What the forward pass of a decoder does that its sizes do not tell. */
export interface Traits {
  readonly normEpsilon: number
  /** Norms stand before attention and MLP, after them, or both. */
  readonly normPlacement: 'before' | 'after' | 'both'
  /** What is added to the weights of norms: 1 where they are learned as what they differ from 1 by. */
  readonly normOffset: 0 | 1
  /** What embeddings are multiplied by. */
  readonly embeddingScale: number
  /** What queries are multiplied by. */
  readonly queryScale: number
  /** Scores x of attention become c tanh(x / c). */
  readonly scoreCap: number | undefined
  /** Logits x become c tanh(x / c). */
  readonly logitCap: number | undefined
  /** Rotary positions; undefined for learned ones. */
  readonly rope: Rope | undefined
  /** Of layers with a window, where they have their own; undefined for `rope`. */
  readonly windowRope: Rope | undefined
  /** Elements of a head that rotate, the first ones. */
  readonly rotarySize: number
}

/** Sizes of a preset. */
export interface PresetSizes {
  readonly layers: number
  readonly hiddenSize: number
  readonly heads: number
  readonly keyValueHeads: number
  readonly intermediateSize: number
  readonly initializerRange: number
  readonly vocabularySize: number
  readonly positions: number
}

/** What training needs of a family. */
export interface Training {
  /** Name of the class in transformers. */
  readonly className: string
  /** `model_type` of a checkpoint where it is another: that of the text part of a model that sees. */
  readonly writtenAs: string | undefined
  readonly names: Names
  /** Its names of keys that run files have as a Llama does, where they are others. */
  readonly spelling: Readonly<Record<string, string>>
  readonly traits: (r: ConfigReader, decoder: TrainedDecoder) => Traits
  /** The keys of a `config.json` of given sizes; `model_type` and `architectures` come on top. */
  readonly preset: (sizes: PresetSizes) => HfConfig
}

/** A family that trains as a Llama does but for what is given. */
export function training(className: string, differences: Partial<Training> = {}): Training {
  const llama = {
    writtenAs: undefined,
    names: LLAMA_NAMES,
    spelling: {},
    traits: llamaTraits,
    preset: llamaPreset,
  }
  return { className, ...llama, ...differences }
}

/** A Llama's traits but for its positions. */
export function plainTraits(r: ConfigReader, decoder: TrainedDecoder): Traits {
  const { headSize } = decoder.attention
  return {
    normEpsilon: r.number('rms_norm_eps', 1e-6),
    normPlacement: 'before',
    normOffset: 0,
    embeddingScale: 1,
    queryScale: headSize ** -0.5,
    scoreCap: undefined,
    logitCap: undefined,
    rope: undefined,
    windowRope: undefined,
    rotarySize: headSize,
  }
}

export function llamaTraits(r: ConfigReader, decoder: TrainedDecoder): Traits {
  return {
    ...plainTraits(r, decoder),
    rope: readRope(r.keys, decoder.maxPositions, decoder.attention.headSize, r.report),
  }
}

export function llamaPreset(sizes: PresetSizes): HfConfig {
  return {
    hidden_act: 'silu',
    initializer_range: sizes.initializerRange,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    max_position_embeddings: sizes.positions,
    vocab_size: sizes.vocabularySize,
    num_hidden_layers: sizes.layers,
    hidden_size: sizes.hiddenSize,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.keyValueHeads,
    intermediate_size: sizes.intermediateSize,
  }
}

/** A Llama's preset with the head size told, for families whose configurations have another default. */
export function presetWithHeadSize(sizes: PresetSizes): HfConfig {
  return { ...llamaPreset(sizes), head_dim: sizes.hiddenSize / sizes.heads }
}
