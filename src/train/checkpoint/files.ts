/** @file Checkpoint folders: their names, what a good one is, and finding the newest good one. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { RegaugeError } from '../../errors.ts'
import { hashFile } from '../../formats/index.ts'

/** Names of the files of a checkpoint. */
export const CHECKPOINT_FILES = {
  config: 'config.json',
  generation: 'generation_config.json',
  weights: 'model.safetensors',
  tokenizer: 'tokenizer.json',
  tokenizerConfig: 'tokenizer_config.json',
  optimizer: 'optimizer.safetensors',
  state: 'state.json',
} as const

/** Settings of a run that decide its numbers, flat: `optimizer.learningRate` and the like. */
export type ExactSettings = Readonly<Record<string, string | number | boolean | null>>

/** What `state.json` says: where the run is, and what the other files must be. */
export interface CheckpointState {
  readonly format: 1
  /** Version of regauge that wrote it. */
  readonly version: string
  /** The runtime it was trained on: another one may differ in the last bits. */
  readonly runtime: string
  /** Optimizer steps done. Batches depend on seed and step alone, so this is the position in the data as well. */
  readonly step: number
  readonly seed: number
  /** Tokens trained on. */
  readonly tokens: number
  /** Time spent in training steps, over all processes of the run. */
  readonly seconds: number
  /** The loss scale of float16, and the steps since it was changed. */
  readonly lossScale?: { readonly scale: number; readonly steps: number }
  readonly settings: ExactSettings
  /** SHA-256 of the settings. */
  readonly fingerprint: string
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>
}

/** A checkpoint whose files are what its `state.json` says. */
export interface Checkpoint {
  readonly folder: string
  readonly state: CheckpointState
}

const NAME = /^step-(\d{8,})$/
const PARTIAL = /^\.step-\d+\..*partial$/
const DAMAGED = /^step-\d+\.damaged$/

/** Name of the folder of a step's checkpoint. */
export function checkpointName(step: number): string {
  return `step-${String(step).padStart(8, '0')}`
}

/** The checkpoints in a folder, newest first; good or not. */
export async function listCheckpoints(folder: string): Promise<{ step: number; folder: string }[]> {
  const names = await namesIn(folder)
  return names
    .flatMap((name) => {
      const match = NAME.exec(name)
      return match === null ? [] : [{ step: Number(match[1]), folder: join(folder, name) }]
    })
    .sort((a, b) => b.step - a.step)
}

/** `state.json` as text: the state, and a hash of it, so that a changed digit is seen. */
export function stateText(state: CheckpointState): string {
  return `${JSON.stringify({ ...state, sha256: hashText(JSON.stringify(state)) }, null, 2)}\n`
}

/**
 * Reads a checkpoint's state and, with `files`, compares every file with its size and hash. Throws
 * `RegaugeError('data')` that names each file that is missing, truncated or changed, and kind `environment` for a
 * checkpoint that a later version has written.
 */
export async function verifyCheckpoint(folder: string, options: { files: boolean }): Promise<Checkpoint> {
  const state = await readState(join(folder, CHECKPOINT_FILES.state))
  const issues = []
  for (const [name, { bytes, sha256 }] of options.files ? Object.entries(state.files) : []) {
    const file = join(folder, name)
    const size = existsSync(file) ? (await stat(file)).size : undefined
    if (size === undefined) issues.push({ code: 'CHECKPOINT_FILE_MISSING', message: 'is missing', file })
    else if (size !== bytes) {
      issues.push({ code: 'CHECKPOINT_FILE_SIZE', message: `has ${size} bytes instead of ${bytes}`, file })
    } else if ((await hashFile(file)) !== sha256) {
      issues.push({ code: 'CHECKPOINT_FILE_CHANGED', message: 'has other bytes than were written', file })
    }
  }
  if (issues.length > 0) throw new RegaugeError('data', issues)
  return { folder, state }
}

/** What is done with a damaged checkpoint: one that is set aside is renamed to `step-….damaged`. */
type Damaged = 'passed over' | 'set aside'

/**
 * The whole checkpoints in a folder, newest first; damaged ones are told to `note` and passed over. Nothing is changed
 * unless they are to be set aside: a run may be writing here.
 */
