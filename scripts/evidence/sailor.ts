/** @file Sailor's measurements on mixed chips (eth-easl/sailor, sailor/Planner/simulations/validation; SOSP 2025). */
import { type Layout, ONE_CHIP } from '../../src/simulate/types.ts'
import { ENGINES } from './engines.ts'
import { badCell, type CsvRow, readCsv } from './files.ts'
import { decoderOf, NO_SIZES, type Sizes } from './models.ts'
import { type MeasuredRow, type PlacedStage, type Refusal, Refused, refuse } from './row.ts'

const COLUMNS = ['file', 'pp', 'dp', 'tp', 'layers', 'stages', 'mbs', 'gbs', 'real_s', 'max_mem'] as const

/**
 * Sizes: OPT-350M by ae_scripts/clariden_scripts/run_opt.slurm; both by simulations/configs/training_config_*.json. The
 * vocabulary is that of profiled parameters (llm_info.json: 53608448 = (50304 + 2048) x 1024 in the first layer).
 */
const MODELS: readonly (readonly [RegExp, Sizes])[] = [
  [/GPT-?NEO/i, { ...NO_SIZES, layers: 32, hidden: 2560, ffn: 10_240, heads: 32, vocabulary: 50_304 }],
  [/OPT-?350|^mit\//i, { ...NO_SIZES, layers: 24, hidden: 1024, ffn: 4096, heads: 16, vocabulary: 50_304 }],
]

const SEQUENCE_LENGTH = 2048

/** Chips by its names; memory per GPU and GPUs per node are those of simulations/configs/basic_cluster_config.json. */
const CHIPS: Readonly<Record<string, readonly [chip: string, perNode: number]>> = {
  'GH-96': ['gh200-96gb', 4],
  'A100-40': ['a100-40gb-sxm', 4],
  'A100-80': ['a100-80gb-sxm', 4],
  'V100-16': ['v100-sxm2-16gb', 4],
  'RTX-3090': ['rtx-3090', 8],
  'RTX-2080': ['rtx-2080-ti', 8],
  'Titan-RTX': ['titan-rtx', 8],
}

/** Stages: 1F1B of DeepSpeed's pipeline engine, no recomputation, ZeRO 0; memory is what a device has in use. */
export function readSailor(file: string): (MeasuredRow | Refusal)[] {
  const rows = readCsv(file, COLUMNS, rowOf).values
  // two layouts with one and the same time and memory: at least one was copied
  const times = new Map<string, number>()
  const keyOf = ({ measured }: MeasuredRow): string => `${measured.stepSeconds} ${measured.usedBytes}`
  for (const row of rows) {
    if (!('reason' in row)) times.set(keyOf(row), (times.get(keyOf(row)) ?? 0) + 1)
  }
  return rows.map((row) => {
    if ('reason' in row || times.get(keyOf(row)) === 1) return row
    return { id: row.id, source: row.source, reason: 'suspect: the time and memory of another layout' }
  })
}

function rowOf(row: CsvRow): MeasuredRow | Refusal {
  const path = row.text('file')
  const id = `sailor/${path.replace(/plan_config_|\.json$/g, '')}`
  const source = 'sailor'
  const pp = row.count('pp')
  const dp = row.count('dp')
  const tp = row.count('tp')
  const planLayers = row.text('layers').split('|').map(Number)
  if (planLayers.length !== pp || !planLayers.every((n) => Number.isSafeInteger(n) && n > 0)) {
    badCell('layers', row.text('layers'), `${pp} whole numbers with | between`)
  }
  const stages = row
    .text('stages')
    .split(' / ')
    .map((stage) => stage.split('+').map((text) => chipsOf(text, tp)))
  if (stages.length !== pp || stages.some((replicas) => replicas.length !== dp)) {
    badCell(
      'stages',
      row.text('stages'),
      `${dp} replicas with + between for each of ${pp} stages with / between`,
    )
  }
  const microBatch = row.count('mbs')
  const globalBatch = row.count('gbs')
  const stepSeconds = row.number('real_s')
  const usedBytes = row.count('max_mem')
  try {
    const sizes =
      MODELS.find(([pattern]) => pattern.test(path))?.[1] ?? refuse(`the model of ${path} is not known`)
    const layers = sizes.layers ?? 0
    const total = planLayers.reduce((a, b) => a + b)
    // the table of embeddings and the head count as a layer each
    if (total !== layers + 2)
      refuse(`suspect: its plan has ${total} layers where the model has ${layers + 2}`)
    if (globalBatch === 1 && pp > 1) refuse('suspect: one sequence through a pipeline')
    const first = stages[0]?.[0] ?? refuse('no stages')
    if (new Set(stages.flat().map(({ perNode }) => perNode)).size > 1) refuse('nodes of several sizes')
    if (first.perNode === 8 && tp === 2) {
      refuse('suspect: a quarter of the memory that its layout needs')
    }
    const stageLayers = planLayers.map((n, i) => n - Number(i === 0) - Number(i === pp - 1))
    const placement: PlacedStage[] = stages.map((replicas, i) => ({
      layers: stageLayers[i] ?? 0,
      replicas: replicas.map(({ chip }) => ({ chip, tensorParallel: tp })),
    }))
    const { decoder, dropout } = decoderOf('GPT', sizes, SEQUENCE_LENGTH)
    const layout: Layout = {
      ...ONE_CHIP,
      tensorParallel: tp,
      pipelineParallel: pp,
      stageLayers,
      dataParallel: dp,
      zeroStage: 0,
      microBatch,
    }
    return {
      id,
      source,
      framework: 'Sailor (Megatron-DeepSpeed)',
      chip: first.chip,
      product: null,
      chips: tp * pp * dp,
      chipsPerNode: first.perNode,
      // the printed seconds of gradient reduction give 92 to 97 MB/s a node of 8: Ethernet of 1 Gb/s
      networkBytesPerSecond: first.perNode === 8 ? 1e9 / 8 / 8 : null,
      // OPT's head has a matrix of its own, GPT-Neo's does not (params of the last layer in llm_info.json)
      workload: {
        decoder: { ...decoder, tiedEmbeddings: /GPT-?NEO/i.test(path) },
        sequenceLength: SEQUENCE_LENGTH,
        globalBatch,
        precision: 'bf16',
      },
      // the image (nvcr.io/nvidia/pytorch:24.10) lets fp32 products run in TF32 where a chip has it
      arithmetic: stages.flat().every(({ chip }) => /gh200|a100|rtx-3090/.test(chip)) ? 'tf32' : 'fp32',
      layout,
      engine: { ...ENGINES.sailor.engine, dropout },
      placement: new Set(stages.flat().map(({ chip }) => chip)).size > 1 ? placement : null,
      measured: { stepSeconds, fromFlops: false, allocatedBytes: null, reservedBytes: null, usedBytes },
      assumptions: [
        'fp32 weights, gradients and activations: the released configuration enables no 16 bits',
        ...(/^mit/.test(path) ? ['OPT-350M, the default of the driver'] : []),
      ],
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { id, source, reason: error.message }
  }
}

/** 'GH-96x4': four of a kind for one replica of a stage. */
function chipsOf(text: string, tensorParallel: number): { chip: string; perNode: number } {
  const [, name = '', count] = /^(.+)x(\d+)$/.exec(text.trim()) ?? []
  const known = CHIPS[name]
  if (known === undefined)
    badCell('stages', text, `one of ${Object.keys(CHIPS).join(', ')} with x and a number`)
  if (Number(count) !== tensorParallel) badCell('stages', text, `${tensorParallel} chips a replica`)
  return { chip: known[0], perNode: known[1] }
}
