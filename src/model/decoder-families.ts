/** @file What differs between the families of public decoders, one row for each `model_type` of Hugging Face. */
import type { HfConfig } from '../formats/index.ts'

/**
 * Keys of a `config.json` that mean the same, the usual one first; a dot goes into an object. They are shared by all
 * families, as no key means two things in the configurations of decoders; a row may name its own.
 */
export const KEYS = {
  hiddenSize: ['hidden_size', 'n_embd', 'd_model', 'n_embed'],
  layers: ['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers'],
  heads: ['num_attention_heads', 'n_head', 'n_heads', 'num_heads'],
  keyValueHeads: [
    'num_key_value_heads',
    'num_kv_heads',
    'multi_query_group_num',
    'n_head_kv',
    'attn_config.kv_n_heads',
  ],
  headSize: ['head_dim', 'kv_channels', 'attention_head_dim'],
  vocabularySize: ['vocab_size', 'padded_vocab_size'],
  intermediateSize: [
    'intermediate_size',
    'n_inner',
    'ffn_dim',
    'ffn_hidden_size',
    'ffn_config.ffn_hidden_size',
  ],
  positions: ['max_position_embeddings', 'n_positions', 'max_seq_len'],
  window: ['sliding_window', 'window_size', 'attention_chunk_size'],
  /** Of so many layers, the last has no window. */
  windowPattern: ['sliding_window_pattern'],
  windowsFrom: ['max_window_layers'],

  experts: [
    'num_local_experts',
    'num_experts',
    'n_routed_experts',
    'num_routed_experts',
    'moe_num_experts',
    'ffn_config.moe_num_experts',
  ],
  activeExperts: [
    'num_experts_per_tok',
    'num_experts_per_token',
    'moe_k',
    'moe_topk',
    'num_selected_experts',
    'ffn_config.moe_top_k',
  ],
  expertGroups: ['n_group'],
  activeGroups: ['topk_group'],
  expertSize: ['moe_intermediate_size', 'expert_intermediate_size'],
  /** Number of shared experts, each as wide as a routed one. */
  sharedExperts: ['n_shared_experts', 'num_shared_experts', 'moe_num_shared_experts', 'num_shared_expert'],
  /** Width of all shared experts together. */
  sharedSize: ['shared_expert_intermediate_size', 'shared_intermediate_size'],
  /** Layers below have an MLP. */
  firstExpertLayer: ['first_k_dense_replace', 'moe_layer_start_index', 'num_dense_layers'],
  lastExpertLayer: ['moe_layer_end_index'],
  /** A layer has experts when its index is a multiple of this... */
  expertLayerEvery: ['moe_layer_freq'],
  /** ...or its number, counted from 1. */
  expertLayerStep: ['decoder_sparse_step', 'moe_layer_interval', 'interleave_moe_layer_step'],

  queryRank: ['q_lora_rank', 'attention_q_lora_dim'],
  keyValueRank: ['kv_lora_rank', 'attention_kv_lora_dim'],
  plainHeadSize: ['qk_nope_head_dim', 'attention_qk_dim'],
  rotaryHeadSize: ['qk_rope_head_dim', 'attention_qk_rope_dim'],
  valueHeadSize: ['v_head_dim', 'attention_v_dim'],

  predictionLayers: ['num_nextn_predict_layers', 'num_mtp_layers', 'num_mtp_modules'],
} as const satisfies Record<string, readonly string[]>

/** What a size is called in a decoder. */
export type SizeName = keyof typeof KEYS

/** Yes, no, or what a key of the configuration says; `!` before it for the opposite, `|` between keys that mean the same. */
export type Flag = boolean | string

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
export interface Family {
  /** Values of keys that a configuration leaves out, as in the configuration class of transformers. */
  readonly defaults: HfConfig
  /** Keys in the place of the usual ones. */
  readonly keys: Partial<Record<SizeName, readonly string[]>>
  readonly norm: 'layer' | 'rms'
  readonly normVectors: 0 | 1 | 2 | ((flag: FlagReader) => 0 | 1 | 2)
  readonly normsPerLayer: number | ((flag: FlagReader, value: (key: string) => unknown) => number)
  readonly embeddingNorm: boolean
  readonly gated: Flag
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
}

/** Reads a key that is true or false. */
export type FlagReader = (flag: Flag) => boolean

/** The rules that most decoders of today follow. */
const LLAMA_LIKE: Family = {
  defaults: {},
  keys: {},
  norm: 'rms',
  normVectors: 1,
  normsPerLayer: 2,
  embeddingNorm: false,
  gated: true,
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
}

