/** @file Which settings decide a run's numbers, a row each, and what a resumed run must not change. */
import { isAbsolute, join, relative } from 'node:path'
import { type Issue, RegaugeError } from '../../errors.ts'
import type { Architecture } from '../../model/index.ts'
import {
  DEFAULT_OPTIMIZER,
  OPTIMIZER_KINDS,
  type OPTIMIZERS,
  type OptimizerOption,
  ruleOf,
} from '../../steps/index.ts'
import type { PlannedSteps, ResolvedRun } from '../run/index.ts'
import type { CheckpointState, ExactSettings } from './files.ts'

/** Hashes of what the run reads. */
export interface Contents {
  /** SHA-256 of tokenizer.json. */
  readonly tokenizer: string
  /** SHA-256 of the training tokens. */
  readonly trainingTokens: string
}

/** What the settings are read from. */
interface Settled {
  readonly run: ResolvedRun
  readonly planned: PlannedSteps
  /** The run's folder as its run file has it. */
  readonly home: string
}

type Recorded = ExactSettings[string] | undefined

/** A setting of type T that decides numbers. */
interface Exact<T> {
  /** Version of the list that the setting came with. */
  readonly since: number
  /** The value that every run had before: a record without the setting means it, and one with it leaves it out. */
  readonly before?: T
  /** No run could have it before: it goes with a value of another setting that came with it. */
  readonly absent?: true
  /** The value as a record has it; undefined leaves it out. By default `recorded`. */
  readonly write?: (value: T, settled: Settled) => Recorded
}

/** Decides no number, or none that another row does not tell. */
const FREE = null

/** Of the first version: without a default, so each record has it. */
const FIRST = { since: 1 } as const

/** A setting that came with a version of the list, and what it was in all runs before. */
const since = <const T>(version: number, before: T) => ({ since: version, before })

/**
 * Paths are seen from where the run file puts the run. A project that was moved with its run folders has them as
 * before, and so has a run folder that was moved alone: its own run file still names the old place.
 */
const PATHS = { since: 1, write: (value: unknown, { home }: Settled) => pathsIn(value, home) }

/** Counted in steps of this run, whatever unit the run file has. */
const planned = (key: keyof PlannedSteps) => ({
  since: 1,
  write: (_: unknown, settled: Settled) => settled.planned[key],
})

/** With a constant rate a longer run is the same run. */
const unlessConstant = ({ since, write = recorded }: Omit<Exact<unknown>, 'before'>) => ({
  since,
  write: (value: unknown, settled: Settled) =>
    settled.run.schedule.kind === 'constant' ? undefined : write(value, settled),
})

/**
 * Options of the optimizer that runs of the first version had, a row each: one that it gains takes `since(version, value
 * of all runs before)`.
 */
const FIRST_OPTIONS: { readonly [K in keyof AdamW as `optimizer.${K & string}`]: Exact<unknown> } = {
  'optimizer.betas': FIRST,
  'optimizer.epsilon': FIRST,
}
type AdamW = (typeof OPTIMIZERS)[typeof DEFAULT_OPTIMIZER]['options']

/** The options of every optimizer decide numbers; those of later ones come with their kind. */
const OPTIMIZER_OPTIONS = {
  ...FIRST_OPTIONS,
  ...Object.fromEntries(
    OPTIMIZER_KINDS.flatMap((kind) => Object.keys(ruleOf(kind).options))
      .map((key) => `optimizer.${key}`)
      .filter((name) => !Object.hasOwn(FIRST_OPTIONS, name))
      .map((name) => [name, { since: 2, absent: true }]),
  ),
} as Readonly<Record<`optimizer.${OptimizerOption}`, Omit<Exact<unknown>, 'before'>>>

/**
 * Every field of an architecture and every key of a run file, in the order of a record and under its name there: a field
 * or key that has no row does not compile. A new one that decides numbers takes `since(version, value of all runs before)`,
 * so that they resume. A name is never used again for another meaning.
 *
 * Version 1 is that of the first release, 2 that of the release after it.
 */
