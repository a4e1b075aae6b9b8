/** @file What goes into a simulation and what comes out. Seconds, bytes, FLOP/s throughout. */
import type { Chip, Direction } from '../chips/index.ts'
import type { Decoder } from '../model/index.ts'
import type { Precision } from './names.ts'
import { type PipelineSchedule, PLAIN_SCHEDULE } from './schedules/index.ts'

export { PRECISIONS, type Precision } from './names.ts'

/** A training step without chips: model, sequence length, batch, precision. */
export interface Workload {
  readonly decoder: Decoder
  /** Tokens. */
  readonly sequenceLength: number
  /** Sequences of one optimizer step. */
  readonly globalBatch: number
  readonly precision: Precision
}

export const RECOMPUTES = ['none', 'selective', 'full'] as const
/** Recomputation in the backward pass: none, the core of attention, or whole layers. */
export type Recompute = (typeof RECOMPUTES)[number]

/** How a run is spread over chips. The degrees multiply to the chips: tensor x context x pipeline x data. */
export interface Layout {
  readonly tensorParallel: number
  /** Norms and dropout are split by tokens over the tensor-parallel chips (Korthikanti et al. 2022). */
  readonly sequenceParallel: boolean
  readonly contextParallel: number
  readonly contextMethod: 'ring' | 'all-to-all'
  readonly pipelineParallel: number
  /** Chunks of layers on each stage (virtual pipeline); 1 without interleaving. */
  readonly virtualPipeline: number
  /** Layers of each stage, first to last, all its chunks together; as even as can be where it is undefined. */
  readonly stageLayers?: readonly number[]
  readonly dataParallel: number
  /** Chips that share the experts of a layer. */
  readonly expertParallel: number
  /** Chips that each expert is split over. */
  readonly expertTensorParallel: number
  /** What is sharded over data-parallel chips: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too. */
  readonly zeroStage: 0 | 1 | 2 | 3
  /** Data-parallel chips that shards are spread over, groups being copies (HSDP); all of them where it is undefined. */
  readonly shardGroup?: number
  /** Sequences. */
  readonly microBatch: number
  readonly recompute: Recompute
  /** Layers of each stage that are recomputed in full; all where it is undefined and `recompute` is 'full'. */
  readonly recomputeLayers?: number
  /** The optimizer's state is in the memory of the host. */
  readonly offloadOptimizer: boolean
  readonly schedule: PipelineSchedule
}

/** The layout of one chip, nothing recomputed, under ZeRO 1: the base that other layouts are written over. */
export const ONE_CHIP: Layout = {
  tensorParallel: 1,
  sequenceParallel: false,
  contextParallel: 1,
  contextMethod: 'ring',
  pipelineParallel: 1,
  virtualPipeline: 1,
  dataParallel: 1,
  expertParallel: 1,
  expertTensorParallel: 1,
  zeroStage: 1,
  microBatch: 1,
  recompute: 'none',
  offloadOptimizer: false,
  schedule: PLAIN_SCHEDULE,
}

/** How the software that executes a run behaves, as far as time and memory depend on it. */
export interface Behaviour {
  /** Measured software whose fitted constants it takes; null for those of its lineage alone. */
  readonly measuredAs: string | null
  /** What the engine is built on: constants are fitted for each lineage, and for each engine on top; null for none. */
  readonly lineage: string | null
  /** Collectives between domains use the ways out of all their chips at once, rather than one. */
  readonly usesAllRails: boolean
  /** Scores of attention never leave the chip (flash attention), and what causality masks is skipped. */
  readonly fusedAttention: boolean
  /** Its fused attention is written for cores before Hopper's, such as FlashAttention-2. */
  readonly earlierAttention: boolean
  /** Norms, gates, dropout and rotary positions are single kernels. */
  readonly fusedElementwise: boolean
  /** Scores of attention that are stored are masked as their softmax is taken, rather than written once more. */
  readonly fusedMask: boolean
  /** GELU of gates is written out in arithmetic, each step of it a kernel. */
  readonly composedGates: boolean
  /** The loss is one kernel that turns logits into their gradient in place. */
  readonly fusedLoss: boolean
  /**
   * Bytes of what is computed in fp32 while other values have 16 bits: logits in the loss, scores that are masked apart.
   * 2 where all is in one format, of whatever size.
   */
  readonly wideBytes: 2 | 4
  /**
   * Where weights' gradients add straight into fp32 ones, automatic differentiation gets a placeholder for each shape of
   * matrix, in the format of the weights, that is never freed.
   */
  readonly gradientPlaceholders: boolean
  /** Bytes a gradient is kept and reduced in: 2 or 4. */
  readonly gradientBytes: 2 | 4
  /** Weights whose gradients are exchanged in one message. */
  readonly gradientBucket: number
  /** Gradients are reduced, and parameters gathered, while the passes of the last micro-batch run. */
  readonly overlapsData: boolean
  /** Communication of tensor parallelism runs beside the products that need it. */
  readonly overlapsTensor: boolean
  /** Exchanges between experts run beside computation. */
  readonly overlapsExperts: boolean
  /** Every chip that shares experts is sent all tokens of all, rather than those that are routed to it. */
  readonly gathersTokens: boolean
  /** Products of a chip's experts are one kernel, rather than one each. */
  readonly groupsExperts: boolean
  /** Size that all heads are padded to where those of keys and values differ; 0 without padding. */
  readonly headPadding: number
  /** A token goes to each domain of links once, whatever experts are there, and on from there. */
  readonly dispatchesOnce: boolean
  /** Sends between stages run beside computation. */
  readonly overlapsPipeline: boolean
  /** Each tensor-parallel chip sends its part of activations to the next stage, where they are gathered again. */
  readonly scattersSends: boolean
  /**
   * A stage takes a gradient before it sends activations on: the next stage waits for one message each way in each
   * micro-batch, while its own passes hide none of it.
   */
  readonly sendsInTurn: boolean
  /** An optimizer's state in the host's memory is updated there; else it goes to the chip and back for its update. */
  readonly updatesOnHost: boolean
  /** The vocabulary is padded to a multiple of this times the tensor-parallel degree. */
  readonly vocabularyMultiple: number
  /** Activations of dropout masks are kept. */
  readonly dropout: boolean
}

