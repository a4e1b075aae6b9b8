/** @file Two numbers for the parts of a layout that a chip's share of the work depends on: keys to memoize by. */
import type { Layout } from './types.ts'

/**
 * How tensors, tokens and experts are spread over chips: degrees to 2^17, 2^20 and 2^16, so that keys are exact.
 * @param experts Whether how experts are spread counts.
 */
export function degreesKey(l: Layout, experts = true): number {
  return (l.tensorParallel * 2 ** 20 + l.contextParallel) * 2 ** 16 + (experts ? l.expertParallel : 0)
}

/** The other parts: the micro-batch, the splitting of experts, and how tokens are split. */
export function tokensKey(l: Layout, experts = true): number {
  const flags = (l.sequenceParallel ? 1 : 0) + (l.contextMethod === 'ring' ? 2 : 0)
  return (l.microBatch * 2 ** 16 + (experts ? l.expertTensorParallel : 0)) * 4 + flags
}
