/** @file Rows of measurements.json, published training throughputs of many sources, as measured steps or refusals. */
import { z } from 'zod'
import { type Issue, RegaugeError } from '../../src/errors.ts'
import type { Engine, Layout, Precision, Recompute, Schedule, Workload } from '../../src/simulate/types.ts'
import { chipOf } from './chips.ts'
import { ENGINES, type EngineDefaults, engineOf } from './engines.ts'
import { readText, throwIssues } from './files.ts'
import { type FlopFormula, formulaOf, stepFlops } from './flops.ts'
import { decoderOf, type NamedDecoder, type Sizes } from './models.ts'
import { type MeasuredRow, type Refusal, Refused, refuse } from './row.ts'
import { sourceKey } from './sources.ts'

const count = z.int().positive().max(1e9).nullish()
const rate = z.number().positive().nullish()
const words = z.string().max(20_000).nullish()

/** What is used of a row; other keys are let through. */
const rowSchema = z.looseObject({
  id: z.string().min(1).max(200),
  source: z.string().min(1).max(1000),
  framework: words,
  model: z.string().min(1).max(500),
  params_b: rate,
  layers: count,
  hidden: count,
  ffn: count,
  heads: count,
  kv_heads: count,
  head_dim: count,
  vocab: count,
  seq: count,
  moe: z
    .looseObject({
      experts: z.int().positive(),
      topk: z.int().positive(),
      shared: z.int().min(0).nullish(),
      moe_ffn: count,
      shared_ffn: z.int().min(0).nullish(),
      first_dense: z.int().min(-1).nullish(),
    })
    .nullish(),
  mla: z
    .looseObject({
      q_lora: z.int().min(0).nullish(),
      kv_lora: z.int().positive(),
      qk_nope: z.int().positive(),
      qk_rope: z.int().positive(),
      v_head: z.int().positive(),
    })
    .nullish(),
  chip: z.string().min(1).max(500),
  chip_detail: words,
  n_chips: count,
  tp: count,
  pp: count,
  dp: count,
  cp: count,
  ep: count,
  etp: count,
  vpp: count,
  mbs: count,
  gbs_seqs: count,
  gbs_tokens: count,
  precision: words,
  recompute: words,
  recompute_detail: words,
  sequence_parallel: z.boolean().nullish(),
  dist_optimizer: z.union([z.boolean(), z.string()]).nullish(),
  flash_attention: z.boolean().nullish(),
  overlap: words,
  step_time_s: rate,
  tokens_per_s_per_chip: rate,
  tokens_per_s_total: rate,
  samples_per_s: rate,
  tflops_per_chip: rate,
  mfu_pct: rate,
  flops_kind: words,
  measured_raw: z.looseObject({ value: z.number().positive(), unit: z.string() }).nullish(),
  task: words,
  notes: words,
})

type Row = z.output<typeof rowSchema>

const MAX_ROWS = 100_000

/** The rows of a measurements file. Throws a `data` error that names every malformed row. */
export function readMeasurements(file: string): (MeasuredRow | Refusal)[] {
  const list = parseList(file)
  const issues: Issue[] = []
  const rows = list.flatMap((value, index): Row[] => {
    const parsed = rowSchema.safeParse(value)
    if (parsed.success) return [parsed.data]
    const id = (value as { id?: unknown } | null)?.id
    const name = typeof id === 'string' ? `row "${id.slice(0, 100)}"` : `row ${index + 1}`
    for (const issue of parsed.error.issues) {
      const received = JSON.stringify(issue.path.reduce(member, value)) ?? 'missing'
      const message = `${name}: ${issue.path.join('.') || 'the row'} is ${received.slice(0, 60)}: ${issue.message}`
      issues.push({ code: 'EVIDENCE_ROW', message, file })
    }
    return []
  })
  throwIssues(file, issues)
  return rows.map((row) => {
    try {
      return measuredRow(row)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      return { id: row.id, source: sourceKey(row.source), reason: error.message }
    }
  })
}

function parseList(file: string): unknown[] {
  const fail = (message: string): RegaugeError =>
    new RegaugeError('data', { code: 'EVIDENCE_JSON', message, file })
  let value: unknown
  try {
    value = JSON.parse(readText(file))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw fail(`is no JSON: ${error.message}`)
  }
  if (!Array.isArray(value)) throw fail('is no list of rows')
  if (value.length > MAX_ROWS) throw fail(`${value.length} rows exceed the limit of ${MAX_ROWS}`)
  return value
}

