/** @file Gemma 2 and 3 in training: norms on both sides that learn from 1, scaled embeddings, caps, windows with their own base. */
import type { HfConfig } from '../formats/index.ts'
import type { ConfigReader } from './config-reader.ts'
import { LLAMA_NAMES, type Names } from './names.ts'
import { type Rope, readRope } from './rope.ts'
import {
  llamaTraits,
  type PresetSizes,
  plainTraits,
  presetWithHeadSize,
  type TrainedDecoder,
  type Traits,
  training,
} from './training.ts'

const NAMES: Names = {
  ...LLAMA_NAMES,
  modules: {
    ...LLAMA_NAMES.modules,
    afterAttentionNorm: 'post_attention_layernorm',
    mlpNorm: 'pre_feedforward_layernorm',
    afterMlpNorm: 'post_feedforward_layernorm',
  },
}

/** What both share: all but caps of scores and positions. */
function gemmaTraits(r: ConfigReader, decoder: TrainedDecoder): Traits {
  if (r.flag('use_bidirectional_attention'))
    r.report('CONFIG_VALUE', 'use_bidirectional_attention must be false: attention here is causal')
  return {
    ...plainTraits(r, decoder),
    normPlacement: 'both',
    normOffset: 1,
    embeddingScale: Math.sqrt(decoder.hiddenSize),
    queryScale: r.number('query_pre_attn_scalar', 256) ** -0.5,
    logitCap: r.number('final_logit_softcapping', undefined),
  }
}

function gemmaPreset(sizes: PresetSizes): HfConfig {
  const { hidden_act: _, mlp_bias: __, ...config } = presetWithHeadSize(sizes)
  return {
    ...config,
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: sizes.hiddenSize / sizes.heads,
    sliding_window: 512,
  }
}

export const GEMMA2 = training('Gemma2ForCausalLM', {
  names: NAMES,
  traits: (r, decoder) => ({
    ...gemmaTraits(r, decoder),
    rope: llamaTraits(r, decoder).rope,
    scoreCap: r.number('attn_logit_softcapping', undefined),
  }),
  preset: (sizes) => ({
    ...gemmaPreset(sizes),
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
  }),
})

/** Bases of Gemma 3 where a configuration has none. */
const THETA = { full_attention: 1_000_000, sliding_attention: 10_000 }

/** One rope for layers that see everything, one for those with a window. */
function gemma3Ropes(r: ConfigReader, decoder: TrainedDecoder): Pick<Traits, 'rope' | 'windowRope'> {
  const read = (keys: HfConfig): Rope =>
    readRope(keys, decoder.maxPositions, decoder.attention.headSize, r.report)
  const { rope_parameters: nested, rope_scaling, rope_theta, rope_local_base_freq } = r.keys
  if (nested == null) {
    // transformers 4
    return {
      rope: read({ rope_theta: rope_theta ?? THETA.full_attention, rope_scaling }),
      windowRope: read({ rope_theta: rope_local_base_freq ?? THETA.sliding_attention }),
    }
  }
  const of = (kind: keyof typeof THETA): Rope => {
    const found = (nested as HfConfig)[kind]
    if (found == null) {
      const message = `rope_parameters must have ${Object.keys(THETA).join(' and ')}, ${kind} is missing`
      r.report('CONFIG_VALUE', message)
    }
    return read({ rope_theta: THETA[kind], rope_parameters: found ?? {} })
  }
  return { rope: of('full_attention'), windowRope: of('sliding_attention') }
}

export const GEMMA3 = training('Gemma3ForCausalLM', {
  writtenAs: 'gemma3_text',
  names: {
    ...NAMES,
    otherPrefixes: ['language_model.model.', 'model.language_model.'],
    passedOver: /\.rotary_emb\.inv_freq$|^(model\.)?(vision_tower|multi_modal_projector)\./,
  },
  traits: (r, decoder) => {
    // transformers reads the key, and does nothing with it
    if (r.number('attn_logit_softcapping', undefined) !== undefined)
      r.report('CONFIG_VALUE', 'attn_logit_softcapping must be null: scores of Gemma 3 are not capped')
    r.size('window')
    return { ...gemmaTraits(r, decoder), ...gemma3Ropes(r, decoder) }
  },
  preset: (sizes) => {
    const { rope_theta: _, ...config } = gemmaPreset(sizes)
    const rope = (kind: keyof typeof THETA) => ({ [kind]: { rope_type: 'default', rope_theta: THETA[kind] } })
    return {
      ...config,
      sliding_window_pattern: 6,
      rope_parameters: { ...rope('full_attention'), ...rope('sliding_attention') },
    }
  },
})
