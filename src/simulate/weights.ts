/** @file Elements of weights on one chip: one list for the memory that they take, their exchange and their update. */
import { type Decoder, type LayerParameters, layerParameters } from '../model/index.ts'
import type { Behaviour, Layout } from './types.ts'
import { paddedVocabulary, tablesOf } from './work.ts'

/** Elements of weights on one chip, by part of the model, as tensors and experts are split. */
export interface PartElements {
  /** A layer with an MLP. */
  readonly denseLayer: number
  /** A layer with experts, its experts left out. */
  readonly expertLayer: number
  /** The experts of a layer, of which fewer chips have copies. */
  readonly experts: number
  /** The table of embeddings, or that of the head. */
  readonly table: number
  /** What the first stage has besides: learned positions, the embedding's norm. */
  readonly first: number
  /** What the last stage has besides: the final norm, the head's biases, what is in front of prediction layers. */
  readonly last: number
}

/** Elements of a stage on one chip, and the layers that they are of. */
export interface StageElements {
  /** Elements of which data-parallel and context-parallel chips have copies: all but experts. */
  readonly dense: number
  readonly layers: number
  /** Of experts. */
  readonly expert: number
  readonly expertLayers: number
}

/** Elements by part. Tensor parallelism divides all but projections into latents, norms and routers. */
export function partElements(
  decoder: Decoder,
  engine: Behaviour,
  layout: Pick<Layout, 'tensorParallel' | 'expertParallel' | 'expertTensorParallel'>,
): PartElements {
  const { attention: a, experts, hiddenSize: hidden, predictionLayers } = decoder
  const t = layout.tensorParallel
  const vocabulary = paddedVocabulary(decoder, engine, t) / t
  const norm = hidden * decoder.normVectors
  const latents = a.kind === 'latent' ? hidden * (a.queryRank + a.keyValueRank + a.rotaryHeadSize) : 0
  const layer = ({ attention, mlp, sharedExperts, norms, router }: LayerParameters) =>
    (attention - latents + mlp + sharedExperts) / t + latents + norms + router
  const expert = layerParameters(decoder, 'expert')
  return {
    denseLayer: layer(layerParameters(decoder, 'dense')),
    expertLayer: layer(expert),
    experts: (expert.expert * (experts?.count ?? 0)) / (layout.expertParallel * layout.expertTensorParallel),
    table: vocabulary * hidden,
    first: decoder.positions * hidden + (decoder.embeddingNorm ? norm : 0),
    last:
      norm +
      (decoder.biases.head ? vocabulary : 0) +
      predictionLayers * (3 * norm + (2 * hidden * hidden) / t),
  }
}

/** Elements of a chip's share of a number of layers, prediction layers counted among them, with the ends that it has. */
export function stageElements(
  decoder: Decoder,
  parts: PartElements,
  layers: number,
  expertLayers: number,
  isFirst: boolean,
  isLast: boolean,
): StageElements {
  return {
    dense:
      (layers - expertLayers) * parts.denseLayer +
      expertLayers * parts.expertLayer +
      tablesOf(decoder, isFirst, isLast) * parts.table +
      (isFirst ? parts.first : 0) +
      (isLast ? parts.last : 0),
    layers,
    expert: expertLayers * parts.experts,
    expertLayers,
  }
}
