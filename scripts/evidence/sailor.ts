/** @file Sailor's measurements on mixed chips (eth-easl/sailor, sailor/Planner/simulations/validation; SOSP 2025). */
import { type Layout, ONE_CHIP } from '../../src/simulate/index.ts'
import { ENGINES } from './engines.ts'
import { badCell, type CsvRow, readCsv } from './files.ts'
import { decoderOf, NO_SIZES, type Sizes } from './models.ts'
import { type MeasuredRow, type PlacedStage, type Reached, type Refusal, Refused, refuse } from './row.ts'

const COLUMNS = ['file', 'pp', 'dp', 'tp', 'layers', 'stages', 'mbs', 'gbs', 'real_s', 'max_mem'] as const

/**
 * Sizes: OPT-350M by ae_scripts/clariden_scripts/run_opt.slurm; both by third_party/Megatron-DeepSpeed/profile_all.py. The
 * vocabulary is that of profiled parameters (llm_info.json: 53608448 = (50304 + 2048) x 1024 in the first layer). Its
 * simulator is told of 32 heads for GPT-Neo, but the 170401792 floats that a layer keeps are 16.5 x 2048 x 2560 for tokens
 * and 20 x 2048^2 for scores.
 */
const MODELS: readonly (readonly [RegExp, Sizes])[] = [
  [/GPT-?NEO/i, { ...NO_SIZES, layers: 32, hidden: 2560, ffn: 10_240, heads: 20, vocabulary: 50_304 }],
  [/OPT-?350|^mit\//i, { ...NO_SIZES, layers: 24, hidden: 1024, ffn: 4096, heads: 16, vocabulary: 50_304 }],
]

const SEQUENCE_LENGTH = 2048

/**
 * Chips by its names; memory per GPU and GPUs per node are those of simulations/configs/basic_cluster_config.json. Graphics
 * cards reach each other through buses and hosts whose bandwidth no data sheet tells. Within a node, it is that of the
 * all-reduce of embeddings by 8 of them as profiled for micro-batches of 2, which all measured runs have: forward of layer 0
 * (sailor_planner/profiles/OPT-350/KIND/profile.json). Beyond it, it is the most that 8 pairs reach together
 * (providers/network_coeffs_all_homo.json, "inter", "8").
 */
const CHIPS: Readonly<Record<string, readonly [chip: string, perNode: number, reached?: Reached]>> = {
  'GH-96': ['gh200-96gb', 4],
  'A100-40': ['a100-40gb-sxm', 4],
  'A100-80': ['a100-80gb-sxm', 4],
  'V100-16': ['v100-sxm2-16gb', 4],
  'RTX-3090': ['rtx-3090', 8, reached(0.018533, 114_876_125)],
  'RTX-2080': ['rtx-2080-ti', 8, reached(0.007675, 2_857_736_369)],
  'Titan-RTX': ['titan-rtx', 8, reached(0.006495, 2_857_712_077)],
}

/** From the seconds of an all-reduce of 2 x 2048 x 1024 values of 4 bytes over 8 chips, and from bytes/s of a node of 8. */
function reached(allReduceSeconds: number, nodeBytesPerSecond: number): Reached {
  return { link: (((2 * 7) / 8) * 2 * 2048 * 1024 * 4) / allReduceSeconds, network: nodeBytesPerSecond / 8 }
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
    const { decoder } = decoderOf('GPT', sizes, SEQUENCE_LENGTH)
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
      networkBytesPerSecond: null,
      reached: reachedOf(stages),
      // OPT's head has a matrix of its own
      workload: {
        decoder: { ...decoder, tiedEmbeddings: false },
        sequenceLength: SEQUENCE_LENGTH,
        globalBatch,
        precision: 'bf16',
      },
      // `GPTNeoModelPipe` ends with a norm, from which the loss is taken; 5120 parameters in the last layer of llm_info.json
      headless: /GPT-?NEO/i.test(path),
      // the image (nvcr.io/nvidia/pytorch:24.10) lets fp32 products run in TF32 where a chip has it
      arithmetic: stages.flat().every(({ chip }) => /gh200|a100|rtx-3090/.test(chip)) ? 'tf32' : 'fp32',
      layout,
      behaviour: ENGINES.sailor.behaviour,
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

interface StageChips {
  readonly chip: string
  readonly perNode: number
  readonly reached: Reached | undefined
}

/** 'GH-96x4': four of a kind for one replica of a stage. */
function chipsOf(text: string, tensorParallel: number): StageChips {
  const [, name = '', count] = /^(.+)x(\d+)$/.exec(text.trim()) ?? []
  const known = CHIPS[name]
  if (known === undefined)
    badCell('stages', text, `one of ${Object.keys(CHIPS).join(', ')} with x and a number`)
  if (Number(count) !== tensorParallel) badCell('stages', text, `${tensorParallel} chips a replica`)
  return { chip: known[0], perNode: known[1], reached: known[2] }
}

function reachedOf(stages: readonly (readonly StageChips[])[]): MeasuredRow['reached'] {
  const known = stages.flat().flatMap(({ chip, reached: own }) => (own === undefined ? [] : [[chip, own]]))
  return known.length === 0 ? null : Object.fromEntries(known)
}
