/** @file What each operation of a layer keeps, and what it holds while it runs, on one chip for one micro-batch. */
import type { Attention, Decoder, Experts } from '../model/index.ts'
import type { Pass } from './memory-walk.ts'
import type { Engine, Layout, Workload } from './types.ts'

/** Bytes of a value in bf16 or fp16. */
export const HALF = 2
/** Bytes of a value in fp32. */
export const SINGLE = 4
/** Bytes of a decision of dropout. */
const MASK = 1

/** An engine with what memory alone depends on. */
export interface MemoryEngine extends Engine {
  /** The loss is one kernel that turns logits into their gradient in place; as `fusedElementwise` where undefined. */
  readonly fusedLoss?: boolean
  /**
   * Where weights' gradients add straight into fp32 ones, automatic differentiation gets a placeholder for each shape of
   * matrix, in the format of the weights and never freed (Megatron-LM with Transformer Engine from 2.3 on); true where
   * undefined.
   */
  readonly gradientPlaceholders?: boolean
}

/** The sizes that the layers of a layout share. Tokens are those of a micro-batch on one chip. */
export interface Extent {
  readonly decoder: Decoder
  readonly engine: MemoryEngine
  readonly layout: Layout
  /** Keys that a query may see. */
  readonly sequenceLength: number
  /** Tokens between the collectives of tensor parallelism. */
  readonly tokens: number
  /** Tokens of norms and of the residual stream: fewer under sequence parallelism. */
  readonly streamTokens: number
  /** Bytes of a saved input of a matrix product, by value. */
  readonly inputBytes: number
  /** Weights' gradients are values of their own before they are added to those of other micro-batches. */
  readonly separateGradients: boolean
}

export function extentOf(workload: Workload, engine: MemoryEngine, layout: Layout): Extent {
  const tokens = (layout.microBatch * workload.sequenceLength) / layout.contextParallel
  const split = layout.sequenceParallel ? layout.tensorParallel : 1
  return {
    decoder: workload.decoder,
    engine,
    layout,
    sequenceLength: workload.sequenceLength,
    tokens,
    streamTokens: tokens / split,
    inputBytes: workload.precision === 'fp8' ? 1 : HALF,
    separateGradients: !accumulatesInPlace(engine, layout),
  }
}

/**
 * Whether products of weights' gradients add straight into fp32 gradients. Sharded gradients (ZeRO 2 and 3) do not: they
 * are made whole, then reduced.
 */
export function accumulatesInPlace(engine: MemoryEngine, layout: Layout): boolean {
  return engine.gradientBytes === SINGLE && layout.zeroStage < 2
}

/** Bytes of one copy of the residual stream. */
export function streamBytes(e: Extent): number {
  return e.streamTokens * e.decoder.hiddenSize * HALF
}

/** Bytes of the stream of all tokens, which sequence parallelism gathers before products; 0 without. */
export function gatheredBytes(e: Extent): number {
  return e.streamTokens < e.tokens ? e.tokens * e.decoder.hiddenSize * HALF : 0
}

/** The passes of a layer, dense or of experts. */
export function layerPasses(e: Extent, experts: Experts | null): Pass[] {
  const stream = streamBytes(e)
  const after = (part: string) =>
    e.decoder.normsPerLayer > 2
      ? [norm(e, `norm after ${part}`, e.streamTokens, e.decoder.hiddenSize, stream)]
      : []
  return [
    ...attentionPasses(e),
    ...after('attention'),
    ...(experts ? expertPasses(e, experts) : mlpPasses(e)),
    ...after('MLP'),
  ]
}

/** A norm keeps its input. Without fusion an RMS norm keeps it as fp32, and its quotient once more. */
function norm(e: Extent, name: string, tokens: number, width: number, backward: number): Pass {
  const fused = e.engine.fusedElementwise || e.decoder.norm === 'layer'
  const values = tokens * width
  return {
    name,
    saves: (fused ? HALF : SINGLE + HALF) * values + SINGLE * tokens,
    forward: HALF * values,
    backward: backward + HALF * values,
  }
}

/** Dropout of what goes back into the stream. */
function dropped(e: Extent): number {
  return e.engine.dropout ? e.streamTokens * e.decoder.hiddenSize * MASK : 0
}

/** The gradient of weights that are (out, in), where it is a value of its own. */
function weightGradient(e: Extent, values: number): number {
  return e.separateGradients ? values * HALF : 0
}

function attentionPasses(e: Extent): Pass[] {
  const { decoder, tokens, layout } = e
  const { hiddenSize, attention } = decoder
  const stream = streamBytes(e)
  const gathered = gatheredBytes(e)
  const widths = attentionWidths(attention)
  const heads = attention.heads / layout.tensorParallel
  const query = (tokens * widths.query * HALF) / layout.tensorParallel
  const keyValue = (tokens * widths.keyValue * HALF) / layout.tensorParallel
  const output = (tokens * widths.output * HALF) / layout.tensorParallel
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
    coreAttention(e, heads, query, keyValue, output),
    {
      // one tensor serves attention (where it is fused) and the projection, unless the projection keeps another format
      name: 'output projection',
      saves:
        output * (e.engine.fusedAttention ? 1 : e.inputBytes / HALF) + narrowCopy(e, output) + dropped(e),
      forward: Math.max(gathered, stream) + stream,
      backward:
        residual +
        gathered +
        output +
        weightGradient(e, (hiddenSize * widths.output) / layout.tensorParallel),
    },
  ]
}