function member(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<PropertyKey, unknown>)[key]
    : undefined
}

/** A default that is taken, written down. */
type Assume = (text: string) => void

function measuredRow(row: Row): MeasuredRow {
  const assumptions: string[] = []
  const assume: Assume = (text) => assumptions.push(text)
  refuseUnfit(row)
  const {
    chip,
    product,
    chipsPerNode,
    networkBytesPerSecond,
    assumptions: ofChip,
  } = chipOf(row.chip, row.chip_detail ?? null)
  assumptions.push(...ofChip)
  const source = sourceKey(row.source)
  const defaults =
    engineOf(row.source, row.framework ?? null) ?? refuse(`the engine "${row.framework}" is not known`)
  const sequenceLength = sequenceOf(row, source, assume)
  const named = namedDecoder(row, sequenceLength, assume)
  const { decoder } = named
  assumptions.push(...named.assumptions)
  const layout = layoutOf(row, defaults, decoder, chipsPerNode, assume)
  const chips = row.n_chips ?? refuse('the number of chips is not stated')
  const globalBatch = batchOf(row, source, sequenceLength, layout, assume)
  const { microBatch, dataParallel } = layout
  if (globalBatch % (microBatch * dataParallel) !== 0) {
    refuse(
      `micro-batches of ${microBatch} on ${dataParallel} replicas do not divide a batch of ${globalBatch}`,
    )
  }
  const workload: Workload = {
    decoder,
    sequenceLength,
    globalBatch,
    precision: precisionOf(row, defaults, assume),
  }
  const measured = stepOf(row, workload, chips, assume)
  return {
    id: row.id,
    source,
    framework: row.framework ?? null,
    chip,
    product,
    chips,
    chipsPerNode,
    networkBytesPerSecond,
    workload,
    arithmetic: null,
    layout,
    engine: engineFor(row, defaults, named, layout, workload.precision, assume),
    placement: null,
    measured: { ...measured, allocatedBytes: null, reservedBytes: null, usedBytes: null },
    assumptions,
  }
}

/** Rows that measure something else than the training step of a plain decoder. */
function refuseUnfit(row: Row): void {
  const text = `${row.task ?? ''} ${row.model}`
  const notes = row.notes ?? ''
  if (/layer microbenchmark|one transformer layer/i.test(text)) refuse('one layer alone, not a step')
  if (/token.?drop/i.test(row.model)) refuse('tokens are dropped, how many is not stated')
  if (/packed|\bSFT\b/i.test(`${row.task ?? ''} ${row.model}`))
    refuse('packed documents: the lengths that attention spans are not stated')
  if (/lora/i.test(text)) refuse('low-rank adaptation, not the training of all weights')
  if (/^MegaScale\b/i.test(row.framework ?? '') && !/MoE/i.test(row.source)) {
    refuse('parallel transformer blocks and sliding windows whose sizes are not stated')
  }
  if (/does not state the scale/i.test(notes)) refuse('the scale of the measured run is not stated')
  if (row.tp == null && row.pp == null && modelParallelOf(row) === undefined)
    refuse('the layout is not stated')
}

function sequenceOf(row: Row, source: string, assume: Assume): number {
  if (row.seq != null) return row.seq
  if (row.gbs_tokens != null && row.gbs_seqs != null && row.gbs_tokens % row.gbs_seqs === 0) {
    return row.gbs_tokens / row.gbs_seqs
  }
  if (source !== 'torchtitan') refuse('the sequence length is not stated')
  assume('sequences of 8192, as in its Llama 3 recipes')
  return 8192
}

