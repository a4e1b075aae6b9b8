/** @file The one table of commands and options: parsing, help, errors and shell completion are made from it. */

import { EXAMPLE_CHIPS, RUNTIMES, STATUSES } from '../chips/names.ts'
import { ENGINE_IDS } from '../engines/names.ts'
import { PROVIDER_NAMES } from '../runtime/names.ts'
import { PRECISIONS } from '../simulate/names.ts'

/** What a word on the command line stands for, for completion. */
export type WordKind = 'run-file' | 'folder' | 'file' | 'model' | 'text'

export interface OptionSpec {
  readonly description: string
  /** One letter. */
  readonly short?: string
  /** Placeholder of the value; an option without one is a flag. */
  readonly value?: string
  readonly kind?: 'number' | 'integer'
  /** The least number; 0 when left out. */
  readonly least?: number
  /** What other tools call it: not taken, but known for what is meant. */
  readonly also?: readonly string[]
  /** May be given more than once; the values are a list. */
  readonly many?: true
  /** The command needs it. */
  readonly required?: true
  readonly choices?: readonly string[]
  readonly completes?: WordKind
  /** Shown in help; the command fills it in. */
  readonly default?: string
}

/** Shells that commands are completed in. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const

export interface ArgumentSpec {
  readonly name: string
  readonly description: string
  readonly required?: true
  /** Takes all words that are left. */
  readonly many?: true
  readonly choices?: readonly string[]
  readonly completes?: WordKind
}

export interface Example {
  readonly command: string
  readonly does: string
}

export interface CommandSpec {
  readonly summary: string
  readonly details?: string
  readonly arguments: readonly ArgumentSpec[]
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly examples: readonly [Example, Example, ...Example[]]
}

/** Options of every command. */
export const GLOBAL_OPTIONS = {
  json: { description: 'Print results and errors as JSON' },
  help: { description: 'Show help', short: 'h' },
} as const satisfies Record<string, OptionSpec>

const set = {
  description: 'Replace a value of the run file; may be repeated',
  value: 'key=value',
  many: true,
} as const satisfies OptionSpec

const on = {
  description: `${PROVIDER_NAMES.join(', ')}; :N for a device`,
  also: ['device', 'gpu', 'backend', 'provider', 'runtime'],
  value: 'runtime',
} as const satisfies OptionSpec

const allowHost = {
  description: 'Let operations that a device lacks run on the host',
} as const satisfies OptionSpec

const threads = {
  description: 'Threads of the runtime',
  also: ['num-threads', 'cpus', 'cores'],
  value: 'count',
  kind: 'integer',
  least: 1,
  default: 'one a physical core',
} as const satisfies OptionSpec

