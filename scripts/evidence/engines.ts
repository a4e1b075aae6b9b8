/** @file Software that measured runs used, by era, before the flags of a row change it. */
import type { Engine, Recompute } from '../../src/simulate/types.ts'

/** An engine with what its recipes do where a row says nothing. */
export interface EngineDefaults {
  readonly engine: Engine
  readonly zeroStage: 0 | 1 | 2 | 3
  readonly recompute: Recompute
  /** Sequence parallelism whenever tensors are split. */
  readonly sequenceParallel: boolean
  /** Micro-batch of its recipes; null where they differ. */
  readonly microBatch: 1 | null
  /** Experts are split like other tensors unless told otherwise; else they are whole. */
  readonly splitsExperts: boolean
}

const base: Omit<Engine, 'id' | 'name'> = {
  lineage: 'megatron',
  usesAllRails: true,
  fusedAttention: true,
  fusedElementwise: true,
  fusedLoss: false,
  gradientPlaceholders: true,
  gradientBytes: 4,
  overlapsData: false,
  overlapsTensor: false,
  overlapsExperts: false,
  dispatchesOnce: false,
  overlapsPipeline: false,
  scattersSends: false,
  updatesOnHost: true,
  vocabularyMultiple: 1,
  dropout: false,
}

const defaults: Omit<EngineDefaults, 'engine'> = {
  zeroStage: 1,
  recompute: 'none',
  sequenceParallel: true,
  microBatch: 1,
  splitsExperts: true,
}

/** Megatron-LM of 2021: JIT-fused bias, GeLU, dropout and masked softmax, scores of attention stored, fp16 gradients. */
const megatron2021: EngineDefaults = {
  ...defaults,
  engine: {
    ...base,
    id: 'megatron-2021',
    name: 'Megatron-LM 2021',
    fusedAttention: false,
    // Narayanan et al. 2021, section 4.1
    scattersSends: true,
    gradientBytes: 2,
    vocabularyMultiple: 128,
    dropout: true,
  },
  zeroStage: 0,
  recompute: 'full',
  sequenceParallel: false,
}

/** ZeRO-3 of DeepSpeed under Megatron-LM 2021: it gathers and reduces beside computation by default. */
const deepSpeedZero3: EngineDefaults = {
  ...megatron2021,
  engine: {
    ...megatron2021.engine,
    id: 'megatron-2021-zero3',
    lineage: 'megatron-fork',
    name: 'Megatron-LM 2021 with DeepSpeed ZeRO-3',
    // its own collectives of 2021 took one way out of a node
    usesAllRails: false,
    overlapsData: true,
  },
  zeroStage: 3,
}

/** Megatron-LM with sequence parallelism and selective recomputation (Korthikanti et al. 2022), fp32 gradients. */
const megatron2022: EngineDefaults = {
  ...defaults,
  engine: {
    ...megatron2021.engine,
    id: 'megatron-2022',
    name: 'Megatron-LM 2022',
    gradientBytes: 4,
  },
  zeroStage: 0,
  recompute: 'selective',
}

/**
 * BLOOM's and vTrain's: Megatron-LM 2021 under DeepSpeed, no overlap. Its pipeline engine splits what stages send over the
 * tensor-parallel chips as well (`is_pipe_partitioned`).
 */
const megatronDeepSpeed: EngineDefaults = {
  ...megatron2021,
  engine: {
    ...megatron2021.engine,
    id: 'megatron-deepspeed',
    lineage: 'megatron-fork',
    name: 'Megatron-DeepSpeed',
  },
}

/** BLOOM's fork of it: ALiBi, an embedding norm, kernels of its own. */
const bigScience: EngineDefaults = {
  ...megatronDeepSpeed,
  engine: { ...megatronDeepSpeed.engine, id: 'bigscience', name: 'Megatron-DeepSpeed of BigScience' },
}

/** Megatron-Core with Transformer Engine and flash attention; overlaps only where flags ask for them. */
const megatronCore: EngineDefaults = {
  ...defaults,
  engine: { ...base, id: 'megatron-core', name: 'Megatron-Core', vocabularyMultiple: 128 },
}

