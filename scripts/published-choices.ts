/**
 * @file The layouts that published runs used, with what was not told of them searched, beside the best that is found for the
 * same chips, model, batch and abilities of the engine of the time.
 *
 *     npx tsx scripts/published-choices.ts
 */

import { readFileSync } from 'node:fs'
import { catalogChips } from '../src/chips/index.ts'
import { ENGINES, type Engine, type EngineId, EVERYTHING } from '../src/engines/index.ts'
import { readDecoder } from '../src/model/index.ts'
import { type Fixed, type PlanRequest, planLayouts } from '../src/plan/index.ts'
import { type Layout, machineOf, type Precision } from '../src/simulate/index.ts'

export interface PublishedChoice {
  readonly run: string
  readonly source: string
  readonly request: PlanRequest
  /** What the engine of the time had no choice about: holds for the best as well. */
  readonly era: Fixed
  /** What of the layout was published. The rest is searched. */
  readonly told: Fixed
  /** What is modelled otherwise than it was. */
  readonly apart: string
}

/** An engine before sequence parallelism, sharded optimizers and fused attention. */
const UNTIL_2021: Fixed = {
  sequenceParallel: false,
  contextParallel: 1,
  zeroStage: 0,
  recompute: 'full',
  offloadOptimizer: false,
}
const OLD_ENGINE: Engine = {
  ...ENGINES['megatron-lm'],
  behaviour: {
    ...ENGINES['megatron-lm'].behaviour,
    measuredAs: 'megatron-2021',
    fusedAttention: false,
    fusedLoss: false,
    overlapsData: false,
    overlapsPipeline: false,
    gradientBytes: 2,
    dropout: true,
  },
  abilities: EVERYTHING,
}

function requestOf(
  model: string | Record<string, unknown>,
  chip: string,
  count: number,
  engine: EngineId,
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

const llama = (chips: number): PublishedChoice => ({
  run: `Llama 3 405B on ${chips.toLocaleString('en')} H100`,
  source: 'arXiv 2407.21783, table 4',
  request: requestOf('llama-3.1-405b', 'h100-sxm', chips, 'megatron-lm', 8192, 2048),
  era: { contextParallel: 1, offloadOptimizer: false },
  told: { tensorParallel: 8, pipelineParallel: 16 },
  apart:
    'chunks a stage and micro-batch are not told; weights and gradients were sharded as well there (FSDP)',
})
const megatron = (
  size: string,
  chips: number,
  [hidden, layers, heads]: [number, number, number],
  batch: number,
  pipelineParallel: number,
): PublishedChoice => ({
  run: `Megatron ${size} on ${chips.toLocaleString('en')} A100`,
  source: NARAYANAN,
  request: {
    ...requestOf(gpt(hidden, layers, heads), 'a100-80gb-sxm', chips, 'megatron-lm', 2048, batch),
    engine: OLD_ENGINE,
  },
  era: { ...UNTIL_2021, schedule: 'interleaved' },
  told: { tensorParallel: 8, pipelineParallel },
  apart: 'chunks a stage and micro-batch are not in the table',
})

export const PUBLISHED_CHOICES: readonly PublishedChoice[] = [
  llama(8192),
  llama(16_384),
  {
    run: 'DeepSeek-V3 on 2,048 H800',
    source: 'arXiv 2412.19437, section 3.2',
    request: {
      ...requestOf('deepseek-v3', 'h800-sxm', 2048, 'megatron-lm', 4096, 15_360, 50e9, 'fp8'),
      engine: {
        ...ENGINES['megatron-lm'],
        name: 'an engine of everything',
        behaviour: {
          ...ENGINES['megatron-lm'].behaviour,
          measuredAs: 'hai-llm',
          gradientBytes: 2,
          overlapsExperts: true,
        },
        abilities: EVERYTHING,
      },
    },
    // exchanges of experts hide behind the other direction's passes, which only this schedule has
    era: { contextParallel: 1, offloadOptimizer: false, schedule: 'dualpipe' },
    told: { tensorParallel: 1, pipelineParallel: 16, expertParallel: 64 },
    apart:
      'norms and projections from latents were computed again there; the memory of what is kept is not told',
  },
  {
    run: 'BLOOM 176B on 384 A100',
    source: 'arXiv 2211.05100, section 3.4',
    request: {
      ...requestOf('bloom-176b', 'a100-80gb-sxm', 384, 'megatron-lm', 2048, 2048, 6.25e9),
      engine: {
        ...OLD_ENGINE,
        behaviour: { ...OLD_ENGINE.behaviour, measuredAs: 'bigscience', dropout: false },
      },
    },
    era: { ...UNTIL_2021, zeroStage: 1, virtualPipeline: 1, schedule: '1f1b' },
    told: { tensorParallel: 4, pipelineParallel: 12, microBatch: 2 },
    apart: 'the embedding and the loss took the place of a layer each there',
  },
  megatron('145.6B', 1536, [12_288, 80, 96], 2304, 8),
  megatron('310.1B', 1920, [16_384, 96, 128], 2160, 16),
  megatron('529.6B', 2520, [20_480, 105, 128], 2520, 35),
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

function lineOf({ run, source, request, era, told, apart }: PublishedChoice): string {
  const [best] = planLayouts({ ...request, fixed: era, top: 1 }).best
  const { best: theirs, nearest } = planLayouts({ ...request, fixed: { ...era, ...told }, top: 1 })
  const [own] = theirs
  const line = (found: typeof own) =>
    found === undefined ? 'none fits' : `${found.seconds.toFixed(2)} s  ${shortOf(found.layout)}`
  return [
    `${run} (${source})`,
    `  published  ${line(own)}`,
    `  best       ${line(best)}`,
    ...(own !== undefined && best !== undefined
      ? [`  ratio      ${(own.seconds / best.seconds).toFixed(3)}`]
      : []),
    ...(own === undefined && nearest !== undefined
      ? [
          `  over by    ${(nearest.over / 2 ** 30).toFixed(1)} GiB on stage ${nearest.stage}, most of it ${nearest.term}`,
        ]
      : []),
    `  apart      ${apart}`,
  ].join('\n')
}

if (process.argv[1]?.endsWith('published-choices.ts')) {
  for (const choice of PUBLISHED_CHOICES) console.log(`${lineOf(choice)}\n`)
}
