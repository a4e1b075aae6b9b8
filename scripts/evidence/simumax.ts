/** @file SimuMax's measurements on one node of B200 (MooreThreads/SimuMax, docs/b200/b200_release_v1.2_summary.md). */
import { type Layout, ONE_CHIP, usualSchedule } from '../../src/simulate/index.ts'
import { ENGINES } from './engines.ts'
import { badCell, type CsvRow, MOST_LAYERS, readCsv } from './files.ts'
import { decoderOf, NO_SIZES, type Sizes } from './models.ts'
import { type MeasuredRow, type Refusal, Refused, refuse } from './row.ts'

const COLUMNS = [
  'case',
  'model',
  'parallel',
  'layer_num',
  'mbc',
  'vp_size',
  'real_ms',
  'real_alloc_gib',
  'real_reserved_gib',
] as const

const CHIPS = 8
const GIB = 2 ** 30

/** The launcher's tokenizer has no words, and adds one token to the sizes of vocabularies. */
const dense = { ...NO_SIZES, vocabulary: 128_257 }
const latent = { query: 1536, keyValue: 512, plain: 128, rotary: 64, value: 128 }

/**
 * simu_tools/megatron_scripts/scripts/run_pretrain_*.sh: layers are cut; the 405B has 16 heads of keys and values; the
 * first layer alone is dense in both DeepSeeks (MOE_LAYER_FREQ); no module predicts further tokens.
 */
const MODELS: Readonly<Record<string, readonly [name: string, sizes: Sizes]>> = {
  'llama3-8b': ['Llama3', { ...dense, hidden: 4096, ffn: 14_336, heads: 32, keyValueHeads: 8 }],
  'llama3-70b': ['Llama3', { ...dense, hidden: 8192, ffn: 28_672, heads: 64, keyValueHeads: 8 }],
  'llama3-405b': ['Llama3', { ...dense, hidden: 16_384, ffn: 53_248, heads: 128, keyValueHeads: 16 }],
  deepseekv2: [
    'DeepSeek-V2',
    {
      ...NO_SIZES,
      hidden: 5120,
      ffn: 12_288,
      heads: 128,
      vocabulary: 102_401,
      latent,
      moe: { experts: 160, active: 6, width: 1536, shared: 3072, firstDense: 1 },
    },
  ],
  deepseekv3: [
    'DeepSeek-V3',
    {
      ...NO_SIZES,
      hidden: 7168,
      ffn: 18_432,
      heads: 128,
      vocabulary: 129_281,
      latent,
      moe: { experts: 256, active: 8, width: 2048, shared: 2048, firstDense: 1 },
    },
  ],
}

/** What the launcher sets: balanced experts (capacity factor 1, padded), all-to-all for contexts. */
export function readSimumax(file: string): (MeasuredRow | Refusal)[] {
  return readCsv(file, COLUMNS, rowOf).values
}

function rowOf(row: CsvRow): MeasuredRow | Refusal {
  const name = row.text('case')
  const id = `simumax-b200/${name}`
  const source = 'simumax-b200'
  const parallel = row.text('parallel')
  if (!/^(?:(?:tp|cp|ep|pp)[1-9]\d?)+$/.test(parallel)) {
    badCell('parallel', parallel, 'degrees such as tp1ep4pp2')
  }
  const degree = (key: string): number => Number(new RegExp(`${key}(\\d+)`).exec(parallel)?.[1] ?? 1)
  const layers = row.count('layer_num', MOST_LAYERS)
  const microBatches = row.count('mbc')
  const virtualPipeline = row.count('vp_size', MOST_LAYERS)
  const stepSeconds = row.number('real_ms') / 1000
  const allocatedBytes = row.number('real_alloc_gib') * GIB
  const reservedBytes = row.number('real_reserved_gib') * GIB
  // recompute_granularity full with 0 layers; strategies have micro-batches of 1 and 4096 tokens
  const sequenceLength = Number(/_seq(\d+)/.exec(name)?.[1] ?? 4096)
  try {
    const [family, sizes] =
      MODELS[row.text('model')] ?? refuse(`the model "${row.text('model')}" is not known`)
    const tensorParallel = degree('tp')
    const contextParallel = degree('cp')
    const pipelineParallel = degree('pp')
    const expertParallel = degree('ep')
    const dataParallel = CHIPS / (tensorParallel * contextParallel * pipelineParallel)
    if (!Number.isInteger(dataParallel)) refuse(`${parallel} does not divide ${CHIPS} chips`)
    if (layers < pipelineParallel) refuse(`${pipelineParallel} stages for ${layers} layers`)
    const { decoder } = decoderOf(family, { ...sizes, layers }, sequenceLength)
    const layout: Layout = {
      ...ONE_CHIP,
      tensorParallel,
      sequenceParallel: tensorParallel > 1,
      contextParallel,
      contextMethod: 'all-to-all',
      pipelineParallel,
      virtualPipeline,
      dataParallel,
      expertParallel,
      schedule: usualSchedule(virtualPipeline),
    }
    return {
      id,
      source,
      framework: 'Megatron-LM 23e00ed0, Transformer Engine 2.11',
      chip: 'b200-sxm',
      product: null,
      chips: CHIPS,
      chipsPerNode: CHIPS,
      networkBytesPerSecond: null,
      workload: { decoder, sequenceLength, globalBatch: microBatches * dataParallel, precision: 'bf16' },
      reached: null,
      headless: false,
      arithmetic: null,
      layout,
      behaviour: ENGINES.simumax.behaviour,
      placement: null,
      measured: { stepSeconds, fromFlops: false, allocatedBytes, reservedBytes, usedBytes: null },
      assumptions: [],
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { id, source, reason: error.message }
  }
}