/** NeMo and Megatron-Bridge performance recipes: all overlaps on, gradients reduced in 16 bits, experts whole. */
const nemo: EngineDefaults = {
  ...defaults,
  engine: {
    ...megatronCore.engine,
    id: 'nemo',
    name: 'NeMo / Megatron-Bridge',
    fusedLoss: true,
    // recipes dispatch with DeepEP or HybridEP
    dispatchesOnce: true,
    gradientBytes: 2,
    overlapsData: true,
    overlapsTensor: true,
  },
  splitsExperts: false,
}

const pai: EngineDefaults = {
  ...megatronCore,
  engine: { ...megatronCore.engine, id: 'pai-megatron', name: 'Pai-Megatron-Patch' },
  splitsExperts: false,
}

const flagScale: EngineDefaults = {
  ...megatronCore,
  engine: { ...megatronCore.engine, id: 'flagscale', lineage: 'megatron-fork', name: 'FlagScale' },
}

/** FSDP of PyTorch under Composer: weights and gradients travel in 16 bits, beside computation. */
const llmFoundry: EngineDefaults = {
  ...defaults,
  engine: {
    ...base,
    id: 'llm-foundry',
    lineage: 'fsdp',
    name: 'llm-foundry (FSDP)',
    fusedLoss: true,
    gradientBytes: 2,
    overlapsData: true,
    vocabularyMultiple: 1,
  },
  zeroStage: 3,
  sequenceParallel: false,
  microBatch: null,
}

/** FSDP2: gradients are reduced in fp32. */
const torchtitan: EngineDefaults = {
  ...llmFoundry,
  engine: {
    ...llmFoundry.engine,
    id: 'torchtitan',
    lineage: 'fsdp',
    name: 'torchtitan (FSDP2)',
    fusedLoss: true,
    gradientBytes: 4,
  },
  sequenceParallel: true,
}

/** Aleph Alpha's: Megatron-like, ZeRO-1, no overlap told of. */
const alephAlpha: EngineDefaults = {
  ...defaults,
  engine: {
    ...base,
    id: 'aa-scaling',
    lineage: 'fsdp',
    name: 'AA-Scaling',
    fusedElementwise: false,
    vocabularyMultiple: 128,
  },
  sequenceParallel: false,
  microBatch: null,
}

/** Scripts set make-vocab-size-divisible-by 1. */
const mindSpeedCore: EngineDefaults = {
  ...defaults,
  engine: { ...base, id: 'mindspeed', lineage: 'mindspeed', name: 'MindSpeed-LLM', updatesOnHost: false },
  zeroStage: 0,
}

const mindSpeedLegacy: EngineDefaults = {
  ...mindSpeedCore,
  engine: {
    ...mindSpeedCore.engine,
    id: 'mindspeed-legacy',
    lineage: 'mindspeed',
    name: 'MindSpeed-LLM (legacy)',
  },
}

/** Graph compiler of MindSpore; sequence parallelism is a flag of the YAML. */
const mindFormers: EngineDefaults = {
  ...defaults,
  engine: { ...base, id: 'mindformers', lineage: 'mindspeed', name: 'MindFormers', gradientBytes: 2 },
  sequenceParallel: false,
}

/** Gradients in 16 bits, ZeRO-1 within a node, communication beside the backward pass. */
const internEvo: EngineDefaults = {
  ...defaults,
  engine: {
    ...base,
    id: 'internevo',
    lineage: 'fsdp',
    name: 'InternEvo',
    gradientBytes: 2,
    overlapsData: true,
  },
  microBatch: null,
}

const haiLlm: EngineDefaults = {
  ...defaults,
  engine: {
    ...base,
    id: 'hai-llm',
    lineage: 'hai-llm',
    name: 'HAI-LLM',
    fusedLoss: true,
    dispatchesOnce: true,
    overlapsData: true,
    overlapsExperts: true,
    overlapsPipeline: true,
  },
  splitsExperts: false,
}

/** ByteDance's for experts: exchanges, gathers and sends beside computation. */
const megaScaleMoe: EngineDefaults = {
  ...megatronCore,
  engine: {
    ...megatronCore.engine,
    id: 'megascale-moe',
    lineage: 'megatron-fork',
    name: 'MegaScale-MoE',
    gradientBytes: 2,
    overlapsData: true,
    overlapsTensor: true,
    overlapsExperts: true,
  },
  splitsExperts: false,
}

