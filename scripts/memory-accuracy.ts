/**
 * @file Compares the memory model with measured runs: simumax_b200_validation.csv of a folder. Rows that
 * differ in the number of micro-batches alone share one measurement of memory, so there are 19.
 *
 *     npx tsx scripts/memory-accuracy.ts FOLDER
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Decoder, readDecoder } from '../src/model/index.ts'
import { createMemoryModel, LIBRARY_BYTES } from '../src/simulate/memory/index.ts'
import type { Engine, Layout, Workload } from '../src/simulate/types.ts'

const GIBIBYTE = 2 ** 30

/** One measured run, with the prediction for it. GiB. */
export interface MemoryRow {
  readonly name: string
  readonly model: string
  readonly measured: { readonly allocated: number; readonly reserved: number }
  readonly predicted: { readonly allocated: number; readonly reserved: number }
  /** Relative error of SimuMax 1.2's own prediction of the allocated bytes. */
  readonly peerError: number
}

/** Megatron-LM as those runs had it: fused layers and loss, fp32 gradients, no overlap, no dropout. */
const ENGINE: Engine = {
  id: 'megatron-lm',
  name: 'Megatron-LM',
  lineage: 'megatron',
  usesAllRails: true,
  fusedAttention: true,
  fusedElementwise: true,
  gradientBytes: 4,
  overlapsData: false,
  overlapsTensor: false,
  overlapsExperts: false,
  dispatchesOnce: false,
  scattersSends: false,
  fusedLoss: true,
  gradientPlaceholders: true,
  overlapsPipeline: false,
  vocabularyMultiple: 128,
  dropout: false,
}

/** Its tokenizer without words adds one token to the vocabulary. */
const llama = (hidden_size: number, intermediate_size: number, heads: number, keyValueHeads: number) => ({
  model_type: 'llama',
  hidden_size,
  intermediate_size,
  num_attention_heads: heads,
  num_key_value_heads: keyValueHeads,
  vocab_size: 128257,
  tie_word_embeddings: false,
  max_position_embeddings: 131072,
})

const deepseek = {
  num_attention_heads: 128,
  num_key_value_heads: 128,
  q_lora_rank: 1536,
  kv_lora_rank: 512,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
  // both were cut to one dense layer and three of experts
  first_k_dense_replace: 1,
  num_nextn_predict_layers: 0,
  tie_word_embeddings: false,
  max_position_embeddings: 4096,
}

const MODELS: Readonly<Record<string, Record<string, unknown>>> = {
  'llama3-70b': llama(8192, 28672, 64, 8),
  'llama3-405b': llama(16384, 53248, 128, 16),
  deepseekv2: {
    ...deepseek,
    model_type: 'deepseek_v2',
    hidden_size: 5120,
    intermediate_size: 12288,
    moe_intermediate_size: 1536,
    n_routed_experts: 160,
    n_shared_experts: 2,
    num_experts_per_tok: 6,
    vocab_size: 102401,
  },
  deepseekv3: {
    ...deepseek,
    model_type: 'deepseek_v3',
    hidden_size: 7168,
    intermediate_size: 18432,
    moe_intermediate_size: 2048,
    n_routed_experts: 256,
    n_shared_experts: 1,
    num_experts_per_tok: 8,
    vocab_size: 129281,
  },
}

const LAYOUT: Layout = {
  tensorParallel: 1,
  sequenceParallel: true,
  contextParallel: 1,
  contextMethod: 'all-to-all',
  pipelineParallel: 1,
  virtualPipeline: 1,
  dataParallel: 1,
  expertParallel: 1,
  expertTensorParallel: 1,
  zeroStage: 1,
  microBatch: 1,
  recompute: 'none',
  offloadOptimizer: false,
  schedule: '1f1b',
}

/** The runs of a folder, each with the prediction for it: 8 chips, micro-batches of one sequence. */
export function memoryRows(folder: string): MemoryRow[] {
  const [header, ...lines] = readFileSync(join(folder, 'simumax_b200_validation.csv'), 'utf8')
    .trim()
    .split(/\r?\n/)
  const columns = header!.split(',')
  return lines.map((line) => {
    const cells = line.split(',')
    const cell = (name: string) => cells[columns.indexOf(name)]!
    const name = cell('case')
    const degree = (kind: string) => Number(new RegExp(`_${kind}(\\d+)`).exec(name)?.[1] ?? 1)
    const [tensorParallel, contextParallel, pipelineParallel] = [degree('tp'), degree('cp'), degree('pp')]
    const layout: Layout = {
      ...LAYOUT,
      tensorParallel,
      contextParallel,
      pipelineParallel,
      dataParallel: 8 / (tensorParallel * contextParallel * pipelineParallel),
      expertParallel: degree('ep'),
    }
    const workload: Workload = {
      decoder: decoderOf(cell('model'), Number(cell('layer_num'))),
      sequenceLength: Number(/_seq(\d+)/.exec(name)?.[1] ?? 4096),
      globalBatch: Number(cell('mbc')) * layout.dataParallel,
      precision: 'bf16',
    }
    const stages = createMemoryModel(workload, ENGINE).stages(layout)
    return {
      name,
      model: cell('model'),
      measured: { allocated: Number(cell('real_alloc_gib')), reserved: Number(cell('real_reserved_gib')) },
      predicted: {
        allocated: Math.max(...stages.map((stage) => stage.allocated)) / GIBIBYTE,
        reserved: Math.max(...stages.map((stage) => stage.peak - LIBRARY_BYTES)) / GIBIBYTE,
      },
      peerError: Number(cell('alloc_err_pct')) / 100,
    }
  })
}

function decoderOf(model: string, layers: number): Decoder {
  return readDecoder({ ...MODELS[model], num_hidden_layers: layers })
}

export interface ErrorSummary {
  readonly rows: number
  /** Means and the largest of absolute relative errors. */
  readonly allocated: number
  readonly allocatedMost: number
  readonly reserved: number
  readonly reservedMost: number
  readonly peer: number
}

export function errorsOf(rows: readonly MemoryRow[]): ErrorSummary {
  const errors = (kind: 'allocated' | 'reserved') =>
    rows.map(({ measured, predicted }) => Math.abs(predicted[kind] / measured[kind] - 1))
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    rows: rows.length,
    allocated: mean(errors('allocated')),
    allocatedMost: Math.max(...errors('allocated')),
    reserved: mean(errors('reserved')),
    reservedMost: Math.max(...errors('reserved')),
    peer: mean(rows.map(({ peerError }) => Math.abs(peerError))),
  }
}

function main(folder: string): void {
  const rows = memoryRows(folder)
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`
  const signed = (predicted: number, measured: number) =>
    `${predicted.toFixed(2)} of ${measured.toFixed(2)} GiB (${percent(predicted / measured - 1)})`
  for (const { name, measured, predicted } of rows) {
    console.log(
      `${name}: allocated ${signed(predicted.allocated, measured.allocated)}, reserved ${signed(predicted.reserved, measured.reserved)}`,
    )
  }
  for (const model of [...new Set(rows.map((row) => row.model)), undefined]) {
    const group = errorsOf(rows.filter((row) => model === undefined || row.model === model))
    console.log(
      `${model ?? 'all'}: ${group.rows} runs, allocated ${percent(group.allocated)} (most ${percent(group.allocatedMost)}), reserved ${percent(group.reserved)} (most ${percent(group.reservedMost)}); SimuMax allocated ${percent(group.peer)}`,
    )
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2]
  if (folder === undefined) {
    console.error('usage: npx tsx scripts/memory-accuracy.ts FOLDER')
    process.exitCode = 1
  } else main(folder)
}
