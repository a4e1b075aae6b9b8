/** @file Parameters and floating-point operations of a decoder, exact, by part. */
import type { Decoder } from './decoder.ts'

/** A layer has an MLP, or experts in its place. */
export type LayerKind = 'dense' | 'expert'

/** Parameters of one layer by part; parts that it does not have are 0. */
export interface LayerParameters {
  /** Projections and their biases, and sinks. */
  readonly attention: number
  /** All norms, those of queries, keys and latents included: what tensor parallelism does not split. */
  readonly norms: number
  readonly mlp: number
  readonly router: number
  /** All shared experts together, with their gate. */
  readonly sharedExperts: number
  /** One expert of `experts.count`. */
  readonly expert: number
  /** The layer with all its experts. */
  readonly total: number
  /** What one token passes through. */
  readonly active: number
}

/** Parameters of a decoder by part. */
export interface DecoderParameters {
  readonly embedding: number
  readonly positions: number
  readonly embeddingNorm: number
  readonly denseLayers: number
  readonly expertLayers: number
  readonly finalNorm: number
  /** The output projection, 0 where it is the embedding (its bias remains). */
  readonly head: number
  /** The model without its prediction layers, as models are published. */
  readonly total: number
  /** Of these, what one token passes through; all of the embedding counts. */
  readonly active: number
  /** All prediction layers with their projections and norms; they share embedding and head. Not part of `total`. */
  readonly predictionLayers: number
}

/** Parameters of a layer of one kind. Biases that choose experts and that no gradient trains are not counted. */
export function layerParameters(decoder: Decoder, kind: LayerKind): LayerParameters {
  const { attention: a, biases, hiddenSize: hidden, experts } = decoder
  const vectors = decoder.normVectors

  let attention = decoder.attentionSinks ? a.heads : 0
  let norms = decoder.normsPerLayer * hidden * vectors
  if (a.kind === 'heads') {
    const queries = a.heads * a.headSize
    const keys = a.keyValueHeads * a.headSize
    attention += linear(hidden, queries + 2 * keys, biases.queryKeyValue)
    attention += linear(queries, hidden, biases.output)
    if (decoder.queryKeyNorm === 'head') norms += 2 * a.headSize * vectors
    if (decoder.queryKeyNorm === 'all') norms += (queries + keys) * vectors
  } else {
    const queries = a.heads * (a.plainHeadSize + a.rotaryHeadSize)
    attention +=
      a.queryRank === 0
        ? linear(hidden, queries, false)
        : linear(hidden, a.queryRank, biases.queryKeyValue) + linear(a.queryRank, queries, false)
    attention += linear(hidden, a.keyValueRank + a.rotaryHeadSize, biases.queryKeyValue)
    attention += linear(a.keyValueRank, a.heads * (a.plainHeadSize + a.valueHeadSize), false)
    attention += linear(a.heads * a.valueHeadSize, hidden, biases.output)
    norms += (a.queryRank + a.keyValueRank) * vectors
  }

  const withExperts = kind === 'expert' ? experts : null
  const mlp = withExperts === null ? mlpParameters(decoder, decoder.intermediateSize) : 0
  const router = withExperts === null ? 0 : linear(hidden, withExperts.count, biases.router)
  const sharedExperts =
    withExperts === null || withExperts.sharedIntermediateSize === 0
      ? 0
      : mlpParameters(decoder, withExperts.sharedIntermediateSize) + (withExperts.sharedGate ? hidden : 0)
  const expert = withExperts === null ? 0 : mlpParameters(decoder, withExperts.intermediateSize)
  const common = attention + norms + mlp + router + sharedExperts
  return {
    attention,
    norms,
    mlp,
    router,
    sharedExperts,
    expert,
    total: common + expert * (withExperts?.count ?? 0),
    active: common + expert * (withExperts?.active ?? 0),
  }
}

/** Parameters of a decoder, exact. */
export function decoderParameters(decoder: Decoder): DecoderParameters {
  const { hiddenSize: hidden, vocabularySize: vocabulary } = decoder
  const dense = layerParameters(decoder, 'dense')
  const expert = layerParameters(decoder, 'expert')
  const expertCount = decoder.expertLayers.filter(Boolean).length
  const denseCount = decoder.layers - expertCount
  const norm = hidden * decoder.normVectors

  const outside = {
    embedding: vocabulary * hidden,
    positions: decoder.positions * hidden,
    embeddingNorm: decoder.embeddingNorm ? norm : 0,
    finalNorm: norm,
    head: (decoder.tiedEmbeddings ? 0 : vocabulary * hidden) + (decoder.biases.head ? vocabulary : 0),
  }
  const common = Object.values(outside).reduce((sum, part) => sum + part, 0)
  const denseLayers = denseCount * dense.total
  const last = decoder.expertLayers.at(-1) === true ? expert : dense
  return {
    ...outside,
    denseLayers,
    expertLayers: expertCount * expert.total,
    total: common + denseLayers + expertCount * expert.total,
    active: common + denseLayers + expertCount * expert.active,
    // norms of both inputs and of the output, and the projection of both inputs to one
    predictionLayers: decoder.predictionLayers * (3 * norm + 2 * hidden * hidden + last.total),
  }
}

