/** @file Shapes of decoders where a table gives sizes and a name: what a family of models has in common. */
import type { Attention, Decoder } from '../../src/model/index.ts'
import { refuse } from './row.ts'

/** Facts that all models of a family share. */
interface Family {
  readonly gated: boolean
  readonly norm: 'layer' | 'rms'
  readonly normsPerLayer: number
  readonly biases: Decoder['biases']
  readonly queryKeyNorm: boolean
  /** A table of learned positions, as long as the sequence. */
  readonly learnedPositions: boolean
  readonly tied: boolean
  readonly dropout: boolean
  /** Tokens of its tokenizer, where a row is silent. */
  readonly vocabulary: number
  readonly headSize?: number
  /** Every second layer attends to so many tokens. */
  readonly everySecondWindow?: number
}

const NONE = { queryKeyValue: false, output: false, mlp: false, router: false, head: false }
const ALL = { ...NONE, queryKeyValue: true, output: true, mlp: true }

/** GPT-2 and GPT-3: tokens of GPT-2. */
const gpt: Family = {
  gated: false,
  norm: 'layer',
  normsPerLayer: 2,
  biases: ALL,
  queryKeyNorm: false,
  learnedPositions: true,
  tied: true,
  dropout: true,
  vocabulary: 50_257,
}

const llama: Family = {
  gated: true,
  norm: 'rms',
  normsPerLayer: 2,
  biases: NONE,
  queryKeyNorm: false,
  learnedPositions: false,
  tied: false,
  dropout: false,
  vocabulary: 32_000,
}

const qwen: Family = { ...llama, biases: { ...NONE, queryKeyValue: true }, vocabulary: 152_064 }
const gemma: Family = { ...llama, tied: true, vocabulary: 256_000, headSize: 256 }

/** By the name of a model; first that fits wins. Vocabularies are those of the published config.json. */
const FAMILIES: readonly (readonly [RegExp, Family])[] = [
  [/gpt.?oss/i, { ...llama, biases: ALL, vocabulary: 201_088, headSize: 64, everySecondWindow: 128 }],
  [/pangu.?alpha/i, { ...gpt, vocabulary: 40_000 }],
  // GPT4-4x16B is MindSpeed's name of a GPT with experts
  [/\bgpt/i, gpt],
  [/\bopt\b/i, { ...gpt, vocabulary: 50_272 }],
  [/\bmpt/i, { ...gpt, biases: NONE, dropout: false, vocabulary: 50_368 }],
  [/bloom/i, { ...gpt, learnedPositions: false, dropout: false, vocabulary: 250_880 }],
  [/glm-?130b/i, { ...gpt, gated: true, learnedPositions: false, tied: true, vocabulary: 150_528 }],
  [/chatglm[23]/i, { ...llama, biases: { ...NONE, queryKeyValue: true }, vocabulary: 65_024 }],
  [/glm/i, { ...llama, biases: { ...NONE, queryKeyValue: true }, vocabulary: 151_552 }],
  [/gemma-?2-?27b/i, { ...gemma, normsPerLayer: 4, headSize: 128, everySecondWindow: 4096 }],
  [/gemma-?2/i, { ...gemma, normsPerLayer: 4, everySecondWindow: 4096 }],
  [/gemma/i, gemma],
  [/grok/i, { ...llama, normsPerLayer: 4, tied: true, vocabulary: 131_072, headSize: 128 }],
  [/minicpm/i, { ...llama, tied: true, vocabulary: 122_753 }],
  [/deepseek-?v2|deepseekv2/i, { ...llama, vocabulary: 102_400 }],
  [/deepseek/i, { ...llama, vocabulary: 129_280 }],
  [/kimi/i, { ...llama, vocabulary: 163_840 }],
  [/qwen-?3/i, { ...llama, queryKeyNorm: true, vocabulary: 151_936, headSize: 128 }],
  [/qwen-?(1\.5-?)?(0\.5|1\.8|4|7)b|qwen-?2(\.5)?-?(0\.5|1\.5|3)b/i, { ...qwen, vocabulary: 151_936 }],
  [/qwen/i, qwen],
  [/baichuan-?2/i, { ...llama, vocabulary: 125_696 }],
  [/baichuan/i, { ...llama, vocabulary: 64_000 }],
  [/aquila/i, { ...llama, vocabulary: 100_008 }],
  [/internlm-?2/i, { ...llama, vocabulary: 92_544 }],
  [/internlm/i, { ...llama, biases: { ...NONE, queryKeyValue: true, output: true }, vocabulary: 103_168 }],
  [/\byi\b/i, { ...llama, vocabulary: 64_000 }],
  [/telechat/i, { ...llama, vocabulary: 131_072 }],
  [/skywork/i, { ...llama, vocabulary: 65_519 }],
  [/internal|megascale|hunyuan|phi/i, llama],
  [/llama-?3/i, { ...llama, vocabulary: 128_256 }],
  [/llama|mistral|mixtral/i, llama],
]