const runsFolder = {
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

const runOrFolder = {
  ...runFile,
  name: 'run',
  description: 'Run file, or folder of a run to resume; run.yaml when left out',
} as const satisfies ArgumentSpec

const trained = {
  name: 'run',
  description: 'Folder of a run, of one of its checkpoints, or of a Hugging Face model',
  required: true,
  completes: 'folder',
} as const satisfies ArgumentSpec

const chipsFile = {
  description: 'YAML or JSON file with chips of your own, over those of the catalog',
  value: 'file',
  completes: 'file',
} as const satisfies OptionSpec

const [exampleChip, exampleFamily, otherFamily] = EXAMPLE_CHIPS

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

/** Commands by name; a name of two words is a command and its sub-command. */
export const COMMANDS = {
  init: {
    summary: 'Write a commented run file to begin with',
    details:
      'Text and model are looked at first. An existing file is not overwritten unless --force says so.',
    arguments: [{ name: 'file', description: 'File to write; run.yaml when left out', completes: 'file' }],
    options: {
      recipe: {
        description: 'What the run is to do',
        short: 'r',
        value: 'name',
        choices: ['scratch', 'jsonl', 'continue'],
        default: 'scratch',
      },
      data: {
        description: 'Text to train on: file, folder or glob',
        short: 'd',
        value: 'path',
        many: true,
        completes: 'file',
      },
      from: {
        description: 'Hugging Face folder to go on from (recipe continue)',
        value: 'folder',
        completes: 'folder',
      },
      name: {
        description: 'Name of the run',
        short: 'n',
        value: 'name',
        default: 'that of the folder, or the first after it that is free',
      },
      force: {
        description: 'Overwrite the file, and name text and model that are not there yet',
        short: 'f',
        also: ['overwrite'],
      },
    },
    examples: [
      { command: 'regauge init --data "books/*.txt"', does: 'a new model from text files' },
      {
        command: 'regauge init tune.yaml --recipe continue --from ./llama --data notes.txt',
        does: 'fine-tune a model',
      },
    ],
  },
  check: {
    summary: 'Check a run file and show what the run will take, without training',
    arguments: [runOrFolder],
    options: {
      set,
      on: { ...on, default: 'where it ran last, or the fastest' },
      'allow-host': allowHost,
      threads,
    },
    examples: [
      { command: 'regauge check', does: 'check run.yaml: keys, files, parameters, memory, time' },
      { command: 'regauge check run.yaml --set model.preset=small', does: 'the same with a larger model' },
      { command: 'regauge check runs/books', does: 'a run to resume, where it would go on' },
    ],
  },
  train: {
    summary: 'Train, or go on with a run that was stopped',
    details:
      'Ctrl-C once saves a checkpoint and stops; twice stops at once. Given the folder of a run, it resumes exactly.',
    arguments: [runOrFolder],
    options: {
      set,
      on: { ...on, default: 'where it ran last, or the fastest' },
      'allow-host': allowHost,
      threads,
    },
    examples: [
      { command: 'regauge train run.yaml', does: 'start a new run' },
      { command: 'regauge train run.yaml --set train.steps=100 --set seed=2', does: 'with other values' },
      { command: 'regauge train runs/books', does: 'resume where it stopped' },
      { command: `regauge train runs/books --on ${PROVIDER_NAMES[1]}`, does: 'move it to another runtime' },
    ],
  },
  sample: {
    summary: 'Continue a text with a trained model',
    details: 'The prompt is read from standard input when it is left out and input is piped.',
    arguments: [trained, { name: 'prompt', description: 'Text to continue', completes: 'text' }],
    options: {
      tokens: {
        description: 'Tokens to write at most',
        also: ['max-new-tokens', 'max-tokens', 'length'],
        short: 't',
        value: 'count',
        kind: 'integer',
        least: 1,
        default: '200',
      },
      temperature: {
        description: '0 takes the likeliest token',
        also: ['temp'],
        value: 'number',
        kind: 'number',
        default: '0.8',
      },
      'top-k': {
        description: 'Sample from the k likeliest tokens',
        value: 'count',
        kind: 'integer',
        least: 1,
      },
      'top-p': {
        description: 'Sample from the likeliest tokens of this total probability',
        value: 'share',
        kind: 'number',
      },
      seed: { description: 'Same seed, same text', value: 'number', kind: 'integer', default: '1' },
      on: { ...on, default: PROVIDER_NAMES[0]! },
      threads,
    },
    examples: [
      { command: 'regauge sample runs/books "Once upon a time"', does: 'from the newest checkpoint' },
      { command: 'regauge sample runs/books "The" --temperature 0 --tokens 50', does: 'the likeliest words' },
      { command: 'regauge sample ./llama --json < prompt.txt', does: 'text, tokens and speed as JSON' },
    ],
  },
  eval: {
    summary: 'Measure loss and bits per byte on held-out text',
    arguments: [trained],
    options: {
      data: {
        description: 'Text to measure on: file, folder or glob',
        short: 'd',
        value: 'path',
        many: true,
        completes: 'file',
        default: "the run's held-out text",
      },
      batches: { description: 'Batches at most', value: 'count', kind: 'integer', least: 1, default: 'all' },
      on: { ...on, default: PROVIDER_NAMES[0]! },
      threads,
    },
    examples: [
      { command: 'regauge eval runs/books', does: 'on the text that the run held out' },
      { command: 'regauge eval ./llama --data news.txt --json', does: 'a Hugging Face model on other text' },
    ],
  },
  verify: {
    summary: 'Prove that a run is the same on another runtime, or the same as another run',
    details: 'Exit code 0 when they are the same, also when only within the published criteria; 7 when not.',
    arguments: [
      {
        name: 'run',
        description: 'Names or folders of two runs: is the second the first?',
        many: true,
        completes: 'folder',
      },
    ],
    options: {
      run: {
        description: 'Run file for --on',
        short: 'r',
        value: 'file',
        completes: 'run-file',
        default: 'run.yaml',
      },
      on: {
        description: `Runtimes to train on: ${PROVIDER_NAMES.join(', ')}; the first is the reference`,
        value: 'runtimes',
      },
      steps: {
        description: 'Steps to do on each runtime',
        value: 'count',
        kind: 'integer',
        least: 1,
        default: '50',
      },
      'gradients-every': {
        description: 'Compare the tensors at each so many steps',
        value: 'steps',
        kind: 'integer',
        least: 1,
        default: '1',
      },
      out: { description: 'Write the comparison as a page', short: 'o', value: 'file', completes: 'file' },
      set,
      threads,
      'allow-host': allowHost,
      runs: runsFolder,
    },
    examples: [
      {
        command: `regauge verify --run run.yaml --on ${PROVIDER_NAMES.slice(0, 2).join(',')} --steps 100 --out verify.html`,
        does: 'the same 100 steps on two runtimes',
      },
      { command: 'regauge verify books books-moved', does: 'a run, and the same one after it was moved' },
    ],
  },
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
  doctor: {
    summary: 'Check that this machine has what regauge needs, and which runtimes it has',
    arguments: [],
    options: {
      run: {
        description: 'Run file: tells what each runtime supports of its programs',
        value: 'file',
        completes: 'run-file',
      },
    },
    examples: [
      { command: 'regauge doctor', does: 'each finding, with what to do about it' },
      {
        command: 'regauge doctor --run run.yaml',
        does: 'what each runtime takes of a run, no device needed',
      },
      {
        command: 'regauge doctor --json',
        does: 'the same for a script; exit code 3 when something is broken',
      },
    ],
  },
  completion: {
    summary: 'Print a script that completes commands and options in your shell',
    arguments: [{ name: 'shell', description: 'Your shell', required: true, choices: SHELLS }],
    options: {},
    examples: [
      { command: 'source <(regauge completion bash)', does: 'in ~/.bashrc; likewise zsh in ~/.zshrc' },
      {
        command: 'regauge completion fish > ~/.config/fish/completions/regauge.fish',
        does: 'for fish',
      },
      {
        command: 'regauge completion powershell >> profile.ps1',
        does: 'for PowerShell, the file of which $PROFILE says; not yet tried in one',
      },
    ],
  },
  schema: {
    summary: 'Print the JSON schema of run files, for editors',
    arguments: [],
    options: {},
    examples: [
      { command: 'regauge schema > run.schema.json', does: 'to a file' },
      { command: 'regauge schema | head -n 20', does: 'to look at' },
    ],
  },
} as const satisfies Record<string, CommandSpec>

export type CommandName = keyof typeof COMMANDS
export const COMMAND_NAMES = Object.keys(COMMANDS) as readonly CommandName[]

type OptionsOf<C extends CommandName> = (typeof COMMANDS)[C]['options']
type ValueOf<S> = S extends { many: true }
  ? readonly string[]
  : S extends { value: string }
    ?
        | (S extends { kind: 'number' | 'integer' } ? number : string)
        | (S extends { required: true } ? never : undefined)
    : boolean

/** Values of the options of a command as its module receives them, keyed by the option's name. */
export type OptionValues<C extends CommandName> = {
  readonly [K in keyof OptionsOf<C>]: ValueOf<OptionsOf<C>[K]>
}