function namedDecoder(row: Row, sequenceLength: number, assume: Assume): NamedDecoder {
  const { moe, mla } = row
  const shared = moe?.shared_ffn ?? (moe?.shared ?? 0) * (moe?.moe_ffn ?? row.ffn ?? 0)
  const hagemann = /hagemann/i.test(row.source)
  // MFU and step time of the sheets give 2 x 128,000 tokens of parameters besides the layers; the paper says 128k
  if (hagemann && row.vocab == null) assume('a vocabulary of 128000, as of its MFU')
  const sizes: Sizes = {
    layers: row.layers ?? null,
    hidden: row.hidden ?? null,
    ffn: row.ffn ?? null,
    heads: row.heads ?? null,
    keyValueHeads: row.kv_heads ?? null,
    headSize: row.head_dim ?? null,
    vocabulary: row.vocab ?? (hagemann ? 128_000 : null),
    moe:
      moe == null
        ? null
        : {
            experts: moe.experts,
            active: moe.topk,
            width: moe.moe_ffn ?? null,
            shared,
            firstDense: Math.max(0, moe.first_dense ?? 0),
          },
    latent:
      mla == null
        ? null
        : {
            query: mla.q_lora ?? 0,
            keyValue: mla.kv_lora,
            plain: mla.qk_nope,
            rotary: mla.qk_rope,
            value: mla.v_head,
          },
  }
  if (/token ?drop/i.test(row.model)) assume('tokens beyond the capacity of an expert are dropped')
  const window = /sliding-window=(\d+)/.exec(row.notes ?? '')?.[1]
  const prediction = predictionLayers(row, assume)
  return decoderOf(
    row.model,
    sizes,
    sequenceLength,
    window === undefined ? undefined : Number(window),
    prediction,
  )
}

/** Layers that predict further tokens: told, or DeepSeek-V3's one, with which its printed FLOP/s agree. */
function predictionLayers(row: Row, assume: Assume): number {
  const told = /mtp-num-layers=(\d+)/.exec(`${row.overlap ?? ''} ${row.notes ?? ''}`)?.[1]
  if (told !== undefined) return Number(told)
  if (!/deepseek-?v3/i.test(row.model)) return 0
  if (!/w\/ ?mtp/i.test(row.model)) assume('one layer that predicts a further token, as of DeepSeek-V3')
  return 1
}