/** Sizes of public models, for rows that only name them. */
const NAMED: readonly (readonly [RegExp, Partial<Sizes>])[] = [
  [/llama-?3(\.1)?[-_ ]?8b/i, { layers: 32, hidden: 4096, ffn: 14_336, heads: 32, keyValueHeads: 8 }],
  [/llama-?3(\.1)?[-_ ]?70b/i, { layers: 80, hidden: 8192, ffn: 28_672, heads: 64, keyValueHeads: 8 }],
  [/llama-?3(\.1)?[-_ ]?405b/i, { layers: 126, hidden: 16_384, ffn: 53_248, heads: 128, keyValueHeads: 8 }],
  [/llama-?2[-_ ]?7b/i, { layers: 32, hidden: 4096, ffn: 11_008, heads: 32, keyValueHeads: 32 }],
  [/llama-?2[-_ ]?13b/i, { layers: 40, hidden: 5120, ffn: 13_824, heads: 40, keyValueHeads: 40 }],
  [/llama-?2[-_ ]?70b/i, { layers: 80, hidden: 8192, ffn: 28_672, heads: 64, keyValueHeads: 8 }],
  [/gpt-?3[-_ ]?5b/i, { layers: 24, hidden: 4096, ffn: 16_384, heads: 32 }],
  [/gpt-?3[-_ ]?20b/i, { layers: 44, hidden: 6144, ffn: 24_576, heads: 48 }],
  [/gpt-?3[-_ ]?175b/i, { layers: 96, hidden: 12_288, ffn: 49_152, heads: 96 }],
  [
    /gpt.?oss.?120b/i,
    {
      layers: 36,
      hidden: 2880,
      ffn: 2880,
      heads: 64,
      keyValueHeads: 8,
      moe: { experts: 128, active: 4, width: 2880, shared: 0, firstDense: 0 },
    },
  ],
  [
    /gpt.?oss.?20b/i,
    {
      layers: 24,
      hidden: 2880,
      ffn: 2880,
      heads: 64,
      keyValueHeads: 8,
      moe: { experts: 32, active: 4, width: 2880, shared: 0, firstDense: 0 },
    },
  ],
  [
    /deepseek-?v3/i,
    {
      layers: 61,
      hidden: 7168,
      ffn: 18_432,
      heads: 128,
      latent: { query: 1536, keyValue: 512, plain: 128, rotary: 64, value: 128 },
      moe: { experts: 256, active: 8, groups: [8, 4], width: 2048, shared: 2048, firstDense: 3 },
    },
  ],
  [
    /mixtral-?8x7b/i,
    {
      layers: 32,
      hidden: 4096,
      ffn: 14_336,
      heads: 32,
      keyValueHeads: 8,
      moe: { experts: 8, active: 2, width: 14_336, shared: 0, firstDense: 0 },
    },
  ],
  [
    /mixtral-?8x22b/i,
    {
      layers: 56,
      hidden: 6144,
      ffn: 16_384,
      heads: 48,
      keyValueHeads: 8,
      moe: { experts: 8, active: 2, width: 16_384, shared: 0, firstDense: 0 },
    },
  ],
  [
    /qwen-?3[-_ ]?30b/i,
    {
      layers: 48,
      hidden: 2048,
      ffn: 6144,
      heads: 32,
      keyValueHeads: 4,
      moe: { experts: 128, active: 8, width: 768, shared: 0, firstDense: 0 },
    },
  ],
  [
    /qwen-?3[-_ ]?235b/i,
    {
      layers: 94,
      hidden: 4096,
      ffn: 12_288,
      heads: 64,
      keyValueHeads: 4,
      moe: { experts: 128, active: 8, width: 1536, shared: 0, firstDense: 0 },
    },
  ],
  [
    /qwen-?2[-_ ]?57b/i,
    {
      layers: 28,
      hidden: 3584,
      ffn: 18_944,
      heads: 28,
      keyValueHeads: 4,
      moe: { experts: 64, active: 8, width: 2560, shared: 20_480, firstDense: 0 },
    },
  ],
]

