/** @file The layout of a published row: degrees, stages, shares and recomputation, with defaults written down. */
import {
  type Layout,
  type PipelineSchedule,
  type Recompute,
  SCHEDULES,
  usualSchedule,
  type Workload,
} from '../../src/simulate/index.ts'
import { ENGINES, type EngineDefaults } from './engines.ts'
import { swappedLayers } from './mindspeed.ts'
import type { Assume, Row } from './published-row.ts'
import { refuse } from './row.ts'

/** Tensor times pipeline degree where only their product is printed. */
export function modelParallelOf(row: Row): number | undefined {
  const size = /Model-parallel size (\d+)/.exec(row.notes ?? '')?.[1]
  return size === undefined ? undefined : Number(size)
}

interface Degrees {
  readonly tp: number
  readonly pp: number
  readonly cp: number
  readonly dp: number
}

function degreesOf(row: Row, assume: Assume): Degrees {
  const chips = row.n_chips ?? refuse('the number of chips is not stated')
  let { tp, pp } = row
  const product = modelParallelOf(row)
  if (tp == null && pp == null && product !== undefined) {
    // Narayanan et al. 2021, takeaway 1: tensors within a node of 8, then stages
    tp = Math.min(8, product)
    pp = product / tp
    if (!Number.isInteger(pp)) refuse(`a model over ${product} chips is not stated in tensors and stages`)
    if (product > 1) assume(`tensor parallel ${tp} and pipeline parallel ${pp} of model parallel ${product}`)
  }
  const cp = row.cp ?? 1
  const model = (tp ?? 1) * (pp ?? 1) * cp
  if (chips % model !== 0) refuse(`replicas of ${model} chips do not divide ${chips} chips`)
  const dp = chips / model
  if (row.dp != null && row.dp !== dp) {
    assume(`data parallel ${dp}: the printed ${row.dp} does not multiply to ${chips} chips`)
  }
  return { tp: tp ?? 1, pp: pp ?? 1, cp, dp }
}

/** Layouts of Narayanan's Table 1, by layers and hidden size (NVIDIA/Megatron-LM, examples/sc21/run_table_1.sh). */
const SC21: readonly (readonly [layers: number, hidden: number, microBatch: number, chunkLayers?: number])[] =
  [
    [24, 2304, 16],
    [30, 3072, 16],
    [36, 4096, 16],
    [40, 6144, 8],
    [48, 8192, 4],
    [60, 10_240, 2, 5],
    [80, 12_288, 2, 5],
    [96, 16_384, 1, 3],
    [105, 20_480, 1, 1],
    [128, 25_600, 1],
  ]

export function layoutOf(
  row: Row,
  defaults: EngineDefaults,
  decoder: Workload['decoder'],
  chipsPerNode: number,
  assume: Assume,
): Layout {
  const { tp, pp, cp, dp } = degreesOf(row, assume)
  const { layers } = decoder
  if (pp > layers) refuse(`${pp} stages for ${layers} layers`)
  const recipe = /narayanan/i.test(row.source)
    ? SC21.find(([l, h]) => l === layers && h === decoder.hiddenSize)
    : undefined
  const virtualPipeline = virtualPipelineOf(row, pp, layers, recipe?.[3], assume)
  const stageLayers = stageLayersOf(row, pp, layers, virtualPipeline, assume)
  const zeroStage = zeroStageOf(row, defaults, assume)
  const flags = `${row.overlap ?? ''} ${row.notes ?? ''}`
  const told = row.sequence_parallel ?? undefined
  const sequenceParallel = tp > 1 && (told ?? defaults.sequenceParallel)
  if (tp > 1 && told === undefined) assume(`sequence parallelism ${sequenceParallel ? 'on' : 'off'}`)
  const expert = expertDegrees(row, defaults, decoder, tp * cp * dp, tp, assume)
  return {
    tensorParallel: tp,
    sequenceParallel,
    contextParallel: cp,
    contextMethod: /ulysses|all-to-all|a2a/i.test(flags) ? 'all-to-all' : 'ring',
    pipelineParallel: pp,
    virtualPipeline,
    ...(stageLayers !== undefined && { stageLayers }),
    dataParallel: dp,
    ...expert,
    zeroStage,
    ...shardGroupOf(row, zeroStage, chipsPerNode, dp),
    microBatch: microBatchOf(row, defaults, dp, pp * virtualPipeline, recipe?.[2], assume),
    ...recomputeOf(row, defaults, layers, pp, virtualPipeline, assume),
    offloadOptimizer: /swap-optimizer|optimizer.?offload/i.test(flags),
    schedule: scheduleOf(row, virtualPipeline),
  }
}