/** Attention and MLP with biases wherever GPT-2 has them, and its norms. */
const GPT_LIKE: Family = {
  ...LLAMA_LIKE,
  defaults: { tie_word_embeddings: true },
  norm: 'layer',
  normVectors: 2,
  gated: false,
  queryKeyValueBias: true,
  outputBias: true,
  mlpBias: true,
  expansion: 4,
}

const ATTENTION_BIAS = { queryKeyValueBias: 'attention_bias', outputBias: 'attention_bias' } as const
/** The rules for a `model_type` that is not in the table: those of a Llama, and what keys in common use say. */
export const UNKNOWN_FAMILY: Family = {
  ...LLAMA_LIKE,
  queryKeyValueBias: 'attention_bias|qkv_bias|use_bias|bias',
  outputBias: 'attention_bias|use_bias|bias',
  mlpBias: 'mlp_bias|use_bias',
  queriesNormed: 'use_qk_norm',
  windows: 'all',
}

const EVERY_BIAS = (key: Flag) => ({ queryKeyValueBias: key, outputBias: key, mlpBias: key })

const row = (differences: Partial<Family>, base = LLAMA_LIKE): Family => ({ ...base, ...differences })

const QWEN_WINDOWS = { sliding_window: 4096, max_window_layers: 28 }
const DEEPSEEK = row(ATTENTION_BIAS)
const GEMMA3 = row({
  ...ATTENTION_BIAS,
  defaults: {
    vocab_size: 262208,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    sliding_window: 4096,
    sliding_window_pattern: 6,
    tie_word_embeddings: true,
  },
  normsPerLayer: 4,
  queriesNormed: true,
  windows: 'pattern',
})

const COHERE = row({
  ...ATTENTION_BIAS,
  norm: 'layer',
  normsPerLayer: 1,
  queryKeyNorm: 'all',
  queriesNormed: 'use_qk_norm',
  defaults: { tie_word_embeddings: true, sliding_window: 4096, sliding_window_pattern: 4 },
})

