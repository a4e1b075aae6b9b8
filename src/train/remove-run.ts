/** @file Removing the folder of a run, and nothing that is not one. */
import { lstatSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { RegaugeError } from '../errors.ts'
import { CHECKPOINT_FILES } from './checkpoint/files.ts'
import { lockRunFolder } from './lock.ts'

/** What training leaves in the folder of a run: files by name, and folders with the names of what is in them. */
const FILES: readonly string[] = [
  'run.yaml',
  'events.jsonl',
  'report.html',
  CHECKPOINT_FILES.tokenizer,
  CHECKPOINT_FILES.tokenizerConfig,
]
const FOLDERS: Readonly<Record<string, RegExp>> = {
  checkpoints: /^step-\d+$/,
  data: /^(data\.json|(train|heldout)\.(bin|idx))$/,
  lock: /^\d+-[^@]+@/,
  tensorboard: /^events\.out\.tfevents\./,
}
/** What a process that was killed has not renamed yet. */
const PARTIAL = /^\..+\.partial$/

/** What goes with a run. */
export interface RunRemains {
  readonly checkpoints: number
  readonly bytes: number
}

/**
 * Looks at the folder of a run that is to be removed. Throws a `usage` error where it is a link, or holds anything that
 * training does not leave there.
 */
export function runRemains(folder: string): RunRemains {
  const refuse = (message: string, hint: string) =>
    new RegaugeError('usage', { code: 'RUN_NOT_REMOVED', message, file: folder, hint })
  const self = lstatSync(folder)
  if (self.isSymbolicLink()) throw refuse('is a link, which is not followed', 'remove the link itself')
  if (!self.isDirectory()) throw refuse('is no folder', 'give the folder of a run')
  const names = readdirSync(folder)
  if (!names.includes('events.jsonl')) {
    throw refuse('holds no events.jsonl, so nothing was trained in it', 'remove it yourself')
  }
  const strange = names.flatMap((name) => strangeIn(folder, name))
  if (strange.length > 0) {
    const more = strange.length === 1 ? '' : ` and ${strange.length - 1} more`
    throw refuse(
      `holds ${strange[0]}${more}, which is not of a run`,
      'move it away, or remove the folder yourself',
    )
  }
  const kept = names.includes('checkpoints') ? readdirSync(join(folder, 'checkpoints')) : []
  return {
    checkpoints: kept.filter((name) => FOLDERS.checkpoints!.test(name)).length,
    bytes: bytesOf(folder),
  }
}

/**
 * Removes the folder of a run, whole, and follows no links. Throws as `runRemains` does, and an `environment` error
 * while a process trains it.
 */
export async function removeRun(folder: string): Promise<RunRemains> {
  const remains = runRemains(folder)
  const lock = await lockRunFolder(folder)
  // in one step: neither a kill nor a process that begins now finds half a run
  const gone = join(dirname(folder), `.${basename(folder)}.${process.pid}.removed`)
  try {
    renameSync(folder, gone)
  } catch (cause) {
    lock.release()
    const { code } = cause as NodeJS.ErrnoException
    const issue = { code: 'RUN_NOT_REMOVED', message: `cannot be removed (${code})`, file: folder }
    throw new RegaugeError('environment', issue, { cause })
  }
  rmSync(gone, { recursive: true, force: true })
  return remains
}

/** Paths in the folder, from it on, of what training does not leave there under this name. */
function strangeIn(folder: string, name: string): string[] {
  const inside = Object.hasOwn(FOLDERS, name) ? FOLDERS[name] : undefined
  if (inside === undefined) return FILES.includes(name) || PARTIAL.test(name) ? [] : [name]
  const path = join(folder, name)
  // a link is removed, not what it points to
  if (!lstatSync(path).isDirectory()) return lstatSync(path).isSymbolicLink() ? [] : [name]
  return readdirSync(path)
    .filter((one) => !inside.test(one) && !PARTIAL.test(one))
    .map((one) => join(name, one))
}

/** Bytes of all files below a folder. */
function bytesOf(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => {
    const path = join(folder, name)
    const info = lstatSync(path)
    return sum + (info.isDirectory() ? bytesOf(path) : info.size)
  }, 0)
}