function microBatchOf(
  row: Row,
  defaults: EngineDefaults,
  dp: number,
  stages: number,
  recipe: number | undefined,
  assume: Assume,
): number {
  if (row.mbs != null) {
    const isLocalBatch = row.gbs_seqs == null || row.gbs_seqs === row.mbs * dp
    if (defaults !== ENGINES.torchtitan || stages === 1 || !isLocalBatch) return row.mbs
    // its local batch is cut into as many micro-batches as there are stages, unless told otherwise
    if (row.mbs % stages !== 0) refuse(`a local batch of ${row.mbs} in ${stages} stages`)
    assume(`a local batch of ${row.mbs} in ${stages} micro-batches, one for each stage`)
    return row.mbs / stages
  }
  if (recipe !== undefined) {
    assume(`micro-batch ${recipe}, as in the script that the authors released`)
    return recipe
  }
  if (defaults.microBatch === null) refuse('the micro-batch is not stated')
  assume('micro-batch 1')
  return 1
}

function virtualPipelineOf(
  row: Row,
  pp: number,
  layers: number,
  chunkLayers: number | undefined,
  assume: Assume,
): number {
  if (pp === 1) return 1
  if (row.vpp != null) return row.vpp
  const each = layers / pp
  if (/narayanan/i.test(row.source)) {
    const chunks = Number.isInteger(each) && chunkLayers !== undefined ? each / chunkLayers : 1
    assume(`${chunks} chunks a stage, as in the script that the authors released`)
    return chunks
  }
  if (/interleaved/i.test(`${row.id} ${row.overlap ?? ''}`)) {
    assume('2 chunks a stage')
    return 2
  }
  assume('no interleaving')
  return 1
}

/** Layers of each stage, where they are told to be uneven, or where the ends are known to hold one fewer. */
function stageLayersOf(
  row: Row,
  pp: number,
  layers: number,
  virtualPipeline: number,
  assume: Assume,
): number[] | undefined {
  if (pp === 1) return undefined
  const notes = row.notes ?? ''
  const fits = (stages: number[]): number[] | undefined => {
    return stages.length === pp && stages.reduce((a, b) => a + b) === layers ? stages : undefined
  }
  const numbers = (text: string): number[] => text.split(',').map(Number)
  const lastStage = /(\d+) per stage, last stage (\d+)/.exec(notes)
  if (lastStage !== null) {
    return fits([...Array<number>(pp - 1).fill(Number(lastStage[1])), Number(lastStage[2])])
  }
  // MindSpeed lists the layers of the stages
  const list = /num-layer-list=([\d,]+)/.exec(notes)?.[1]
  if (list !== undefined) return fits(numbers(list))
  const offsets = /offset=\[([-\d, ]+)\]/.exec(notes)?.[1]
  if (offsets !== undefined) {
    return fits(numbers(offsets).map((offset) => Math.floor(layers / pp) + offset))
  }
  const noops = /noop-layers=([\d,]+)/.exec(`${row.overlap ?? ''} ${notes}`)?.[1]
  if (noops !== undefined) return fits(withoutNoops(numbers(noops), row, pp, layers, virtualPipeline))
  const chunks = pp * virtualPipeline
  if (layers % pp !== 0 && (layers + 2) % chunks === 0) {
    assume('the embedding and the loss take the place of a layer each')
    const full = (layers + 2) / pp
    return fits(Array.from({ length: pp }, (_, i) => full - Number(i === 0) - Number(i === pp - 1)))
  }
  return undefined
}

/** Layers of each stage where some of the places are left empty. */
function withoutNoops(
  noops: readonly number[],
  row: Row,
  pp: number,
  layers: number,
  virtualPipeline: number,
): number[] {
  const folded = SCHEDULES[scheduleOf(row, virtualPipeline)].placement === 'folded'
  const chunks = folded ? 2 * pp : pp * virtualPipeline
  const stages = Array<number>(pp).fill(0)
  const places = layers + noops.length
  for (let place = 0; place < places; place++) {
    if (noops.includes(place)) continue
    const chunk = Math.floor((place * chunks) / places)
    // DualPipeV folds: the first stage has the first chunk and the last
    const stage = folded && chunk >= pp ? chunks - 1 - chunk : chunk % pp
    stages[stage] = (stages[stage] ?? 0) + 1
  }
  return stages
}

function zeroStageOf(row: Row, { zeroStage }: EngineDefaults, assume: Assume): 0 | 1 | 2 | 3 {
  const told = row.dist_optimizer
  if (told === false) return 0
  if (told === true) return 1
  if (told != null) {
    if (/ZeRO-?3|full.?shard|hybrid.?shard|\bISP\b/i.test(told)) return 3
    if (/ZeRO-?2|gradients/i.test(told)) return 2
    if (/not stated/i.test(told)) {
      assume(`ZeRO ${zeroStage}`)
      return zeroStage
    }
    if (/ZeRO-?1|optimizer/i.test(told)) return 1
    if (/FSDP/i.test(told)) return 3
  }
  assume(`ZeRO ${zeroStage}`)
  return zeroStage
}