const SETTINGS: { readonly [K in keyof Named]: Exact<Named[K]> | typeof FREE } = {
  seed: FIRST,
  'model family': FIRST,
  'model vocabularySize': FIRST,
  'model hiddenSize': FIRST,
  'model intermediateSize': FIRST,
  'model layers': FIRST,
  'model heads': FIRST,
  'model keyValueHeads': FIRST,
  'model headSize': FIRST,
  'model normEpsilon': FIRST,
  'model initializerRange': FIRST,
  'model maxPositions': FIRST,
  'model rope': FIRST,
  'model attentionBias': FIRST,
  'model mlpBias': FIRST,
  'model queryKeyNorm': FIRST,
  'model tiedEmbeddings': FIRST,
  'model slidingWindows': FIRST,
  'model gated': since(2, true),
  'model activation': since(2, 'silu'),
  'model norm': since(2, 'rms'),
  'model normVectors': since(2, 1),
  'model normsPerLayer': since(2, 2),
  'model normPlacement': since(2, 'before'),
  'model normOffset': since(2, 0),
  'model embeddingScale': since(2, 1),
  'model queryScale': since(2, null),
  'model scoreCap': since(2, null),
  'model logitCap': since(2, null),
  'model windowRope': since(2, null),
  'model rotarySize': since(2, null),
  'model positions': since(2, 0),
  // no decoder that trains has these
  'model experts': FREE,
  'model expertLayers': FREE,
  'model embeddingNorm': FREE,
  'model attentionSinks': FREE,
  'model predictionLayers': FREE,
  'model config': FREE, // what counts in it is in the fields above
  tokenizer: PATHS,
  'data.train': PATHS,
  'data.heldout': PATHS,
  'data.field': FIRST,
  'tokenizer (SHA-256)': FIRST,
  'training tokens (SHA-256)': FIRST,
  'data.sequenceLength': FIRST,
  'train.batchSize': FIRST,
  'train.microBatchSize': FIRST,
  'train.recompute': FIRST,
  'train.precision': since(1, 'float32'),
  'optimizer.kind': since(2, DEFAULT_OPTIMIZER),
  'optimizer.learningRate': FIRST,
  ...OPTIMIZER_OPTIONS,
  'optimizer.weightDecay': FIRST,
  'optimizer.clipNorm': FIRST,
  'schedule.kind': FIRST,
  'schedule.warmupSteps': planned('warmupSteps'),
  'schedule.decaySteps': planned('decaySteps'),
  'train.steps': unlessConstant(planned('steps')),
  'train.tokens': FREE, // told by the steps
  'train.epochs': FREE,
  'schedule.finalFraction': unlessConstant(FIRST),
  name: FREE,
  model: FREE, // told by the architecture; weights to begin from are in the checkpoint
  evaluate: FREE,
  checkpoint: FREE,
  log: FREE,
  output: FREE,
}

/** The values of all rows, by name. */
type Named = Under<'model ', ReturnType<typeof modelValues>> &
  Omit<ResolvedRun, 'data' | 'train' | 'optimizer' | 'schedule'> &
  Under<'data.', ResolvedRun['data']> &
  Under<'train.', ResolvedRun['train']> &
  Under<'optimizer.', ResolvedRun['optimizer']> &
  Under<'schedule.', ResolvedRun['schedule']> & {
    readonly 'tokenizer (SHA-256)': string
    readonly 'training tokens (SHA-256)': string
  }

/** T with a prefix before each key; of a union of types, with the keys of all of them. */
type Under<Prefix extends string, T> = { readonly [K in KeyOf<T> as `${Prefix}${K}`]: ValueOf<T, K> }
type KeyOf<T> = T extends unknown ? keyof T & string : never
type ValueOf<T, K> = T extends unknown ? (K extends keyof T ? T[K] : undefined) : never

/** An architecture with what the first version had at the top, under the names of then; what is usual is null. */
function modelValues(a: Architecture) {
  const { attention, biases, windows, queryKeyNorm, queryScale, rotarySize, ...rest } = a
  const { heads, keyValueHeads, headSize } = attention
  return {
    ...rest,
    heads,
    keyValueHeads,
    headSize,
    attentionBias: { qkv: biases.queryKeyValue, output: biases.output },
    mlpBias: biases.mlp,
    queryKeyNorm: queryKeyNorm === 'head' ? true : queryKeyNorm,
    slidingWindows: windows,
    queryScale: queryScale === headSize ** -0.5 ? null : queryScale,
    rotarySize: rotarySize === headSize ? null : rotarySize,
    scoreCap: a.scoreCap ?? null,
    logitCap: a.logitCap ?? null,
    windowRope: a.windowRope ?? null,
  }
}

