/** @file Commands that plan a training and predict what a layout takes. */

import { EXAMPLE_CHIPS } from '../../chips/names.ts'
import { ENGINE_IDS } from '../../engines/names.ts'
import { PRECISIONS } from '../../simulate/names.ts'
import { chipsFile } from './shared.ts'
import type { CommandSpec, OptionSpec } from './spec.ts'

const [exampleChip, , otherFamily] = EXAMPLE_CHIPS

const plannedModel = {
  description: 'Model to train: folder, config.json, or a name such as llama-3-70b',
  also: ['config', 'model-path', 'model-name-or-path', 'base-model'],
  short: 'm',
  value: 'path',
  completes: 'model',
  required: true,
} as const satisfies OptionSpec

const sequence = {
  description: 'Tokens of a sequence: 4096, or 4k for as many',
  also: ['seq-length', 'seq-len', 'sequence-length', 'sequence-len', 'max-seq-len', 'context', 'block-size'],
  value: 'tokens',
  required: true,
} as const satisfies OptionSpec

const batch = {
  description: 'Batch of a step: sequences (2048) or tokens (16M-tokens)',
  also: ['global-batch-size', 'batch-size', 'gbs'],
  value: 'count',
  required: true,
} as const satisfies OptionSpec

const precision = {
  description: 'Number format of products',
  also: ['dtype', 'mixed-precision'],
  value: 'format',
  choices: PRECISIONS,
  default: 'bf16',
} as const satisfies OptionSpec

/** What other tools call chips to plan for. */
const onChips = ['gpus', 'num-gpus', 'devices', 'hardware', 'cluster', 'nodes']

const engine = {
  description: 'Engine',
  value: 'name',
  choices: ENGINE_IDS,
  default: 'by the chips',
} as const satisfies OptionSpec

const report = {
  description: 'Write a page with pictures',
  value: 'file',
  completes: 'file',
} as const satisfies OptionSpec

export const PLANNING = {
  plan: {
    summary: 'Find the layouts of a model on chips that take the least, and say why others lost',
    details: 'Layouts of the whole space that an engine runs are searched. Predictions, not measurements.',
    arguments: [],
    options: {
      model: plannedModel,
      seq: sequence,
      batch,
      tokens: {
        description: 'Tokens of the whole run, such as 10T',
        also: ['train-tokens', 'total-tokens'],
        value: 'count',
        required: true,
      },
      on: {
        description: 'Chips as chip:count or chip:count@50GB/s; repeat for other pools',
        also: onChips,
        value: 'chips',
        many: true,
        required: true,
      },
      objective: {
        description: 'What is made least',
        short: 'o',
        value: 'name',
        choices: ['time', 'chips', 'energy', 'money'],
        default: 'time',
      },
      days: {
        description: 'Days that the run may take; with -o chips, the fewest chips that do',
        value: 'count',
        kind: 'number',
      },
      top: {
        description: 'Layouts to print',
        short: 't',
        value: 'count',
        kind: 'integer',
        least: 1,
        default: '5',
      },
      link: {
        description: 'Bandwidth between pools: out of a pool in all, each way; joins them',
        value: '200GB/s',
      },
      price: {
        description: 'Price of an hour of a chip; repeat for other chips',
        value: 'chip=2.5/h',
        many: true,
      },
      explain: { description: 'Say why this layout is not the best', value: 'layout' },
      reasons: {
        description: 'Say why each other value of a parameter lost, not the nearest of them alone',
        value: 'which',
        choices: ['all'],
      },
      sweep: {
        description: 'Plan for fewer chips too, and show days against chips',
        value: 'what',
        choices: ['chips'],
      },
      precision,
      engine,
      chips: chipsFile,
      report,
    },
    examples: [
      {
        command: `regauge plan --model llama-3.1-405b --tokens 10T --seq 8192 --batch 16M-tokens --on ${exampleChip}:8192`,
        does: 'the five fastest layouts, and why others lost',
      },
      {
        command: `regauge plan -m llama-3-70b --tokens 1T --seq 4096 --batch 1024 --on ${exampleChip}:1024 --sweep chips --report plan.html`,
        does: 'how many chips for how many days, as a page',
      },
      {
        command: `regauge plan -m llama-3-70b --tokens 1T --seq 4096 --batch 1024 --on ${exampleChip}:512 --on ${otherFamily}:256@50GB/s --link 200GB/s`,
        does: 'two pools: one of them, or both in replicas or in one pipeline',
      },
    ],
  },
  simulate: {
    summary: 'Predict time, memory and where they go for one layout of a model on chips',
    details:
      'A prediction, not a measurement: the band is what four of five published runs kept to. A layout is keys with\n' +
      'numbers (tp cp pp vp dp ep etp mb zero shards) or words (schedule= recompute= stages=7,8x14,7 sp= ring=\n' +
      'offload). Left out: dp such that all chips are used, zero1, sp with tp, otherwise 1.',
    arguments: [],
    options: {
      model: plannedModel,
      seq: sequence,
      batch,
      on: {
        description: 'Chips as chip:count, or chip:count@50GB/s with the network of each',
        also: onChips,
        value: 'chips',
        required: true,
      },
      layout: { description: 'How the run is spread', short: 'l', value: 'keys', required: true },
      precision,
      engine,
      chips: chipsFile,
      report,
      trace: {
        description: 'Write the pipeline as a trace for chrome://tracing or Perfetto',
        value: 'file',
        completes: 'file',
      },
    },
    examples: [
      {
        command: `regauge simulate --model llama-3.1-405b --seq 8192 --batch 16M-tokens --on ${exampleChip}:4096 --layout "tp8 pp16 recompute=full stages=7,8x14,7"`,
        does: 'time, memory by stage, where the time goes',
      },
      {
        command: `regauge simulate -m llama-3-70b --seq 8192 --batch 2000 --on ${otherFamily}:1000@50GB/s -l "tp4 pp5 vp2" --trace a.json`,
        does: 'with a trace of the pipeline',
      },
    ],
  },
} as const satisfies Record<string, CommandSpec>
