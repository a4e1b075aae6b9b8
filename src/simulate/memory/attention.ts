/** @file Memory of attention, kept for the backward pass and while it runs: heads or latents, on one chip or several. */
import type { Attention } from '../../model/index.ts'
import { HALF, MASK, SINGLE } from '../bytes.ts'
import { attentionWidths } from '../work.ts'
import { dropped, type Extent, gatheredBytes, norm, streamBytes, weightGradient } from './extent.ts'
import type { Pass } from './walk.ts'

/** Operations from the norm before attention to the projection of its output. */
export function attentionPasses(e: Extent): Pass[] {
  const { decoder, tokens, layout } = e
  const { hiddenSize, attention } = decoder
  const stream = streamBytes(e)
  const gathered = gatheredBytes(e)
  const widths = attentionWidths(decoder, layout.tensorParallel)
  const query = tokens * widths.query * HALF
  const keyValue = tokens * (widths.key + widths.value) * HALF
  const output = tokens * widths.output * HALF
  const residual = stream // the gradient of what goes around the layer

  return [
    norm(e, 'norm before attention', e.streamTokens, hiddenSize, residual),
    ...(attention.kind === 'heads'
      ? headProjections(e, query + keyValue)
      : latentProjections(e, attention, query + keyValue)),
    {
      // attention keeps queries, keys and values
      name: 'queries, keys, values',
      saves: query + keyValue,
      forward: query + keyValue,
      backward: residual + query + keyValue,
    },
    coreAttention(e, widths.heads, query, keyValue, output),
    {
      // one tensor serves attention (where it is fused) and the projection, unless the projection keeps another format
      name: 'output projection',
      saves:
        output * (e.engine.fusedAttention ? 1 : e.inputBytes / HALF) + narrowCopy(e, output) + dropped(e),
      forward: Math.max(gathered, stream) + stream,
      backward: residual + gathered + output + weightGradient(e, hiddenSize * widths.output),
    },
  ]
}

/** An 8-bit copy of a value that is kept in 16 bits as well. */
function narrowCopy(e: Extent, bytes: number): number {
  return e.inputBytes < HALF && e.engine.fusedAttention ? (bytes * e.inputBytes) / HALF : 0
}

function headProjections(e: Extent, projected: number): Pass[] {
  const { hiddenSize, queryKeyNorm } = e.decoder
  const stream = streamBytes(e)
  const gathered = gatheredBytes(e)
  const { query, key, value } = attentionWidths(e.decoder, e.layout.tensorParallel)
  const weights = hiddenSize * (query + key + value)
  const projections: Pass = {
    name: 'projections of queries, keys, values',
    saves: (stream * e.inputBytes) / HALF,
    forward: gathered + projected,
    backward: stream + projected + 2 * Math.max(gathered, stream) + weightGradient(e, weights),
  }
  if (queryKeyNorm === false) return [projections]
  const normed = e.tokens * (query + key)
  return [projections, norm(e, 'norm of queries and keys', 1, normed, stream)]
}

/** Operations of multi-head latent attention: its low ranks and the projections up from them. */
function latentProjections(e: Extent, a: Extract<Attention, { kind: 'latent' }>, projected: number): Pass[] {
  const { hiddenSize } = e.decoder
  const stream = streamBytes(e)
  const tokens = e.streamTokens
  const compressed = a.keyValueRank + a.rotaryHeadSize
  const key = a.plainHeadSize + a.rotaryHeadSize
  const up = a.heads * (a.plainHeadSize + a.valueHeadSize)
  const latents = tokens * (a.queryRank + compressed)
  // without a rank of their own, queries are projected from the stream
  const query = a.heads * key
  const upWeights = (a.queryRank * query + a.keyValueRank * up) / e.layout.tensorParallel
  const downWeights =
    hiddenSize * (compressed + (a.queryRank === 0 ? query / e.layout.tensorParallel : a.queryRank))
  return [
    {
      name: 'projections down to latents',
      saves: stream * (e.inputBytes / HALF),
      forward: latents * HALF,
      backward: 2 * stream + latents * HALF + weightGradient(e, downWeights),
    },
    norm(e, 'norms of latents', tokens, a.queryRank + compressed, stream),
    {
      // the up-projected values are copied when positions are turned in
      name: 'projections up from latents',
      saves: tokens * (a.queryRank + a.keyValueRank) * e.inputBytes,
      forward: projected,
      backward: stream + 2 * projected + weightGradient(e, upWeights),
    },
  ]
}

/** Scores, softmax and the sum over values; with the exchanges of context parallelism. */
function coreAttention(e: Extent, heads: number, query: number, keyValue: number, output: number): Pass {
  const { engine, layout, tokens, sequenceLength } = e
  const stream = streamBytes(e)
  const statistics = SINGLE * tokens * heads
  const exchanged =
    layout.contextParallel === 1
      ? { saves: 0, forward: 0, backward: 0 }
      : layout.contextMethod === 'ring'
        ? // the keys and values on their way, and their gradients on theirs
          { saves: 0, forward: 2 * keyValue, backward: 4 * keyValue }
        : // the output is kept before its exchange as well; sent and received copies
          { saves: output, forward: 2 * (query + keyValue), backward: 2 * (query + keyValue) + output }
  const gradients = query + keyValue + output
  const name = 'attention'
  if (engine.fusedAttention) {
    return {
      name,
      saves: statistics + exchanged.saves,
      forward: output + exchanged.forward,
      backward: stream + gradients + exchanged.backward,
    }
  }
  const scores = tokens * sequenceLength * heads
  // softmax; with dropout its mask and its result too (5 a s^2 b / t of Korthikanti et al. 2022)
  const kept = scores * (HALF + (engine.dropout ? MASK + HALF : 0))
  const again = layout.recompute === 'selective'
  return {
    name,
    saves: (again ? 0 : kept) + exchanged.saves,
    forward: scores * HALF + (again ? kept : 0) + output + exchanged.forward,
    backward: stream + gradients + 2 * scores * HALF + (again ? kept : 0) + exchanged.backward,
  }
}