export async function* wholeCheckpoints(
  folder: string,
  note: (message: string) => void,
  damaged: Damaged = 'passed over',
): AsyncGenerator<Checkpoint> {
  for (const { step, folder: at } of await listCheckpoints(folder)) {
    try {
      yield await verifyCheckpoint(at, { files: true })
    } catch (error) {
      if (!(error instanceof RegaugeError) || error.kind !== 'data') throw error
      // a run that trains meanwhile removes its older checkpoints
      if (!existsSync(at)) note(removedNote(step))
      else {
        note(
          `the checkpoint of step ${step} is damaged and ${damaged}: ${error.message.replaceAll('\n', '; ')}`,
        )
        if (damaged === 'set aside') await setAside(at)
      }
    }
  }
}

async function setAside(at: string): Promise<void> {
  await rm(`${at}.damaged`, { recursive: true, force: true })
  await rename(at, `${at}.damaged`)
}

/** What is said of a checkpoint that was there when the folder was listed. */
export function removedNote(step: number): string {
  return `the checkpoint of step ${step} was removed meanwhile, and is left out`
}

/**
 * The checkpoint that a run goes on from: the newest good one, undefined for a run that has none yet. Throws
 * `RegaugeError('data')` where none is whole: to begin anew unasked would delete what is left of them.
 */
export async function newestCheckpoint(
  folder: string,
  note: (message: string) => void,
  damaged: Damaged,
): Promise<Checkpoint | undefined> {
  const listed = await listCheckpoints(folder)
  const { value: good } = await wholeCheckpoints(folder, note, damaged).next()
  if (good !== undefined) {
    const { step } = good.state
    if (step !== listed[0]?.step) note(`going on from the good checkpoint of step ${step}`)
    return good
  }
  const lost = [...(await listCheckpoints(folder)), ...(await damagedCheckpoints(folder))]
  if (lost.length === 0) return undefined
  const message = `none of the ${lost.length} checkpoints of this run is whole`
  const hint = 'put a good copy back, or remove them (or give another name) to start anew'
  throw new RegaugeError('data', { code: 'CHECKPOINT_NONE_GOOD', message, file: folder, hint })
}

/** The checkpoints that were set aside as damaged. The next good one ends them. */
async function damagedCheckpoints(folder: string): Promise<string[]> {
  return (await namesIn(folder)).filter((name) => DAMAGED.test(name)).map((name) => join(folder, name))
}

/** Removes what killed writes left behind. */
export async function removePartial(folder: string): Promise<void> {
  for (const name of await namesIn(folder)) {
    if (PARTIAL.test(name)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

/** Deletes checkpoints beyond the `keepLast` newest, but those whose step is a multiple of `keepEvery`, and damaged ones. */
export async function retainCheckpoints(
  folder: string,
  policy: { readonly keepLast: number; readonly keepEvery?: number | undefined },
): Promise<void> {
  const old = (await listCheckpoints(folder)).slice(Math.max(1, policy.keepLast))
  for (const { step, folder: at } of old) {
    if (policy.keepEvery === undefined || step % policy.keepEvery !== 0) await removeFolder(folder, at)
  }
  for (const at of await damagedCheckpoints(folder)) await removeFolder(folder, at)
}

/** Removes a checkpoint so that a kill half way leaves a leftover, not a damaged checkpoint. */
async function removeFolder(parent: string, at: string): Promise<void> {
  const gone = join(parent, `.step-0.${process.pid}.removed.partial`)
  await rm(gone, { recursive: true, force: true })
  await rename(at, gone)
  await rm(gone, { recursive: true, force: true })
}

async function readState(file: string): Promise<CheckpointState> {
  const fail = (message: string) => new RegaugeError('data', { code: 'CHECKPOINT_STATE', message, file })
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw fail(error.code === 'ENOENT' ? 'is missing' : `cannot be read (${error.code})`)
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw fail('is not valid JSON')
  }
  if (typeof value !== 'object' || value === null) throw fail('is not a JSON object')
  const { sha256, ...state } = value as CheckpointState & { sha256: string }
  if (hashText(JSON.stringify(state)) !== sha256) throw fail('has other bytes than were written')
  if (state.format === 1) return state
  // whole, and of another version: not damage, which would be set aside and in the end deleted
  const message = `has format ${JSON.stringify(state.format)}, this version reads 1`
  const hint = `use the version of regauge that wrote it (${JSON.stringify(state.version)})`
  throw new RegaugeError('environment', { code: 'CHECKPOINT_FORMAT', message, file, hint })
}

/** SHA-256 of a text, in hexadecimal. */
export function hashText(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  })
}
