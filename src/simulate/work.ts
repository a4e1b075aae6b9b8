/** @file The work of a layer, an embedding and an output head on one chip: operations, bytes, kernels, messages. */
import { type Decoder, type Experts, meanSeen } from '../model/index.ts'
import { HALF } from './bytes.ts'
import type { Behaviour, Layout } from './types.ts'

/** Work of one chip in a pass over one micro-batch. */
export interface Work {
  /** Of matrix products: an addition or multiplication counts one. */
  readonly flops: number
  /** Of the products of experts, many small ones in a kernel. */
  readonly groupedFlops: number
  /** Of the core of attention: scores and their product with values. */
  readonly attentionFlops: number
  /** FLOPs that one more key for each query would add to those. */
  readonly attentionFlopsPerKey: number
  /** Bytes that matrix products read and write, each operand once. */
  readonly operandBytes: number
  /** Bytes that everything else reads and writes. */
  readonly elementwiseBytes: number
  /** Kernels started. */
  readonly kernels: number
}

/** Zeros, over which work of one kind is written. */
export const NO_WORK: Work = {
  flops: 0,
  groupedFlops: 0,
  attentionFlops: 0,
  attentionFlopsPerKey: 0,
  operandBytes: 0,
  elementwiseBytes: 0,
  kernels: 0,
}

/** Forward, and the two halves of backward: the gradient of the input, and that of the weights. */
export interface Passes {
  readonly forward: Work
  readonly input: Work
  readonly weight: Work
  /** The part of the forward pass that selective recomputation does again. */
  readonly core: Work
}

/** The parts of a layout that one chip's work depends on, and no more. */
export type Share = Pick<
  Layout,
  | 'microBatch'
  | 'tensorParallel'
  | 'sequenceParallel'
  | 'contextParallel'
  | 'expertParallel'
  | 'expertTensorParallel'
>

/** Sums work up as it is described. */
class Tally {
  flops = 0
  groupedFlops = 0
  attentionFlops = 0
  attentionFlopsPerKey = 0
  operandBytes = 0
  elementwiseBytes = 0
  kernels = 0

  /** A product (m, k) x (k, n). */
  product(m: number, n: number, k: number): this {
    this.flops += 2 * m * n * k
    this.operandBytes += HALF * (m * k + k * n + m * n)
    this.kernels += 1
    return this
  }
  /** `groups` products (m, k) x (k, n) in one kernel. */
  grouped(groups: number, m: number, n: number, k: number): this {
    this.groupedFlops += 2 * m * n * k * groups
    this.operandBytes += HALF * (m * k + k * n + m * n) * groups
    this.kernels += 1
    return this
  }
  elementwise(bytes: number, kernels = 1): this {
    this.elementwiseBytes += bytes
    this.kernels += kernels
    return this
  }
  /** Two products in batches, such as those of all heads. */
  batched(flops: number, operandBytes: number): this {
    this.flops += flops
    this.operandBytes += operandBytes
    this.kernels += 2
    return this
  }
  /** `perKey` operations for each of the `seen` keys of a query. */
  attention(perKey: number, seen: number, bytes: number, kernels: number): this {
    this.attentionFlops += perKey * seen
    this.attentionFlopsPerKey += perKey
    this.elementwiseBytes += bytes
    this.kernels += kernels
    return this
  }
}

/**
 * Heads, queries, keys and values as the core of attention sees them on one of the chips that split heads. Where there
 * are fewer key heads than chips, each has a copy of one.
 */
export function attentionWidths(
  { attention: a }: Decoder,
  tensorParallel: number,
): {
  readonly heads: number
  readonly query: number
  readonly key: number
  readonly value: number
  readonly output: number
} {
  const heads = a.heads / tensorParallel
  if (a.kind === 'heads') {
    const query = heads * a.headSize
    const key = Math.max(a.keyValueHeads / tensorParallel, 1) * a.headSize
    return { heads, query, key, value: key, output: query }
  }
  const query = heads * (a.plainHeadSize + a.rotaryHeadSize)
  const value = heads * a.valueHeadSize
  return { heads, query, key: query, value, output: value }
}

