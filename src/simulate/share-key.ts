/** @file What of a layout a chip's share of the work depends on, as two numbers: the keys of what is kept by it. */
import type { Layout } from './types.ts'

/** How tensors, tokens and experts are spread over chips: degrees to 2^17, 2^20 and 2^16, so that keys are exact. */
export function degreesKey(l: Layout): number {
  return (l.tensorParallel * 2 ** 20 + l.contextParallel) * 2 ** 16 + l.expertParallel
}

/** The rest of it: the micro-batch, the splitting of experts, and how tokens are split. */
export function tokensKey(l: Layout): number {
  const flags = (l.sequenceParallel ? 1 : 0) + (l.contextMethod === 'ring' ? 2 : 0)
  return (l.microBatch * 2 ** 16 + l.expertTensorParallel) * 4 + flags
}