/** Sizes as tables give them; null where a row is silent. */
export interface Sizes {
  readonly layers: number | null
  readonly hidden: number | null
  readonly ffn: number | null
  readonly heads: number | null
  readonly keyValueHeads: number | null
  readonly headSize: number | null
  readonly vocabulary: number | null
  readonly moe: {
    readonly experts: number
    readonly active: number
    /** Groups of experts, and how many of them a token's may be of; left out where that is not limited. */
    readonly groups?: readonly [number, number]
    /** Null where an expert is as wide as the MLP. */
    readonly width: number | null
    /** Width of all shared experts together. */
    readonly shared: number
    readonly firstDense: number
  } | null
  readonly latent: {
    readonly query: number
    readonly keyValue: number
    readonly plain: number
    readonly rotary: number
    readonly value: number
  } | null
}

export const NO_SIZES: Sizes = {
  layers: null,
  hidden: null,
  ffn: null,
  heads: null,
  keyValueHeads: null,
  headSize: null,
  vocabulary: null,
  moe: null,
  latent: null,
}

export interface NamedDecoder {
  readonly decoder: Decoder
  /** Models of the family are trained with dropout. */
  readonly dropout: boolean
  readonly assumptions: readonly string[]
}

/**
 * A decoder from the sizes of a row and the name of its model. `window` is the attention window of all layers where
 * the source tells one. Refuses names of no known family, and sizes that are neither given nor known by the name.
 */
export function decoderOf(
  name: string,
  given: Sizes,
  sequenceLength: number,
  window?: number,
  predictionLayers = 0,
): NamedDecoder {
  const family =
    FAMILIES.find(([pattern]) => pattern.test(name))?.[1] ??
    refuse(`the architecture of "${name}" is not known`)
  const named = NAMED.find(([pattern]) => pattern.test(name))?.[1]
  const assumptions: string[] = []
  const size = <K extends 'layers' | 'hidden' | 'heads'>(key: K): number => {
    const value = given[key] ?? named?.[key] ?? refuse(`${key} not stated`)
    if (given[key] === null) assumptions.push(`${key} ${value}, as published for the model`)
    return value
  }
  const layers = size('layers')
  const hidden = size('hidden')
  const heads = size('heads')
  // a name lends its other sizes only to a model that has its shape
  const alike = named?.hidden === hidden && named.heads === heads ? named : undefined
  const moe = given.moe ?? alike?.moe ?? null
  const [groups, activeGroups] = (moe?.experts === alike?.moe?.experts ? alike?.moe?.groups : undefined) ?? [
    1, 1,
  ]
  const latent = given.latent ?? alike?.latent ?? null
  const keyValueHeads = given.keyValueHeads ?? alike?.keyValueHeads ?? heads
  const ffn = given.ffn ?? alike?.ffn ?? (family.gated ? (moe?.width ?? null) : 4 * hidden)
  if (ffn === null) refuse('the width of the MLP is not stated')
  const vocabulary = given.vocabulary ?? family.vocabulary
  if (given.vocabulary === null) assumptions.push(`a vocabulary of ${vocabulary}, as of the family`)
  const headSize = given.headSize ?? family.headSize
  if (headSize === undefined && hidden % heads !== 0) refuse(`${heads} heads do not divide ${hidden}`)
  const second = window === undefined ? family.everySecondWindow : undefined
  const attention: Attention =
    latent === null
      ? { kind: 'heads', heads, keyValueHeads, headSize: headSize ?? hidden / heads }
      : {
          kind: 'latent',
          heads,
          queryRank: latent.query,
          keyValueRank: latent.keyValue,
          plainHeadSize: latent.plain,
          rotaryHeadSize: latent.rotary,
          valueHeadSize: latent.value,
        }
  const decoder: Decoder = {
    hiddenSize: hidden,
    layers,
    vocabularySize: vocabulary,
    attention,
    intermediateSize: ffn,
    gated: family.gated,
    experts:
      moe === null
        ? null
        : {
            count: moe.experts,
            active: moe.active,
            groups,
            activeGroups,
            intermediateSize: moe.width ?? ffn,
            sharedIntermediateSize: moe.shared,
            sharedGate: false,
          },
    expertLayers: Array.from({ length: layers }, (_, i) => moe !== null && i >= moe.firstDense),
    windows: Array.from({ length: layers }, (_, i) => window ?? (i % 2 === 0 ? second : undefined)),
    norm: family.norm,
    normsPerLayer: family.normsPerLayer,
    biases: family.biases,
    queryKeyNorm: family.queryKeyNorm ? 'head' : false,
    normVectors: family.norm === 'layer' ? 2 : 1,
    embeddingNorm: /bloom/i.test(name),
    attentionSinks: /gpt.?oss/i.test(name),
    positions: family.learnedPositions ? sequenceLength : 0,
    tiedEmbeddings: family.tied,
    predictionLayers,
  }
  return { decoder, dropout: family.dropout, assumptions }
}
