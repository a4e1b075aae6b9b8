/** @file Memory of the ends of the model: the lookup of tokens on the first stage, logits and loss on the last. */
import { HALF, SINGLE } from '../bytes.ts'
import type { Behaviour } from '../types.ts'
import { dropped, type Extent, gatheredBytes, norm, streamBytes, weightGradient } from './extent.ts'
import type { Pass } from './walk.ts'

/** Logits and loss on the last stage. Bytes; `logits` of them are of the vocabulary's size, all alive at the peak. */
export interface Head {
  /** Kept of the final norm and of the input of the projection. */
  readonly saved: number
  readonly logits: number
  readonly transient: number
}

/** Bytes of a logit that are kept, and bytes besides that live only at the peak. */
function lossBytes(engine: Behaviour): { kept: number; working: number } {
  // logits become their gradient in place
  if (engine.fusedLoss) return { kept: HALF, working: 0 }
  // fp32 probabilities, made in place of fp32 logits; beside them logits and their gradient
  if (engine.fusedElementwise) return { kept: SINGLE, working: 2 * HALF }
  // fp32 log-probabilities; beside them logits, and those in fp32 or their gradient
  return { kept: SINGLE, working: HALF + SINGLE }
}

/** Bytes that the last stage adds to those of its layers, for this chip's share of the vocabulary. */
export function head(e: Extent, vocabulary: number): Head {
  const stream = streamBytes(e)
  const heads = 1 + e.decoder.predictionLayers
  const values = e.tokens * vocabulary
  const loss = lossBytes(e.engine)
  const final = norm(e, 'final norm', e.streamTokens, e.decoder.hiddenSize, 0)
  return {
    saved: heads * (final.saves + stream),
    logits: heads * values * loss.kept + values * loss.working,
    transient:
      (gatheredBytes(e) || stream) +
      (gatheredBytes(e) ? stream : 0) +
      weightGradient(e, vocabulary * e.decoder.hiddenSize),
  }
}

/** The lookup of tokens: its backward pass makes a gradient of the whole table. */
export function embeddingPass(e: Extent, vocabulary: number): Pass {
  const { hiddenSize } = e.decoder
  return {
    name: 'embedding',
    saves: dropped(e),
    forward: Math.max(gatheredBytes(e), streamBytes(e)),
    backward: 2 * streamBytes(e) + vocabulary * hiddenSize * HALF,
  }
}