/** Matrices (from, to) of attention of a layer on one chip; those into latents are not split by tensor parallelism. */
function attentionMatrices(d: Decoder, tensorParallel: number) {
  const { attention: a, hiddenSize: h } = d
  const { query, key, value, output } = attentionWidths(d, tensorParallel)
  if (a.kind === 'heads') {
    return [
      [h, query + key + value],
      [output, h],
    ] as const
  }
  const up = (a.heads * (a.plainHeadSize + a.valueHeadSize)) / tensorParallel
  return [
    ...(a.queryRank > 0
      ? ([
          [h, a.queryRank],
          [a.queryRank, query],
        ] as const)
      : ([[h, query]] as const)),
    [h, a.keyValueRank + a.rotaryHeadSize],
    [a.keyValueRank, up],
    [output, h],
  ] as const
}

/**
 * Work of a layer on one chip. Attention's matrices and the MLP are split over the tensor-parallel chips, tokens over
 * the context-parallel ones; experts are spread evenly, each chip computing for as many tokens as it holds between layers.
 */
export function layerWork(
  d: Decoder,
  engine: Behaviour,
  share: Share,
  sequenceLength: number,
  kind: { readonly expert: boolean; readonly window: number | undefined },
): Passes {
  const t = share.tensorParallel
  const h = d.hiddenSize
  // (T, h) is what a chip works on; norms and dropout see T / t of it under sequence parallelism
  const T = (share.microBatch * sequenceLength) / share.contextParallel
  const normed = streamTokens(share, T)
  const { heads, query, key, value, output } = attentionWidths(d, t)
  const forward = new Tally()
  const input = new Tally()
  const weight = new Tally()
  const core = new Tally()

  // the weight's gradient is added to what other micro-batches left
  const product = (m: number, k: number, n: number) => {
    forward.product(m, n, k)
    input.product(m, k, n)
    weight.product(k, n, m)
    weight.elementwiseBytes += engine.gradientBytes * k * n
  }
  const grouped = (groups: number, m: number, k: number, n: number) => {
    forward.grouped(groups, m, n, k)
    input.grouped(groups, m, k, n)
    weight.grouped(groups, k, n, m)
    weight.elementwiseBytes += engine.gradientBytes * k * n * groups
  }
  for (const [from, to] of attentionMatrices(d, t)) product(T, from, to)

  // the core of attention
  const seen = engine.fusedAttention ? meanSeen(sequenceLength, kind.window) : sequenceLength
  const padding = d.attention.kind === 'heads' ? 0 : engine.headPadding
  const perKey = 2 * T * (padding > 0 ? 2 * heads * padding : query + output)
  const operands = HALF * T * (padding > 0 ? 4 * heads * padding : query + key + value + output)
  const scores = T * seen * heads
  if (engine.fusedAttention) {
    forward.attention(perKey, seen, operands, 1)
    core.attention(perKey, seen, operands, 1)
    // four products, and that of the scores again
    input.attention(2.5 * perKey, seen, 2 * operands, 2)
  } else {
    // products in batches, one for each head, of which the scores are written; read and written by mask and softmax, and by
    // dropout with its mask; read by the last product
    const drop = engine.dropout ? HALF * 2 + 1 : 0
    const kernels = engine.dropout ? 3 : 2
    forward.batched(perKey * seen, operands).elementwise(scores * (HALF * 4 + drop), kernels)
    core.batched(perKey * seen, operands).elementwise(scores * (HALF * 4 + drop), kernels)
    input
      .batched(perKey * seen, operands)
      .batched(perKey * seen, operands)
      .elementwise(scores * (HALF * 7 + drop), kernels)
    if (!engine.fusedMask) {
      // scores to fp32, the mask filled in place, softmax, and back (`FusedScaleMaskSoftmax.forward_torch_softmax` of
      // github.com/NVIDIA/Megatron-LM). In one format, the mask is filled into a view of the product's result, whose gradient
      // PyTorch copies, clones, fills in a clone of its own, and copies back (`CopySlices::apply_impl`).
      const wide = engine.wideBytes > HALF
      for (const pass of [forward, core]) pass.elementwise(scores * (wide ? 24 : 2 * HALF), wide ? 3 : 1)
      input.elementwise(scores * (wide ? 34 : 10 * HALF), wide ? 4 : 5)
    }
  }

  // norms, rotary positions, residuals
  const unfused = engine.fusedElementwise ? 1 : 2
  norms(d, engine, forward, input, d.normsPerLayer, normed * h)
  if (d.positions === 0) {
    // without fusion: both halves joined the other way round, two products and a sum, or the same as one of complex numbers
    const rotated = T * (query + key) * (engine.fusedElementwise ? 2 : 10) * HALF
    const kernels = engine.fusedElementwise ? 2 : 10
    forward.elementwise(rotated, kernels)
    input.elementwise(rotated, kernels)
  }
  if (d.queryKeyNorm) norms(d, engine, forward, input, 2, (T * (query + key)) / 2)
  const dropped = engine.dropout ? HALF + 1 : 0
  forward.elementwise(2 * normed * h * (3 * HALF + dropped * unfused), 2 * unfused)
  input.elementwise(2 * normed * h * (2 * HALF + dropped), 2)

  const gates = d.gated ? 2 : 1
  const activation = (tokens: number, width: number) => {
    if (engine.composedGates && d.gated) {
      // 0.5 x (1 + tanh(c (x + 0.044715 x^3))) times the gate: 3 steps of two operands and 6 of one; backward, the gradients
      // of each, two sums of those of x, and both halves joined
      forward.elementwise(tokens * width * HALF * (3 * 3 + 6 * 2), 9)
      input.elementwise(tokens * width * HALF * 38, 18)
      return
    }
    forward.elementwise(tokens * width * (gates + 1) * HALF * unfused, unfused)
    input.elementwise(tokens * width * (2 * gates + 1) * HALF * unfused, unfused)
  }
  if (kind.expert && d.experts !== null) {
    const x = d.experts
    const etp = share.expertTensorParallel
    // tokens of a chip, each sent to `active` experts: without sequence parallelism every chip has, and sends, all of them,
    // which is why `MoELayer.forward` of github.com/NVIDIA/Megatron-LM refuses to train so
    const held = normed
    const routed = held * x.active * etp
    const local = x.count / share.expertParallel
    product(held, h, x.count)
    // scores, top-k, counts by expert, balance: small kernels, and waits for what they say
    forward.elementwise(held * x.count * 12, 30)
    input.elementwise(held * x.count * 12, 20)
    const sharing = share.expertParallel * etp
    const row = h * HALF
    if (engine.gathersTokens) {
      // of all tokens, rows of own experts are picked, sorted, put back, weighted, and added to zeros in fp32; counted pass by
      // pass in `allgather_token_permutation`, `allgather_token_unpermutation` and `NewIndePut` of
      // gitcode.com/Ascend/MindSpeed, e48121d2
      forward.elementwise((18 * routed + 5 * held * sharing) * row, 20)
      input.elementwise((15 * routed + held * sharing) * row, 20)
    } else {
      // put in the order of experts and summed again; what came from other chips is sorted by expert there, and back
      const sorted = local > 1 && sharing > 1 ? 4 * routed : 0
      const moved = (held * (2 * x.active + 2) + sorted) * row
      forward.elementwise(moved, 20)
      input.elementwise(moved, 20)
    }
    if (engine.groupsExperts) {
      grouped(local, routed / local, h, (gates * x.intermediateSize) / etp)
      grouped(local, routed / local, x.intermediateSize / etp, h)
    } else {
      for (let expert = 0; expert < local; expert++) {
        product(routed / local, h, (gates * x.intermediateSize) / etp)
        product(routed / local, x.intermediateSize / etp, h)
      }
      // rows of an expert are a slice of all, and so are its results (`SequentialMLP.forward` of
      // github.com/NVIDIA/Megatron-LM). For each expert, PyTorch copies the gradient of all results, and makes one of all rows
      // from zeros, which are then summed.
      forward.elementwise(3 * routed * row, 1 + local)
      input.elementwise((6 * local + 2) * routed * row, 7 * local)
    }
    activation(routed, x.intermediateSize / etp)
    if (x.sharedIntermediateSize > 0) {
      product(T, h, (gates * x.sharedIntermediateSize) / t)
      product(T, x.sharedIntermediateSize / t, h)
      activation(T, x.sharedIntermediateSize / t)
    }
  } else {
    product(T, h, (gates * d.intermediateSize) / t)
    product(T, d.intermediateSize / t, h)
    activation(T, d.intermediateSize / t)
  }
  return { forward, input, weight, core }
}