/** Transformers of Hugging Face with DeepSpeed's ZeRO, which communicates beside the backward pass. */
const deepSpeed: EngineDefaults = {
  ...defaults,
  engine: {
    ...base,
    id: 'deepspeed',
    lineage: 'transformers',
    name: 'Transformers with DeepSpeed',
    fusedAttention: false,
    fusedElementwise: false,
    gradientBytes: 2,
    overlapsData: true,
  },
  sequenceParallel: false,
  microBatch: null,
}

const colossal: EngineDefaults = {
  ...defaults,
  engine: {
    ...base,
    id: 'colossal-ai',
    lineage: 'fsdp',
    name: 'Colossal-AI',
    gradientBytes: 2,
    overlapsData: true,
  },
  microBatch: null,
}

/**
 * Sailor's Megatron-DeepSpeed, fp32 throughout: the DeepSpeed config enables neither fp16 nor bf16, so the fused masked
 * softmax is off too (eth-easl/sailor, ae_scripts/clariden_scripts/run_opt.slurm).
 */
const sailor: EngineDefaults = {
  ...megatron2021,
  engine: {
    ...megatron2021.engine,
    id: 'sailor',
    lineage: 'megatron-fork',
    name: 'Sailor (Megatron-DeepSpeed, fp32)',
    fusedElementwise: false,
    gradientBytes: 4,
  },
  recompute: 'none',
}

/**
 * SimuMax's Megatron-LM on B200: Transformer Engine 2.11, fused cross-entropy, every overlap off by the launcher
 * (MooreThreads/SimuMax, simu_tools/megatron_scripts/scripts, docs/b200/b200_real_repro_guide.md).
 */
const simumax: EngineDefaults = {
  ...megatronCore,
  engine: {
    ...megatronCore.engine,
    id: 'simumax-megatron',
    name: 'Megatron-Core without overlaps',
    fusedLoss: true,
  },
  splitsExperts: false,
}

export const ENGINES = {
  megatron2021,
  deepSpeedZero3,
  megatron2022,
  megatronDeepSpeed,
  bigScience,
  megatronCore,
  nemo,
  pai,
  flagScale,
  llmFoundry,
  torchtitan,
  alephAlpha,
  mindSpeedCore,
  mindSpeedLegacy,
  mindFormers,
  internEvo,
  haiLlm,
  megaScaleMoe,
  deepSpeed,
  colossal,
  sailor,
  simumax,
} as const satisfies Readonly<Record<string, EngineDefaults>>

/** First that fits `source | framework` wins. */
const BY_FRAMEWORK: readonly (readonly [RegExp, EngineDefaults])[] = [
  [/DeepSpeed ZeRO-3/i, deepSpeedZero3],
  [/Narayanan/i, megatron2021],
  [/Korthikanti/i, megatron2022],
  [/MegaScale-MoE.*\| Megatron/i, megatronCore],
  [/MegaScale-MoE/i, megaScaleMoe],
  [/MegaScale|Jiang et al/i, megatron2022],
  [/BigScience/i, bigScience],
  [/Megatron-DeepSpeed/i, megatronDeepSpeed],
  [/MindFormers/i, mindFormers],
  [/MindSpeed.*Legacy/i, mindSpeedLegacy],
  [/MindSpeed|ModelLink/i, mindSpeedCore],
  [/Megatron-Bridge|NeMo/i, nemo],
  [/Pai-Megatron/i, pai],
  [/FlagScale/i, flagScale],
  [/torchtitan/i, torchtitan],
  [/llm-foundry|Composer/i, llmFoundry],
  [/Aleph Alpha|AA-Scaling/i, alephAlpha],
  [/InternEvo|InternLM(?!\/xtuner)|XTuner/i, internEvo],
  [/HAI-LLM/i, haiLlm],
  [/Colossal/i, colossal],
  [/GLM-130B/i, megatronDeepSpeed],
  [/Megatron/i, megatronCore],
  [/DeepSpeed|Hugging ?Face|Transformers/i, deepSpeed],
]

/** The engine of a row of measurements; undefined where nothing is known of its software. */
export function engineOf(source: string, framework: string | null): EngineDefaults | undefined {
  const text = `${source} | ${framework ?? ''}`
  return BY_FRAMEWORK.find(([pattern]) => pattern.test(text))?.[1]
}
