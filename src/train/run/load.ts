/** @file From a path and settings to a run: read, check everything, report every problem at once. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { type Issue, nearest, RegaugeError } from '../../errors.ts'
import {
  MAX_FILE_BYTES,
  type Path,
  type Place,
  type Problem,
  parseSource,
  type Source,
  schemaProblems,
} from '../../formats/index.ts'
import { crossProblems } from './check.ts'
import { loadModule, MODULE_ENDINGS } from './module.ts'
import { keyHint } from './other-names.ts'
import { resolveRun } from './resolve.ts'
import { type ResolvedRun, type Run, runSchema } from './schema.ts'
import { applySettings } from './settings.ts'

/** How a run file is called in messages, and its schema. */
export const RUN_FILE = { name: 'run file', prefix: 'RUN' }
const RUN = { schema: runSchema, root: 'the run', prefix: 'RUN', hintFor: keyHint }

export interface LoadedRun {
  readonly run: ResolvedRun
  /** Absolute path of the run file. */
  readonly file: string
  /** The place of a value, for problems that are found later (a corpus that is empty, a file that is missing). */
  locate(path: Path): Place
}

/**
 * Loads a run file (YAML, JSON, JavaScript or TypeScript) with `key=value` settings over it, and resolves it.
 * Throws one `usage` error that holds every problem, each with its place.
 *
 * @example
 * ```ts
 * import { loadRun, RegaugeError } from 'regauge'
 *
 * try {
 *   const { run, file } = await loadRun('run.yaml', { set: ['seed=2'] })
 *   console.log(file, run.train.batchSize)
 * } catch (error) {
 *   if (error instanceof RegaugeError) for (const { message, line, hint } of error.issues) console.log(line, message, hint)
 * }
 * ```
 */
export async function loadRun(path: string, options: { set?: readonly string[] } = {}): Promise<LoadedRun> {
  const file = resolve(path)
  const shown = shownPath(file)
  const bytes = readRunFile(file, shown)
  const isModule = (MODULE_ENDINGS as readonly string[]).includes(extname(file).toLowerCase())
  const read = isModule ? await loadModule(file, shown) : parseSource(bytes, shown, RUN_FILE)
  const source = applySettings(read, options.set ?? [])
  const run = checkSource(source, shown)
  return { run: resolveRun(run, dirname(file)), file, locate: (at) => source.locate(at) }
}

/**
 * A run in code: checks it and gives it back, so that an editor completes its keys.
 *
 * @example
 * ```ts
 * import { defineRun } from 'regauge'
 *
 * export default defineRun({
 *   model: { preset: 'tiny' },
 *   tokenizer: { train: { vocabSize: 4096 } },
 *   data: { train: 'text/*.txt' },
 *   train: { steps: 500 },
 * })
 * ```
 */
export function defineRun(run: Run): Run {
  checkSource({ value: run, issues: [], locate: () => ({}) })
  return run
}

/**
 * Checks a run in code and fills it in, as `loadRun` does with a file. Paths start at `folder`.
 *
 * @example
 * ```ts
 * import { completeRun, train } from 'regauge'
 *
 * const run = completeRun({
 *   model: { from: 'llama' },
 *   data: { train: 'notes/*.md', heldout: { fraction: 0.05 } },
 *   train: { epochs: 1 },
 * })
 * await train(run)
 * ```
 */
export function completeRun(run: Run, folder = process.cwd()): ResolvedRun {
  return resolveRun(checkSource({ value: run, issues: [], locate: () => ({}) }), resolve(folder))
}

/** The JSON schema of run files, draft 2020-12, for editors. */
export function runJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(runSchema, { io: 'input' })
  return { $schema, title: 'regauge run', ...schema }
}

function checkSource(source: Source, file?: string): z.output<typeof runSchema> {
  if (source.value === null || source.value === undefined) {
    const hint = 'regauge init writes one to begin with'
    throw new RegaugeError('usage', {
      code: 'RUN_EMPTY',
      message: 'the run is empty',
      ...(file && { file }),
      hint,
    })
  }
  const problems = [...schemaProblems(RUN, source.value), ...crossProblems(source.value)]
  const issues = [...source.issues, ...problems.map((problem) => place(problem, source))]
  if (issues.length > 0) throw new RegaugeError('usage', issues.sort(byPlace))
  return runSchema.parse(source.value)
}

function place({ code, message, hint, path, atKey }: Problem, source: Source): Issue {
  return { code, message, ...(hint !== undefined && { hint }), ...source.locate(path, atKey) }
}

function byPlace(a: Issue, b: Issue): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

/** A path for people: relative to where they are, unless it lies elsewhere. */
export function shownPath(file: string): string {
  const near = relative(process.cwd(), file)
  return near === '' || near.startsWith('..') ? file : near
}

function readRunFile(file: string, shown: string): Uint8Array {
  const fail = (code: string, message: string, hint?: string): RegaugeError =>
    new RegaugeError('usage', { code, message, file: shown, ...(hint !== undefined && { hint }) })
  let stat: ReturnType<typeof statSync>
  try {
    stat = statSync(file)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw fail('RUN_NOT_FOUND', 'no such file', similarFile(file))
    throw fail('RUN_UNREADABLE', `cannot be read (${code})`)
  }
  if (stat.isDirectory()) {
    const inside = ['run.yaml', 'run.yml', 'run.json', 'run.config.ts'].find((name) =>
      listing(file).includes(name),
    )
    const otherwise = 'it holds no run.yaml; give the run file'
    throw fail('RUN_NOT_A_FILE', 'is a folder', inside ? `did you mean ${join(shown, inside)}?` : otherwise)
  }
  if (!stat.isFile()) throw fail('RUN_NOT_A_FILE', 'is not a regular file')
  if (stat.size > MAX_FILE_BYTES) {
    const message = `a run file of ${stat.size} bytes exceeds the limit of ${MAX_FILE_BYTES}`
    throw fail('RUN_TOO_LARGE', message, 'is this the right file?')
  }
  try {
    return readFileSync(file)
  } catch (cause) {
    throw fail('RUN_UNREADABLE', `cannot be read (${(cause as NodeJS.ErrnoException).code})`)
  }
}

function similarFile(file: string): string {
  const near = nearest(basename(file), listing(dirname(file)))
  return near === undefined ? 'regauge init writes one' : `did you mean ${near}?`
}

function listing(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