/** Tokens of the residual stream on a chip between layers: its own part under sequence parallelism, else all. */
export function streamTokens(
  share: Pick<Share, 'tensorParallel' | 'sequenceParallel'>,
  tokens: number,
): number {
  return share.sequenceParallel ? tokens / share.tensorParallel : tokens
}

/**
 * Expected number of link domains that hold a token's experts, for experts laid out over the domains in order and drawn at
 * random: first the groups that the token may use, then each expert from those groups.
 */
export function domainsReached({ active, groups, activeGroups }: Experts, domains: number): number {
  // a domain has some groups whole, or is one of several that have a part of one
  const within = Math.max(1, Math.floor(groups / domains))
  const parts = Math.max(1, domains / groups)
  const missed = meanAmong(groups, within, activeGroups, (n) => (1 - n / (activeGroups * parts)) ** active)
  return domains * (1 - missed)
}

/**
 * Mean of a function of k, the number of `drawn` items out of `all` that are among `within` marked ones (hypergeometric).
 * Probabilities follow from the likeliest k by ratios of neighbours, as binomial coefficients overflow.
 */
function meanAmong(all: number, within: number, drawn: number, of: (n: number) => number): number {
  const likeliest = Math.floor(((drawn + 1) * (within + 1)) / (all + 2))
  const others = all - within - drawn
  let chances = 1
  let sum = of(likeliest)
  const add = (chance: number, n: number) => {
    chances += chance
    sum += chance * of(n)
  }
  let chance = 1
  for (let n = likeliest + 1; chance > NEGLIGIBLE; n++) {
    chance *= ((within - n + 1) * (drawn - n + 1)) / (n * (others + n))
    if (chance > 0) add(chance, n)
  }
  chance = 1
  for (let n = likeliest - 1; chance > NEGLIGIBLE; n--) {
    chance *= ((n + 1) * (others + n + 1)) / ((within - n) * (drawn - n))
    if (chance > 0) add(chance, n)
  }
  return sum / chances
}

