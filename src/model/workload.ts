/** @file What training an architecture costs by itself, wherever it runs: bytes of its state, work of its operations. */
import type { Architecture } from './architecture.ts'
import { meanSeen } from './decoder-counts.ts'
import { parameterCount } from './parameters.ts'

/** Bytes per parameter that mixed-precision training with AdamW keeps: 16 in all. */
export const TRAINING_STATE_BYTES = {
  weights: 2,
  gradients: 2,
  masterWeights: 4,
  firstMoments: 4,
  secondMoments: 4,
} as const

/** Bytes of the training state of an architecture: 16-bit weights and gradients, float32 master weights and moments. */
export function trainingStateBytes(a: Architecture): number {
  const each = Object.values(TRAINING_STATE_BYTES).reduce((sum, bytes) => sum + bytes, 0)
  return each * parameterCount(a)
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
export function trainingOperations(a: Architecture, { tokens, sequenceLength }: StepShape): Operation[] {
  const { hiddenSize, intermediateSize, layers, heads, headSize, vocabularySize } = a
  const queries = heads * headSize
  const keys = a.keyValueHeads * headSize
  const parameters = parameterCount(a)
  const normed =
    tokens * hiddenSize * (2 * layers + 1) + (a.queryKeyNorm ? tokens * (queries + keys) * layers : 0)
  // keys that a query of each layer sees, the window included
  const seen = a.slidingWindows.map((window) => Math.min(window ?? sequenceLength, sequenceLength))
  const scores = tokens * heads * sum(seen)
  const causal = tokens * heads * sum(seen.map((width) => meanSeen(sequenceLength, width)))
  // query, key, value and output of attention: read or written once forward, twice with their gradients backward
  const operands = 3 * layers * tokens * (2 * queries + 2 * keys) * HALF
  return [
    matmuls('attention projections', tokens, layers, [
      [hiddenSize, queries],
      [hiddenSize, keys],
      [hiddenSize, keys],
      [queries, hiddenSize],
    ]),
    matmuls('MLP', tokens, layers, [
      [hiddenSize, intermediateSize],
      [hiddenSize, intermediateSize],
      [intermediateSize, hiddenSize],
    ]),
    matmuls('logits', tokens, 1, [[hiddenSize, vocabularySize]]),
    // two products forward; backward four, and that of the scores again
    { name: 'attention, fused', flops: 2 * headSize * causal * (2 + 5), bytes: operands },
    // scores and probabilities written and read forward (4), with their gradients backward (7)
    {
      name: 'attention, unfused',
      flops: 2 * headSize * scores * (2 + 4) + 10 * scores,
      bytes: operands + 11 * scores * HALF,
    },
    // read x, write y; read x and dy, write dx
    { name: 'norms', flops: 12 * normed, bytes: 5 * normed * HALF },
    {
      name: 'gates and residuals',
      flops: layers * tokens * (13 * intermediateSize + 6 * (queries + keys) + 4 * hiddenSize),
      bytes: layers * tokens * (8 * intermediateSize + 4 * (queries + keys) + 12 * hiddenSize) * HALF,
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

/** Products of activations with weights of shapes (from, to), and the two products of each one's gradients. */
function matmuls(
  name: string,
  tokens: number,
  times: number,
  shapes: readonly (readonly [number, number])[],
): Operation {
  const flops = sum(shapes.map(([from, to]) => 2 * tokens * from * to))
  const bytes = sum(shapes.map(([from, to]) => (tokens * from + from * to + tokens * to) * HALF))
  return { name, flops: 3 * times * flops, bytes: 3 * times * bytes }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
