/** @file Memory of an MLP, or of experts in its place, kept for the backward pass and while they run. */
import type { Experts } from '../../model/index.ts'
import { HALF, MASK, SINGLE } from '../bytes.ts'
import { dropped, type Extent, gatheredBytes, norm, streamBytes, weightGradient } from './extent.ts'
import type { Pass } from './walk.ts'

/** Bytes that an activation function reads, keeps for its backward pass, and yields to the next product. */
function activation(e: Extent, values: number): { reads: number; keeps: number; yields: number } {
  const inputs = e.decoder.gated ? 2 : 1
  // without fusion the activated gate is a tensor too
  const extra = e.decoder.gated && !e.engine.fusedElementwise ? 1 : 0
  return { reads: inputs * values * HALF, keeps: (inputs + extra) * values * HALF, yields: values * HALF }
}

/** Operations from the norm before the MLP to its second product. */
export function mlpPasses(e: Extent): Pass[] {
  const { hiddenSize, intermediateSize, gated } = e.decoder
  const t = e.layout.tensorParallel
  const stream = streamBytes(e)
  const gathered = gatheredBytes(e)
  const act = activation(e, (e.tokens * intermediateSize) / t)
  const matrix = (hiddenSize * intermediateSize) / t
  // an MLP beside attention shares its norm, and the norm's result
  const own = e.decoder.normsPerLayer > 1
  return [
    ...(own ? [norm(e, 'norm before MLP', e.streamTokens, hiddenSize, stream)] : []),
    {
      name: 'MLP, in',
      saves: own ? (stream * e.inputBytes) / HALF : 0,
      forward: gathered + act.reads,
      backward:
        stream + act.reads + 2 * Math.max(gathered, stream) + weightGradient(e, (gated ? 2 : 1) * matrix),
    },
    {
      name: 'MLP, activation',
      saves: act.keeps,
      forward: act.yields,
      backward: stream + act.yields + act.reads,
    },
    {
      name: 'MLP, out',
      saves: (act.yields * e.inputBytes) / HALF + dropped(e),
      forward: Math.max(gathered, stream) + stream,
      backward: stream + gathered + act.yields + weightGradient(e, matrix),
    },
  ]
}

/** Bytes that a router keeps for each token and expert: scores and probabilities in fp32, a map, rows to permute. */
const ROUTER_BYTES = SINGLE + SINGLE + MASK + SINGLE

/** Operations from the norm before the router to the sum of the experts' outputs. */
export function expertPasses(e: Extent, experts: Experts): Pass[] {
  const { hiddenSize, gated } = e.decoder
  const { tensorParallel, expertParallel, expertTensorParallel } = e.layout
  const stream = streamBytes(e)
  const gathered = gatheredBytes(e)
  // tokens spread evenly over experts: a chip receives as many copies as it sends
  const copies = e.streamTokens * experts.active
  const sent = copies * hiddenSize * HALF
  const rows = copies * expertTensorParallel
  const received = rows * hiddenSize * HALF
  const act = activation(e, (rows * experts.intermediateSize) / expertTensorParallel)
  const shared = activation(e, (e.tokens * experts.sharedIntermediateSize) / tensorParallel)
  const matrices = (experts.count / expertParallel) * (hiddenSize * experts.intermediateSize)
  const matrix = matrices / expertTensorParallel
  const exchanged = expertParallel > 1 ? received : 0
  return [
    norm(e, 'norm before experts', e.streamTokens, hiddenSize, stream),
    {
      name: 'router',
      saves: stream + e.streamTokens * experts.count * ROUTER_BYTES,
      forward: e.streamTokens * experts.count * SINGLE,
      backward: 2 * stream + e.streamTokens * experts.count * SINGLE,
    },
    {
      name: 'shared experts',
      saves: shared.keeps + (shared.yields * e.inputBytes) / HALF,
      forward: gathered + stream,
      backward: stream + gathered + shared.yields + shared.reads,
    },
    {
      // permuted, exchanged, then sorted by expert: the last copy is what experts keep
      name: 'dispatch to experts',
      saves: (received * e.inputBytes) / HALF,
      forward: 2 * stream + sent + exchanged,
      backward: 2 * stream + received + exchanged,
    },
    {
      name: 'experts, in',
      saves: 0,
      forward: 2 * stream + exchanged + act.reads,
      backward: 2 * stream + act.reads + received + weightGradient(e, (gated ? 2 : 1) * matrix),
    },
    {
      name: 'experts, activation',
      saves: act.keeps + SINGLE * rows,
      forward: 2 * stream + exchanged + act.yields,
      backward: 2 * stream + act.yields + act.reads,
    },
    {
      name: 'experts, out',
      saves: (act.yields * e.inputBytes) / HALF,
      forward: 2 * stream + exchanged + received,
      backward: 2 * stream + received + act.yields + weightGradient(e, matrix),
    },
    {
      // what arrived, experts' output, the same in order of chips, what came back; two outputs and the residual
      name: 'combination of experts',
      saves: dropped(e),
      forward: 3 * stream + received + received + exchanged + sent,
      backward: 2 * stream + received + sent,
    },
  ]
}