function shardGroupOf(
  row: Row,
  zeroStage: number,
  chipsPerNode: number,
  dp: number,
): { shardGroup?: number } {
  const told = typeof row.dist_optimizer === 'string' ? row.dist_optimizer : ''
  const size = /(?:zero1?|local|group)\D{0,8}[=: ](\d+)/i.exec(told)?.[1]
  const group = /hybrid/i.test(told) ? Number(size ?? chipsPerNode) : size === undefined ? dp : Number(size)
  return zeroStage > 0 && group > 1 && group < dp && dp % group === 0 ? { shardGroup: group } : {}
}

function expertDegrees(
  row: Row,
  { splitsExperts }: EngineDefaults,
  { experts }: Workload['decoder'],
  group: number,
  tp: number,
  assume: Assume,
): Pick<Layout, 'expertParallel' | 'expertTensorParallel'> {
  if (experts === null) return { expertParallel: 1, expertTensorParallel: 1 }
  if (row.ep == null) assume('expert parallel 1')
  const expertParallel = row.ep ?? 1
  const canSplit = splitsExperts && group % (expertParallel * tp) === 0
  const split = row.etp ?? (canSplit ? tp : 1)
  if (row.etp == null && tp > 1) assume(`each expert on ${split} chips`)
  if (experts.count % expertParallel !== 0) refuse(`${experts.count} experts on ${expertParallel} chips`)
  if (group % (expertParallel * split) !== 0) {
    refuse(`experts on ${expertParallel} x ${split} chips do not divide the ${group} of a stage`)
  }
  return { expertParallel, expertTensorParallel: split }
}

/** What publications call schedules, the first that fits; others are told by the chunks of a stage. */
const PUBLISHED: readonly (readonly [RegExp, PipelineSchedule])[] = [
  [/dualpipe-?v/i, 'dualpipe-v'],
  [/dualpipe/i, 'dualpipe'],
  [/\bZB-?V/i, 'zb-v'],
  [/zero.?bubble|\bZB-?H/i, 'zero-bubble'],
]

function scheduleOf(row: Row, virtualPipeline: number): PipelineSchedule {
  const text = `${row.overlap ?? ''} ${row.framework ?? ''}`
  return PUBLISHED.find(([name]) => name.test(text))?.[1] ?? usualSchedule(virtualPipeline)
}

type Recomputed = { recompute: Recompute; recomputeLayers?: number }

function recomputeOf(
  row: Row,
  defaults: EngineDefaults,
  layers: number,
  pp: number,
  virtualPipeline: number,
  assume: Assume,
): Recomputed {
  const told = row.recompute
  const detail = row.recompute_detail ?? ''
  const each = Math.ceil(layers / pp)
  const partly = (count: number): Recomputed => {
    return count < each ? { recompute: 'full', recomputeLayers: count } : { recompute: 'full' }
  }
  const swapped = swappedLayers(row)
  if (swapped !== undefined) {
    assume('recomputation of all but attention, as if layers were recomputed in full')
    return partly(swapped)
  }
  if (told == null) {
    assume(`recomputation ${defaults.recompute}`)
    return { recompute: defaults.recompute }
  }
  if (/none/i.test(told)) return { recompute: 'none' }
  if (/selective/i.test(told)) return selectiveOf(row, each, partly, assume)
  // Megatron's block method: the first layers of each chunk
  const block = /method=block.*num-layers=(\d+)/.exec(detail)?.[1]
  if (block !== undefined) return partly(Number(block) * virtualPipeline)
  // MindFormers: how many of each stage
  const list = /"recompute": \[([\d, ]+)\]/.exec(detail)?.[1]
  if (list === undefined) return { recompute: 'full' }
  const counts = list.split(',').map(Number)
  const mean = Math.round(counts.reduce((a, b) => a + b) / counts.length)
  assume(`${mean} layers of each stage recomputed, the mean of ${counts.join(', ')}`)
  return mean === 0 ? { recompute: 'none' } : partly(mean)
}

/** Selective recomputation is of attention's core, but some sources call other operations so. */
function selectiveOf(
  row: Row,
  each: number,
  partly: (count: number) => Recomputed,
  assume: Assume,
): Recomputed {
  const detail = row.recompute_detail ?? ''
  if (/torchtitan/i.test(`${row.framework} ${row.source}`)) {
    // its operator policy keeps attention and every second product
    assume('selective recomputation of every second product, as if half of the layers were recomputed')
    return partly(Math.round(each / 2))
  }
  if (/whole MoE/i.test(detail)) {
    assume('recomputation of whole experts and norms, as if layers were recomputed in full')
    return { recompute: 'full' }
  }
  if (/norm|act|select_recompute/i.test(detail) && !/attention core/i.test(detail)) {
    assume('recomputation of norms and activations alone, as if there were none')
    return { recompute: 'none' }
  }
  return { recompute: 'selective' }
}
