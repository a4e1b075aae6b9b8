/**
 * @file What the repository of MindSpeed-LLM (Ascend/MindSpeed-LLM) tells of its measured rows besides the script of the
 * release that prints them: a README's figure is often older than that script. Commits are those that first print it.
 */
import type { Decoder } from '../../src/model/index.ts'
import type { Behaviour } from '../../src/simulate/index.ts'
import type { Assume, Row } from './published-row.ts'
import { refuse } from './row.ts'

/** Rows of the table of 1.0.RC3. */
const isReleased = ({ id }: Row): boolean => /^mindspeed-rc3-/.test(id)

/**
 * Printed from 2023-11 (Bloom-176B: 79eb5e89) to 2024-03-07 (46bc1b9d, 979a6337) and never again: mc2, with which the
 * README says all of them were measured, came into the code on 2024-04-26 (791677c1).
 */
const BEFORE_MC2 =
  /-(Baichuan-13B-4K|Baichuan2-7B|Bloom-7B1|Bloom-176B|InternLM-7B|InternLM-65B|LLaMA-7B-2K|Qwen-14B-2K)-/

/** Scripts with --no-masked-softmax-fusion and without flash attention, when their figure was first printed. */
const MASKED_APART = /-Bloom-7B1-/

/** Batches of the script when the figure was first printed. */
const FIRST_BATCHES: readonly (readonly [RegExp, { mbs: number; gbs_seqs: number }, commit: string])[] = [
  [/-Bloom-7B1-/, { mbs: 4, gbs_seqs: 16 }, '979a6337'],
  [/-Qwen-14B-2K-/, { mbs: 1, gbs_seqs: 16 }, '91aa42d7'],
]

/** A row as it was when its figure was first printed. */
export function asFirstPrinted(row: Row, assume: Assume): Row {
  if (!isReleased(row)) return row
  // 8be9648a prints it with a script that cannot start (--sparse-model), and with 2,280 tokens/s at 8K: the 113 GFLOP more
  // of a token at 128K, in the 0.33 ms more that it takes, would be 340 TFLOP/s. 2.1.0 says that 128K is being worked on
  if (/LLaMA3\.1-8B-128K/.test(row.id)) {
    refuse('suspect: beside its row at 8K, attention would run at 96 % of what matrix units do at peak')
  }
  const first = FIRST_BATCHES.find(([pattern]) => pattern.test(row.id))
  if (first === undefined) return row
  const [, batches, commit] = first
  assume(`micro-batch ${batches.mbs} of ${batches.gbs_seqs}, as in the script of ${commit}`)
  return { ...row, ...batches, gbs_tokens: batches.gbs_seqs * (row.seq ?? refuse('no sequence length')) }
}

/** Whether products run beside the messages of tensor parallelism that they need. */
export function usesMc2(row: Row, assume: Assume): boolean {
  if (!isReleased(row) || !/README: table measured with mc2/i.test(row.overlap ?? '')) {
    return /mc2/i.test(row.overlap ?? '')
  }
  const before = BEFORE_MC2.test(row.id)
  assume(before ? 'mc2 off, which is younger than the figure' : 'mc2 on, which the script leaves off')
  return !before
}

/** How the engine computes experts and attention, by the flags of the script. */
export function mindSpeedKernels(row: Row): Partial<Omit<Behaviour, 'measuredAs' | 'lineage'>> {
  if (!isReleased(row)) return {}
  const notes = row.notes ?? ''
  return {
    fusedMask: !MASKED_APART.test(row.id),
    // --gelu-tanh (modellink/core/transformer/mlp.py, `gelu_tanh_approximation`)
    composedGates: /-Gemma2-/.test(row.id),
    // the default of --moe-token-dispatcher-type is allgather (megatron/training/arguments.py, core 0.6)
    gathersTokens: row.moe != null && !/moe-token-dispatcher-type=alltoall/.test(notes),
    // without --moe-grouped-gemm, experts are `SequentialMLP` (modellink/core/transformer/moe/moe_layer.py)
    groupsExperts: /moe-grouped-gemm/.test(notes),
    // 579b4ed2 pads queries, keys and values to 256 (multi_head_latent_attention.py, `F.pad`)
    headPadding: /DeepSeek-V2/.test(row.id) ? 256 : 0,
  }
}

/**
 * The decoder as attention sees it: the windows of Gemma 2 are in its mask alone (705158ab,
 * modellink/core/transformer/transformer_layer.py), and --pre-tockens, beyond which nothing is computed, stays at 65,536.
 */
export function asComputed(row: Row, decoder: Decoder): Decoder {
  if (!isReleased(row) || !/-Gemma2-/.test(row.id)) return decoder
  return { ...decoder, windows: decoder.windows.map(() => undefined) }
}

/**
 * Layers of each stage whose MLP is computed again while attention is fetched from the host; undefined where none is.
 * MindSpeed, docs/features/swap_attention.md: --swap-attention with --recompute-method block.
 */
export function swappedLayers(row: Row): number | undefined {
  if (!/swap-attention=True/.test(row.notes ?? '')) return undefined
  const count = /num-layers=(\d+)/.exec(row.recompute_detail ?? '')?.[1]
  return count === undefined ? undefined : Number(count)
}
