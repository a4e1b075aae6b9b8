/** @file Runs as they lie on disk: found by name or folder, read while they may still be written. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { nearest, RegaugeError } from '../errors.ts'
import type { ResolvedRun, RunHistory, RunState } from '../train/index.ts'

/** One run. */
export interface RunRecord {
  /** Name of its folder. */
  readonly id: string
  readonly folder: string
  /** As its events say, but `stopped` when the process that wrote them is gone without a word. */
  readonly state: RunState
  readonly message?: string
  readonly history: RunHistory
  /** The resolved run file; not there when it is missing or damaged, and `runProblem` says why. */
  readonly run?: ResolvedRun
  readonly runProblem?: string
}

/** Figures of a run in short. Not there: not known. */
export interface RunFigures {
  readonly step?: number
  readonly steps?: number
  readonly parameters?: number
  readonly loss?: number
  readonly heldoutLoss?: number
  readonly bitsPerByte?: number
  /** Median over all steps. */
  readonly tokensPerSecond?: number
}

/**
 * The runs in a folder, by name; a folder that is missing holds none.
 *
 * @example
 * ```ts
 * import { figuresOf, readRuns } from 'regauge'
 *
 * for (const { id, state, history } of await readRuns('runs')) console.log(id, state, figuresOf(history).heldoutLoss)
 * ```
 */
export async function readRuns(folder: string): Promise<RunRecord[]> {
  const ids = runIds(folder)
  return Promise.all(ids.map((id) => readRun(join(folder, id))))
}

/** The folder of a run given by its path or by its name in the folder of runs. Throws RegaugeError of kind `usage`. */
export function findRun(word: string, runs: string): string {
  const direct = [resolve(word), resolve(runs, word)].find(isRun)
  if (direct !== undefined) return direct
  const ids = runIds(runs)
  const near = nearest(basename(word), ids)
  const known =
    ids.length === 0 ? `${runs} holds no runs` : `runs in ${runs} are ${ids.slice(0, 20).join(', ')}`
  throw new RegaugeError('usage', {
    code: 'RUNS_NOT_FOUND',
    message: `no run "${word}"`,
    hint: near === undefined ? known : `did you mean "${near}"?`,
  })
}

/**
 * Reads the run in a folder, also while it trains. Damage is told in the record: lines of the log that are no events
 * in `history.badLines`, a run file that cannot be read in `runProblem`.
 */
export async function readRun(folder: string): Promise<RunRecord> {
  // what trains is only loaded for those who ask for runs
  const { loadRun, readHistory } = await import('../train/index.ts')
  const log = join(folder, 'events.jsonl')
  const history = isFile(log) ? await readHistory(log) : { ...EMPTY }
  let run: ResolvedRun | undefined
  let runProblem: string | undefined
  try {
    run = (await loadRun(join(folder, 'run.yaml'))).run
  } catch (error) {
    if (!(error instanceof RegaugeError)) throw error
    runProblem = error.message.split('\n')[0]!
  }
  const lost = isLost(history)
  const message = lost ? 'the process ended without a word' : history.message
  return {
    id: basename(folder),
    folder,
    state: lost ? 'stopped' : history.state,
    ...(message !== undefined && { message }),
    history,
    ...(run !== undefined && { run }),
    ...(runProblem !== undefined && { runProblem }),
  }
}

/** The figures of a run in short, from its history. */
export function figuresOf({ starts, steps, evals, summary }: RunHistory): RunFigures {
  const start = starts.at(-1)
  const step = steps.at(-1)
  const evaluation = evals.at(-1)
  const speeds = steps.map((one) => one.tokensPerSecond).filter(Number.isFinite)
  const heldoutLoss = summary?.heldoutLoss ?? evaluation?.loss
  const bitsPerByte = summary?.bitsPerByte ?? evaluation?.bitsPerByte
  return {
    ...((step ?? start) && { step: step?.step ?? start!.startStep, steps: step?.steps ?? start!.steps }),
    ...(start !== undefined && { parameters: start.parameters }),
    ...(step !== undefined && { loss: step.loss }),
    ...(heldoutLoss !== undefined && { heldoutLoss }),
    ...(bitsPerByte !== undefined && { bitsPerByte }),
    ...(speeds.length > 0 && { tokensPerSecond: median(speeds) }),
  }
}

/** Runs side by side. */
export interface RunComparison {
  readonly runs: readonly (Pick<RunRecord, 'id' | 'folder' | 'state'> & { readonly figures: RunFigures })[]
  /** Values of the run files that differ, by dotted key, in the order of the runs; null where there is none. */
  readonly differences: Readonly<Record<string, readonly (string | null)[]>>
}

/**
 * Compares runs: their figures, and the values of their run files that are not the same for all.
 *
 * @example
 * ```ts
 * import { compareRuns, readRun } from 'regauge'
 *
 * const { runs, differences } = compareRuns([await readRun('runs/a'), await readRun('runs/b')])
 * console.log(runs.map(({ figures }) => figures.loss), differences)
 * ```
 */
export function compareRuns(records: readonly RunRecord[]): RunComparison {
  const flat = records.map(({ run }) => flatten(run))
  const keys = [...new Set(flat.flatMap((values) => [...values.keys()]))]
  const differing = keys.filter((key) => new Set(flat.map((values) => values.get(key))).size > 1)
  return {
    runs: records.map(({ id, folder, state, history }) => {
      return { id, folder, state, figures: figuresOf(history) }
    }),
    differences: Object.fromEntries(
      differing.map((key) => [key, flat.map((values) => values.get(key) ?? null)]),
    ),
  }
}

/** A value of the run file by its dotted key, for comparing; lists and texts are as in JSON. */
function flatten(value: unknown, prefix = ''): Map<string, string> {
  const flat = new Map<string, string>()
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, child] of Object.entries(value)) {
      for (const [path, text] of flatten(child, prefix === '' ? key : `${prefix}.${key}`))
        flat.set(path, text)
    }
  } else if (value !== undefined) {
    flat.set(prefix, typeof value === 'string' ? value : JSON.stringify(value))
  }
  return flat
}

const EMPTY: RunHistory = {
  state: 'queued',
  starts: [],
  steps: [],
  evals: [],
  samples: [],
  checkpoints: [],
  notes: [],
  moves: [],
  badLines: [],
}

function runIds(folder: string): string[] {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) return []
  return (
    readdirSync(folder)
      // one that a kill left half removed has a dot
      .filter((id) => !id.startsWith('.') && isRun(join(folder, id)))
      .sort()
  )
}

function isRun(folder: string): boolean {
  return isFile(join(folder, 'events.jsonl')) || isFile(join(folder, 'run.yaml'))
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

/** A run that says it is at work, of a process on this machine that is no more. */
function isLost({ state, starts }: RunHistory): boolean {
  const start = starts.at(-1)
  if (['finished', 'stopped', 'failed'].includes(state) || start === undefined) return false
  if (start.machine.host !== hostname()) return false
  try {
    process.kill(start.pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