/** Model FLOPs of one token in training, forward and backward, by part. A multiply-add counts two. */
export interface DecoderFlops {
  /** Projections of attention in all layers. */
  readonly attention: number
  /** Scores and their products with values, over the keys that causality and windows leave. */
  readonly attentionCore: number
  /** The same, over all keys of the sequence or window: what an implementation without skipping computes. */
  readonly attentionCoreFull: number
  readonly mlp: number
  readonly router: number
  readonly sharedExperts: number
  /** The active experts. */
  readonly experts: number
  readonly head: number
  /** The prediction layers, each with its head and its attention over causal keys. */
  readonly predictionLayers: number
  /** All parts, attention causal. */
  readonly total: number
  /** All parts, attention full. */
  readonly totalFull: number
}

/**
 * Model FLOPs per token of forward and backward, three times those of forward, in sequences of a length. Matrix products
 * alone, biases, norms and the look-up of embeddings excluded.
 */
export function decoderFlops(decoder: Decoder, sequenceLength: number): DecoderFlops {
  const { attention: a, hiddenSize: hidden, experts, vocabularySize } = decoder
  const expertCount = decoder.expertLayers.filter(Boolean).length
  const denseCount = decoder.layers - expertCount
  // forward 2 for each weight, backward twice that
  const weights = (count: number) => 6 * count
  const matrices = mlpMatrices(decoder)

  const projections = weights(attentionWeights(decoder))
  const mlp = weights(matrices * hidden * decoder.intermediateSize)
  const router = weights(hidden * (experts?.count ?? 0))
  const shared = weights(
    matrices * hidden * (experts?.sharedIntermediateSize ?? 0) + (experts?.sharedGate ? hidden : 0),
  )
  const routed = weights(matrices * hidden * (experts?.intermediateSize ?? 0) * (experts?.active ?? 0))
  const head = weights(hidden * vocabularySize)

  const queryKey = a.kind === 'heads' ? a.headSize : a.plainHeadSize + a.rotaryHeadSize
  const value = a.kind === 'heads' ? a.headSize : a.valueHeadSize
  const core = (keys: number) => weights(a.heads * (queryKey + value) * keys)
  const attentionCore = decoder.windows.reduce<number>(
    (sum, window) => sum + core(meanSeen(sequenceLength, window)),
    0,
  )
  const attentionCoreFull = decoder.windows.reduce<number>(
    (sum, window) => sum + core(Math.min(window ?? sequenceLength, sequenceLength)),
    0,
  )

  const lastMlp = decoder.expertLayers.at(-1) === true ? router + shared + routed : mlp
  const predictionLayers =
    decoder.predictionLayers *
    (weights(2 * hidden * hidden) + projections + core(meanSeen(sequenceLength, undefined)) + lastMlp + head)

  const parts = {
    attention: decoder.layers * projections,
    mlp: denseCount * mlp,
    router: expertCount * router,
    sharedExperts: expertCount * shared,
    experts: expertCount * routed,
    head,
    predictionLayers,
  }
  const common = Object.values(parts).reduce((sum, part) => sum + part, 0)
  return {
    ...parts,
    attentionCore,
    attentionCoreFull,
    total: common + attentionCore,
    totalFull: common + attentionCoreFull,
  }
}

/** Weights of the projections of attention in a layer, without biases. */
function attentionWeights(decoder: Decoder): number {
  const biases = { ...decoder.biases, queryKeyValue: false, output: false }
  return layerParameters({ ...decoder, biases, attentionSinks: false }, 'dense').attention
}

/** Parameters of an MLP, or of an expert, of a width. */
function mlpParameters(decoder: Decoder, width: number): number {
  const { hiddenSize, biases } = decoder
  const inward = mlpMatrices(decoder) - 1
  return inward * linear(hiddenSize, width, biases.mlp) + linear(width, hiddenSize, biases.mlp)
}

const mlpMatrices = ({ gated }: Decoder) => (gated ? 3 : 2)

function linear(from: number, to: number, bias: boolean): number {
  return from * to + (bias ? to : 0)
}

/** Keys that a query sees on average, itself included, where those after it and beyond a window are masked. */
export function meanSeen(sequenceLength: number, window: number | undefined): number {
  const s = sequenceLength
  const w = Math.min(window ?? s, s)
  // the first w queries see 1, 2, ... keys, all others w
  return (w * (w + 1)) / 2 / s + (w * (s - w)) / s
}
