/** @file Commands for accelerators. */

import { EXAMPLE_CHIPS, RUNTIMES, STATUSES } from '../../chips/names.ts'
import { chipsFile } from './shared.ts'
import type { CommandSpec } from './spec.ts'

const [exampleChip, exampleFamily, otherFamily] = EXAMPLE_CHIPS

export const CHIPS = {
  chips: {
    summary: 'List accelerators with their figures',
    details: 'A figure that nobody published is unknown. Sources are shown with each chip.',
    arguments: [],
    options: {
      vendor: { description: 'Only of one vendor', value: 'name' },
      runtime: {
        description: 'Only what this runtime of regauge drives',
        value: 'name',
        choices: RUNTIMES,
      },
      status: { description: 'Only of one status', value: 'status', choices: STATUSES },
      'min-memory': { description: 'Only with so much memory', value: 'GB', kind: 'number' },
      chips: chipsFile,
    },
    examples: [
      { command: 'regauge chips', does: 'all of the catalog' },
      {
        command: 'regauge chips --status shipping --min-memory 96',
        does: 'those to be had with 96 GB or more',
      },
      { command: 'regauge chips --chips ours.yaml --json', does: 'with your own, for a script' },
    ],
  },
  'chips show': {
    summary: 'Show one accelerator: figures, export rules, disagreements, sources',
    arguments: [
      { name: 'chip', description: 'Id, name or alias of a chip', required: true, completes: 'text' },
    ],
    options: {
      date: { description: 'Export rules as of a day', value: 'yyyy-mm-dd', default: 'today' },
      chips: chipsFile,
    },
    examples: [
      { command: `regauge chips show ${exampleChip}`, does: 'all that is known of it' },
      {
        command: `regauge chips show ${otherFamily} --date 2024-06-30`,
        does: 'with the export rules of that day',
      },
    ],
  },
  'chips compare': {
    summary: 'Compare accelerators side by side; for a model, what fits and what bounds it',
    arguments: [
      {
        name: 'chip',
        description: 'Ids, names or aliases of two chips or more',
        required: true,
        many: true,
        completes: 'text',
      },
    ],
    options: {
      model: {
        description: 'Model to train: folder, config.json, or a name such as llama-3-70b',
        value: 'path',
        completes: 'model',
      },
      tokens: {
        description: 'Tokens of a micro-batch, with --model',
        value: 'count',
        kind: 'integer',
        least: 1,
        default: '4096',
      },
      chips: chipsFile,
    },
    examples: [
      { command: `regauge chips compare ${EXAMPLE_CHIPS.join(' ')}`, does: 'figures side by side' },
      {
        command: `regauge chips compare ${exampleChip} ${exampleFamily} --model llama-3-70b --tokens 8192`,
        does: 'what fits, and which operations compute or memory bounds',
      },
    ],
  },
} as const satisfies Record<string, CommandSpec>
