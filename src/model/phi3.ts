/** @file Phi-3 in training: fused projections, and positions in a part of each head, stretched by LongRoPE. */
import { type ConfigReader, show } from './config-reader.ts'
import { LLAMA_NAMES } from './names.ts'
import { readRope } from './rope.ts'
import { llamaPreset, plainTraits, type TrainedDecoder, type Traits, training } from './training.ts'

const { query: _q, key: _k, value: _v, gate: _g, up: _u, ...shared } = LLAMA_NAMES.modules

export const PHI3 = training('Phi3ForCausalLM', {
  names: {
    ...LLAMA_NAMES,
    modules: { ...shared, queryKeyValue: 'self_attn.qkv_proj', gateUp: 'mlp.gate_up_proj' },
  },
  traits: (r, decoder) => ({ ...plainTraits(r, decoder), ...phi3Rope(r, decoder) }),
  preset: (sizes) => ({ ...llamaPreset(sizes), original_max_position_embeddings: sizes.positions }),
})

function phi3Rope(r: ConfigReader, decoder: TrainedDecoder): Pick<Traits, 'rope' | 'rotarySize'> {
  const { headSize } = decoder.attention
  const { rope_scaling, rope_parameters, ...keys } = r.keys
  const given = rope_scaling ?? rope_parameters ?? {}
  const { partial_rotary_factor: own, ...scaling } = given as Readonly<Record<string, unknown>>
  const { partial_rotary_factor: common, ...rest } = keys
  const share = own ?? common ?? 1
  if (!(typeof share === 'number' && share > 0 && share <= 1)) {
    r.report('CONFIG_VALUE', `partial_rotary_factor must be a number above 0 and up to 1, got ${show(share)}`)
    return { rope: undefined, rotarySize: headSize }
  }
  const rotarySize = Math.trunc(headSize * share)
  // as the first configurations called it
  const type = scaling.rope_type ?? scaling.type
  const renamed = type === 'su' || type === 'yarn' ? { rope_type: 'longrope' } : {}
  const [, original_max_position_embeddings] = r.find(['original_max_position_embeddings'])
  const source = { ...rest, original_max_position_embeddings, rope_parameters: { ...scaling, ...renamed } }
  return { rope: readRope(source, decoder.maxPositions, rotarySize, r.report), rotarySize }
}
