/** @file Decoders from the configurations of published models: their parameters and FLOPs, and what is refused. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import type { HfConfig } from '../formats/index.ts'
import {
  DECODER_FAMILY_NAMES,
  type Decoder,
  decoderFlops,
  decoderParameters,
  layerParameters,
  parameterCount,
  readArchitecture,
  readDecoder,
} from './index.ts'
import { KEYS } from './keys.ts'

const ROOT = join(import.meta.dirname, '../..')
const json = (path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'))
const example = (name: string): HfConfig => json(`examples/models/${name}/config.json`)

const sizes = (
  model_type: string,
  [hidden_size, intermediate_size, num_hidden_layers]: readonly [number, number, number],
  [num_attention_heads, num_key_value_heads]: readonly [number, number],
  vocab_size: number,
  rest: HfConfig = {},
): HfConfig => ({
  model_type,
  hidden_size,
  intermediate_size,
  num_hidden_layers,
  num_attention_heads,
  num_key_value_heads,
  vocab_size,
  ...rest,
})

const TINY = sizes('llama', [64, 96, 4], [4, 2], 100)
const MOE = { num_experts: 8, num_experts_per_tok: 2, moe_intermediate_size: 32 }

function issuesOf(config: HfConfig): string[] {
  try {
    readDecoder(config, 'model/config.json')
  } catch (error) {
    if (!(error instanceof RegaugeError)) throw error
    expect(error.kind).toBe('usage')
    return error.message.split('\n').map((line) => line.replace('model/config.json  ', ''))
  }
  return []
}

function notesOf(config: HfConfig): string[] {
  const notes: string[] = []
  readDecoder(config, 'config.json', (text) => void notes.push(text))
  return notes
}

describe('parameters are those that transformers counts', () => {
  interface Golden {
    readonly config: HfConfig
    readonly total: number
    readonly firstLayer: number
    readonly lastLayer: number
    readonly experts: number
  }
  const golden = json('test/golden/decoders/counts.json') as Record<string, Golden>

  test.each(Object.entries(golden))('%s', (_, { config, ...counts }) => {
    const decoder = readDecoder(config)
    const layer = (index: number) =>
      layerParameters(decoder, decoder.expertLayers.at(index) === true ? 'expert' : 'dense').total
    const expertLayers = decoder.expertLayers.filter(Boolean).length
    expect({
      total: decoderParameters(decoder).total,
      firstLayer: layer(0),
      lastLayer: layer(-1),
      experts: expertLayers * (decoder.experts?.count ?? 0) * layerParameters(decoder, 'expert').expert,
    }).toEqual(counts)
  })

  test('most families are among them', () => {
    const checked = new Set(Object.values(golden).map(({ config }) => config.model_type))
    // those that transformers does not build: their code lies beside their weights
    expect(DECODER_FAMILY_NAMES.filter((name) => !checked.has(name))).toEqual([
      'deepseek',
      'kimi_k2',
      'gemma3',
      'baichuan',
      'internlm',
      'internlm2',
      'minicpm',
      'chatglm',
      'grok-1',
      'PanguEmbedded',
      'PanguProMoE',
      'pangu_ultra_moe',
    ])
  })

  test.each(readdirSync(join(ROOT, 'test/golden/models')))(
    'of the model %s, as training counts them',
    (name) => {
      const path = `test/golden/models/${name}/config.json`
      if (!existsSync(join(ROOT, path))) return
      const config = json(path) as HfConfig
      const decoder = readDecoder(config)
      const architecture = readArchitecture(config)
      expect(decoderParameters(decoder).total).toBe(parameterCount(architecture))
      expect(decoder.windows).toEqual(architecture.windows)
    },
  )
})

describe('parameters are those that were published', () => {
  const billions = (count: number) => Number((count / 1e9).toPrecision(3))

  test.each([
    ['llama-3.1-405b', 405_853_388_800],
    ['llama-3-70b', 70_553_706_496],
    ['bloom-176b', 176_247_271_424],
    ['mixtral-8x7b', 46_702_792_704],
    // the published 671,026,419,200 has the biases that balance 58 x 256 experts, which no gradient trains
    ['deepseek-v3', 671_026_419_200 - 58 * 256],
    ['qwen3-235b-a22b', 235_093_634_560],
    ['gpt3-175b', 174_604_259_328],
  ])('%s has %d', (name, total) => {
    expect(decoderParameters(readDecoder(example(name))).total).toBe(total)
  })

  // as model cards and papers round them: all, and those active for a token
  test.each([
    ['mixtral-8x7b', 46.7, 12.9],
    ['deepseek-v3', 671, 37.6],
    ['qwen3-235b-a22b', 235, 22.2],
  ])('%s has %d billion, of them %d active', (name, total, active) => {
    const counts = decoderParameters(readDecoder(example(name)))
    expect([billions(counts.total), billions(counts.active)]).toEqual([total, active])
  })

  test.each<[string, number, HfConfig]>([
    [
      'ChatGLM3-6B',
      6_243_584_000,
      {
        model_type: 'chatglm',
        hidden_size: 4096,
        ffn_hidden_size: 13696,
        num_layers: 28,
        num_attention_heads: 32,
        kv_channels: 128,
        multi_query_attention: true,
        multi_query_group_num: 2,
        add_qkv_bias: true,
        add_bias_linear: false,
        padded_vocab_size: 65024,
      },
    ],
    ['Baichuan2-7B', 7_505_973_248, { ...sizes('baichuan', [4096, 11008, 32], [32, 32], 125696) }],
    ['Baichuan2-13B', 13_896_668_160, { ...sizes('baichuan', [5120, 13696, 40], [40, 40], 125696) }],
    [
      'InternLM2-20B',
      19_861_149_696,
      { ...sizes('internlm2', [6144, 16384, 48], [48, 8], 92544), bias: false },
    ],
    ['MiniCPM-2B', 2_724_880_896, { ...sizes('minicpm', [2304, 5760, 40], [36, 36], 122753) }],
  ])('%s has %d', (_, total, config) => {
    expect(decoderParameters(readDecoder(config)).total).toBe(total)
  })

  const grok = sizes('grok-1', [6144, 32768, 64], [48, 8], 131072, { num_experts: 8, num_experts_per_tok: 2 })
  const kimi: HfConfig = {
    ...example('deepseek-v3'),
    model_type: 'kimi_k2',
    vocab_size: 163840,
    num_attention_heads: 64,
    n_routed_experts: 384,
    first_k_dense_replace: 1,
    num_nextn_predict_layers: 0,
  }
  const pangu: HfConfig = {
    model_type: 'pangu_ultra_moe',
    vocab_size: 153600,
    hidden_size: 7680,
    intermediate_size: 18432,
    moe_intermediate_size: 2048,
    num_hidden_layers: 61,
    num_mtp_layers: 1,
    num_attention_heads: 128,
    num_shared_experts: 1,
    num_routed_experts: 256,
    num_experts_per_tok: 8,
    num_dense_layers: 3,
    attention_q_lora_dim: 1536,
    attention_kv_lora_dim: 512,
    attention_qk_dim: 128,
    attention_qk_rope_dim: 64,
    attention_v_dim: 128,
    sandwich_norm: true,
  }
  const panguPro = sizes('PanguProMoE', [5120, 5120, 48], [40, 8], 153376, {
    num_experts: 64,
    num_experts_per_tok: 8,
    moe_intermediate_size: 1344,
    shared_expert_intermediate_size: 5376,
  })
  test.each([
    ['Grok-1', grok, 314],
    ['InternLM-7B', sizes('internlm', [4096, 11008, 32], [32, 32], 103168), 7.3],
    ['Kimi-K2', kimi, 1026],
    ['openPangu-Ultra-MoE', pangu, 718],
    ['Pangu Pro MoE', panguPro, 72],
  ])('%s has some %# billion', (_, config, published) => {
    const { total } = decoderParameters(readDecoder(config))
    expect(Math.abs(total / 1e9 / published - 1)).toBeLessThan(0.01)
  })

  test('the prediction layer of DeepSeek-V3 has 11.5 billion beside the embedding and head that it shares', () => {
    const decoder = readDecoder(example('deepseek-v3'))
    const { predictionLayers } = decoderParameters(decoder)
    expect(Math.abs(predictionLayers / 11.5e9 - 1)).toBeLessThan(0.01)
    expect(predictionLayers).toBe(2 * 7168 ** 2 + 3 * 7168 + layerParameters(decoder, 'expert').total)
  })
})

describe('FLOPs', () => {
  test('of GPT-3 are those of Narayanan et al. (arXiv 2104.04473, equation 3), without recomputation', () => {
    const [l, h, s, V] = [96, 12288, 2048, 50257]
    const flops = decoderFlops(readDecoder(example('gpt3-175b')), s)
    expect(flops.totalFull / (72 * l * h * h * (1 + s / (6 * h) + V / (12 * l * h)))).toBeCloseTo(1, 12)
  })

  // "Insights into DeepSeek-V3" (arXiv 2505.09343, table 2): GFLOPs per token in training, sequences of 4096.
  // The table does not say what it counts: for Qwen-72B it has less than six for each parameter beside the embedding.
  test.each<[string, number, HfConfig]>([
    ['LLaMA-405B', 2448, example('llama-3.1-405b')],
    ['Qwen-72B', 394, sizes('qwen2', [8192, 29568, 80], [64, 8], 152064)],
    ['DeepSeek-V3', 250, { ...example('deepseek-v3'), num_nextn_predict_layers: 0 }],
  ])('of %s are some %d billion a token', (_, published, config) => {
    const { total } = decoderFlops(readDecoder(config), 4096)
    expect(Math.abs(total / 1e9 / published - 1)).toBeLessThan(0.15)
  })

  test('are six for each weight that a token is multiplied with', () => {
    for (const name of ['llama-3.1-405b', 'deepseek-v3', 'qwen3-235b-a22b']) {
      const decoder = { ...readDecoder(example(name)), predictionLayers: 0, normVectors: 0 } as Decoder
      const { active, embedding } = decoderParameters(decoder)
      const { total, attentionCore } = decoderFlops(decoder, 4096)
      expect(total - attentionCore).toBe(6 * (active - embedding))
    }
  })

  test('of attention within windows are of the keys that are seen, causal about half of full', () => {
    const all = decoderFlops(readDecoder(TINY), 1000)
    expect(all.attentionCoreFull).toBe(6 * 4 * 2 * 4 * 16 * 1000)
    expect(all.attentionCore).toBe(6 * 4 * 2 * 4 * 16 * 500.5)
    const windows = decoderFlops(readDecoder({ ...TINY, model_type: 'mistral', sliding_window: 10 }), 1000)
    expect(windows.attentionCoreFull).toBe(all.attentionCoreFull / 100)
    expect(windows.attentionCore).toBeLessThan(windows.attentionCoreFull)
  })

  test('of a prediction layer are those of a layer, a projection of two inputs, and the head again', () => {
    const decoder = readDecoder({ ...TINY, num_nextn_predict_layers: 2 })
    const { predictionLayers, attention, attentionCore, mlp, head, total } = decoderFlops(decoder, 64)
    expect(predictionLayers).toBe(2 * ((attention + attentionCore + mlp) / 4 + 6 * 2 * 64 * 64 + head))
    expect(total).toBe(attention + attentionCore + mlp + head + predictionLayers)
  })
})

describe('groups of experts', () => {
  const groupsOf = (rest: HfConfig) => {
    const { experts } = readDecoder({ ...TINY, ...MOE, model_type: 'a-new-one', ...rest })
    return [experts!.groups, experts!.activeGroups]
  }

  test.each([
    [{}, [1, 1]],
    [{ n_group: null, topk_group: null }, [1, 1]],
    [{ n_group: 0, topk_group: 0 }, [1, 1]],
    [{ n_group: 1, topk_group: 1 }, [1, 1]],
    [{ n_group: 4, topk_group: 2 }, [4, 2]],
    [{ n_group: 4 }, [4, 4]],
    // DeepSeek-V2 chooses among all experts where it says so
    [{ n_group: 4, topk_group: 2, topk_method: 'greedy' }, [1, 1]],
    [{ n_group: 4, topk_group: 2, topk_method: 'group_limited_greedy' }, [4, 2]],
  ])('by %j are %j', (rest, groups) => {
    expect(groupsOf(rest)).toEqual(groups)
  })

  test('of DeepSeek-V3 are 8, of which a token goes to 4', () => {
    const v3 = JSON.parse(readFileSync('examples/models/deepseek-v3/config.json', 'utf8'))
    expect(readDecoder(v3).experts).toMatchObject({ groups: 8, activeGroups: 4 })
  })
})

describe('layers', () => {
  const expertLayers = (rest: HfConfig, type = 'a-new-one') =>
    readDecoder({ ...TINY, ...MOE, model_type: type, ...rest })
      .expertLayers.map((has) => (has ? 'x' : '-'))
      .join('')

  test.each([
    [{}, 'xxxx'],
    [{ first_k_dense_replace: 1 }, '-xxx'],
    [{ moe_layer_freq: 2 }, 'x-x-'],
    [{ decoder_sparse_step: 2 }, '-x-x'],
    [{ decoder_sparse_step: 2, mlp_only_layers: [1] }, '---x'],
    [{ moe_layer_start_index: 1, moe_layer_end_index: 2 }, '-xx-'],
    [{ moe_layer_start_index: 1, moe_layer_end_index: -1 }, '-xxx'],
    [{ mlp_layer_types: ['dense', 'sparse', 'dense', 'dense'] }, '-x--'],
    [{ num_experts: 1 }, '----'],
    [{ num_experts: null }, '----'],
  ])('with experts by %j are %s', (rest, layers) => {
    expect(expertLayers(rest)).toBe(layers)
  })

  test.each([
    ['mistral', {}, [4096, 4096, 4096, 4096]],
    ['mistral', { sliding_window: null }, [undefined, undefined, undefined, undefined]],
    ['qwen2', { sliding_window: 8 }, [undefined, undefined, undefined, undefined]],
    [
      'qwen2',
      { sliding_window: 8, use_sliding_window: true, max_window_layers: 3 },
      [undefined, undefined, undefined, 8],
    ],
    ['gemma2', { sliding_window: 8 }, [8, undefined, 8, undefined]],
    ['gemma3_text', { sliding_window: 8, sliding_window_pattern: 3 }, [8, 8, undefined, 8]],
    ['gpt_oss', { ...MOE }, [128, undefined, 128, undefined]],
    ['gpt_neo', { max_position_embeddings: 64 }, [undefined, 256, undefined, 256]],
    [
      'olmo3',
      {
        sliding_window: 8,
        layer_types: ['full_attention', 'sliding_attention', 'full_attention', 'full_attention'],
      },
      [undefined, 8, undefined, undefined],
    ],
  ])('of %s with windows by %j', (type, rest, windows) => {
    expect(readDecoder({ ...TINY, model_type: type, ...rest }).windows).toEqual(windows)
  })
})

describe('a model that is not in the table', () => {
  test('is read by the rules of a Llama, and says so', () => {
    expect(readDecoder({ ...TINY, model_type: 'lama' })).toEqual(readDecoder(TINY))
    expect(notesOf({ ...TINY, model_type: 'lama' })).toEqual([
      'model_type "lama" is not known: read by the rules of a Llama; did you mean llama?',
    ])
    const { model_type: _, ...untyped } = TINY
    expect(notesOf(untyped)).toEqual(['model_type is missing: read by the rules of a Llama'])
    expect(notesOf(TINY)).toEqual([])
  })

  test('has biases where common keys say so', () => {
    const { biases } = readDecoder({ ...TINY, model_type: 'a-new-one', qkv_bias: true, mlp_bias: true })
    expect(biases).toEqual({ queryKeyValue: true, output: false, mlp: true, router: false, head: false })
  })

  test.each([
    [{ is_encoder_decoder: true }, 'is_encoder_decoder stands for an encoder'],
    [{ mamba_d_state: 16 }, 'mamba_d_state stands for state-space layers'],
    [{ index_n_heads: 64, vocab_size: null }, 'index_n_heads stands for an indexer of sparse attention'],
  ])('is refused for what no decoder has, and for that alone: %j', (rest, reason) => {
    expect(issuesOf({ ...TINY, model_type: 'deepseek_v32', ...rest })).toEqual([
      `model_type "deepseek_v32": ${reason}, which cannot be planned for`,
    ])
  })

  test.each([
    [{ layer_norm_eps: 1e-5 }, 'layer_norm_eps stands for layer norms, where a Llama has rms_norm_eps'],
    [
      { hidden_act: 'relu2' },
      'hidden_act must be one of silu, swish, swiglu, gelu, gelu_pytorch_tanh, got "relu2"',
    ],
    [
      { layer_types: ['full_attention', 'linear_attention', 'full_attention', 'full_attention'] },
      'layer_types[1] must be one of full_attention, sliding_attention, chunked_attention, got "linear_attention"',
    ],
  ])('is refused when it has %j', (rest, message) => {
    expect(issuesOf({ ...TINY, model_type: 'a-new-one', ...rest })).toEqual([
      expect.stringContaining('model_type "a-new-one" is not known, and its keys are not those of a Llama'),
      message,
    ])
  })
})

test('of a model that also sees, the text part is read, and a note says so', () => {
  const { model_type, ...text } = TINY
  const config = {
    model_type: 'gemma3',
    text_config: { ...text, model_type: 'gemma3_text' },
    vision_config: {},
  }
  expect(readDecoder(config)).toEqual(readDecoder({ ...TINY, model_type: 'gemma3_text' }))
  expect(notesOf(config)).toContain('read from text_config; what else the model has is not counted')
  expect(model_type).toBe('llama')
})

test('of a decoder that does not train, a note says why', () => {
  expect(notesOf({ ...TINY, ...MOE, model_type: 'qwen3_moe' })).toEqual([
    'model_type "qwen3_moe" plans, does not train: it has experts',
  ])
  expect(notesOf(example('deepseek-v3'))).toEqual([
    'model_type "deepseek_v3" plans, does not train: it has attention through a latent, experts, layers that predict further tokens',
  ])
})

test('every problem of a file is told at once', () => {
  expect(
    issuesOf({
      model_type: 'mixtral',
      hiden_size: 64,
      intermediate_size: 1.5,
      num_hidden_layers: 1e6,
      num_attention_heads: 6,
      num_key_value_heads: 4,
      vocab_size: '100',
      num_experts_per_tok: 9,
      tie_word_embeddings: 'no',
    }),
  ).toEqual([
    'hidden_size is missing: did you mean hiden_size?',
    'num_hidden_layers must be an integer from 1 to 16384, got 1000000',
    'intermediate_size must be an integer from 1 to 67108864, got 1.5',
    'num_experts_per_tok is 9, of 8 experts',
    'vocab_size must be an integer from 1 to 67108864, got "100"',
    'num_attention_heads 6 is not a multiple of num_key_value_heads 4',
    'tie_word_embeddings must be true or false, got "no"',
  ])
})

test.each<[HfConfig, string]>([
  [{ num_attention_heads: 5 }, 'hidden_size 64 is not a multiple of num_attention_heads 5: set head_dim'],
  [{ vocab_size: 2 ** 27 }, 'vocab_size must be an integer from 1 to 67108864, got 134217728'],
  [{ hidden_size: -1 }, 'hidden_size must be an integer from 1 to 67108864, got -1'],
  [
    { hidden_size: 2 ** 26, intermediate_size: 2 ** 26, num_hidden_layers: 64 },
    '2017612655140798500 parameters are more than 2^53',
  ],
  [
    { model_type: 'opt', max_position_embeddings: 8, word_embed_proj_dim: 32 },
    'word_embed_proj_dim must be hidden_size 64, got 32',
  ],
  [
    { model_type: 'deepseek_v3', kv_lora_rank: 16, qk_nope_head_dim: 8, qk_rope_head_dim: 4 },
    'v_head_dim is missing',
  ],
  [
    { ...MOE, n_group: 3, num_key_value_heads: 4 },
    'n_group is 3, of 8 experts: set n_group to a divisor, or to 1 for no groups',
  ],
  [
    { ...MOE, n_group: 8, topk_group: 1, num_key_value_heads: 4 },
    'topk_group is 1, of 8 groups of 1, for 2 experts: give from 2 to 8',
  ],
  [
    { ...MOE, n_group: 2, topk_group: 3, num_key_value_heads: 4 },
    'topk_group is 3, of 2 groups of 4, for 2 experts: give from 1 to 2',
  ],
])('%j is refused', (rest, message) => {
  expect(issuesOf({ ...TINY, num_key_value_heads: null, ...rest })).toEqual([message])
})

describe('whatever stands in a file', () => {
  const key = fc.constantFrom(
    ...Object.values(KEYS).flat(),
    'layer_types',
    'mlp_layer_types',
    'mlp_only_layers',
    'expansion_ratio',
    'tie_word_embeddings',
    'attention_bias',
    'use_sliding_window',
    'text_config',
    '__proto__',
  )
  const value = fc.oneof(
    fc.constantFrom<unknown>(null, true, 'x', [], {}, Number.MAX_VALUE, -1, 0.5, ['full_attention']),
    fc.integer({ min: 0, max: 2 ** 27 }),
    fc.integer({ min: 0, max: 64 }),
    fc.jsonValue(),
  )
  const type = fc.constantFrom(...DECODER_FAMILY_NAMES, 'constructor', 'a-new-one')
  const configs = fc.oneof(
    fc.dictionary(fc.string(), fc.jsonValue()),
    fc.tuple(type, fc.dictionary(key, value)).map(([model_type, keys]) => ({ ...TINY, model_type, ...keys })),
    fc.dictionary(key, value),
  )

  test('it is read, or refused for a reason', () => {
    fc.assert(
      fc.property(configs, (config) => {
        let decoder: Decoder
        try {
          decoder = readDecoder(config)
        } catch (error) {
          if (error instanceof RegaugeError && error.kind === 'usage') return
          throw error
        }
        const counts = decoderParameters(decoder)
        expect(Object.values(counts).every((count) => Number.isSafeInteger(count) && count >= 0)).toBe(true)
        expect(counts.active).toBeLessThanOrEqual(counts.total)
        expect(decoder.expertLayers).toHaveLength(decoder.layers)
        expect(decoder.windows).toHaveLength(decoder.layers)
        expect(decoderFlops(decoder, 128).total).toBeGreaterThan(0)
      }),
      { numRuns: 2000 },
    )
  })
})
