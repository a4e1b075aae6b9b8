/** @file Places of pages and traces: written whole or not at all, and never over what regauge did not write. */
import { randomUUID } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { RegaugeError } from '../../errors.ts'

/** A text and where it goes; the hint tells what to do when that place refuses. */
export interface Placed {
  readonly path: string
  readonly text: string
  readonly hint: string
}

/** What to do where a page or a trace cannot be. */
export const PAGE_HINT = 'choose another place for the page'
export const TRACE_HINT = 'choose another place for the trace'

/** How pages and traces begin. */
const OURS =
  /^(?:<!doctype html>[\s\S]*<meta name="generator" content="regauge |\{"otherData":\{"generator":"regauge )/i
/** What stands before the name of the generator takes less. */
const HEAD_BYTES = 1024

/**
 * Throws RegaugeError when nothing can be written there, `environment`, or it would take the place of a file that
 * regauge did not write, `usage`: to be asked before the work of which the file tells.
 */
export function requirePlace(path: string, hint: string): void {
  let ours: boolean
  try {
    const found = foundAt(path)
    if (found?.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    if (found !== undefined) accessSync(path, constants.W_OK)
    if (found === undefined || found.isFile()) accessSync(dirname(targetOf(path, found)), constants.W_OK)
    ours = !found?.isFile() || found.size === 0 || OURS.test(headOf(path))
  } catch (cause) {
    throw unwritable(path, cause, hint)
  }
  if (ours) return
  throw new RegaugeError('usage', {
    code: 'REPORT_IN_THE_WAY',
    message: 'is there and regauge did not write it',
    file: path,
    hint: `${hint}, or remove the file`,
  })
}

/** Whether two paths lead to one file, there or yet to be. */
export function samePlace(a: string, b: string): boolean {
  try {
    const found = foundAt(a)
    if (found !== undefined && !found.isFile()) return false
    return targetOf(a, found) === targetOf(b, foundAt(b))
  } catch {
    // a place that refuses is told elsewhere
    return false
  }
}

/**
 * Writes all of them, each to a place that `requirePlace` allows, or none where one of them cannot be written beside its
 * place. Throws RegaugeError.
 */
export function writePlaced(files: readonly Placed[]): void {
  for (const { path, hint } of files) requirePlace(path, hint)
  writeWhole(files)
}

/**
 * Writes files beside their places and renames them when all are on the disk; a link stays one, and what is no file,
 * such as /dev/stdout, is written to. Throws RegaugeError of kind `environment`.
 */
export function writeWhole(files: readonly Placed[]): void {
  const staged: { readonly file: Placed; readonly beside: string; readonly target: string }[] = []
  let at: Placed | undefined
  try {
    const streams: Placed[] = []
    for (const file of files) {
      at = file
      const found = foundAt(file.path)
      if (found !== undefined && !found.isFile()) {
        streams.push(file)
        continue
      }
      const target = targetOf(file.path, found)
      // a name of its own, not too long: another process may write to the same place, and a kill leaves it
      const beside = join(dirname(target), `${basename(target).slice(0, 40)}.${randomUUID().slice(0, 8)}.tmp`)
      staged.push({ file, beside, target })
      writeSynced(beside, file.text, found?.mode)
    }
    for (const file of streams) {
      at = file
      writeFileSync(file.path, file.text)
    }
    for (const { file, beside, target } of staged) {
      at = file
      renameSync(beside, target)
    }
  } catch (cause) {
    for (const { beside } of staged) rmSync(beside, { force: true })
    throw unwritable(at!.path, cause, at!.hint)
  }
}

function writeSynced(path: string, text: string, mode = 0o666): void {
  const file = openSync(path, 'wx', mode & 0o777)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** What is there, at the end of links; undefined when nothing is. Throws for a link or a folder's path that leads to nothing. */
function foundAt(path: string) {
  const found = statSync(path, { throwIfNoEntry: false })
  const nowhere = path.endsWith('/') || lstatSync(path, { throwIfNoEntry: false }) !== undefined
  if (found === undefined && nowhere) throw Object.assign(new Error('no such place'), { code: 'ENOENT' })
  return found
}

function targetOf(path: string, found: object | undefined): string {
  return found === undefined ? join(realpathSync(dirname(path)), basename(path)) : realpathSync(path)
}

function headOf(path: string): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(HEAD_BYTES)
    return bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, 0))
  } finally {
    closeSync(file)
  }
}

function unwritable(file: string, cause: unknown, hint: string): RegaugeError {
  const message = `cannot be written (${(cause as NodeJS.ErrnoException).code})`
  return new RegaugeError('environment', { code: 'REPORT_UNWRITABLE', message, file, hint }, { cause })
}