/** One level of a network: chips up to `size` reach each other through it. */
export interface Link {
  readonly name: string
  /** Chips that this level joins, counted from the first level on. */
  readonly size: number
  /** Each chip, each way, when all send at once. */
  readonly bytesPerSecond: number
  /** Direction of the catalog's figure that this was read from; undefined where it is from elsewhere. */
  readonly direction?: Direction
  /** Behind a switch any pair gets the whole of it; in a mesh, each pair has a link of its own, its share. */
  readonly topology: 'switch' | 'mesh'
  /** Seconds a message takes besides its bytes. */
  readonly latency: number
}

/** Chips of one kind with the network between them. */
export interface Machine {
  readonly chip: Chip
  /** Design of the cores: chips that share it share what is fitted. */
  readonly architecture: string
  /** Chips. */
  readonly count: number
  /** FLOP/s of matrix products at peak, by the precision asked for. */
  readonly flops: number
  /** FLOP/s at peak in bf16 or fp16: what is left in those formats under fp8 runs at this rate. */
  readonly halfFlops: number
  readonly memoryBytes: number
  readonly memoryBytesPerSecond: number
  /** Watts a chip draws by design; null when nobody published it. */
  readonly watts: number | null
  /** The same in watts of 5 nm (`effectiveWatts` of chips); null where it is unknown. */
  readonly effectiveWatts: number | null
  /** Innermost first; the last one joins all chips. */
  readonly links: readonly Link[]
}

/** Where the seconds of a step go, on the stage that takes longest. They add up to the step. */
export interface TimeTerms {
  readonly compute: number
  readonly recompute: number
  readonly tensorCommunication: number
  readonly contextCommunication: number
  readonly expertCommunication: number
  readonly pipelineCommunication: number
  readonly pipelineBubble: number
  readonly dataCommunication: number
  readonly optimizer: number
  readonly overhead: number
}

/** Bytes on a chip at the peak, by what they hold. They add up to the peak. */
export interface MemoryTerms {
  readonly weights: number
  readonly gradients: number
  readonly optimizer: number
  /** Kept for the backward pass, all micro-batches in flight together. */
  readonly activations: number
  readonly logits: number
  /** Alive only while the peak lasts: gradients of activations, recomputed values, workspace. */
  readonly transient: number
  readonly communication: number
  /** What the allocator and the libraries hold besides. */
  readonly reserve: number
}

export interface StageMemory {
  readonly stage: number
  readonly terms: MemoryTerms
  /** Bytes that tensors take at the peak, without the reserve. */
  readonly allocated: number
  /** Bytes with the reserve: what must fit. */
  readonly peak: number
}

export const EVIDENCE_GRADES = ['chip and engine', 'chip', 'family', 'data sheet'] as const
/** What the constants of a prediction were fitted on. */
export type EvidenceGrade = (typeof EVIDENCE_GRADES)[number]

export interface Prediction {
  /** Seconds of one optimizer step. */
  readonly seconds: number
  readonly terms: TimeTerms
  /** Range that holds the measured time in about four of five cases. */
  readonly band: { readonly low: number; readonly high: number; readonly grade: EvidenceGrade }
  /** Model FLOPs a step (without recomputation, causal attention by half) over the peak of all chips. */
  readonly modelFlopsUtilization: number
  readonly tokensPerSecond: number
  readonly memory: readonly StageMemory[]
  /** Constants that were used, with what they were fitted on. */
  readonly constants: readonly Constant[]
}

/** A constant of the simulation that was fitted, or taken from a publication. */
export interface Constant {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly meaning: string
  /** Rows that it was fitted on, or the publication it is from. */
  readonly from: string
}
