/** @file Reading of configurations: what is taken, what is refused and how; parameters and their first values. */
import { describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import type { HfConfig } from '../formats/index.ts'
import {
  className,
  decoderParameters,
  FAMILY_NAMES,
  initialValues,
  PRESET_NAMES,
  PRESETS,
  parameterCount,
  parametersOf,
  presetConfig,
  readArchitecture,
  tensorNames,
} from './index.ts'

const TINY = {
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
}

function sizes(
  model_type: string,
  [vocab_size, hidden_size, intermediate_size, num_hidden_layers]: readonly [number, number, number, number],
  [num_attention_heads, num_key_value_heads]: readonly [number, number],
  rest: HfConfig = {},
): HfConfig {
  return {
    model_type,
    vocab_size,
    hidden_size,
    intermediate_size,
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
    ...rest,
  }
}

function issuesOf(config: HfConfig): RegaugeError {
  try {
    readArchitecture(config, 'model/config.json')
  } catch (error) {
    if (error instanceof RegaugeError) return error
    throw error
  }
  throw new Error('no error')
}

const messages = (config: HfConfig) => issuesOf(config).issues.map(({ message }) => message)

describe('parameter counts are those of transformers 5.18', () => {
  const tied = { tie_word_embeddings: true }
  test.each([
    [
      'Llama-3.2-1B',
      1_235_814_400,
      sizes('llama', [128256, 2048, 8192, 16], [32, 8], { ...tied, head_dim: 64 }),
    ],
    ['Llama-2-7B', 6_738_415_616, sizes('llama', [32000, 4096, 11008, 32], [32, 32])],
    ['TinyLlama-1.1B', 1_100_048_384, sizes('llama', [32000, 2048, 5632, 22], [32, 4])],
    ['SmolLM2-135M', 134_515_008, sizes('llama', [49152, 576, 1536, 30], [9, 3], tied)],
    ['Mistral-7B-v0.1', 7_241_732_096, sizes('mistral', [32000, 4096, 14336, 32], [32, 8])],
    ['Qwen2-0.5B', 494_032_768, sizes('qwen2', [151936, 896, 4864, 24], [14, 2], tied)],
    ['Qwen2.5-1.5B', 1_543_714_304, sizes('qwen2', [151936, 1536, 8960, 28], [12, 2], tied)],
    [
      'Qwen3-0.6B',
      596_049_920,
      sizes('qwen3', [151936, 1024, 3072, 28], [16, 8], { ...tied, head_dim: 128 }),
    ],
    ['Qwen3-8B', 8_190_735_360, sizes('qwen3', [151936, 4096, 12288, 36], [32, 8], { head_dim: 128 })],
    ['gemma-2-2b', 2_614_341_888, sizes('gemma2', [256000, 2304, 9216, 26], [8, 4])],
    ['gemma-3-1b', 999_885_952, sizes('gemma3_text', [262144, 1152, 6912, 26], [4, 1])],
    ['Phi-3-mini', 3_821_079_552, sizes('phi3', [32064, 3072, 8192, 32], [32, 32])],
    ['OLMo-2-7B', 7_298_617_344, sizes('olmo2', [100352, 4096, 11008, 32], [32, 32])],
    ['GPT-2', 124_439_808, { model_type: 'gpt2', vocab_size: 50257, n_embd: 768, n_layer: 12, n_head: 12 }],
    [
      'llama with every bias',
      75_456,
      sizes('llama', [100, 64, 96, 2], [4, 2], { attention_bias: true, mlp_bias: true }),
    ],
  ])('%s', (_, count, config) => {
    expect(parameterCount(readArchitecture(config))).toBe(count)
  })
})

describe('defaults are those of the configuration classes of transformers', () => {
  test('key and value heads, head size, positions, window', () => {
    const read = (model_type: string, rest: HfConfig = {}) =>
      readArchitecture({ ...TINY, num_attention_heads: 32, hidden_size: 128, model_type, ...rest })
    expect(read('llama')).toMatchObject({
      attention: { keyValueHeads: 32, headSize: 4 },
      maxPositions: 2048,
      normEpsilon: 1e-6,
    })
    expect(read('mistral')).toMatchObject({
      attention: { keyValueHeads: 8 },
      maxPositions: 131072,
      windows: [4096, 4096],
    })
    expect(read('qwen2')).toMatchObject({
      attention: { keyValueHeads: 32, headSize: 4 },
      biases: { queryKeyValue: true, output: false },
    })
    expect(read('qwen3')).toMatchObject({
      attention: { keyValueHeads: 32, headSize: 128 },
      queryKeyNorm: 'head',
    })
    expect(read('mistral', { sliding_window: null }).windows).toEqual([undefined, undefined])
    expect(read('mistral', { num_key_value_heads: null, head_dim: null })).toMatchObject({
      attention: { keyValueHeads: 32, headSize: 4 },
    })
  })

  test("qwen's layers see a window from max_window_layers on, where it is in use", () => {
    const qwen = {
      ...TINY,
      model_type: 'qwen2',
      num_key_value_heads: 2,
      sliding_window: 5,
      max_window_layers: 1,
    }
    expect(readArchitecture(qwen).windows).toEqual([undefined, undefined])
    expect(readArchitecture({ ...qwen, use_sliding_window: true }).windows).toEqual([undefined, 5])
    const layer_types = ['sliding_attention', 'full_attention']
    expect(readArchitecture({ ...qwen, use_sliding_window: true, layer_types }).windows).toEqual([
      5,
      undefined,
    ])
  })
})

describe('families that are not like a Llama', () => {
  test('gemma: norms around, scales and caps, windows with a base of their own, in both spellings', () => {
    const old = readArchitecture({
      ...TINY,
      model_type: 'gemma3_text',
      num_hidden_layers: 6,
      rope_theta: 1e6,
      rope_local_base_freq: 100,
      rope_scaling: { rope_type: 'linear', factor: 8 },
    })
    expect(old).toMatchObject({
      normPlacement: 'both',
      normOffset: 1,
      embeddingScale: Math.sqrt(32),
      queryScale: 256 ** -0.5,
      activation: 'gelu_tanh',
      rope: { theta: 1e6, scaling: { type: 'linear', factor: 8 } },
      windowRope: { theta: 100, scaling: { type: 'default' } },
      windows: [4096, 4096, 4096, 4096, 4096, undefined],
    })
    const rope_parameters = {
      full_attention: { rope_type: 'linear', factor: 8 },
      sliding_attention: { rope_type: 'default', rope_theta: 100 },
    }
    const { config: _, ...read } = readArchitecture({ ...old.config, rope_scaling: null, rope_parameters })
    expect(read).toEqual({ ...old, config: undefined })
    const capped = readArchitecture({ ...TINY, model_type: 'gemma2', final_logit_softcapping: null })
    expect([capped.scoreCap, capped.logitCap]).toEqual([50, undefined])
  })

  test('gemma3: of a model that sees the text part, under the names of the text model', () => {
    const { model_type: _, ...text } = TINY
    const notes: string[] = []
    const config = { model_type: 'gemma3', text_config: { ...text, model_type: 'gemma3_text' } }
    const a = readArchitecture(config, 'config.json', (note) => void notes.push(note))
    expect(a.family).toBe('gemma3_text')
    expect(notes).toEqual(['read from text_config; what else the model has is not trained'])
    const nameOf = tensorNames(a)
    const name = 'model.layers.1.mlp.up_proj.weight'
    for (const prefix of ['', 'language_model.']) expect(nameOf(`${prefix}${name}`)).toBe(name)
    expect(nameOf(name.replace('model.', 'model.language_model.'))).toBe(name)
    expect(nameOf('vision_tower.vision_model.post_layernorm.weight')).toBeUndefined()
    expect(nameOf('language_model.lm_head.weight')).toBeUndefined()
    expect(nameOf('something.else')).toBe('something.else')
  })

  test('phi3: part of a head turns, by long or short factors under each name that they had', () => {
    for (const type of ['longrope', 'su', 'yarn']) {
      const rope_scaling = { type, short_factor: [1, 2], long_factor: [3, 4] }
      const keys = { original_max_position_embeddings: 1024, partial_rotary_factor: 0.5, rope_scaling }
      expect(readArchitecture({ ...TINY, model_type: 'phi3', ...keys })).toMatchObject({
        rotarySize: 4,
        rope: { scaling: { type: 'longrope', shortFactors: [1, 2], originalPositions: 1024 } },
      })
    }
    expect(messages({ ...TINY, model_type: 'phi3', partial_rotary_factor: 1.5 })).toEqual([
      'partial_rotary_factor must be a number above 0 and up to 1, got 1.5',
    ])
  })

  test('gpt2: trains without the dropout that it is published with, and says so', () => {
    const notes: string[] = []
    const sizes = { vocab_size: 96, n_embd: 32, n_layer: 1, n_head: 4 }
    const config = { model_type: 'gpt2', ...sizes, summary_first_dropout: 0.1 }
    const a = readArchitecture(config, 'config.json', (note) => void notes.push(note))
    expect(notes).toEqual([
      'trains without dropout, where the model has resid_pdrop 0.1, embd_pdrop 0.1, attn_pdrop 0.1',
    ])
    expect(parametersOf(a).map(({ name, shape }) => `${name} ${shape}`)).toEqual([
      'transformer.wte.weight 96,32',
      'transformer.wpe.weight 1024,32',
      'transformer.h.0.ln_1.weight 32',
      'transformer.h.0.ln_1.bias 32',
      'transformer.h.0.attn.c_attn.weight 32,96',
      'transformer.h.0.attn.c_attn.bias 96',
      'transformer.h.0.attn.c_proj.weight 32,32',
      'transformer.h.0.attn.c_proj.bias 32',
      'transformer.h.0.ln_2.weight 32',
      'transformer.h.0.ln_2.bias 32',
      'transformer.h.0.mlp.c_fc.weight 32,128',
      'transformer.h.0.mlp.c_fc.bias 128',
      'transformer.h.0.mlp.c_proj.weight 128,32',
      'transformer.h.0.mlp.c_proj.bias 32',
      'transformer.ln_f.weight 32',
      'transformer.ln_f.bias 32',
    ])
    expect(tensorNames(a)('h.0.ln_1.weight')).toBe('transformer.h.0.ln_1.weight')
    expect(tensorNames(a)('h.0.attn.bias')).toBeUndefined()
  })

  test.each<[string, HfConfig, string]>([
    ['gemma2', { use_bidirectional_attention: true }, 'use_bidirectional_attention must be false'],
    ['gemma3_text', { attn_logit_softcapping: 50 }, 'attn_logit_softcapping must be null'],
    ['gemma3_text', { sliding_window: null }, 'sliding_window is missing'],
    [
      'gemma3_text',
      { rope_parameters: { rope_theta: 10 } },
      'rope_parameters must have full_attention and sliding_attention, full_attention is missing',
    ],
    ['gpt2', { scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx must be false'],
    ['gpt2', { head_dim: 16 }, 'leave out head_dim and num_key_value_heads'],
    [
      'llama',
      { sliding_window: 4, layer_types: ['full_attention', 'sliding_attention'] },
      'layer_types must name one kind of attention',
    ],
  ])('%s with %j is refused', (model_type, keys, message) => {
    expect(messages({ ...TINY, model_type, ...keys }).join('\n')).toContain(message)
  })

  test.each(FAMILY_NAMES)('%s: its presets, and weights that start as the family has them', (family) => {
    for (const name of PRESET_NAMES) {
      const a = readArchitecture(presetConfig(name, family, { vocabularySize: 512, positions: 4096 }))
      expect([a.vocabularySize, a.maxPositions]).toEqual([512, 4096])
      expect(parameterCount(a)).toBe(decoderParameters(a).total)
      expect(new Set(parametersOf(a).map((one) => one.name)).size).toBe(parametersOf(a).length)
    }
    const a = readArchitecture(presetConfig('nano', family))
    const norm = parametersOf(a).find(({ kind }) => kind === 'norm')!
    expect(initialValues(a, norm, 1)[0]).toBe(family.startsWith('gemma') ? 0 : 1)
  })
})

describe('a config that cannot be', () => {
  test('a family that is only planned for: why, and which ones train', () => {
    const { issues, kind } = issuesOf({ ...TINY, model_type: 'mixtral', num_key_value_heads: 2 })
    expect(kind).toBe('usage')
    expect(issues).toEqual([
      {
        code: 'CONFIG_FAMILY',
        file: 'model/config.json',
        message: 'model_type "mixtral" plans, does not train: it has experts',
        hint: `trained are ${FAMILY_NAMES.join(', ')}`,
      },
    ])
    expect(messages({ ...TINY, model_type: 'gpt_neox' })).toEqual([
      'model_type "gpt_neox" plans, does not train: its forward pass and the names of its parameters are not written here',
    ])
    expect(messages({ ...TINY, num_experts: 8, num_experts_per_tok: 2 })).toEqual([
      'model_type "llama" plans, does not train: it has experts',
    ])
  })

  test('a family that is not known: the nearest, and none where there is a reason', () => {
    const unknown = issuesOf({ ...TINY, model_type: 'lama' }).message
    expect(unknown).toContain('model_type "lama" is not known')
    expect(unknown).toContain('did you mean llama?')
    expect(messages({})).toEqual(['model_type is missing'])
    const sparse = issuesOf({ ...TINY, model_type: 'deepseek_v32', index_n_heads: 64 }).message
    expect(sparse).toContain('index_n_heads stands for an indexer of sparse attention')
    expect(sparse).not.toContain('did you mean')
  })

  test('every problem at once', () => {
    expect(
      messages({
        model_type: 'llama',
        hidden_size: 30,
        num_attention_heads: 4,
        num_key_value_heads: 3,
        num_hidden_layers: 0,
        intermediate_size: 1.5,
        vocab_size: '96',
        hidden_act: 'relu2',
        attention_dropout: 1.5,
        rms_norm_eps: -1,
        tie_word_embeddings: 'yes',
        rope_theta: 'big',
      }),
    ).toEqual([
      'num_hidden_layers must be an integer from 1 to 16384, got 0',
      'intermediate_size must be an integer from 1 to 67108864, got 1.5',
      'vocab_size must be an integer from 1 to 67108864, got "96"',
      'hidden_size 30 is not a multiple of num_attention_heads 4',
      'num_attention_heads 4 is not a multiple of num_key_value_heads 3',
      'tie_word_embeddings must be true or false, got "yes"',
      'attention_dropout must be a number from 0 to below 1, got 1.5',
      'hidden_act must be one of silu, swish, gelu, gelu_pytorch_tanh, gelu_new, got "relu2"',
      'rms_norm_eps must be a positive number, got -1',
      'rope_theta must be a positive number, got "big"',
      'head_dim must be even for rotary embeddings, got 7',
    ])
  })

  test.each([
    [{ hidden_size: '64' }, 'hidden_size must be an integer from 1 to 67108864, got "64"'],
    [{ num_attention_heads: -4 }, 'num_attention_heads must be an integer from 1 to 67108864, got -4'],
    [{ head_dim: 0.5 }, 'head_dim must be an integer from 1 to 67108864, got 0.5'],
  ])('a size that is wrong is told alone, without what follows from it: %j', (keys, problem) => {
    expect(messages({ ...TINY, ...keys })).toEqual([problem])
  })

  test.each([
    [
      'a head size of null with heads that do not divide',
      { num_attention_heads: 5, head_dim: null },
      'not a multiple',
    ],
    ['an odd head size', { head_dim: 7 }, 'head_dim must be even'],
    [
      'sizes that no machine holds',
      { vocab_size: 2 ** 30 },
      'vocab_size must be an integer from 1 to 67108864',
    ],
    [
      'a million layers',
      { num_hidden_layers: 1_000_000 },
      'num_hidden_layers must be an integer from 1 to 16384, got 1000000',
    ],
    ['a number that is none', { hidden_size: Number.NaN }, 'hidden_size must be an integer'],
    ['no heads', { num_attention_heads: undefined }, 'num_attention_heads is missing'],
    [
      'a window of 0',
      { model_type: 'mistral', num_key_value_heads: 2, sliding_window: 0 },
      'sliding_window must be an integer from 1',
    ],
    [
      'a window in words',
      { model_type: 'mistral', num_key_value_heads: 2, sliding_window: 'all' },
      'sliding_window must be an integer from 1',
    ],
  ])('%s', (_, change, message) => {
    expect(messages({ ...TINY, ...change }).join('\n')).toContain(message)
  })
})

test('names and shapes are those of transformers, in the order of the forward pass', () => {
  const a = readArchitecture({
    ...TINY,
    model_type: 'qwen3',
    num_key_value_heads: 2,
    head_dim: 10,
    num_hidden_layers: 1,
  })
  expect(parametersOf(a).map(({ name, shape }) => `${name} ${shape}`)).toEqual([
    'model.embed_tokens.weight 96,32',
    'model.layers.0.input_layernorm.weight 32',
    'model.layers.0.self_attn.q_proj.weight 40,32',
    'model.layers.0.self_attn.k_proj.weight 20,32',
    'model.layers.0.self_attn.v_proj.weight 20,32',
    'model.layers.0.self_attn.q_norm.weight 10',
    'model.layers.0.self_attn.k_norm.weight 10',
    'model.layers.0.self_attn.o_proj.weight 32,40',
    'model.layers.0.post_attention_layernorm.weight 32',
    'model.layers.0.mlp.gate_proj.weight 40,32',
    'model.layers.0.mlp.up_proj.weight 40,32',
    'model.layers.0.mlp.down_proj.weight 32,40',
    'model.norm.weight 32',
    'lm_head.weight 96,32',
  ])
})

test.each(PRESET_NAMES)('the preset %s can be read, and names its class', (name) => {
  const a = readArchitecture(PRESETS[name])
  expect([className(a.family)]).toEqual(PRESETS[name].architectures)
  expect(parameterCount(a)).toBeGreaterThan(0)
})

describe('first values', () => {
  const a = readArchitecture({ ...TINY, vocab_size: 500, attention_bias: true, initializer_range: 0.03 })
  const at = (end: string) => parametersOf(a).find(({ name }) => name.endsWith(end))!

  test('depend on the seed and the name alone', () => {
    const q = at('0.self_attn.q_proj.weight')
    expect(initialValues(a, q, 1)).toEqual(initialValues(a, q, 1))
    expect(initialValues(a, q, 1)).not.toEqual(initialValues(a, q, 2))
    expect(initialValues(a, q, 1)).not.toEqual(initialValues(a, at('1.self_attn.q_proj.weight'), 1))
    // the same on every machine and in every version: else a seed would mean another run
    expect([...initialValues(a, q, 1).subarray(0, 3)]).toMatchInlineSnapshot(`
      [
        0.048629555851221085,
        0.005951801780611277,
        0.02105160430073738,
      ]
    `)
  })

  test.each([
    ['embed_tokens.weight', 0.03],
    ['0.mlp.up_proj.weight', 0.03],
    ['1.mlp.down_proj.weight', 0.03 / 2],
    ['1.self_attn.o_proj.weight', 0.03 / 2],
  ])('of %s are normal with deviation %d', (name, deviation) => {
    const values = initialValues(a, at(name), 5)
    const count = values.length
    const moment = (power: number) => values.reduce((sum, x) => sum + (x / deviation) ** power, 0) / count
    // each within about four standard errors
    expect(Math.abs(moment(1))).toBeLessThan(4 / Math.sqrt(count))
    expect(Math.abs(moment(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / count))
    expect(Math.abs(moment(3))).toBeLessThan(4 * Math.sqrt(15 / count))
    expect(Math.abs(moment(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / count))
  })

  test('of norms are 1 and of biases 0', () => {
    expect(new Set(initialValues(a, at('model.norm.weight'), 1))).toEqual(new Set([1]))
    expect(new Set(initialValues(a, at('q_proj.bias'), 1))).toEqual(new Set([0]))
  })
})
