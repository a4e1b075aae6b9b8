/** @file Options and arguments that commands of several groups have. */

import { PROVIDER_NAMES } from '../../runtime/names.ts'
import type { ArgumentSpec, OptionSpec } from './spec.ts'

export const set = {
  description: 'Replace a value of the run file; may be repeated',
  value: 'key=value',
  many: true,
} as const satisfies OptionSpec

export const on = {
  description: `${PROVIDER_NAMES.join(', ')}; :N for a device`,
  also: ['device', 'gpu', 'backend', 'provider', 'runtime'],
  value: 'runtime',
} as const satisfies OptionSpec

export const allowHost = {
  description: 'Let operations that a device lacks run on the host',
} as const satisfies OptionSpec

export const threads = {
  description: 'Threads of the runtime',
  also: ['num-threads', 'cpus', 'cores'],
  value: 'count',
  kind: 'integer',
  least: 1,
  default: 'one a physical core',
} as const satisfies OptionSpec

export const runsFolder = {
  description: 'Folder that holds the runs',
  also: ['output', 'output-dir', 'out-dir', 'folder'],
  value: 'folder',
  completes: 'folder',
  default: 'runs',
} as const satisfies OptionSpec

const runFile = {
  name: 'run-file',
  description: 'Run file (YAML, JSON, JavaScript or TypeScript); run.yaml when left out',
  completes: 'run-file',
} as const satisfies ArgumentSpec

export const runOrFolder = {
  ...runFile,
  name: 'run',
  description: 'Run file, or folder of a run to resume; run.yaml when left out',
} as const satisfies ArgumentSpec

export const trained = {
  name: 'run',
  description: 'Folder of a run, of one of its checkpoints, or of a Hugging Face model',
  required: true,
  completes: 'folder',
} as const satisfies ArgumentSpec

export const chipsFile = {
  description: 'YAML or JSON file with chips of your own, over those of the catalog',
  value: 'file',
  completes: 'file',
} as const satisfies OptionSpec
