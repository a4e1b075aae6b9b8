/** @file Commands for runs that lie on disk. */

import { runsFolder } from './shared.ts'
import type { CommandSpec } from './spec.ts'

export const RUNS = {
  runs: {
    summary: 'List runs with their state and figures',
    arguments: [],
    options: { runs: runsFolder },
    examples: [
      { command: 'regauge runs', does: 'runs in ./runs' },
      { command: 'regauge runs --runs /data/runs --json', does: 'elsewhere, for a script' },
    ],
  },
  'runs list': {
    summary: 'The same as regauge runs',
    arguments: [],
    options: { runs: runsFolder },
    examples: [
      { command: 'regauge runs list', does: 'runs in ./runs' },
      { command: 'regauge runs list --runs /data/runs --json', does: 'elsewhere, for a script' },
    ],
  },
  'runs show': {
    summary: 'Show one run: state, curve, figures, samples, checkpoints',
    arguments: [{ name: 'run', description: 'Name or folder of a run', required: true, completes: 'folder' }],
    options: { runs: runsFolder },
    examples: [
      { command: 'regauge runs show books', does: 'the run in runs/books' },
      { command: 'regauge runs show runs/books --json', does: 'all of it as JSON' },
    ],
  },
  'runs compare': {
    summary: 'Compare runs: figures side by side, and the values in which they differ',
    arguments: [
      {
        name: 'run',
        description: 'Names or folders of two runs or more',
        required: true,
        many: true,
        completes: 'folder',
      },
    ],
    options: { runs: runsFolder },
    examples: [
      { command: 'regauge runs compare books books-2', does: 'two runs' },
      { command: 'regauge runs compare runs/* --json', does: 'all runs, for a script' },
    ],
  },
  'runs rm': {
    summary: 'Remove runs with their checkpoints, for good',
    details:
      'Asks before it does; a script says --yes. A run that is training is refused, and so is a folder that holds\n' +
      'anything but a run.',
    arguments: [
      {
        name: 'run',
        description: 'Names or folders of runs',
        required: true,
        many: true,
        completes: 'folder',
      },
    ],
    options: { yes: { description: 'Do not ask', short: 'y', also: ['force'] }, runs: runsFolder },
    examples: [
      { command: 'regauge runs rm books', does: 'the run in runs/books, once you say so' },
      { command: 'regauge runs rm books books-2 --yes', does: 'two runs, without being asked' },
    ],
  },
} as const satisfies Record<string, CommandSpec>
