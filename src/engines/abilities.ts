/** @file Abilities of an engine: the part of all layouts that it can run. */
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

/** The abilities to run any layout, for an engine of which nothing is known; whoever wants that asks for it by this name. */
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

/** Whether layers divide into chunks of one size, or, with lighter ends, into such but for the first and the last. */
export function chunksDivide(layers: number, chunks: number, { lighterEnds }: Abilities): boolean {
  return layers % chunks === 0 || (lighterEnds && (layers + 2) % chunks === 0)
}
