/** @file What a schedule of a pipeline has to say of itself. Seconds throughout; nothing here knows a model or a chip. */

/** Seconds of one micro-batch in one chunk of layers. */
export interface PassTimes {
  readonly forward: number
  /** Gradients by the chunk's input. A backward pass that is not split takes this and `weight`. */
  readonly backward: number
  /** Gradients by the chunk's weights. */
  readonly weight: number
  /**
   * This chunk's forward side by side with a whole backward of the stage's other chunk, where a schedule has such pairs;
   * one after the other where it is undefined.
   */
  readonly paired?: number
}

/** Seconds of one message between two stages: of activations in the forward pass, of gradients in the backward one. */
export interface TransferTimes {
  readonly forward: number
  readonly backward: number
}

/** Durations of a pipeline, without the order in which its passes run. */
export interface PipelineTimes {
  readonly microBatches: number
  /** By stage and chunk; stages may differ, as layers and chips do, but all have as many chunks. */
  readonly passes: readonly (readonly PassTimes[])[]
  /**
   * Link i joins stages i and i + 1; with several chunks in a straight pipeline, the last one leads from the last stage
   * to the first. Free where it is undefined.
   */
  readonly links?: readonly TransferTimes[]
  /**
   * Messages travel while both ends compute. Otherwise a stage does nothing else until its message has arrived. Links
   * carry any number of messages at once either way.
   */
  readonly overlapsTransfers: boolean
}

/**
 * Where the chunks of layers lie, of p stages; places are numbered along the way of a micro-batch's forward pass.
 * 'straight': chunk c of stage s is place c * p + s. 'both-ends': two copies of the layers, chunk 0 of stage s is place s
 * of the first, chunk 1 is place p - 1 - s of the second. 'folded': chunk 0 of stage s is place s, chunk 1 is place
 * 2p - 1 - s, so that the first stage has both ends.
 */
export type Placement = 'straight' | 'both-ends' | 'folded'

/** What the order of passes depends on. */
export interface Shape {
  readonly stages: number
  /** Chunks a stage, those of both copies where there are two. */
  readonly chunks: number
  readonly microBatches: number
  /** Micro-batches that a stage takes through one chunk in a row; 1 where the schedule knows no groups. */
  readonly group: number
}

/** The part of a schedule that repeats: each period has the same passes with later micro-batches, on every stage. */
export interface Steady {
  /** Micro-batches and, on each stage, passes of a period. */
  readonly microBatches: number
  readonly passes: number
  /** Whole periods that every stage has. */
  readonly periods: number
  /** By stage: how many passes come before. */
  readonly start: readonly number[]
}

/** What a schedule asks of a layout and of the micro-batches: rules, the space of plans and simulations read it here. */
export interface Needs {
  /** Stages at the least, for there to be a pipeline that is worth it. */
  readonly leastStages: 1 | 2
  /** What the number of stages is a multiple of. */
  readonly stagesMultiple: 1 | 2
  /** Layers of a stage at the least: one a chunk. */
  readonly layersPerStage: 1 | 2
  /** Micro-batches of a replica at the least, by the number of stages. */
  readonly leastMicroBatches: (stages: number) => number
  /** What the number of micro-batches is a multiple of. */
  readonly microBatchMultiple: (stages: number) => number
  /** Stages may be given any numbers of layers. */
  readonly givenStages: boolean
  /** Goes with context parallelism. */
  readonly contextParallel: boolean
  /** Goes with embeddings that the head shares. */
  readonly tiedEmbeddings: boolean
}

/** Seconds in which the slowest stage has nothing to do, by what one micro-batch takes on all other stages. */
export interface Bubble {
  /**
   * What it is in proportion to: twice as long where all passes are, no shorter for longer passes, no longer for longer
   * gradients by weights, which are a part of `backward`. Bounds rely on that.
   */
  readonly idle: (forward: number, backward: number, weight: number) => number
  /** Gradients by weights fill a part of it: then a stage that takes longer does not always make a step longer. */
  readonly isFilled: boolean
  /**
   * The whole bubble.
   * @param idle What `idle` says, or 0 where that is negative.
   * @param hops Seconds of the messages over all links, there and back.
   */
  readonly seconds: (idle: number, hops: number, stages: number, chunks: number) => number
}

/** How micro-batches are taken through a chunk in groups. */
export interface Groups {
  /** The smallest group that such a pipeline can have. */
  readonly usual: (stages: number, microBatches: number) => number
  /** Why no engine takes such groups; undefined where one does. */
  readonly problem: (shape: Shape) => string | undefined
}

/** All that there is to know of a schedule. A new one is a file with a rule, and a row of `SCHEDULES`. */
export interface ScheduleRule {
  readonly placement: Placement
  /** Chunks of each copy of the layers on a stage; 'virtual' where the layout says how many, from 2 on. */
  readonly chunks: 'virtual' | 1 | 2
  /** A forward may run side by side with the backward that follows it in the order. */
  readonly pairs: boolean
  readonly groups: Groups | null
  readonly needs: Needs
  readonly bubble: Bubble
  /**
   * Transfers that a stage waits for in each micro-batch.
   * @param overlaps Whether messages travel beside computation, of which `exposed` is the share that is waited for then.
   */
  readonly exposedSends: (stages: number, chunks: number, overlaps: boolean, exposed: number) => number
  /** Replicas exchange gradients beside the passes, where the engine does so. */
  readonly exchangesBesidePasses: boolean
  /**
   * Most micro-batches whose activations a stage keeps at once. Of straight pipelines, all chunks together, each micro-batch
   * counted once a chunk, and no stage keeps more than one before it; of others, those of chunk `part` when all chunks of
   * the stage together keep the most.
   */
  readonly inFlight: (
    stage: number,
    part: 0 | 1,
    stages: number,
    microBatches: number,
    chunks: number,
    group: number,
  ) => number
  /** The passes of a stage in their order, as `encode` writes them. */
  readonly order: (shape: Shape, stage: number) => Int32Array
  /** The steady part, with periods counted so that a pass waits for one of the period before at the earliest. */
  readonly steady: (shape: Shape) => Steady | undefined
  /**
   * Seconds that the makespan is never below, in one look at each stage: what comes before a stage's first pass at the
   * least, its own passes, and what comes after its last.
   */
  readonly bound: (times: PipelineTimes) => number
  /**
   * The makespan where all chunks and all links are alike, and messages overlap or take no time; undefined where no formula
   * is exact.
   * @param chunk Seconds of forward and backward of one chunk; `transfer` those of a message there and back.
   */
  readonly closedForm: (shape: Shape, chunk: number, transfer: number) => number | undefined
  /**
   * The makespan without all passes, whatever the durations; undefined where only the simulation tells. `lastBackward` is
   * filled with the second in which each stage has all its gradients.
   */
  readonly quickSeconds: (times: PipelineTimes, lastBackward?: Float64Array) => number | undefined
}

/** The answer of schedules that nothing is known of without a simulation. */
export function unknown(): undefined {
  return undefined
}