/** An 8-bit copy of a value that is kept in 16 bits as well. */
function narrowCopy(e: Extent, bytes: number): number {
  return e.inputBytes < HALF && e.engine.fusedAttention ? (bytes * e.inputBytes) / HALF : 0
}

/** Values of a token's queries, keys with values, and output of attention, all heads together. */
function attentionWidths(a: Attention): { query: number; keyValue: number; output: number } {
  if (a.kind === 'heads') {
    return {
      query: a.heads * a.headSize,
      keyValue: 2 * a.keyValueHeads * a.headSize,
      output: a.heads * a.headSize,
    }
  }
  const key = a.plainHeadSize + a.rotaryHeadSize
  return {
    query: a.heads * key,
    keyValue: a.heads * (key + a.valueHeadSize),
    output: a.heads * a.valueHeadSize,
  }
}

function headProjections(e: Extent, projected: number): Pass[] {
  const { hiddenSize, queryKeyNorm, attention } = e.decoder
  const stream = streamBytes(e)
  const gathered = gatheredBytes(e)
  const { query, keyValue } = attentionWidths(attention)
  const weights = (hiddenSize * (query + keyValue)) / e.layout.tensorParallel
  const projections: Pass = {
    name: 'projections of queries, keys, values',
    saves: (stream * e.inputBytes) / HALF,
    forward: gathered + projected,
    backward: stream + projected + 2 * Math.max(gathered, stream) + weightGradient(e, weights),
  }
  if (queryKeyNorm === false) return [projections]
  const normed = (e.tokens * (query + keyValue / 2)) / e.layout.tensorParallel
  return [projections, norm(e, 'norm of queries and keys', 1, normed, stream)]
}

/** Multi-head latent attention: what is kept of its low ranks and of the projections up from them. */
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

/** Bytes of what an activation function keeps and yields: (what it reads), (what the next product reads). */
function activation(e: Extent, values: number): { reads: number; keeps: number; yields: number } {
  const inputs = e.decoder.gated ? 2 : 1
  // without fusion the activated gate is a tensor too
  const extra = e.decoder.gated && !e.engine.fusedElementwise ? 1 : 0
  return { reads: inputs * values * HALF, keeps: (inputs + extra) * values * HALF, yields: values * HALF }
}

function mlpPasses(e: Extent): Pass[] {
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

function expertPasses(e: Extent, experts: Experts): Pass[] {
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

/** Shapes (out x in) of a layer's matrices on one chip, queries with keys and values and gate with up in one. */
export function matrixShapes(
  decoder: Decoder,
  experts: Experts | null,
  layout: Layout,
): readonly (readonly [number, number])[] {
  const { hiddenSize: hidden, attention: a } = decoder
  const t = layout.tensorParallel
  const widths = attentionWidths(a)
  const inward = decoder.gated ? 2 : 1
  const mlp = (width: number, over: number): (readonly [number, number])[] => [
    [(inward * width) / over, hidden],
    [hidden, width / over],
  ]
  const projections: (readonly [number, number])[] =
    a.kind === 'heads'
      ? [[(widths.query + widths.keyValue) / t, hidden]]
      : [
          ...(a.queryRank === 0
            ? [[widths.query / t, hidden] as const]
            : [[a.queryRank, hidden] as const, [widths.query / t, a.queryRank] as const]),
          [a.keyValueRank + a.rotaryHeadSize, hidden],
          [(a.heads * (a.plainHeadSize + a.valueHeadSize)) / t, a.keyValueRank],
        ]
  return [
    ...projections,
    [hidden, widths.output / t],
    ...(experts === null
      ? mlp(decoder.intermediateSize, t)
      : [
          ...mlp(experts.intermediateSize, layout.expertTensorParallel),
          ...mlp(experts.sharedIntermediateSize, t),
        ]),
  ]
}

/** Logits and loss on the last stage. Bytes; `logits` of them are of the vocabulary's size, all alive at the peak. */
export interface Head {
  /** Kept of the final norm and of the input of the projection. */
  readonly saved: number
  readonly logits: number
  readonly transient: number
}

/** Bytes of a logit that are kept, and more that live at the peak. */
function lossBytes(engine: MemoryEngine): { kept: number; working: number } {
  // logits become their gradient in place
  if (engine.fusedLoss ?? engine.fusedElementwise) return { kept: HALF, working: 0 }
  // fp32 probabilities, made in place of fp32 logits; beside them logits and their gradient
  if (engine.fusedElementwise) return { kept: SINGLE, working: 2 * HALF }
  // fp32 log-probabilities; beside them logits, and those in fp32 or their gradient
  return { kept: SINGLE, working: HALF + SINGLE }
}

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