/** Probability below which a term changes no digit of a sum with 1. */
const NEGLIGIBLE = 1e-17

/** Norms over vectors of a given width. */
function norms(
  { norm }: Decoder,
  engine: Behaviour,
  forward: Tally,
  input: Tally,
  count: number,
  values: number,
): void {
  if (engine.fusedElementwise || norm === 'layer') {
    forward.elementwise(count * values * 2 * HALF, count)
    input.elementwise(count * values * 3 * HALF, 2 * count)
    return
  }
  // written out as models do: to fp32, squared, its mean, the quotient, back, times the gain (2 + 4, 4 + 4, 4, 4 + 4, 4 + 2 and
  // 2 + 2 bytes); backward, the gradients of each, that of the quotient's two factors, and their sum
  forward.elementwise(count * values * 36, 7 * count)
  input.elementwise(count * values * 74, 14 * count)
}

/** Work of the lookup of embeddings: rows read and written, and their gradients added. */
export function embeddingWork(d: Decoder, engine: Behaviour, share: Share, sequenceLength: number): Passes {
  const T = (share.microBatch * sequenceLength) / share.contextParallel
  const rows = T * d.hiddenSize * HALF
  const forward = new Tally().elementwise(rows * (d.positions > 0 ? 5 : 2), d.positions > 0 ? 3 : 1)
  const weight = new Tally().elementwise(rows + 2 * T * d.hiddenSize * engine.gradientBytes, 2)
  return { forward, input: new Tally(), weight, core: new Tally() }
}

