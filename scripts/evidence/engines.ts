/** @file Software that measured runs used, by era, before the flags of a row change it. */
import { BASIC_BEHAVIOUR } from '../../src/engines/index.ts'
import type { Behaviour, Lineage, Recompute } from '../../src/simulate/index.ts'

/** Software by the ids that constants are fitted under. */
const SOFTWARE = [
  'megatron-2021',
  'megatron-2021-zero3',
  'megatron-2022',
  'megatron-deepspeed',
  'bigscience',
  'megatron-core',
  'nemo',
  'pai-megatron',
  'flagscale',
  'llm-foundry',
  'torchtitan',
  'aa-scaling',
  'mindspeed',
  'mindspeed-legacy',
  'mindformers',
  'internevo',
  'hai-llm',
  'megascale-moe',
  'deepspeed',
  'colossal-ai',
  'sailor',
  'simumax-megatron',
] as const

/** How measured software behaves; what is fitted on it has its id. */
export interface MeasuredBehaviour extends Behaviour {
  readonly measuredAs: (typeof SOFTWARE)[number]
  /** Of 'transformers', no step could be fitted. */
  readonly lineage: Lineage | 'transformers'
}

/** How software behaves, with what its recipes do where a row says nothing. */
export interface EngineDefaults {
  readonly behaviour: MeasuredBehaviour
  readonly zeroStage: 0 | 1 | 2 | 3
  readonly recompute: Recompute
  /** Sequence parallelism whenever tensors are split. */
  readonly sequenceParallel: boolean
  /** Micro-batch of its recipes; null where they differ. */
  readonly microBatch: 1 | null
  /** Experts are split like other tensors unless told otherwise; else they are whole. */
  readonly splitsExperts: boolean
}

const base = { ...BASIC_BEHAVIOUR, lineage: 'megatron' } as const

const defaults: Omit<EngineDefaults, 'behaviour'> = {
  zeroStage: 1,
  recompute: 'none',
  sequenceParallel: true,
  microBatch: 1,
  splitsExperts: true,
}

