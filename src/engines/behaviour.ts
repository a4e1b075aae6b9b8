/** @file Basic behaviour, over which each engine and each measured software writes its differences. */
import type { Behaviour } from '../simulate/index.ts'

/** Kernels are fused but for the loss, gradients are kept in fp32, nothing overlaps. */
export const BASIC_BEHAVIOUR = {
  usesAllRails: true,
  fusedAttention: true,
  earlierAttention: false,
  fusedElementwise: true,
  fusedMask: true,
  composedGates: false,
  fusedLoss: false,
  wideBytes: 4,
  gradientPlaceholders: true,
  gradientBytes: 4,
  // Megatron-LM's default
  gradientBucket: 40_000_000,
  overlapsData: false,
  overlapsTensor: false,
  overlapsExperts: false,
  gathersTokens: false,
  groupsExperts: true,
  headPadding: 0,
  dispatchesOnce: false,
  overlapsPipeline: false,
  scattersSends: false,
  sendsInTurn: false,
  updatesOnHost: true,
  vocabularyMultiple: 1,
  dropout: false,
} as const satisfies Omit<Behaviour, 'measuredAs' | 'lineage'>