/** Work of the last norm, the logits and the loss; the vocabulary is split over the tensor-parallel chips. */
export function headWork(d: Decoder, engine: Behaviour, share: Share, sequenceLength: number): Passes {
  const t = share.tensorParallel
  const T = (share.microBatch * sequenceLength) / share.contextParallel
  const V = paddedVocabulary(d, engine, t) / t
  const forward = new Tally().product(T, V, d.hiddenSize)
  const input = new Tally().product(T, d.hiddenSize, V)
  const weight = new Tally().product(d.hiddenSize, V, T)
  weight.elementwiseBytes += engine.gradientBytes * d.hiddenSize * V
  if (engine.fusedLoss) {
    forward.elementwise(T * V * 10, 4)
    input.elementwise(T * V * 8, 2)
  } else {
    // logits to fp32, maximum, difference, exponentials, their sum, quotient; backward, the difference, and back to 16 bits
    const { wideBytes } = engine
    const cast = wideBytes > HALF ? 1 : 0
    forward.elementwise(T * V * (9 * wideBytes + cast * (HALF + wideBytes)), 9 + cast)
    input.elementwise(T * V * (4 * wideBytes + cast * HALF), 4 + cast)
  }
  norms(d, engine, forward, input, 1, streamTokens(share, T) * d.hiddenSize)
  return { forward, input, weight, core: new Tally() }
}

/**
 * Work in front of a prediction layer: the norms of a token's state and of the next one's embedding, which are joined and
 * projected to the width of one (DeepSeek-V3, section 2.2).
 */
export function predictionWork(d: Decoder, engine: Behaviour, share: Share, sequenceLength: number): Passes {
  const t = share.tensorParallel
  const T = (share.microBatch * sequenceLength) / share.contextParallel
  const h = d.hiddenSize
  const { forward: embedded } = embeddingWork(d, engine, share, sequenceLength)
  const forward = new Tally().product(T, h / t, 2 * h)
  const input = new Tally().product(T, 2 * h, h / t)
  const weight = new Tally().product(2 * h, h / t, T)
  weight.elementwiseBytes += engine.gradientBytes * 2 * h * (h / t)
  forward.elementwise(embedded.elementwiseBytes, embedded.kernels)
  norms(d, engine, forward, input, 2, streamTokens(share, T) * h)
  return { forward, input, weight, core: new Tally() }
}

/** Tables of the vocabulary's size (embeddings, head) on a stage that has the first layer, the last one, or both. */
export function tablesOf(d: Decoder, isFirst: boolean, isLast: boolean): number {
  const embeddings = isFirst || (isLast && sharesTable(d))
  return (embeddings ? 1 : 0) + (isLast && !d.tiedEmbeddings ? 1 : 0)
}

/** Whether the last stage has a copy of the first stage's table of embeddings: for tied logits, or for prediction layers. */
export function sharesTable({ tiedEmbeddings, predictionLayers }: Decoder): boolean {
  return tiedEmbeddings || predictionLayers > 0
}

/** Rows of the table of embeddings, padded so that it divides evenly. */
export function paddedVocabulary(d: Decoder, engine: Behaviour, tensorParallel: number): number {
  const multiple = engine.vocabularyMultiple * tensorParallel
  return Math.ceil(d.vocabularySize / multiple) * multiple
}
