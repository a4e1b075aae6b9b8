/** @file Keys of a `config.json` by the size that they stand for. */

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
