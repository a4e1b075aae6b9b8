/** @file A decoder's architecture from the keys of a Hugging Face `config.json`. */
import { type Issue, nearest, RegaugeError } from '../errors.ts'
import type { HfConfig } from '../formats/index.ts'
import { type Rope, readRope } from './rope.ts'

/** What differs between the families, with the defaults of their transformers configuration classes. */
interface Family {
  /** Name of the class in transformers. */
  readonly className: string
  readonly keyValueHeads: (heads: number) => number
  readonly headSize: number | undefined
  readonly maxPositions: number
  /** Bias of the query, key and value projections, and of the output projection; from the config when null. */
  readonly attentionBias: { readonly qkv: boolean; readonly output: boolean } | null
  readonly mlpBias: boolean | null
  readonly queryKeyNorm: boolean
  readonly slidingWindow: (config: HfConfig, layer: number) => number | undefined
}

const NO_BIAS = { qkv: false, output: false }

const FAMILIES = {
  llama: {
    className: 'LlamaForCausalLM',
    keyValueHeads: (heads) => heads,
    headSize: undefined,
    maxPositions: 2048,
    attentionBias: null,
    mlpBias: null,
    queryKeyNorm: false,
    slidingWindow: () => undefined,
  },
  mistral: {
    className: 'MistralForCausalLM',
    keyValueHeads: () => 8,
    headSize: undefined,
    maxPositions: 131072,
    attentionBias: NO_BIAS,
    mlpBias: false,
    queryKeyNorm: false,
    slidingWindow: (config) =>
      config.sliding_window === undefined ? 4096 : optionalNumber(config.sliding_window),
  },
  qwen2: {
    className: 'Qwen2ForCausalLM',
    keyValueHeads: () => 32,
    headSize: undefined,
    maxPositions: 32768,
    attentionBias: { qkv: true, output: false },
    mlpBias: false,
    queryKeyNorm: false,
    slidingWindow: qwenWindow,
  },
  qwen3: {
    className: 'Qwen3ForCausalLM',
    keyValueHeads: () => 32,
    headSize: 128,
    maxPositions: 32768,
    attentionBias: null,
    mlpBias: false,
    queryKeyNorm: true,
    slidingWindow: qwenWindow,
  },
} as const satisfies Record<string, Family>

/** Families of decoders that can be trained. */
export type FamilyName = keyof typeof FAMILIES

/** Names of the families, for messages and help. */
export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly FamilyName[]

/** A decoder: everything that its parameters and its graph follow from. Sizes in elements. */
export interface Architecture {
  readonly family: FamilyName
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  readonly keyValueHeads: number
  readonly headSize: number
  readonly normEpsilon: number
  readonly initializerRange: number
  readonly maxPositions: number
  readonly rope: Rope
  readonly attentionBias: { readonly qkv: boolean; readonly output: boolean }
  readonly mlpBias: boolean
  readonly queryKeyNorm: boolean
  readonly tiedEmbeddings: boolean
  /** Positions that a token of each layer sees, itself included; undefined for all before it. */
  readonly slidingWindows: readonly (number | undefined)[]
  /** The `config.json` that this was read from, unknown keys included. */
  readonly config: HfConfig
}

/** Larger sizes are mistakes or attacks, and would only fail later and worse. */
const SIZE_LIMIT = 2 ** 24

/**
 * Reads an architecture from the keys of a `config.json`. Missing keys take the default of the family's
 * transformers class, but sizes of the model must be there. Throws RegaugeError with every problem at once.
 */
