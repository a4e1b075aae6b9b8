/** @file OLMo 2 in training: norms after attention and MLP alone, and of all queries and keys as one vector. */
import { LLAMA_NAMES } from './names.ts'
import { llamaPreset, llamaTraits, training } from './training.ts'

const { attentionNorm: _a, mlpNorm: _m, ...shared } = LLAMA_NAMES.modules

export const OLMO2 = training('Olmo2ForCausalLM', {
  names: {
    ...LLAMA_NAMES,
    modules: {
      ...shared,
      afterAttentionNorm: 'post_attention_layernorm',
      afterMlpNorm: 'post_feedforward_layernorm',
    },
  },
  traits: (r, decoder) => ({ ...llamaTraits(r, decoder), normPlacement: 'after' }),
  preset: llamaPreset,
})
