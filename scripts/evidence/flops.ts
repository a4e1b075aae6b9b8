/** @file FLOPs of a step by the formulas that sources print theirs with, to turn printed FLOP/s back into seconds. */
import type { Decoder } from '../../src/model/index.ts'
import type { Workload } from '../../src/simulate/index.ts'

export const FLOP_FORMULAS = ['narayanan', 'full', 'causal'] as const
/**
 * Narayanan et al. 2021, eq. 3: hardware FLOPs with the forward pass of a full recomputation. Full and causal: model
 * FLOPs, attention over all tokens or those before.
 */
export type FlopFormula = (typeof FLOP_FORMULAS)[number]

/** The formula that a description of FLOPs names; undefined where it names none. */
export function formulaOf(kind: string | null, isMegatron: boolean): FlopFormula | undefined {
  if (kind === null) return undefined
  if (/hardware/i.test(kind)) return /eq\. ?3|coefficient 4/i.test(kind) ? 'narayanan' : undefined
  if (/non-causal|full/i.test(kind)) return 'full'
  if (/causal/i.test(kind)) return 'causal'
  // what Megatron-LM printed until 2025 (num_floating_point_operations): attention over all tokens
  return isMegatron && /^model FLOPs/i.test(kind) ? 'full' : undefined
}

/** FLOPs of one step. */
export function stepFlops(formula: FlopFormula, workload: Workload): number {
  const { decoder, sequenceLength: s, globalBatch } = workload
  const { hiddenSize: h, layers: l, vocabularySize: v } = decoder
  if (formula === 'narayanan') {
    return 96 * globalBatch * s * l * h * h * (1 + s / (6 * h) + v / (16 * l * h))
  }
  const perToken =
    6 * activeParameters(decoder) + (formula === 'full' ? 12 : 6) * l * attentionWidth(decoder) * s
  return perToken * globalBatch * s
}

/** Width of queries against keys and of probabilities against values, by mean. */
function attentionWidth({ attention }: Decoder): number {
  if (attention.kind === 'heads') return attention.heads * attention.headSize
  const { heads, plainHeadSize, rotaryHeadSize, valueHeadSize } = attention
  return (heads * (plainHeadSize + rotaryHeadSize + valueHeadSize)) / 2
}

/** Elements of the matrices that a token is multiplied with: without the table of embeddings, with the head. */
function activeParameters(decoder: Decoder): number {
  const { hiddenSize: h, attention, experts, expertLayers } = decoder
  const projections =
    attention.kind === 'heads'
      ? h * attention.headSize * 2 * (attention.heads + attention.keyValueHeads)
      : latentProjections(h, attention)
  const matrices = decoder.gated ? 3 : 2
  const dense = matrices * h * decoder.intermediateSize
  const sparse =
    experts === null
      ? 0
      : matrices * h * (experts.active * experts.intermediateSize + experts.sharedIntermediateSize) +
        h * experts.count
  const mlps = expertLayers.reduce((sum, hasExperts) => sum + (hasExperts ? sparse : dense), 0)
  return decoder.layers * projections + mlps + h * decoder.vocabularySize
}

function latentProjections(h: number, attention: Extract<Decoder['attention'], { kind: 'latent' }>): number {
  const { heads, queryRank, keyValueRank, plainHeadSize, rotaryHeadSize, valueHeadSize } = attention
  const query = heads * (plainHeadSize + rotaryHeadSize)
  return (
    (queryRank === 0 ? h * query : queryRank * (h + query)) +
    h * (keyValueRank + rotaryHeadSize) +
    keyValueRank * heads * (plainHeadSize + valueHeadSize) +
    heads * valueHeadSize * h
  )
}
