/** @file vTrain's measurements (VIA-Research/vTrain, data/ground_truth_*.csv; arXiv 2312.12391). */
import { type Layout, ONE_CHIP } from '../../src/simulate/index.ts'
import { ENGINES } from './engines.ts'
import { type CsvRow, MOST_LAYERS, readCsv } from './files.ts'
import { decoderOf, NO_SIZES } from './models.ts'
import { type MeasuredRow, type Refusal, Refused, refuse } from './row.ts'

const COLUMNS = [
  '# GPUs',
  'global batch',
  'micro batch',
  'hidden size',
  'attention heads',
  '# layers',
  'sequence length',
  'tensor parallelism',
  'data parallelism',
  'pipeline parallelism',
  'iteration time (ms)',
] as const

/**
 * config/validation of the repository, the same for all rows: A100, 8 GPUs a node, 1F1B, `use_checkpoint` (every layer
 * recomputed), no gradient bucket (no overlap), intra-node 150 GB/s, inter-node 800 Gb/s. Its GPT (src/model) has fp16
 * weights, dropout 0.1, a fused masked softmax, and 50257 tokens.
 */
const ASSUMPTIONS = [
  'fp16, dropout 0.1 and 50257 tokens, as of the model that the simulator profiles',
  'A100 without a memory size: 80 GB SXM',
  'ZeRO 0',
]

/** The rows of one of vTrain's tables; those of one node have the source 'vtrain-single'. */
export function readVtrain(
  file: string,
  source: 'vtrain-single' | 'vtrain-multi',
): (MeasuredRow | Refusal)[] {
  return readCsv(file, COLUMNS, (row) => rowOf(row, source)).values
}

function rowOf(row: CsvRow, source: 'vtrain-single' | 'vtrain-multi'): MeasuredRow | Refusal {
  const id = `${source}-line${row.line}`
  const chips = row.count('# GPUs')
  const sequenceLength = row.count('sequence length')
  const sizes = {
    ...NO_SIZES,
    layers: row.count('# layers', MOST_LAYERS),
    hidden: row.count('hidden size'),
    heads: row.count('attention heads'),
  }
  const layout: Layout = {
    ...ONE_CHIP,
    tensorParallel: row.count('tensor parallelism'),
    pipelineParallel: row.count('pipeline parallelism'),
    dataParallel: row.count('data parallelism'),
    zeroStage: 0,
    microBatch: row.count('micro batch'),
    recompute: 'full',
  }
  const globalBatch = row.count('global batch')
  const stepSeconds = row.number('iteration time (ms)') / 1000
  try {
    const { tensorParallel, pipelineParallel, dataParallel, microBatch } = layout
    const degrees = tensorParallel * pipelineParallel * dataParallel
    if (degrees !== chips) refuse(`the degrees multiply to ${degrees}, not to ${chips} chips`)
    if (globalBatch % (microBatch * dataParallel) !== 0) {
      refuse(
        `micro-batches of ${microBatch} on ${dataParallel} replicas do not divide a batch of ${globalBatch}`,
      )
    }
    // twice as slow as its neighbours with half and a quarter of the micro-batch, which is a single one here
    if (tensorParallel === 8 && microBatch === 64 && sizes.hidden === 3072) {
      refuse('suspect: 9.8 s where its neighbours take 5.0 s')
    }
    const { decoder, dropout } = decoderOf('GPT', { ...sizes, vocabulary: 50_257 }, sequenceLength)
    return {
      id,
      source,
      framework: 'Megatron-DeepSpeed',
      chip: 'a100-80gb-sxm',
      product: null,
      chips,
      chipsPerNode: 8,
      networkBytesPerSecond: 800e9 / 8 / 8,
      workload: { decoder, sequenceLength, globalBatch, precision: 'fp16' },
      reached: null,
      headless: false,
      arithmetic: null,
      layout,
      behaviour: { ...ENGINES.megatronDeepSpeed.behaviour, dropout },
      placement: null,
      measured: { stepSeconds, fromFlops: false, allocatedBytes: null, reservedBytes: null, usedBytes: null },
      assumptions: ASSUMPTIONS,
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { id, source, reason: error.message }
  }
}