/** The settings that decide a run's numbers, under their names in the run file where they have one. */
export function exactSettings(
  run: ResolvedRun,
  a: Architecture,
  planned: PlannedSteps,
  contents: Contents,
): ExactSettings {
  const values: Named = {
    ...run,
    ...under('model ', modelValues(a)),
    ...under('data.', run.data),
    ...under('train.', run.train),
    ...under('optimizer.', run.optimizer),
    ...under('schedule.', run.schedule),
    'tokenizer (SHA-256)': contents.tokenizer,
    'training tokens (SHA-256)': contents.trainingTokens,
  }
  const settled = { run, planned, home: join(run.output, run.name) }
  const settings: Record<string, ExactSettings[string]> = {}
  for (const [key, { before, write = recorded }] of ROWS) {
    const value = write(values[key], settled)
    if (value !== undefined && value !== recorded(before)) settings[key] = value
  }
  return settings
}

/** A setting that two records differ in; undefined where one has none and there was no default. */
export interface ChangedSetting {
  readonly key: string
  readonly first: ExactSettings[string] | undefined
  readonly second: ExactSettings[string] | undefined
}

/** The settings that differ between two records, whichever versions wrote them. */
export function changedSettings(first: ExactSettings, second: ExactSettings): ChangedSetting[] {
  const keys = new Set([...Object.keys(first), ...Object.keys(second)])
  return [...keys]
    .map((key) => ({ key, first: settingIn(first, key), second: settingIn(second, key) }))
    .filter((one) => one.first !== one.second)
}

/**
 * Throws `RegaugeError('usage')` that names each setting that differs from those of the checkpoint, and kind
 * `environment` for a checkpoint with settings that only a later version knows.
 */
export function requireSameSettings(
  { settings, version }: Pick<CheckpointState, 'settings' | 'version'>,
  now: ExactSettings,
  folder: string,
): void {
  const unknown = Object.keys(settings).filter((key) => !ROWS.has(key as keyof Named))
  if (unknown.length > 0) {
    const message = `this run was begun by a newer regauge: its checkpoint has ${unknown.join(', ')}, unknown to this version`
    const hint = `use the version of regauge that wrote it (${JSON.stringify(version)}) or a later one`
    throw new RegaugeError('environment', { code: 'RESUME_NEWER', message, file: folder, hint })
  }
  const issues = changedSettings(settings, now).map(
    ({ key, first, second }): Issue => ({
      code: 'RESUME_CHANGED',
      message: `${key} was ${show(first)} when this run began and is ${show(second)} now`,
      file: folder,
    }),
  )
  const last = issues.pop()
  if (last === undefined) return
  const hint = `change ${issues.length > 0 ? 'these' : 'it'} back to resume, or give the run another name to start anew`
  throw new RegaugeError('usage', [...issues, { ...last, hint }])
}

/** The rows that decide numbers. */
export const ROWS = new Map(
  Object.entries(SETTINGS).flatMap(([key, row]) =>
    row === FREE ? [] : [[key as keyof Named, row as Exact<unknown>] as const],
  ),
)

function under<const Prefix extends string, T extends object>(prefix: Prefix, values: T): Under<Prefix, T> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`${prefix}${key}`, value]),
  ) as Under<Prefix, T>
}

/** A setting of a record, or what it was before records had it. */
function settingIn(settings: ExactSettings, key: string): Recorded {
  return Object.hasOwn(settings, key) ? settings[key] : recorded(ROWS.get(key as keyof Named)?.before)
}

/** A value as a record has it. */
function recorded(value: unknown): Recorded {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : (value as Recorded)
}

/** The value as JSON, absolute paths in it as they are seen from a folder. */
function pathsIn(value: unknown, folder: string): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'string' && isAbsolute(part) ? relative(folder, part) : part,
  )
}

function show(value: Recorded): string {
  if (value === undefined) return 'not set'
  const text = String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
