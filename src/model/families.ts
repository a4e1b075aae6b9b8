/** @file The families of public decoders, one row for each `model_type` of Hugging Face. */
import {
  ATTENTION_BIAS,
  EVERY_BIAS,
  type Family,
  GPT_LIKE,
  LLAMA_LIKE,
  row,
  type TrainedFamily,
  trained,
} from './family.ts'
import { GEMMA2, GEMMA3 } from './gemma.ts'
import { GPT2 } from './gpt2.ts'
import { OLMO2 } from './olmo2.ts'
import { PHI3 } from './phi3.ts'
import { llamaPreset, presetWithHeadSize, type Training, training } from './training.ts'

const QWEN_WINDOWS = { sliding_window: 4096, max_window_layers: 28 }
const DEEPSEEK = row(ATTENTION_BIAS)
const GEMMA3_ROW = trained(GEMMA3, {
  ...ATTENTION_BIAS,
  activation: 'gelu_pytorch_tanh',
  defaults: {
    vocab_size: 262208,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    max_position_embeddings: 131072,
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
export const FAMILIES = {
  llama: trained(training('LlamaForCausalLM'), {
    ...ATTENTION_BIAS,
    mlpBias: 'mlp_bias',
    defaults: { max_position_embeddings: 2048 },
  }),
  mistral: trained(
    training('MistralForCausalLM', {
      preset: (sizes) => ({ ...llamaPreset(sizes), sliding_window: null }),
    }),
    {
      defaults: { num_key_value_heads: 8, sliding_window: 4096, max_position_embeddings: 131072 },
      windows: 'all',
    },
  ),
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

  qwen2: trained(training('Qwen2ForCausalLM'), {
    defaults: { num_key_value_heads: 32, max_position_embeddings: 32768, ...QWEN_WINDOWS },
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
  qwen3: trained(training('Qwen3ForCausalLM', { preset: presetWithHeadSize }), {
    ...ATTENTION_BIAS,
    defaults: { num_key_value_heads: 32, head_dim: 128, max_position_embeddings: 32768, ...QWEN_WINDOWS },
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

  gpt2: trained(
    GPT2,
    {
      defaults: {
        tie_word_embeddings: true,
        max_position_embeddings: 1024,
        scale_attn_weights: true,
        resid_pdrop: 0.1,
        embd_pdrop: 0.1,
        attn_pdrop: 0.1,
      },
      positionsBeyond: 0,
    },
    GPT_LIKE,
  ),
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
  gemma2: trained(GEMMA2, {
    ...ATTENTION_BIAS,
    activation: 'gelu_pytorch_tanh',
    defaults: {
      num_key_value_heads: 4,
      head_dim: 256,
      max_position_embeddings: 8192,
      attn_logit_softcapping: 50,
      final_logit_softcapping: 30,
      sliding_window: 4096,
      sliding_window_pattern: 2,
      tie_word_embeddings: true,
    },
    normsPerLayer: 4,
    windows: 'pattern',
  }),
  gemma3: GEMMA3_ROW,
  gemma3_text: GEMMA3_ROW,

  phi: row(
    {
      defaults: { tie_word_embeddings: false },
      headBias: true,
      queriesNormed: 'qk_layernorm',
      normsPerLayer: 1,
    },
    GPT_LIKE,
  ),
  phi3: trained(PHI3, {
    defaults: {
      max_position_embeddings: 4096,
      original_max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
    },
    windows: 'all',
  }),
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
  olmo2: trained(OLMO2, {
    ...ATTENTION_BIAS,
    queryKeyNorm: 'all',
    queriesNormed: true,
    defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-5 },
  }),
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
} satisfies Record<string, Family>

/** Names of the families that have rules of their own, for messages and help. */
export const DECODER_FAMILY_NAMES: readonly string[] = Object.keys(FAMILIES)

/** The family of a `model_type`; undefined for one that is not in the table. */
export function familyOf(type: unknown): Family | undefined {
  return typeof type === 'string' && Object.hasOwn(FAMILIES, type)
    ? FAMILIES[type as keyof typeof FAMILIES]
    : undefined
}

/** Families of decoders that can be trained. */
export type FamilyName = {
  [K in keyof typeof FAMILIES]: (typeof FAMILIES)[K] extends TrainedFamily ? K : never
}[keyof typeof FAMILIES]

/** Names of the families that can be trained, for messages and help. */
export const FAMILY_NAMES = DECODER_FAMILY_NAMES.filter(
  (name) => familyOf(name)?.trains != null,
) as readonly FamilyName[]

/** What training needs of a family. */
export function trainingOf(family: FamilyName): Training {
  return FAMILIES[family].trains
}

/** A key that run files have, as the configurations of a `model_type` spell it. */
export function spelledKey(type: unknown, key: string): string {
  return familyOf(type)?.trains?.spelling[key] ?? key
}
