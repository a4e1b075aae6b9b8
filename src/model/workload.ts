/** @file What training a decoder costs by itself, wherever it runs: bytes of its state, work of its operations. */
import type { Activation, Attention, Decoder } from './decoder.ts'
import { decoderParameters, meanSeen } from './decoder-counts.ts'

/** Bytes per parameter that mixed-precision training keeps beside what its optimizer keeps: 16 in all with AdamW. */
export const TRAINING_STATE_BYTES = { weights: 2, gradients: 2, masterWeights: 4 } as const

/**
 * Bytes of the training state of a decoder: 16-bit weights and gradients, float32 master weights, and what an optimizer
 * keeps, given in bytes per parameter.
 */
export function trainingStateBytes(decoder: Decoder, optimizer: number): number {
  const each = Object.values(TRAINING_STATE_BYTES).reduce((sum, bytes) => sum + bytes, optimizer)
  return each * decoderParameters(decoder).total
}

/** Work of one kind of operation in a training step, all layers together, forward and backward. */
export interface Operation {
  readonly name: string
  /** An addition or multiplication counts one, a multiply-add two. */
  readonly flops: number
  /** Bytes read and written once each, as if nothing stayed near the arithmetic between operations. */
  readonly bytes: number
}

export interface StepShape {
  /** Tokens of a micro-batch. */
  readonly tokens: number
  /** Tokens of a sequence; attention is within one. */
  readonly sequenceLength: number
}

/** Bytes of a value in bf16 or fp16. */
const HALF = 2

/**
 * The operations of one training step with values of 16 bits, by kind. Attention is counted twice, as alternatives:
 * fused, where scores never leave the chip and the half that causality masks is skipped, and unfused, where whole
 * matrices of scores are written and read. The optimizer's update is that of the whole model, once a step.
 */
export function trainingOperations(decoder: Decoder, { tokens, sequenceLength }: StepShape): Operation[] {
  const { hiddenSize, layers, vocabularySize } = decoder
  const sizes = attentionSizes(decoder.attention)
  const operandSize = sizes.queries + sizes.keys + sizes.values + sizes.outputs
  const parameters = decoderParameters(decoder).total
  const normed = tokens * normedValues(decoder)
  // keys that a query of each layer sees, the window included
  const seen = decoder.windows.map((window) => Math.min(window ?? sequenceLength, sequenceLength))
  const scores = tokens * sizes.heads * sum(seen)
  const causal = tokens * sizes.heads * sum(seen.map((width) => meanSeen(sequenceLength, width)))
  // query, key, value and output of attention: read or written once forward, twice with their gradients backward
  const operands = 3 * layers * tokens * operandSize * HALF
  const inner = innerValues(decoder)
  const mlp = MLP_FLOPS[decoder.activation ?? 'silu']
  return [
    matmuls('attention projections', tokens, layers, projections(decoder)),
    ...mlpProducts(decoder, tokens),
    matmuls('logits', tokens, 1, [[hiddenSize, vocabularySize]]),
    // two products forward; backward four, and that of the scores again: of queries with keys four, with values three
    {
      name: 'attention, fused',
      flops: 2 * causal * (4 * sizes.queryKey + 3 * sizes.value),
      bytes: operands,
    },
    // scores and probabilities written and read forward (4), with their gradients backward (7)
    {
      name: 'attention, unfused',
      flops: 2 * scores * (3 * sizes.queryKey + 3 * sizes.value) + 10 * scores,
      bytes: operands + 11 * scores * HALF,
    },
    // read x, write y; read x and dy, write dx
    { name: 'norms', flops: NORM_FLOPS[decoder.norm] * normed, bytes: 5 * normed * HALF },
    {
      name: 'gates and residuals',
      flops:
        tokens *
        ((decoder.gated ? mlp.gate : mlp.alone) * inner + layers * (6 * sizes.rotated + 4 * hiddenSize)),
      bytes:
        tokens * ((decoder.gated ? 8 : 5) * inner + layers * (4 * sizes.rotated + 12 * hiddenSize)) * HALF,
    },
    // maximum, exponential, sum, divide, subtract the label
    {
      name: 'softmax and loss',
      flops: 6 * tokens * vocabularySize,
      bytes: 3 * tokens * vocabularySize * HALF,
    },
    // read and write rows; add the gradient to rows
    { name: 'embedding', flops: tokens * hiddenSize, bytes: 5 * tokens * hiddenSize * HALF },
    // read gradient, master weight and moments; write master weight, moments and weight
    { name: 'optimizer update', flops: 14 * parameters, bytes: (2 + 3 * 4 + 3 * 4 + 2) * parameters },
  ]
}

