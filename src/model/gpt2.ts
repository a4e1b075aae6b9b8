/** @file GPT-2 in training: layer norms, learned positions, and matrices that lie as Conv1D of transformers keeps them. */
import type { ConfigReader } from './config-reader.ts'
import type { Names } from './names.ts'
import { type PresetSizes, plainTraits, type TrainedDecoder, type Traits, training } from './training.ts'

const NAMES: Names = {
  prefix: 'transformer.',
  layers: 'h',
  modules: {
    embedding: 'wte',
    positions: 'wpe',
    attentionNorm: 'ln_1',
    queryKeyValue: 'attn.c_attn',
    attentionOutput: 'attn.c_proj',
    mlpNorm: 'ln_2',
    up: 'mlp.c_fc',
    down: 'mlp.c_proj',
    finalNorm: 'ln_f',
    head: 'lm_head',
  },
  transposed: true,
  // the model was published without its head
  otherPrefixes: [''],
  // masks of attention
  passedOver: /\.attn\.(bias|masked_bias)$/,
}

/** Keys of other families, as GPT-2's configuration has them. */
const SPELLING = {
  hidden_size: 'n_embd',
  intermediate_size: 'n_inner',
  num_hidden_layers: 'n_layer',
  num_attention_heads: 'n_head',
  max_position_embeddings: 'n_positions',
  rms_norm_eps: 'layer_norm_epsilon',
}

function gpt2Traits(r: ConfigReader, decoder: TrainedDecoder): Traits {
  for (const key of ['scale_attn_by_inverse_layer_idx', 'add_cross_attention']) {
    if (r.flag(key)) r.report('CONFIG_VALUE', `${key} must be false`)
  }
  const { heads, keyValueHeads, headSize } = decoder.attention
  if (heads * headSize !== decoder.hiddenSize || keyValueHeads !== heads)
    r.report(
      'CONFIG_SHAPE',
      'heads of GPT-2 share nothing, and divide n_embd: leave out head_dim and num_key_value_heads',
    )
  return {
    ...plainTraits(r, decoder),
    normEpsilon: r.number('layer_norm_epsilon', 1e-5),
    ...(r.flag('scale_attn_weights') ? {} : { queryScale: 1 }),
  }
}

export const GPT2 = training('GPT2LMHeadModel', {
  names: NAMES,
  spelling: SPELLING,
  traits: gpt2Traits,
  preset: (sizes: PresetSizes) => ({
    activation_function: 'gelu_new',
    initializer_range: sizes.initializerRange,
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
    vocab_size: sizes.vocabularySize,
    n_positions: sizes.positions,
    n_layer: sizes.layers,
    n_embd: sizes.hiddenSize,
    n_head: sizes.heads,
    n_inner: sizes.intermediateSize,
    resid_pdrop: 0,
    embd_pdrop: 0,
    attn_pdrop: 0,
  }),
})
