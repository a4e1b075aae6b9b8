/** @file The run that a path names, and where it is to go: what `train` and `check` have in common. */
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseTarget } from '../runtime/index.ts'
import { loadRun, type PlaceOptions, type ResolvedRun } from '../train/index.ts'

/**
 * Loads a run file, or the run of a folder, which holds it as it was resolved and is where it goes on, wherever it has
 * been moved to.
 */
export async function runAt(
  path = 'run.yaml',
  set: readonly string[] | undefined,
): Promise<{ readonly run: ResolvedRun; readonly folder: string | undefined }> {
  const inside = join(path, 'run.yaml')
  const folder = isFolder(path) && existsSync(inside) ? resolve(path) : undefined
  const { run } = await loadRun(folder === undefined ? path : inside, { set: [...(set ?? [])] })
  return { run, folder }
}

/** What a command line says of where to train. */
export function placeOptions(options: {
  readonly on?: string | undefined
  readonly threads?: number | undefined
  readonly 'allow-host'?: boolean | undefined
}): PlaceOptions {
  return {
    ...(options.threads !== undefined && { threads: options.threads }),
    ...(options.on !== undefined && { on: parseTarget(options.on) }),
    ...(options['allow-host'] === true && { allowHost: true }),
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
