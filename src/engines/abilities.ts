/** @file What an engine can run of all that a layout can say. */
import { type Layout, type PipelineSchedule, SCHEDULE_NAMES } from '../simulate/index.ts'

export interface Abilities {
  readonly tensorParallel: boolean
  readonly contextMethods: readonly Layout['contextMethod'][]
  readonly pipelineParallel: boolean
  readonly schedules: readonly PipelineSchedule[]
  /** Stages may hold different numbers of layers, the first and last ones any. */
  readonly unevenStages: boolean
  /** With several chunks a stage, the first and the last chunk of all may hold one layer fewer than the others. */
  readonly lighterEnds: boolean
  readonly expertParallel: boolean
  readonly expertTensorParallel: boolean
  /** Experts are split over all tensor-parallel chips or over none. */
  readonly expertTensorWhole: boolean
  /** Layers with experts under tensor parallelism need sequence parallelism. */
  readonly expertsNeedSequence: boolean
  readonly zeroStages: readonly Layout['zeroStage'][]
  /** The optimizer's state may stay with the host, from which ZeRO stage on; undefined where it may not. */
  readonly offloadFrom: Layout['zeroStage'] | undefined
  readonly selectiveRecompute: boolean
  /** Some layers of each stage may be recomputed, rather than none or all. */
  readonly recomputeLayers: boolean
}

/** All that a layout can say: for an engine of which nothing is known, which has to be chosen by whoever asks. */
export const EVERYTHING: Abilities = {
  tensorParallel: true,
  contextMethods: ['ring', 'all-to-all'],
  pipelineParallel: true,
  schedules: SCHEDULE_NAMES,
  unevenStages: true,
  lighterEnds: true,
  expertParallel: true,
  expertTensorParallel: true,
  expertTensorWhole: false,
  expertsNeedSequence: false,
  zeroStages: [0, 1, 2, 3],
  offloadFrom: 0,
  selectiveRecompute: true,
  recomputeLayers: true,
}

/** Whether so many layers go into chunks of one size, or of one but for the first and the last chunk. */
export function chunksDivide(layers: number, chunks: number, { lighterEnds }: Abilities): boolean {
  return layers % chunks === 0 || (lighterEnds && (layers + 2) % chunks === 0)
}
