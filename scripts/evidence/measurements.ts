/** @file Rows of measurements.json, published training throughputs of many sources, as measured steps or refusals. */
import { type Issue, RegaugeError } from '../../src/errors.ts'
import type { Layout, Precision, Workload } from '../../src/simulate/index.ts'
import { chipOf } from './chips.ts'
import { behaviourOf } from './engine-flags.ts'
import { type EngineDefaults, engineOf } from './engines.ts'
import { readText, throwIssues } from './files.ts'
import { type FlopFormula, formulaOf, stepFlops } from './flops.ts'
import { layoutOf, modelParallelOf } from './layouts.ts'
import { asComputed, asFirstPrinted } from './mindspeed.ts'
import { decoderOf, type NamedDecoder, type Sizes } from './models.ts'
import { type Assume, type Row, rowSchema } from './published-row.ts'
import { type MeasuredRow, type Refusal, Refused, refuse } from './row.ts'
import { sourceKey } from './sources.ts'

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

function measuredRow(printed: Row): MeasuredRow {
  const assumptions: string[] = []
  const assume: Assume = (text) => assumptions.push(text)
  refuseUnfit(printed)
  const row = asFirstPrinted(printed, assume)
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
  const decoder = asComputed(row, named.decoder)
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
  if (measured.fromFlops && assumptions.includes('micro-batch 1')) {
    refuse('neither the time of a step nor the micro-batch is stated')
  }
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
    reached: null,
    headless: false,
    arithmetic: null,
    layout,
    behaviour: behaviourOf(row, defaults, named, layout, workload.precision, assume),
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
  if (/\bCAUTION\b/.test(notes)) refuse('the source contradicts itself about the measured run')
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

function precisionOf(row: Row, { behaviour }: EngineDefaults, assume: Assume): Precision {
  const told = row.precision
  const fp8Era = /25\.09/.test(row.framework ?? '')
  if (told == null && fp8Era) {
    // of Megatron-Bridge 25.09, whose rates are those of the fp8 rows of 25.11
    assume('fp8, as in the releases that follow')
    return 'fp8'
  }
  if (told == null) {
    // before 2022, scripts said fp16
    const usual = /^megatron-(20|deepspeed)/.test(behaviour.measuredAs) ? 'fp16' : 'bf16'
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