/** Tensor times pipeline degree where only their product is printed. */
function modelParallelOf(row: Row): number | undefined {
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

function layoutOf(
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
  const folded = /dualpipe/i.test(row.overlap ?? '')
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

function scheduleOf(row: Row, virtualPipeline: number): Schedule {
  const text = `${row.overlap ?? ''} ${row.framework ?? ''}`
  if (/dualpipe/i.test(text)) return 'dualpipe'
  if (/zero.?bubble|\bZB-?H/i.test(text)) return 'zero-bubble'
  return virtualPipeline > 1 ? 'interleaved' : '1f1b'
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

function batchOf(row: Row, source: string, sequenceLength: number, layout: Layout, assume: Assume): number {
  if (row.gbs_seqs != null) return row.gbs_seqs
  if (row.gbs_tokens != null && row.gbs_tokens % sequenceLength === 0) return row.gbs_tokens / sequenceLength
  if (source === 'hagemann') {
    const batch = sequenceLength >= 8192 ? 512 : 2048
    assume(`a batch of ${batch}, as of its MFU`)
    return batch
  }
  if (source === 'torchtitan') {
    assume('one local batch a step and replica')
    return (row.mbs ?? refuse('the global batch is not stated')) * layout.dataParallel
  }
  return refuse('the global batch is not stated')
}

function precisionOf(row: Row, { engine }: EngineDefaults, assume: Assume): Precision {
  const told = row.precision
  const fp8Era = /25\.09/.test(row.framework ?? '')
  if (told == null && fp8Era) {
    // of Megatron-Bridge 25.09, whose rates are those of the fp8 rows of 25.11
    assume('fp8, as in the releases that follow')
    return 'fp8'
  }
  if (told == null) {
    // before 2022, scripts said fp16
    const usual = /^megatron-(20|deepspeed)/.test(engine.id) ? 'fp16' : 'bf16'
    assume(usual)
    return usual
  }
  if (/fp8|float8/i.test(told)) return 'fp8'
  if (/bf16|bfloat16/i.test(told)) return 'bf16'
  if (/fp16|float16/i.test(told)) return 'fp16'
  if (/16-bit/i.test(told)) {
    assume('fp16')
    return 'fp16'
  }
  return refuse(`the precision "${told}" is not known`)
}

function stepOf(
  row: Row,
  workload: Workload,
  chips: number,
  assume: Assume,
): { stepSeconds: number; fromFlops: boolean } {
  const tokens = workload.globalBatch * workload.sequenceLength
  const told = (stepSeconds: number): { stepSeconds: number; fromFlops: boolean } => {
    return { stepSeconds, fromFlops: false }
  }
  if (row.step_time_s != null) return told(row.step_time_s)
  if (row.tokens_per_s_per_chip != null) return told(tokens / (row.tokens_per_s_per_chip * chips))
  if (row.tokens_per_s_total != null) return told(tokens / row.tokens_per_s_total)
  if (row.samples_per_s != null) return told(workload.globalBatch / row.samples_per_s)
  const raw = row.measured_raw
  if (raw != null && /^tokens\/s/.test(raw.unit) && /910C/i.test(row.chip)) {
    // a cluster's total would be far too small, a die's above its peak: the package of two dies
    assume('tokens a second of a package of two dies')
    return told(tokens / (raw.value * (chips / 2)))
  }
  if (row.tflops_per_chip != null) {
    const formula: FlopFormula =
      formulaOf(row.flops_kind ?? null, /megatron/i.test(row.framework ?? '')) ??
      refuse('only FLOP/s are printed, by a formula that is not stated')
    assume(`seconds from printed FLOP/s by the formula "${formula}"`)
    const stepSeconds = stepFlops(formula, workload) / (row.tflops_per_chip * 1e12 * chips)
    return { stepSeconds, fromFlops: true }
  }
  return refuse(row.mfu_pct != null ? 'only a share of peak is printed' : 'no time is printed')
}

function engineFor(
  row: Row,
  { engine }: EngineDefaults,
  named: NamedDecoder,
  layout: Layout,
  precision: Precision,
  assume: Assume,
): Engine {
  const overlap = row.overlap ?? ''
  const isMindSpeed = engine.id.startsWith('mindspeed')
  const isNemo = engine.id === ENGINES.nemo.engine.id
  const tensorFlag = /mc2|ascend-coc|tp-comm-overlap|fine_grain_interleave=[2-9]/i
  const asyncTensor = /async-?\+?tp/i.test(overlap !== '' ? overlap : row.id)
  if (/README: table measured with mc2/i.test(overlap)) assume('mc2 on, which the script leaves off')
  // all its rows of 405B (benchmarks/llama3_h100_202412_torchtitan.md, tables 5 and 6)
  const torchtitanTensor = engine.id === ENGINES.torchtitan.engine.id && /405b/i.test(row.model)
  const halves = /micro_batch_interleave_num=[2-9]/.test(row.notes ?? '')
  const dense = layout.expertParallel === 1
  return {
    ...engine,
    fusedAttention: row.flash_attention ?? engine.fusedAttention,
    fusedElementwise: fusesElementwise(row, engine),
    gradientBytes: precision === 'bf16' && engine.id === 'megatron-deepspeed' ? 4 : engine.gradientBytes,
    overlapsData:
      (engine.overlapsData || /grad-?.?reduce|param-?.?gather/i.test(overlap)) &&
      !/no overlap/i.test(overlap),
    overlapsTensor:
      tensorFlag.test(overlap) ||
      asyncTensor ||
      torchtitanTensor ||
      halves ||
      (isNemo && engine.overlapsTensor && layout.tensorParallel > 1),
    overlapsExperts:
      !dense && (engine.overlapsExperts || /moe-fb-overlap|moe-(allgather|alltoall)-overlap/i.test(overlap)),
    // Megatron-Core sends beside computation whenever stages are interleaved
    overlapsPipeline:
      engine.overlapsPipeline ||
      /p2p overlap/i.test(overlap) ||
      (layout.virtualPipeline > 1 && !engine.id.startsWith('megatron-20') && !isMindSpeed),
    dropout: named.dropout && !isMindSpeed,
  }
}

/** Kernels of a row: Aleph Alpha's sheets name them; torchtitan without its compiler fuses nothing. */
function fusesElementwise(row: Row, engine: Engine): boolean {
  const kernel = /kernel=([^;]*)/.exec(row.notes ?? '')?.[1]
  if (kernel !== undefined) return /RMS kernel/i.test(kernel)
  if (engine.id === ENGINES.torchtitan.engine.id) return !/FSDP$/.test(row.id)
  return engine.fusedElementwise
}
