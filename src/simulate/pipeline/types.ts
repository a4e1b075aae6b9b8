/** @file What a pipeline is made of, and what its simulation tells. Seconds throughout. */
import type { PipelineSchedule, PipelineTimes } from '../schedules/index.ts'

/** A pipeline to be run: its passes lie as the `placement` of the schedule says. */
export interface Pipeline extends PipelineTimes {
  readonly schedule: PipelineSchedule
  /** Micro-batches that a stage takes through one chunk in a row; the smallest group of the schedule where it is undefined. */
  readonly group?: number
}

export interface StageRun {
  /** Seconds in passes. */
  readonly busy: number
  /** Seconds held up by its own messages; 0 where transfers overlap. */
  readonly sending: number
  /** The rest of the makespan. */
  readonly idle: number
  /** When the first forward of each chunk begins: its weights must be there. */
  readonly firstForward: readonly number[]
  /** When the gradients of each chunk's weights are complete: their reduction may begin. */
  readonly gradientsReady: readonly number[]
  /** Most micro-batches whose activations are alive at once, each counted once a chunk that holds them. */
  readonly inFlight: number
  /** The same by chunk, at that moment. */
  readonly inFlightByChunk: readonly number[]
}

export interface PipelineRun {
  readonly makespan: number
  readonly stages: readonly StageRun[]
}

export type PassKind = 'forward' | 'backward' | 'weight'

/** One pass of a timeline. A backward that is not split is 'backward' alone; paired passes share their seconds. */
export interface Pass {
  readonly stage: number
  readonly chunk: number
  readonly microBatch: number
  readonly pass: PassKind
  readonly start: number
  readonly end: number
}
