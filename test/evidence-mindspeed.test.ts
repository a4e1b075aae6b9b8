/** @file Rows of MindSpeed-LLM are taken as its repository had them when their figures were first printed. */
import { expect, test } from 'vitest'
import {
  asComputed,
  asFirstPrinted,
  mindSpeedKernels,
  swappedLayers,
  usesMc2,
} from '../scripts/evidence/mindspeed.ts'
import { decoderOf, NO_SIZES } from '../scripts/evidence/models.ts'
import { type Row, rowSchema } from '../scripts/evidence/published-row.ts'
import { Refused } from '../scripts/evidence/row.ts'

const silent = () => {}

function row(name: string, more: Partial<Row> = {}): Row {
  const plain = { id: `mindspeed-rc3-${name}`, source: 'MindSpeed-LLM', model: name, chip: 'Ascend 910B' }
  return rowSchema.parse({ ...plain, seq: 2048, mbs: 4, gbs_seqs: 64, gbs_tokens: 131_072, ...more })
}

test('mc2 is on where the script or the README says so, unless the figure is older than mc2', () => {
  const readme = 'README: table measured with mc2 on; the script as released has no --use-mc2'
  const inScript = 'mc2 (TP comm/compute fusion) flag in script'
  expect(usesMc2(row('Qwen2-7B-32K-1x8', { overlap: readme }), silent)).toBe(true)
  expect(usesMc2(row('InternLM-7B-2K-1x8', { overlap: readme }), silent)).toBe(false)
  expect(usesMc2(row('Aquila2-34B-4K-2x8', { overlap: inScript }), silent)).toBe(true)
  expect(usesMc2(row('Qwen3-8B'), silent)).toBe(false)
  const said: string[] = []
  usesMc2(row('Qwen-14B-2K-1x8', { overlap: readme }), (text) => said.push(text))
  expect(said).toEqual(['mc2 off, which is younger than the figure'])
})

test('batches are those of the script that came with the figure; what cannot have been measured is refused', () => {
  const first = asFirstPrinted(row('Qwen-14B-2K-1x8'), silent)
  expect(first).toMatchObject({ mbs: 1, gbs_seqs: 16, gbs_tokens: 16 * 2048 })
  const other = row('InternLM-7B-2K-1x8')
  expect(asFirstPrinted(other, silent)).toBe(other)
  expect(() => asFirstPrinted(row('LLaMA3.1-8B-128K-4x8'), silent)).toThrow(Refused)
})

test('experts and attention are computed by the flags of the script', () => {
  const moe = { experts: 8, topk: 2 }
  expect(mindSpeedKernels(row('Mixtral-8x7B-32K-8x8', { moe }))).toMatchObject({
    gathersTokens: true,
    groupsExperts: false,
    headPadding: 0,
  })
  const notes = 'moe-token-dispatcher-type=allgather, moe-grouped-gemm=True'
  expect(mindSpeedKernels(row('DeepSeek-V2-60B-8K-4x8', { moe, notes }))).toMatchObject({
    gathersTokens: true,
    groupsExperts: true,
    headPadding: 256,
  })
  const swap = {
    moe,
    notes: 'swap-attention=True, moe-token-dispatcher-type=alltoall',
    recompute_detail: 'granularity=None method=block num-layers=30',
  }
  expect(mindSpeedKernels(row('Mixtral-8x22B-32K-8x8', swap))).toMatchObject({ gathersTokens: false })
  expect(swappedLayers(row('Mixtral-8x22B-32K-8x8', swap))).toBe(30)
  expect(swappedLayers(row('Mixtral-8x7B-32K-8x8', { moe }))).toBeUndefined()
})

test('windows that are in a mask alone save nothing', () => {
  const { decoder } = decoderOf(
    'Gemma2-9B',
    { ...NO_SIZES, layers: 4, hidden: 3584, ffn: 14_336, heads: 16 },
    8192,
  )
  expect(decoder.windows).toContain(4096)
  expect(asComputed(row('Gemma2-9B-8K-1x8'), decoder).windows).toEqual(Array(4).fill(undefined))
  expect(asComputed(row('Mistral-7B-32K-1x8'), decoder)).toBe(decoder)
})
