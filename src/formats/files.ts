/** @file Reading and writing files in full, and file system failures in words for the person. */
import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { RegaugeError } from '../errors.ts'

/** The most that one read or write call moves; the system refuses 2 GiB and more. */
export const IO_CHUNK_BYTES = 16 * 2 ** 20

const REMEDIES: Readonly<
  Record<string, readonly [kind: 'data' | 'environment', what: string, hint: string]>
> = {
  ENOENT: ['data', 'does not exist', 'check the path'],
  ENOTDIR: ['data', 'lies in a path whose folder is a file', 'check the path'],
  EISDIR: ['data', 'is a folder, not a file', 'check the path'],
  EACCES: ['environment', 'may not be opened by this user', 'change its permissions or choose another path'],
  EPERM: ['environment', 'may not be changed by this user', 'change its permissions or choose another path'],
  EROFS: ['environment', 'lies on a read-only file system', 'choose another path'],
  ENOSPC: ['environment', 'cannot be written: the disk is full', 'free space or choose another path'],
  EDQUOT: [
    'environment',
    'cannot be written: the disk quota is used up',
    'free space or choose another path',
  ],
}

/** Turns a file system failure into the person's error; everything else comes back as it is. */
export function fileError(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (error instanceof RegaugeError || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return error
  const [kind, what, hint] = REMEDIES[code] ?? ['environment', `failed with ${code}`, 'check the disk']
  return new RegaugeError(
    kind,
    { code: `FILE_${code}`, message: `the file ${what}`, file: path, hint },
    { cause: error },
  )
}

/** An error about the content of a file. */
export function contentError(code: string, file: string, message: string, hint: string): RegaugeError {
  return new RegaugeError('data', { code, file, message, hint })
}

/**
 * Throws for what is there but is no file: a folder, a device, a pipe. Opening a pipe waits for a writer that may
 * never come, and reading a device such as /dev/zero never ends.
 */
export async function requireRegularFile(path: string): Promise<void> {
  const info = await stat(path).catch((error) => {
    throw fileError(path, error)
  })
  if (info.isDirectory()) throw fileError(path, { code: 'EISDIR' })
  if (!info.isFile())
    throw contentError('FILE_KIND', path, 'is a device or a pipe, not a file', 'check the path')
}

/** Opens a file, does something with it, and closes it whatever happens. */
export async function withFile<T>(
  path: string,
  flags: 'r' | 'w',
  work: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  if (flags === 'r') await requireRegularFile(path)
  try {
    const handle = await open(path, flags)
    try {
      return await work(handle)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw fileError(path, error)
  }
}

/** Fills `target` from `position` on. A file that ends before that is an error. */
export async function readExactly(
  handle: FileHandle,
  path: string,
  target: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0
  while (done < target.byteLength) {
    const length = Math.min(IO_CHUNK_BYTES, target.byteLength - done)
    const { bytesRead } = await handle.read(target, done, length, position + done)
    if (bytesRead === 0) {
      throw contentError(
        'FILE_TRUNCATED',
        path,
        `the file ends at byte ${position + done}, ${target.byteLength - done} bytes too early`,
        'it changed or was cut off while it was read; fetch or write it again',
      )
    }
    done += bytesRead
  }
}

/** Writes all of `bytes` at the handle's position. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0
  while (done < bytes.byteLength) {
    const length = Math.min(IO_CHUNK_BYTES, bytes.byteLength - done)
    done += (await handle.write(bytes, done, length)).bytesWritten
  }
}

/** Makes a rename in the folder of `path` survive a power failure, where the system can do that. */
export async function syncFolderOf(path: string): Promise<void> {
  if (process.platform === 'win32') return // folders cannot be opened there
  const handle = await open(dirname(path), 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
