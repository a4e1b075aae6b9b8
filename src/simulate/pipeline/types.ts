/** @file What a pipeline is made of, and what its simulation tells. Seconds throughout. */
import type { Schedule } from '../types.ts'

/** Schedules of a layout, and one more: all forwards before all backwards (GPipe). */
export type PipelineSchedule = Schedule | 'gpipe'

/** Seconds of one micro-batch in one chunk of layers. */
export interface PassTimes {
  readonly forward: number
  /** Gradients by the chunk's input. A backward pass that is not split takes this and `weight`. */
  readonly backward: number
  /** Gradients by the chunk's weights. */
  readonly weight: number
  /**
   * This chunk's forward side by side with a whole backward of the stage's other chunk ('dualpipe', 'dualpipe-v');
   * one after the other where it is undefined.
   */
  readonly paired?: number
}

/** Seconds of one message between two stages: of activations in the forward pass, of gradients in the backward one. */
export interface TransferTimes {
  readonly forward: number
  readonly backward: number
}

export interface Pipeline {
  readonly schedule: PipelineSchedule
  readonly microBatches: number
  /**
   * By stage and chunk; stages may differ, as layers and chips do, but all have as many chunks.
   * 'interleaved': chunk c of stage s holds the layers of place c * stages + s.
   * 'dualpipe': two copies of the layers; chunk 0 of stage s is place s, chunk 1 is place stages - 1 - s.
   * 'dualpipe-v': chunk 0 of stage s is place s, chunk 1 is place 2 * stages - 1 - s.
   * Others have one chunk.
   */
  readonly passes: readonly (readonly PassTimes[])[]
  /**
   * Link i joins stages i and i + 1; with chunks that are interleaved, the last one leads from the last stage to the
   * first. Free where it is undefined.
   */
  readonly links?: readonly TransferTimes[]
  /**
   * Messages travel while both ends compute. Otherwise a stage does nothing else until its message has arrived. Links
   * carry any number of messages at once either way.
   */
  readonly overlapsTransfers: boolean
  /**
   * Micro-batches that a stage takes through one chunk in a row ('interleaved'); `interleavedGroup` where it is
   * undefined.
   */
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
