/** @file Decoders from the configurations of published models: their parameters and FLOPs, and what is refused. */
import { expect, test } from 'vitest'
import type { HfConfig } from '../formats/index.ts'
import { decoderParameters, readDecoder } from './index.ts'

const llama = (
  [hidden_size, intermediate_size, num_hidden_layers]: readonly [number, number, number],
  [num_attention_heads, num_key_value_heads]: readonly [number, number],
  vocab_size: number,
  rest: HfConfig = {},
): HfConfig => ({
  model_type: 'llama',
  hidden_size,
  intermediate_size,
  num_hidden_layers,
  num_attention_heads,
  num_key_value_heads,
  vocab_size,
  ...rest,
})

const DEEPSEEK_V3: HfConfig = {
  ...llama([7168, 18432, 61], [128, 128], 129280),
  model_type: 'deepseek_v3',
  moe_intermediate_size: 2048,
  n_routed_experts: 256,
  n_shared_experts: 1,
  num_experts_per_tok: 8,
  first_k_dense_replace: 3,
  moe_layer_freq: 1,
  num_nextn_predict_layers: 1,
  q_lora_rank: 1536,
  kv_lora_rank: 512,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
}

test.each([
  ['Llama-2-7B', 6_738_415_616, llama([4096, 11008, 32], [32, 32], 32000)],
  ['Llama-2-13B', 13_015_864_320, llama([5120, 13824, 40], [40, 40], 32000)],
  ['Llama-2-70B', 68_976_648_192, llama([8192, 28672, 80], [64, 8], 32000)],
  ['Llama-3.1-8B', 8_030_261_248, llama([4096, 14336, 32], [32, 8], 128256)],
  ['Llama-3.1-70B', 70_553_706_496, llama([8192, 28672, 80], [64, 8], 128256)],
  ['Llama-3.1-405B', 405_853_388_800, llama([16384, 53248, 126], [128, 8], 128256)],
  [
    'Mixtral-8x7B',
    46_702_792_704,
    {
      ...llama([4096, 14336, 32], [32, 8], 32000),
      model_type: 'mixtral',
      num_local_experts: 8,
      num_experts_per_tok: 2,
    },
  ],
  ['DeepSeek-V3', 671_026_404_352, DEEPSEEK_V3],
  [
    'BLOOM-176B',
    176_247_271_424,
    { model_type: 'bloom', n_embed: 14336, n_layer: 70, num_attention_heads: 112, vocab_size: 250880 },
  ],
  [
    'GPT-2',
    124_439_808,
    { model_type: 'gpt2', n_embd: 768, n_layer: 12, n_head: 12, vocab_size: 50257, n_positions: 1024 },
  ],
])('%s has %d parameters', (_, total, config) => {
  expect(decoderParameters(readDecoder(config)).total).toBe(total)
})
