/** @file The shape of any decoder that can be planned for, dense or with experts: sizes alone, no weights, no names. */

/** Heads of queries over shared keys and values. */
export interface HeadsAttention {
  readonly kind: 'heads'
  readonly heads: number
  readonly keyValueHeads: number
  readonly headSize: number
}

/** How a layer attends: heads of queries over shared keys and values, or keys and values through a latent (MLA). */
export type Attention =
  | HeadsAttention
  | {
      /** Multi-head latent attention, DeepSeek-V2 (arXiv 2405.04434, section 2.1). */
      readonly kind: 'latent'
      readonly heads: number
      /** Rank that queries pass through; 0 where they are projected directly. */
      readonly queryRank: number
      readonly keyValueRank: number
      /** Size of the part of a query and key without positions. */
      readonly plainHeadSize: number
      /** Size of the part with rotary positions; the key's is shared by all heads. */
      readonly rotaryHeadSize: number
      readonly valueHeadSize: number
    }

/** Experts in the place of an MLP: a router sends each token to some of them, shared ones see all tokens. */
export interface Experts {
  readonly count: number
  /** Experts that each token is sent to. */
  readonly active: number
  /** Groups of equally many experts, one after the other; 1 without. */
  readonly groups: number
  /** Groups that the experts of a token may be of (DeepSeek-V3, arXiv 2412.19437, section 2.1.2: nodes). */
  readonly activeGroups: number
  readonly intermediateSize: number
  /** Width of all shared experts together; 0 without. */
  readonly sharedIntermediateSize: number
  /** A vector of the hidden size gates what the shared experts give (Qwen2-MoE). */
  readonly sharedGate: boolean
}

/** What an MLP computes between its matrices; `gelu_tanh` is GELU as it is approximated with a tanh. */
export type Activation = 'silu' | 'gelu' | 'gelu_tanh'

/** Sizes of a decoder in elements; a layer is one transformer block. */
export interface Decoder {
  readonly hiddenSize: number
  readonly layers: number
  readonly vocabularySize: number
  readonly attention: Attention
  /** Width of the MLP of dense layers. */
  readonly intermediateSize: number
  /** The MLP and the experts multiply a gate in, so they have three matrices rather than two. */
  readonly gated: boolean
  /** Of the MLP; undefined for any other. */
  readonly activation?: Activation | undefined
  readonly experts: Experts | null
  /** For each layer, whether its MLP is one of experts. As many as there are layers. */
  readonly expertLayers: readonly boolean[]
  /** Tokens that each layer attends to, itself included; undefined for all before it. */
  readonly windows: readonly (number | undefined)[]
  readonly norm: 'layer' | 'rms'
  /** Vectors that a norm learns: gain and bias, gain alone, or none. */
  readonly normVectors: 0 | 1 | 2
  /** Norms of a layer over the hidden size: 2, or 4 where outputs are normed as well, or 1 where its halves run side by side. */
  readonly normsPerLayer: number
  /** The embeddings are normed before the first layer (BLOOM). */
  readonly embeddingNorm: boolean
  /** Projections have biases; with a latent, the first ones of queries and of keys and values. */
  readonly biases: {
    readonly queryKeyValue: boolean
    readonly output: boolean
    readonly mlp: boolean
    readonly router: boolean
    readonly head: boolean
  }
  /** Queries and keys are normed: each head with the same gain, or all heads as one vector. */
  readonly queryKeyNorm: false | 'head' | 'all'
  /** Each head learns a score for attending to nothing (gpt-oss). */
  readonly attentionSinks: boolean
  /** Rows of a table of learned positions; 0 for rotary positions or none. */
  readonly positions: number
  /** Positions that the model is made for; undefined where the configuration does not say. */
  readonly maxPositions?: number | undefined
  readonly tiedEmbeddings: boolean
  /**
   * Modules that predict further tokens (MTP, DeepSeek-V3, arXiv 2412.19437, section 2.2); each is a layer more, of
   * the last one's kind.
   */
  readonly predictionLayers: number
}
