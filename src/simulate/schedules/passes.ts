/** @file A pass of a pipeline as one number, for orders of millions of them. */

/** What a stage may be told to do next. */
export const FORWARD = 0
/** Gradients by input and by weights in one go. */
export const BACKWARD = 1
/** Gradients by input alone. */
export const BACKWARD_INPUT = 2
/** Gradients by weights, kept back by a BACKWARD_INPUT before. */
export const WEIGHT = 3
/** A forward that runs side by side with the backward that follows it in the order. */
export const PAIRED_FORWARD = 4
export const PAIRED_BACKWARD = 5
export const KINDS = 6

export function isForward(kind: number): boolean {
  return kind === FORWARD || kind === PAIRED_FORWARD
}

export const KIND_BITS = 3
export const KIND_MASK = 7

/** Kind in the lowest three bits, above them micro-batch * chunks + chunk. */
export function encode(kind: number, chunk: number, microBatch: number, chunks: number): number {
  return ((microBatch * chunks + chunk) << KIND_BITS) | kind
}
