/** @file The folder of a run: made, or looked at whether it could be. */
import { constants } from 'node:fs'
import { access, mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { RegaugeError } from '../errors.ts'

/** Makes the folder of a run. Throws RegaugeError of kind `environment` when that cannot be. */
export async function makeRunFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw unwritable(folder, `the run folder cannot be made (${cause.code})`, cause)
  })
}

/** Folders that a run makes in its own. */
const INSIDE = ['checkpoints', 'data', 'lock', 'tensorboard']

/** Throws as `makeRunFolder` does where that would fail, or the folder could not be written; makes nothing. */
export async function requireWritableFolder(folder: string): Promise<void> {
  for (const each of [folder, ...INSIDE.map((name) => join(folder, name))]) {
    const { path, code } = await nearest(each)
    if (code === undefined) continue
    const problem = path === each ? 'cannot be written' : 'cannot be made'
    throw unwritable(each, `the run folder ${problem} (${code})`)
  }
}

/** The nearest path upwards that is there, and why no folder can be made or written in it. */
async function nearest(folder: string): Promise<{ path: string; code: string | undefined }> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      if (!(await stat(path)).isDirectory()) return { path, code: 'ENOTDIR' }
      await access(path, constants.W_OK | constants.X_OK)
      return { path, code: undefined }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const above = (code === 'ENOENT' || code === 'ENOTDIR') && dirname(path) !== path
      if (!above) return { path, code: code ?? 'unknown' }
    }
  }
}

function unwritable(file: string, message: string, cause?: unknown): RegaugeError {
  const hint = 'change the permissions above it or choose another output folder'
  return new RegaugeError('environment', { code: 'RUN_UNWRITABLE', message, file, hint }, { cause })
}
