/** @file The schema of a row of measurements.json: what is used of it, with bounds. */
import { z } from 'zod'
import { MOST_LAYERS } from './files.ts'

const count = z.int().positive().max(1e9).nullish()
const layers = z.int().positive().max(MOST_LAYERS).nullish()
const rate = z.number().positive().max(1e15).nullish()
const words = z.string().max(20_000).nullish()

/** What is used of a row; other keys are let through. */
export const rowSchema = z.looseObject({
  id: z.string().min(1).max(200),
  source: z.string().min(1).max(1000),
  framework: words,
  model: z.string().min(1).max(500),
  params_b: rate,
  layers,
  hidden: count,
  ffn: count,
  heads: count,
  kv_heads: count,
  head_dim: count,
  vocab: count,
  seq: count,
  moe: z
    .looseObject({
      experts: z.int().positive().max(1e6),
      topk: z.int().positive().max(1e6),
      shared: z.int().min(0).max(1e6).nullish(),
      moe_ffn: count,
      shared_ffn: z.int().min(0).max(1e9).nullish(),
      first_dense: z.int().min(-1).max(MOST_LAYERS).nullish(),
    })
    .nullish(),
  mla: z
    .looseObject({
      q_lora: z.int().min(0).max(1e9).nullish(),
      kv_lora: z.int().positive().max(1e9),
      qk_nope: z.int().positive().max(1e9),
      qk_rope: z.int().positive().max(1e9),
      v_head: z.int().positive().max(1e9),
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
  measured_raw: z.looseObject({ value: z.number().positive().max(1e30), unit: z.string() }).nullish(),
  task: words,
  notes: words,
})

export type Row = z.output<typeof rowSchema>

/** A default that is taken, written down. */
export type Assume = (text: string) => void
