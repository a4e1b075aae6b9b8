/** @file What each engine can run of all that a layout can say. */
import { type Engine, type Layout, SCHEDULES, type Schedule } from '../simulate/index.ts'

export interface Abilities {
  readonly tensorParallel: boolean
  readonly contextMethods: readonly Layout['contextMethod'][]
  readonly pipelineParallel: boolean
  readonly schedules: readonly Schedule[]
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

const ALL: Abilities = {
  tensorParallel: true,
  contextMethods: ['ring', 'all-to-all'],
  pipelineParallel: true,
  schedules: SCHEDULES,
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

/** By the id of an engine. */
const ABILITIES: Readonly<Record<string, Abilities>> = {
  // --pipeline-model-parallel-layout, --account-for-embedding-in-pipeline-split and -loss-, --cp-comm-type, --expert-tensor-parallel-size, --optimizer-cpu-offload,
  // --use-megatron-fsdp for ZeRO 2 and 3; its schedules are 1F1B with and without interleaving
  'megatron-core': {
    ...ALL,
    schedules: ['1f1b', 'interleaved'],
    expertsNeedSequence: true,
    offloadFrom: 1,
  },
  // --num-layer-list, --context-parallel-algo, --schedules-method dualpipev, --swap-optimizer with ZeRO 1;
  // --moe-tp-extend-ep, or experts are split as all else is
  mindspeed: {
    ...ALL,
    lighterEnds: false,
    schedules: ['1f1b', 'interleaved', 'dualpipe-v'],
    expertTensorWhole: true,
    expertsNeedSequence: true,
    zeroStages: [0, 1],
    offloadFrom: 1,
  },
  // fully_shard alone: weights are gathered for each layer (3) or kept for the backward pass (2), or are whole (0)
  torchtitan: {
    ...ALL,
    tensorParallel: false,
    contextMethods: [],
    pipelineParallel: false,
    schedules: ['1f1b'],
    unevenStages: false,
    lighterEnds: false,
    expertParallel: false,
    expertTensorParallel: false,
    zeroStages: [0, 2, 3],
    offloadFrom: undefined,
  },
}

/** Whether so many layers go into chunks of one size, or of one but for the first and the last chunk. */
export function chunksDivide(layers: number, chunks: number, { lighterEnds }: Abilities): boolean {
  return layers % chunks === 0 || (lighterEnds && (layers + 2) % chunks === 0)
}

/** What an engine can run; all there is where nothing is known of it. */
export function abilitiesOf(engine: Engine): Abilities {
  return ABILITIES[engine.id] ?? ALL
}
