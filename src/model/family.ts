/** @file What differs between families of decoders, and the rules that many of them share. */
import type { Flag, KeyRules } from './config-reader.ts'
import type { Training } from './training.ts'

/** How the layers of a family take a window, where no `layer_types` says it. */
export type WindowRule =
  | 'none'
  | 'all'
  /** From layer `max_window_layers` on, where `use_sliding_window` says so. */
  | 'upper'
  /** All but each `sliding_window_pattern`-th. */
  | 'pattern'
  /** Every second, the first not. */
  | 'odd'

/** A family of decoders. */
export interface Family extends KeyRules {
  readonly norm: 'layer' | 'rms'
  readonly normVectors: 0 | 1 | 2 | ((flag: FlagReader) => 0 | 1 | 2)
  readonly normsPerLayer: number | ((flag: FlagReader, value: (key: string) => unknown) => number)
  readonly embeddingNorm: boolean
  readonly gated: Flag
  /** Activation where the configuration names none, as transformers spells it. */
  readonly activation: string
  readonly queryKeyValueBias: Flag
  readonly outputBias: Flag
  readonly mlpBias: Flag
  readonly routerBias: Flag
  readonly headBias: Flag
  readonly queryKeyNorm: 'head' | 'all'
  readonly queriesNormed: Flag
  readonly attentionSinks: boolean
  readonly sharedGate: boolean
  /** Rows beyond `max_position_embeddings` of the table of positions; undefined for no such table. */
  readonly positionsBeyond: number | undefined
  /** A flag for one head of keys and values (true), or for as many as there are queries (false). */
  readonly oneKeyValueHead: ((flag: FlagReader) => boolean | undefined) | undefined
  /** MLP width as a multiple of the hidden size, where the configuration gives none. */
  readonly expansion: number | undefined
  readonly windows: WindowRule
  /** What training needs beside the sizes; null for a family that is only planned for. */
  readonly trains: Training | null
}

/** Reads a key that is true or false. */
export type FlagReader = (flag: Flag) => boolean

/** The rules that most decoders of today follow. */
export const LLAMA_LIKE: Family = {
  defaults: {},
  keys: {},
  norm: 'rms',
  normVectors: 1,
  normsPerLayer: 2,
  embeddingNorm: false,
  gated: true,
  activation: 'silu',
  queryKeyValueBias: false,
  outputBias: false,
  mlpBias: false,
  routerBias: false,
  headBias: false,
  queryKeyNorm: 'head',
  queriesNormed: false,
  attentionSinks: false,
  sharedGate: false,
  positionsBeyond: undefined,
  oneKeyValueHead: undefined,
  expansion: undefined,
  windows: 'none',
  trains: null,
}

/** Attention and MLP with biases wherever GPT-2 has them, and its norms. */
export const GPT_LIKE: Family = {
  ...LLAMA_LIKE,
  defaults: { tie_word_embeddings: true },
  norm: 'layer',
  normVectors: 2,
  gated: false,
  activation: 'gelu_new',
  queryKeyValueBias: true,
  outputBias: true,
  mlpBias: true,
  expansion: 4,
}

export const ATTENTION_BIAS = { queryKeyValueBias: 'attention_bias', outputBias: 'attention_bias' } as const

/** The rules for a `model_type` that is not in the table: those of a Llama, and what keys in common use say. */
export const UNKNOWN_FAMILY: Family = {
  ...LLAMA_LIKE,
  defaults: { max_position_embeddings: 2048 },
  queryKeyValueBias: 'attention_bias|qkv_bias|use_bias|bias',
  outputBias: 'attention_bias|use_bias|bias',
  mlpBias: 'mlp_bias|use_bias',
  queriesNormed: 'use_qk_norm',
  windows: 'all',
}

export const EVERY_BIAS = (key: Flag) => ({ queryKeyValueBias: key, outputBias: key, mlpBias: key })

/** A family by what it has in the place of another's. */
export function row(differences: Partial<Family>, base: Family = LLAMA_LIKE): Family {
  return { ...base, ...differences }
}

/** A family that trains. */
export interface TrainedFamily extends Family {
  readonly trains: Training
}

/** A family that trains, by what it has in the place of another's. */
export function trained(trains: Training, differences: Partial<Family>, base?: Family): TrainedFamily {
  return { ...row(differences, base), trains }
}
