/** @file Sizes that the operations of a layer are counted in, and operations that several parts of a layer have. */
import type { Decoder } from '../../model/index.ts'
import { HALF, MASK, SINGLE } from '../bytes.ts'
import type { Behaviour, Layout, Workload } from '../types.ts'
import type { Pass } from './walk.ts'

/** The sizes that the layers of a layout share. Tokens are those of a micro-batch on one chip. */
export interface Extent {
  readonly decoder: Decoder
  readonly engine: Behaviour
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

export function extentOf(workload: Workload, engine: Behaviour, layout: Layout): Extent {
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
export function accumulatesInPlace(engine: Behaviour, layout: Layout): boolean {
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

/** A norm keeps its input. Without fusion an RMS norm keeps it as fp32, and its quotient once more. */
export function norm(e: Extent, name: string, tokens: number, width: number, backward: number): Pass {
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
export function dropped(e: Extent): number {
  return e.engine.dropout ? e.streamTokens * e.decoder.hiddenSize * MASK : 0
}

/** The gradient of weights that are (out, in), where it is a value of its own. */
export function weightGradient(e: Extent, values: number): number {
  return e.separateGradients ? values * HALF : 0
}