/** Megatron-LM of 2021: JIT-fused bias, GeLU, dropout and masked softmax, scores of attention stored, fp16 gradients. */
const megatron2021: EngineDefaults = {
  ...defaults,
  behaviour: {
    ...base,
    measuredAs: 'megatron-2021',
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
  behaviour: {
    ...megatron2021.behaviour,
    measuredAs: 'megatron-2021-zero3',
    lineage: 'megatron-fork',
    // its own collectives of 2021 took one way out of a node
    usesAllRails: false,
    overlapsData: true,
  },
  zeroStage: 3,
}

/** Megatron-LM with sequence parallelism and selective recomputation (Korthikanti et al. 2022), fp32 gradients. */
const megatron2022: EngineDefaults = {
  ...defaults,
  behaviour: {
    ...megatron2021.behaviour,
    measuredAs: 'megatron-2022',
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
  behaviour: {
    ...megatron2021.behaviour,
    measuredAs: 'megatron-deepspeed',
    lineage: 'megatron-fork',
    // its schedule receives a gradient before it sends activations on (DeepSpeed, runtime/pipe/schedule.py, `TrainSchedule`)
    sendsInTurn: true,
  },
}

/** BLOOM's fork of it: ALiBi, an embedding norm, kernels of its own. */
const bigScience: EngineDefaults = {
  ...megatronDeepSpeed,
  behaviour: { ...megatronDeepSpeed.behaviour, measuredAs: 'bigscience' },
}

/** Megatron-Core with Transformer Engine and flash attention; overlaps only where flags ask for them. */
const megatronCore: EngineDefaults = {
  ...defaults,
  behaviour: { ...base, measuredAs: 'megatron-core', vocabularyMultiple: 128 },
}

/** NeMo and Megatron-Bridge performance recipes: all overlaps on, gradients reduced in 16 bits, experts whole. */
const nemo: EngineDefaults = {
  ...defaults,
  behaviour: {
    ...megatronCore.behaviour,
    measuredAs: 'nemo',
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
  behaviour: { ...megatronCore.behaviour, measuredAs: 'pai-megatron' },
  splitsExperts: false,
}

const flagScale: EngineDefaults = {
  ...megatronCore,
  behaviour: {
    ...megatronCore.behaviour,
    measuredAs: 'flagscale',
    lineage: 'megatron-fork',
    earlierAttention: true,
  },
}

/** FSDP of PyTorch under Composer: weights and gradients travel in 16 bits, beside computation. */
const llmFoundry: EngineDefaults = {
  ...defaults,
  behaviour: {
    ...base,
    measuredAs: 'llm-foundry',
    lineage: 'fsdp',
    // FlashAttention-2, which is what PyTorch's fused attention was as well until cuDNN's came to the fore
    earlierAttention: true,
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
  behaviour: {
    ...llmFoundry.behaviour,
    measuredAs: 'torchtitan',
    lineage: 'fsdp',
    fusedLoss: true,
    gradientBytes: 4,
  },
  sequenceParallel: true,
}

/** Aleph Alpha's: Megatron-like, ZeRO-1, no overlap told of. */
const alephAlpha: EngineDefaults = {
  ...defaults,
  behaviour: {
    ...base,
    measuredAs: 'aa-scaling',
    lineage: 'fsdp',
    fusedElementwise: false,
    vocabularyMultiple: 128,
  },
  sequenceParallel: false,
  microBatch: null,
}

/** Scripts set make-vocab-size-divisible-by 1. */
const mindSpeedCore: EngineDefaults = {
  ...defaults,
  behaviour: { ...base, measuredAs: 'mindspeed', lineage: 'mindspeed', updatesOnHost: false },
  zeroStage: 0,
}

const mindSpeedLegacy: EngineDefaults = {
  ...mindSpeedCore,
  behaviour: {
    ...mindSpeedCore.behaviour,
    measuredAs: 'mindspeed-legacy',
    lineage: 'mindspeed',
  },
}

/** Graph compiler of MindSpore; sequence parallelism is a flag of the YAML. */
const mindFormers: EngineDefaults = {
  ...defaults,
  behaviour: { ...base, measuredAs: 'mindformers', lineage: 'mindspeed', gradientBytes: 2 },
  sequenceParallel: false,
}

/** Gradients in 16 bits, ZeRO-1 within a node, communication beside the backward pass. */
const internEvo: EngineDefaults = {
  ...defaults,
  behaviour: {
    ...base,
    measuredAs: 'internevo',
    lineage: 'fsdp',
    gradientBytes: 2,
    overlapsData: true,
  },
  microBatch: null,
}

const haiLlm: EngineDefaults = {
  ...defaults,
  behaviour: {
    ...base,
    measuredAs: 'hai-llm',
    lineage: 'hai-llm',
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
  behaviour: {
    ...megatronCore.behaviour,
    measuredAs: 'megascale-moe',
    lineage: 'megatron-fork',
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
  behaviour: {
    ...base,
    measuredAs: 'deepspeed',
    lineage: 'transformers',
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
  behaviour: {
    ...base,
    measuredAs: 'colossal-ai',
    lineage: 'fsdp',
    gradientBytes: 2,
    overlapsData: true,
  },
  microBatch: null,
}

/**
 * Sailor's Megatron-DeepSpeed, fp32 throughout: the DeepSpeed config enables neither fp16 nor bf16 (eth-easl/sailor,
 * ae_scripts/clariden_scripts/run_opt.slurm), and in fp32 mask and softmax are not one kernel
 * (third_party/Megatron-DeepSpeed/megatron/model/fused_softmax.py, `is_kernel_available`). Its layers have neither biases
 * beside activations nor dropout of scores (opt_model.py, gpt_neo_model.py; of GPT-Neo's two dropouts a layer nothing is
 * counted), so all else is single kernels. Stages send parts, and gather what they receive (deepspeed/pipe_engine.py).
 */
const sailor: EngineDefaults = {
  ...megatron2021,
  behaviour: {
    ...megatron2021.behaviour,
    measuredAs: 'sailor',
    lineage: 'megatron-fork',
    fusedMask: false,
    sendsInTurn: true,
    gradientBytes: 4,
    dropout: false,
  },
  recompute: 'none',
}

/**
 * SimuMax's Megatron-LM on B200: Transformer Engine 2.11, fused cross-entropy, every overlap off by the launcher
 * (MooreThreads/SimuMax, simu_tools/megatron_scripts/scripts, docs/b200/b200_real_repro_guide.md).
 */
const simumax: EngineDefaults = {
  ...megatronCore,
  behaviour: {
    ...megatronCore.behaviour,
    measuredAs: 'simumax-megatron',
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