/** The families by `model_type`. Where a key is missing, the default is that of transformers 5.18. */
export const FAMILIES: ReadonlyMap<string, Family> = new Map(
  Object.entries({
    llama: row({ ...ATTENTION_BIAS, mlpBias: 'mlp_bias' }),
    mistral: row({ defaults: { num_key_value_heads: 8, sliding_window: 4096 }, windows: 'all' }),
    mixtral: row({
      defaults: { num_key_value_heads: 8, num_local_experts: 8, num_experts_per_tok: 2 },
      windows: 'all',
    }),
    llama4_text: row({
      ...ATTENTION_BIAS,
      keys: { intermediateSize: ['intermediate_size_mlp'], expertSize: ['intermediate_size'] },
      defaults: {
        num_key_value_heads: 8,
        head_dim: 128,
        n_shared_experts: 1,
        num_experts_per_tok: 1,
        attention_chunk_size: 8192,
        sliding_window_pattern: 4,
      },
      windows: 'pattern',
    }),

    qwen2: row({
      defaults: { num_key_value_heads: 32, ...QWEN_WINDOWS },
      queryKeyValueBias: true,
      windows: 'upper',
    }),
    qwen2_moe: row({
      defaults: {
        num_key_value_heads: 16,
        num_experts: 60,
        num_experts_per_tok: 4,
        moe_intermediate_size: 1408,
        shared_expert_intermediate_size: 5632,
        qkv_bias: true,
        ...QWEN_WINDOWS,
      },
      queryKeyValueBias: 'qkv_bias',
      sharedGate: true,
      windows: 'upper',
    }),
    qwen3: row({
      ...ATTENTION_BIAS,
      defaults: { num_key_value_heads: 32, head_dim: 128, ...QWEN_WINDOWS },
      queriesNormed: true,
      windows: 'upper',
    }),
    qwen3_moe: row({
      ...ATTENTION_BIAS,
      defaults: {
        num_key_value_heads: 4,
        num_experts: 128,
        num_experts_per_tok: 8,
        moe_intermediate_size: 768,
        ...QWEN_WINDOWS,
      },
      queriesNormed: true,
      windows: 'upper',
    }),

    deepseek: DEEPSEEK,
    deepseek_v2: DEEPSEEK,
    deepseek_v3: row({ defaults: { n_group: 8, topk_group: 4 } }, DEEPSEEK),
    kimi_k2: DEEPSEEK,

    gpt2: row({ positionsBeyond: 0 }, GPT_LIKE),
    gpt_bigcode: row(
      {
        defaults: { tie_word_embeddings: true, multi_query: true },
        positionsBeyond: 0,
        oneKeyValueHead: (flag) => flag('multi_query'),
      },
      GPT_LIKE,
    ),
    gpt_neo: row(
      {
        defaults: { tie_word_embeddings: true, window_size: 256 },
        queryKeyValueBias: false,
        positionsBeyond: 0,
        windows: 'odd',
      },
      GPT_LIKE,
    ),
    gptj: row(
      {
        defaults: { tie_word_embeddings: false },
        queryKeyValueBias: false,
        outputBias: false,
        headBias: true,
        normsPerLayer: 1,
      },
      GPT_LIKE,
    ),
    gpt_neox: row(
      { ...ATTENTION_BIAS, defaults: { tie_word_embeddings: false, attention_bias: true } },
      GPT_LIKE,
    ),
    opt: row(
      {
        ...EVERY_BIAS('enable_bias'),
        defaults: { tie_word_embeddings: true, enable_bias: true, layer_norm_elementwise_affine: true },
        normVectors: (flag) => (flag('layer_norm_elementwise_affine') ? 2 : 0),
        positionsBeyond: 2,
      },
      GPT_LIKE,
    ),
    bloom: row({ embeddingNorm: true }, GPT_LIKE),
    mpt: row(
      {
        ...EVERY_BIAS('!no_bias'),
        defaults: { tie_word_embeddings: true, no_bias: true },
        normVectors: (flag) => (flag('no_bias') ? 1 : 2),
      },
      GPT_LIKE,
    ),
    falcon: row(
      {
        ...EVERY_BIAS('bias'),
        defaults: {
          tie_word_embeddings: true,
          multi_query: true,
          parallel_attn: true,
        },
        normsPerLayer: (flag, value) =>
          flag('parallel_attn') &&
          (value('num_ln_in_parallel_attn') ?? (flag('new_decoder_architecture') ? 2 : 1)) === 1
            ? 1
            : 2,
        oneKeyValueHead: (flag) => (flag('new_decoder_architecture') ? undefined : flag('multi_query')),
      },
      GPT_LIKE,
    ),
    starcoder2: row(
      {
        ...EVERY_BIAS('use_bias'),
        defaults: { tie_word_embeddings: true, use_bias: true, num_key_value_heads: 2 },
        windows: 'all',
      },
      GPT_LIKE,
    ),

    gemma: row({
      ...ATTENTION_BIAS,
      defaults: { num_key_value_heads: 16, head_dim: 256, tie_word_embeddings: true },
    }),
    gemma2: row({
      ...ATTENTION_BIAS,
      defaults: {
        num_key_value_heads: 4,
        head_dim: 256,
        sliding_window: 4096,
        sliding_window_pattern: 2,
        tie_word_embeddings: true,
      },
      normsPerLayer: 4,
      windows: 'pattern',
    }),
    gemma3: GEMMA3,
    gemma3_text: GEMMA3,

    phi: row(
      {
        defaults: { tie_word_embeddings: false },
        headBias: true,
        queriesNormed: 'qk_layernorm',
        normsPerLayer: 1,
      },
      GPT_LIKE,
    ),
    phi3: row({ windows: 'all' }),
    phimoe: row({
      ...ATTENTION_BIAS,
      norm: 'layer',
      normVectors: 2,
      headBias: 'lm_head_bias',
      defaults: { num_key_value_heads: 8, num_local_experts: 16, num_experts_per_tok: 2 },
      windows: 'all',
    }),
    nemotron: row(
      {
        ...ATTENTION_BIAS,
        mlpBias: 'mlp_bias',
        defaults: { tie_word_embeddings: false },
        expansion: undefined,
      },
      GPT_LIKE,
    ),
    arcee: row({ ...ATTENTION_BIAS, mlpBias: 'mlp_bias', gated: false }),
    cohere: COHERE,
    cohere2: row({ windows: 'pattern' }, COHERE),
    seed_oss: row({
      queryKeyValueBias: 'attention_bias',
      outputBias: 'attention_out_bias',
      mlpBias: 'mlp_bias',
      defaults: { attention_bias: true, num_key_value_heads: 8, head_dim: 128 },
    }),
    exaone4: row({
      queriesNormed: true,
      defaults: { num_key_value_heads: 32, sliding_window: 4096, sliding_window_pattern: 4 },
      windows: 'pattern',
    }),
    minimax_m2: row({
      queryKeyNorm: 'all',
      queriesNormed: true,
      defaults: { num_key_value_heads: 8, head_dim: 128, num_local_experts: 256, num_experts_per_tok: 8 },
    }),

    smollm3: row({
      ...ATTENTION_BIAS,
      mlpBias: 'mlp_bias',
      defaults: { num_key_value_heads: 4, tie_word_embeddings: true },
    }),
    granite: row({ ...ATTENTION_BIAS, mlpBias: 'mlp_bias' }),
    baichuan: LLAMA_LIKE,
    internlm: row({ defaults: { bias: true }, queryKeyValueBias: 'bias', outputBias: 'bias' }),
    internlm2: row({ defaults: { bias: true }, queryKeyValueBias: 'bias', outputBias: 'bias' }),
    minicpm: row({ ...ATTENTION_BIAS, defaults: { tie_word_embeddings: true } }),
    minicpm3: row({ ...ATTENTION_BIAS, defaults: { tie_word_embeddings: true } }),
    chatglm: row({
      keys: { vocabularySize: ['padded_vocab_size'], intermediateSize: ['ffn_hidden_size'] },
      queryKeyValueBias: 'add_qkv_bias',
      outputBias: 'add_bias_linear',
      mlpBias: 'add_bias_linear',
      oneKeyValueHead: (flag) => (flag('multi_query_attention') ? undefined : false),
    }),
    glm: row({
      queryKeyValueBias: 'attention_bias',
      defaults: { num_key_value_heads: 2, head_dim: 128, attention_bias: true },
    }),
    glm4: row({
      queryKeyValueBias: 'attention_bias',
      defaults: { num_key_value_heads: 2, head_dim: 128, attention_bias: true },
      normsPerLayer: 4,
    }),
    glm4_moe: row({
      queryKeyValueBias: 'attention_bias',
      queriesNormed: 'use_qk_norm',
      defaults: { num_key_value_heads: 8 },
    }),

    'grok-1': row({ defaults: { tie_word_embeddings: true }, normsPerLayer: 4 }),
    dbrx: row({ norm: 'layer', normVectors: 1 }),
    olmo: row({ ...ATTENTION_BIAS, norm: 'layer', normVectors: 0 }),
    olmo2: row({ ...ATTENTION_BIAS, queryKeyNorm: 'all', queriesNormed: true }),
    olmo3: row({
      ...ATTENTION_BIAS,
      queryKeyNorm: 'all',
      queriesNormed: true,
      defaults: { sliding_window: 4096, sliding_window_pattern: 4 },
      windows: 'pattern',
    }),
    olmoe: row({ ...ATTENTION_BIAS, queryKeyNorm: 'all', queriesNormed: true }),
    gpt_oss: row({
      ...EVERY_BIAS(true),
      routerBias: true,
      attentionSinks: true,
      defaults: {
        num_key_value_heads: 8,
        head_dim: 64,
        sliding_window: 128,
        sliding_window_pattern: 2,
        attention_bias: true,
      },
      queryKeyValueBias: 'attention_bias',
      outputBias: 'attention_bias',
      windows: 'pattern',
    }),
    ernie4_5: row({
      ...EVERY_BIAS('use_bias'),
      defaults: { num_key_value_heads: 2, head_dim: 128, tie_word_embeddings: true },
    }),
    ernie4_5_moe: row({
      ...EVERY_BIAS('use_bias'),
      defaults: {
        num_key_value_heads: 4,
        tie_word_embeddings: true,
        moe_k: 6,
        moe_num_shared_experts: 2,
        moe_layer_start_index: 1,
      },
    }),
    // openPangu: https://github.com/wujing215/OpenPangu7B-on-NVIDIA holds the configuration class
    PanguEmbedded: row({ defaults: { bias: true }, queryKeyValueBias: 'bias', outputBias: 'bias' }),
    PanguProMoE: row({ queryKeyValueBias: true, outputBias: true }),
    pangu_ultra_moe: row({
      normsPerLayer: (flag) => (flag('sandwich_norm') ? 4 : 2),
      defaults: { num_dense_layers: 3 },
    }),
  }),
)

/** Names of the families that have rules of their own, for messages and help. */
export const DECODER_FAMILY_NAMES: readonly string[] = [...FAMILIES.keys()]
