/** @file Cross-entropy of a linear layer's logits, a part of the rows at a time, loss and gradient in one go. */
import {
  add,
  after,
  cast,
  concat,
  gatherElements,
  greater,
  log,
  matmul,
  mul,
  neg,
  oneElement,
  reduceMax,
  reduceSum,
  reshape,
  scatterElements,
  slice,
  softmax,
  sub,
  type Tensor,
} from '../graph/index.ts'
import { logitsOf } from './head.ts'
import { softCapGradient } from './layers.ts'

/** Logits of a chunk stay below this many elements, 16 MiB: more is slower, and memory for nothing. */
const CHUNK_ELEMENTS = 1 << 22

/**
 * scale times the sum of -log softmax(hidden weight^T)[label] over the rows whose label is not negative.
 * Logits are capped first where there is a cap. hidden (N, D), weight (V, D), labels (N) int32 or int64, scale a scalar. A scalar.
 *
 * The logits of all rows would be the largest tensor of a step. So they are made in chunks, and where a
 * gradient is asked for it is made with them: d logits = (softmax - onehot) scale, chunk by chunk.
 */
export function linearCrossEntropy(
  hidden: Tensor,
  weight: Tensor,
  labels: Tensor,
  scale: Tensor,
  options: { gradient: boolean; cap?: number | undefined },
): Tensor {
  const count = hidden.shape[0]!
  const vocabulary = weight.shape[0]!
  const rows = chunkRows(count, vocabulary)
  let loss: Tensor | undefined
  let token: Tensor | undefined
  let weightGradient: Tensor | undefined
  const hiddenGradients: Tensor[] = []
  for (let start = 0; start < count; start += rows) {
    const end = Math.min(start + rows, count)
    const part = (x: Tensor) => (rows === count ? x : slice(x, 0, start, end))
    const h = token === undefined ? part(hidden) : after(part(hidden), token)
    const label = reshape(part(labels), [end - start, 1])
    const known = greater(label, -1)
    const valid = cast(known, 'float32')
    const index = mul(label, cast(known, label.dtype))
    const logits = logitsOf(h, { weight, cap: options.cap }) // (rows, V)
    const p = softmax(logits)
    // log sum exp = max - log(softmax at the max): exact where the label's own probability underflows
    const logSum = sub(reduceMax(logits, [1], true), log(reduceMax(p, [1], true)))
    const scaled = mul(valid, scale)
    const sum = reduceSum(mul(sub(logSum, gatherElements(logits, index, 1)), scaled))
    loss = loss === undefined ? sum : add(loss, sum)
    if (!options.gradient) continue
    const dCapped = scatterElements(mul(p, scaled), index, neg(scaled), 1, 'add')
    const dLogits = softCapGradient(dCapped, logits, options.cap)
    const dWeight = matmul(dLogits, h, { transA: true }) // (V, D)
    const dHidden = matmul(dLogits, weight)
    weightGradient = weightGradient === undefined ? dWeight : add(weightGradient, dWeight)
    // the next chunk, and the backward pass after the last one, wait until this one's logits are free
    token = add(loss, add(oneElement(weightGradient), oneElement(dHidden)))
    hiddenGradients.push(end === count ? after(dHidden, token) : dHidden)
  }
  if (loss === undefined) throw new TypeError('linearCrossEntropy: no rows')
  if (!options.gradient) return loss
  return hidden.node.graph.overrideGradient(
    loss,
    [hidden, weight],
    [concat(hiddenGradients, 0), weightGradient!],
    (g, _, [dHidden, dWeight]) => [mul(dHidden!, g), mul(dWeight!, g)],
  )
}

/** Rows of a chunk: as even as can be, the last one may be smaller. */
function chunkRows(count: number, vocabulary: number): number {
  const most = Math.max(1, Math.floor(CHUNK_ELEMENTS / vocabulary))
  return Math.ceil(count / Math.ceil(count / most))
}
