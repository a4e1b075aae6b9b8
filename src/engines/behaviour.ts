/** @file The engines that runs are planned for, as far as time and memory depend on them. */
import type { Engine } from '../simulate/index.ts'

const common = {
  usesAllRails: true,
  fusedAttention: true,
  earlierAttention: false,
  fusedElementwise: true,
  fusedMask: true,
  composedGates: false,
  fusedLoss: true,
  wideBytes: 4,
  gradientPlaceholders: true,
  gradientBytes: 4,
  overlapsData: true,
  overlapsTensor: false,
  overlapsExperts: false,
  gathersTokens: false,
  groupsExperts: true,
  headPadding: 0,
  overlapsPipeline: true,
  sendsInTurn: false,
  updatesOnHost: true,
  vocabularyMultiple: 128,
  dropout: false,
} as const

/**
 * Engines by the name that a user gives; `id` is that of the measured software whose constants they take. Overlaps are
 * those that the engines' own recipes turn on.
 */
export const ENGINES = {
  'megatron-lm': {
    ...common,
    id: 'megatron-core',
    name: 'Megatron-LM',
    lineage: 'megatron',
    dispatchesOnce: true,
    scattersSends: true,
  },
  'mindspeed-llm': {
    ...common,
    id: 'mindspeed',
    name: 'MindSpeed-LLM',
    lineage: 'mindspeed',
    fusedLoss: false,
    overlapsTensor: true,
    dispatchesOnce: false,
    scattersSends: true,
    // --swap-optimizer moves the state, not the update (docs/features/swap-optimizer of MindSpeed)
    updatesOnHost: false,
    vocabularyMultiple: 1,
  },
  torch: {
    ...common,
    id: 'torchtitan',
    name: 'PyTorch FSDP2',
    lineage: 'fsdp',
    gradientPlaceholders: false,
    overlapsPipeline: false,
    dispatchesOnce: false,
    scattersSends: false,
    vocabularyMultiple: 1,
  },
} as const satisfies Readonly<Record<string, Engine>>

export type EngineName = keyof typeof ENGINES
export const ENGINE_NAMES = Object.keys(ENGINES) as readonly EngineName[]