export function readArchitecture(config: HfConfig, file = 'config.json'): Architecture {
  const issues: Issue[] = []
  const report = (code: string, message: string, hint?: string) =>
    void issues.push({ code, file, message, ...(hint === undefined ? {} : { hint }) })

  const family = familyOf(config, file)
  const rules: Family = FAMILIES[family]

  const size = (key: string, fallback?: number): number => {
    const value = config[key] ?? fallback
    if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= SIZE_LIMIT) return value
    const received =
      value === undefined ? 'is missing' : `must be an integer from 1 to ${SIZE_LIMIT}, got ${show(value)}`
    report('CONFIG_VALUE', `${key} ${received}`)
    return 1
  }
  const number = (key: string, fallback: number): number => {
    const value = config[key] ?? fallback
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
    report('CONFIG_VALUE', `${key} must be a positive number, got ${show(value)}`)
    return fallback
  }
  const flag = (key: string): boolean => {
    const value = config[key] ?? false
    if (typeof value === 'boolean') return value
    report('CONFIG_VALUE', `${key} must be true or false, got ${show(value)}`)
    return false
  }

  const hiddenSize = size('hidden_size')
  const heads = size('num_attention_heads')
  const keyValueHeads =
    config.num_key_value_heads === null ? heads : size('num_key_value_heads', rules.keyValueHeads(heads))
  const headSize = size('head_dim', rules.headSize ?? Math.max(1, Math.floor(hiddenSize / heads)))
  // what follows from a size that is wrong is not told
  const isSized = issues.length === 0
  const layers = size('num_hidden_layers')
  if (layers > 4096) report('CONFIG_VALUE', `num_hidden_layers must be at most 4096, got ${layers}`)
  const maxPositions = size('max_position_embeddings', rules.maxPositions)

  if (isSized && config.head_dim == null && rules.headSize === undefined && hiddenSize % heads !== 0) {
    report(
      'CONFIG_SHAPE',
      `hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}`,
      'set head_dim',
    )
  }
  if (isSized && heads % keyValueHeads !== 0) {
    report(
      'CONFIG_SHAPE',
      `num_attention_heads ${heads} is not a multiple of num_key_value_heads ${keyValueHeads}`,
    )
  }
  if (isSized && headSize % 2 !== 0)
    report('CONFIG_SHAPE', `head_dim must be even for rotary embeddings, got ${headSize}`)
  const activation = config.hidden_act ?? 'silu'
  if (activation !== 'silu') report('CONFIG_VALUE', `hidden_act must be "silu", got ${show(activation)}`)
  for (const key of ['attention_dropout', 'hidden_dropout', 'resid_pdrop']) {
    if ((config[key] ?? 0) !== 0)
      report('CONFIG_VALUE', `${key} must be 0, got ${show(config[key])}: dropout is not supported`)
  }

  const bias = flag('attention_bias')
  const rope = readRope(config, maxPositions, headSize, report)
  const architecture: Architecture = {
    family,
    vocabularySize: size('vocab_size'),
    hiddenSize,
    intermediateSize: size('intermediate_size'),
    layers,
    heads,
    keyValueHeads,
    headSize,
    normEpsilon: number('rms_norm_eps', 1e-6),
    initializerRange: number('initializer_range', 0.02),
    maxPositions,
    rope,
    attentionBias: rules.attentionBias ?? { qkv: bias, output: bias },
    mlpBias: rules.mlpBias ?? flag('mlp_bias'),
    queryKeyNorm: rules.queryKeyNorm,
    tiedEmbeddings: flag('tie_word_embeddings'),
    slidingWindows: Array.from({ length: Math.min(layers, 4096) }, (_, layer) =>
      rules.slidingWindow(config, layer),
    ),
    config,
  }
  for (const [layer, window] of architecture.slidingWindows.entries()) {
    if (window !== undefined && !(Number.isInteger(window) && window > 0)) {
      report('CONFIG_VALUE', `sliding_window of layer ${layer} must be a positive integer, got ${window}`)
      break
    }
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  return architecture
}

/** Name of the transformers class of a family, for `architectures` in a config.json. */
export function className(family: FamilyName): string {
  return FAMILIES[family].className
}

function familyOf(config: HfConfig, file: string): FamilyName {
  const type = config.model_type
  const known = FAMILY_NAMES.find((name) => name === type)
  if (known !== undefined) return known
  const close = typeof type === 'string' ? nearest(type, FAMILY_NAMES) : undefined
  throw new RegaugeError('usage', {
    code: 'CONFIG_FAMILY',
    file,
    message: `model_type ${type === undefined ? 'is missing' : `${show(type)} is not supported`}`,
    hint: `supported are ${FAMILY_NAMES.join(', ')}${close === undefined ? '' : `; did you mean ${close}?`}`,
  })
}

/** Qwen's rule: layers from `max_window_layers` on see a window, when `use_sliding_window` says so. */
function qwenWindow(config: HfConfig, layer: number): number | undefined {
  if (config.use_sliding_window !== true) return undefined
  const window = config.sliding_window === undefined ? 4096 : optionalNumber(config.sliding_window)
  const types = config.layer_types
  if (Array.isArray(types)) return types[layer] === 'sliding_attention' ? window : undefined
  return layer >= Number(config.max_window_layers ?? 28) ? window : undefined
}

function optionalNumber(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value)
}

function show(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 60) ?? String(value)
}
