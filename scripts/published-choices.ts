/**
 * @file The layouts that published runs used, beside the best that is found for the same chips, model and batch: what is
 * modelled, no more. A published layout can be better than it looks here, by what is not modelled or was not told.
 *
 *     npx tsx scripts/published-choices.ts
 */
import { readFileSync } from 'node:fs'
import { catalogChips } from '../src/chips/index.ts'
import { readDecoder } from '../src/model/index.ts'
import { type Explanation, explainLayout, type PlanRequest } from '../src/plan/index.ts'
import { ENGINES, type EngineName, type Layout, machineOf, type Precision } from '../src/simulate/index.ts'

export interface PublishedChoice {
  readonly run: string
  readonly source: string
  readonly request: PlanRequest
  readonly layout: Layout
  /** What of the run is told otherwise than a layout can say. */
  readonly apart: string
}

const plain: Layout = {
  tensorParallel: 1,
  sequenceParallel: false,
  contextParallel: 1,
  contextMethod: 'ring',
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

function requestOf(
  model: string | Record<string, unknown>,
  chip: string,
  count: number,
  engine: EngineName,
  sequenceLength: number,
  globalBatch: number,
  network?: number,
  precision: Precision = 'bf16',
): PlanRequest {
  const config =
    typeof model === 'string'
      ? JSON.parse(readFileSync(`examples/models/${model}/config.json`, 'utf8'))
      : model
  const found = catalogChips().find(({ id }) => id === chip)
  if (found === undefined) throw new Error(`no chip ${chip}`)
  return {
    workload: { decoder: readDecoder(config), sequenceLength, globalBatch, precision },
    machine: machineOf(
      found,
      count,
      precision,
      network === undefined ? {} : { networkBytesPerSecond: network },
    ),
    engine: ENGINES[engine],
    reasons: false,
  }
}

/** GPT-3 in other sizes, as in table 1 of Narayanan et al. */
function gpt(hidden: number, layers: number, heads: number): Record<string, unknown> {
  const gpt3 = JSON.parse(readFileSync('examples/models/gpt3-175b/config.json', 'utf8'))
  return {
    ...gpt3,
    ...('n_embd' in gpt3 ? { n_embd: hidden, n_layer: layers, n_head: heads } : {}),
    n_inner: 4 * hidden,
  }
}

const NARAYANAN = 'arXiv 2104.04473, table 1'

export const PUBLISHED_CHOICES: readonly PublishedChoice[] = [
  {
    run: 'Llama 3 405B on 8,192 H100',
    source: 'arXiv 2407.21783, table 4',
    request: requestOf('llama-3.1-405b', 'h100-sxm', 8192, 'megatron-lm', 8192, 2048),
    layout: { ...plain, tensorParallel: 8, sequenceParallel: true, pipelineParallel: 16, dataParallel: 64 },
    apart:
      'the engine is not public; stages as even as can be here, one layer fewer at both ends there; FSDP there',
  },
  {
    run: 'Llama 3 405B on 16,384 H100',
    source: 'arXiv 2407.21783, table 4',
    request: requestOf('llama-3.1-405b', 'h100-sxm', 16_384, 'megatron-lm', 8192, 2048),
    layout: { ...plain, tensorParallel: 8, sequenceParallel: true, pipelineParallel: 16, dataParallel: 128 },
    apart:
      'the engine is not public; stages as even as can be here, one layer fewer at both ends there; FSDP there',
  },
  {
    run: 'DeepSeek-V3 on 2,048 H800',
    source: 'arXiv 2412.19437, section 3.2',
    request: {
      ...requestOf('deepseek-v3', 'h800-sxm', 2048, 'megatron-lm', 4096, 15_360, 50e9),
      engine: {
        ...ENGINES['megatron-lm'],
        id: 'in-house',
        name: 'an engine of everything',
        overlapsExperts: true,
      },
    },
    layout: { ...plain, pipelineParallel: 16, dataParallel: 128, expertParallel: 64, schedule: 'dualpipe' },
    apart:
      'the engine is not public: taken to run every schedule and to overlap experts; fp8 there, bf16 here',
  },
  {
    run: 'BLOOM 176B on 384 A100',
    source: 'arXiv 2211.05100, section 3.4',
    request: requestOf('bloom-176b', 'a100-80gb-sxm', 384, 'megatron-lm', 2048, 2048),
    layout: {
      ...plain,
      tensorParallel: 4,
      pipelineParallel: 12,
      dataParallel: 8,
      microBatch: 2,
      recompute: 'full',
    },
    apart: 'an older engine there, without sequence parallelism and fused attention; offload not used there',
  },
  {
    run: 'Megatron 145.6B on 1,536 A100',
    source: NARAYANAN,
    request: requestOf(gpt(12_288, 80, 96), 'a100-80gb-sxm', 1536, 'megatron-lm', 2048, 2304),
    layout: {
      ...plain,
      tensorParallel: 8,
      pipelineParallel: 8,
      dataParallel: 24,
      zeroStage: 0,
      recompute: 'full',
    },
    apart: 'an older engine there; its chunks a stage and micro-batch are not in the table',
  },
  {
    run: 'Megatron 310.1B on 1,920 A100',
    source: NARAYANAN,
    request: requestOf(gpt(16_384, 96, 128), 'a100-80gb-sxm', 1920, 'megatron-lm', 2048, 2160),
    layout: {
      ...plain,
      tensorParallel: 8,
      pipelineParallel: 16,
      dataParallel: 15,
      zeroStage: 0,
      recompute: 'full',
    },
    apart: 'an older engine there; its chunks a stage and micro-batch are not in the table',
  },
  {
    run: 'Megatron 529.6B on 2,520 A100',
    source: NARAYANAN,
    request: requestOf(gpt(20_480, 105, 128), 'a100-80gb-sxm', 2520, 'megatron-lm', 2048, 2520),
    layout: {
      ...plain,
      tensorParallel: 8,
      pipelineParallel: 35,
      dataParallel: 9,
      zeroStage: 0,
      recompute: 'full',
    },
    apart: 'an older engine there; its chunks a stage and micro-batch are not in the table',
  },
]

/** A layout in the letters that papers use. */
function shortOf(l: Layout): string {
  return [
    `tp${l.tensorParallel}${l.sequenceParallel ? ' sp' : ''}`,
    ...(l.contextParallel > 1 ? [`cp${l.contextParallel}`] : []),
    `pp${l.pipelineParallel}${l.virtualPipeline > 1 ? ` vpp${l.virtualPipeline}` : ''}`,
    `dp${l.dataParallel}`,
    ...(l.expertParallel > 1 ? [`ep${l.expertParallel}`] : []),
    ...(l.expertTensorParallel > 1 ? [`etp${l.expertTensorParallel}`] : []),
    `mb${l.microBatch} zero${l.zeroStage} ${l.schedule}`,
    `recompute ${l.recompute}${l.recomputeLayers === undefined ? '' : ` ${l.recomputeLayers}`}`,
    ...(l.offloadOptimizer ? ['offload'] : []),
    ...(l.stageLayers === undefined ? [] : [`layers ${l.stageLayers[0]}..${l.stageLayers.at(-1)}`]),
  ].join(' ')
}

function lineOf({ run, source, apart, layout }: PublishedChoice, found: Explanation): string {
  const { best, prediction, ratio, violations, shortages } = found
  return [
    `${run} (${source})`,
    `  theirs  ${shortOf(layout)}: ${prediction?.seconds.toFixed(2) ?? '-'} s`,
    `  best    ${best === undefined ? 'none fits' : `${shortOf(best.layout)}: ${best.seconds.toFixed(2)} s on ${best.chips} chips`}`,
    `  ratio   ${ratio?.toFixed(3) ?? '-'}`,
    ...violations.map((text) => `  breaks  ${text}`),
    ...(shortages.length > 0
      ? [`  theirs does not fit by our memory: ${found.lines[violations.length]}`]
      : []),
    `  apart   ${apart}`,
  ].join('\n')
}

if (process.argv[1]?.endsWith('published-choices.ts')) {
  for (const choice of PUBLISHED_CHOICES) {
    console.log(`${lineOf(choice, explainLayout(choice.request, choice.layout))}\n`)
  }
}