/** FLOPs of a value that is normed, forward and backward: square, sum, divide, weight; with a mean and a bias to subtract and add. */
const NORM_FLOPS: { readonly [N in Decoder['norm']]: number } = { rms: 12, layer: 18 }

/** FLOPs of a value between the matrices of an MLP, forward and backward: of an activation that is a gate, and of one alone. */
const MLP_FLOPS: { readonly [A in Activation]: { readonly gate: number; readonly alone: number } } = {
  silu: { gate: 13, alone: 10 },
  gelu: { gate: 21, alone: 18 },
  gelu_tanh: { gate: 27, alone: 24 },
}

/** Values of a token in a layer's attention. */
function attentionSizes(a: Attention) {
  const { heads } = a
  if (a.kind === 'heads') {
    const [queries, keys] = [heads * a.headSize, a.keyValueHeads * a.headSize]
    const each = { queryKey: a.headSize, value: a.headSize }
    return { heads, ...each, queries, keys, values: keys, outputs: queries, rotated: queries + keys }
  }
  const [queryKey, value] = [a.plainHeadSize + a.rotaryHeadSize, a.valueHeadSize]
  return {
    heads,
    queryKey,
    value,
    queries: heads * queryKey,
    keys: heads * queryKey,
    values: heads * value,
    outputs: heads * value,
    rotated: (heads + 1) * a.rotaryHeadSize,
  }
}

/** Values of a token that norms go over, in all layers and at the end. */
function normedValues({ attention: a, hiddenSize, layers, normsPerLayer, queryKeyNorm }: Decoder): number {
  const { queries, keys } = attentionSizes(a)
  const inner =
    a.kind === 'latent' ? a.queryRank + a.keyValueRank : queryKeyNorm === false ? 0 : queries + keys
  return hiddenSize * (normsPerLayer * layers + 1) + inner * layers
}

/** Values of a token between the matrices of MLPs and of the experts that it goes to, in all layers. */
function innerValues({ intermediateSize, experts, expertLayers }: Decoder): number {
  const routed = expertLayers.filter(Boolean).length
  const each =
    experts === null ? 0 : experts.active * experts.intermediateSize + experts.sharedIntermediateSize
  return (expertLayers.length - routed) * intermediateSize + routed * each
}

type Shapes = readonly (readonly [from: number, to: number])[]

/** Weights of a layer's attention. */
function projections({ attention: a, hiddenSize }: Decoder): Shapes {
  const { queries, keys, outputs } = attentionSizes(a)
  if (a.kind === 'heads') {
    return [
      [hiddenSize, queries],
      [hiddenSize, keys],
      [hiddenSize, keys],
      [outputs, hiddenSize],
    ]
  }
  const rank = a.queryRank
  const ofQueries: Shapes =
    rank === 0
      ? [[hiddenSize, queries]]
      : [
          [hiddenSize, rank],
          [rank, queries],
        ]
  return [
    ...ofQueries,
    [hiddenSize, a.keyValueRank + a.rotaryHeadSize],
    [a.keyValueRank, a.heads * (a.plainHeadSize + a.valueHeadSize)],
    [outputs, hiddenSize],
  ]
}

/** Products of MLPs, and of experts where there are any: a token goes to some, and the weights of all are read. */
function mlpProducts(decoder: Decoder, tokens: number): Operation[] {
  const { hiddenSize, intermediateSize, gated, experts, expertLayers } = decoder
  const routed = expertLayers.filter(Boolean).length
  const shapes = (width: number): Shapes => [
    ...(gated ? ([[hiddenSize, width]] as const) : []),
    [hiddenSize, width],
    [width, hiddenSize],
  ]
  const dense = expertLayers.length - routed
  return [
    ...(dense > 0 ? [matmuls('MLP', tokens, dense, shapes(intermediateSize))] : []),
    ...(experts === null || routed === 0
      ? []
      : [
          matmuls('router', tokens, routed, [[hiddenSize, experts.count]]),
          ...(experts.sharedIntermediateSize === 0
            ? []
            : [matmuls('shared experts', tokens, routed, shapes(experts.sharedIntermediateSize))]),
          matmuls(
            'experts',
            (tokens * experts.active) / experts.count,
            routed * experts.count,
            shapes(experts.intermediateSize),
          ),
        ]),
  ]
}

/** Products of activations with weights of shapes (from, to), and the two products of each one's gradients. */
function matmuls(name: string, tokens: number, times: number, shapes: Shapes): Operation {
  const flops = sum(shapes.map(([from, to]) => 2 * tokens * from * to))
  const bytes = sum(shapes.map(([from, to]) => (tokens * from + from * to + tokens * to) * HALF))
  return { name, flops: 3 * times * flops, bytes: 3 * times * bytes }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
