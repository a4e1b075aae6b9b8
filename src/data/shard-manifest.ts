/** @file data.json: what token shards were made from and what they are, beside them. */
import { createReadStream } from 'node:fs'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { z } from 'zod'
import { RegaugeError } from '../errors.ts'

const count = z.int().min(0)
const fileSchema = z.strictObject({ size: count, crc32: count })
const splitSchema = z.strictObject({
  documents: count,
  tokens: count,
  bytes: count,
  files: z.strictObject({ bin: fileSchema, idx: fileSchema }),
})
const manifestSchema = z.strictObject({
  version: z.literal(1),
  fingerprint: z.string(),
  vocabSize: count,
  maxTokenId: count,
  train: splitSchema,
  heldout: splitSchema,
})

/** What data.json holds. */
export type Manifest = z.infer<typeof manifestSchema>
/** What data.json holds on one dataset. */
export type SplitManifest = z.infer<typeof splitSchema>

/** The manifest of a folder, or null where it is missing or damaged: then the shards count for nothing. */
export async function readManifest(directory: string): Promise<Manifest | null> {
  try {
    return manifestSchema.parse(JSON.parse(await readFile(join(directory, 'data.json'), 'utf8')))
  } catch {
    return null
  }
}

/** Writes data.json beside and renames it: it is there whole or not at all. */
export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  const path = join(directory, 'data.json')
  const beside = `${path}.partial-${process.pid}`
  try {
    await writeFile(beside, `${JSON.stringify(manifest, null, 2)}\n`, { flush: true })
    await rename(beside, path)
  } catch (error) {
    const message = `cannot be written: ${(error as NodeJS.ErrnoException).code}`
    throw new RegaugeError('environment', { code: 'DATA_UNWRITABLE', message, file: path }, { cause: error })
  }
}

/** Removes what a build that was killed left in the folder: partial files whose process is gone. */
export async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = name.match(/^(?:train|heldout|data)\..*partial-(\d+)/)?.[1]
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(directory, name), { force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Size and checksum of a file. */
export async function fingerprintFile(path: string): Promise<{ size: number; crc32: number }> {
  let size = 0
  let checksum = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    size += chunk.length
    checksum = crc32(chunk, checksum)
  }
  return { size, crc32: checksum }
}

/** Whether both files of a dataset are as they were written. */
export async function verifySplit(
  directory: string,
  name: 'train' | 'heldout',
  manifest: Manifest,
): Promise<boolean> {
  for (const part of ['bin', 'idx'] as const) {
    const want = manifest[name].files[part]
    const found = await fingerprintFile(join(directory, `${name}.${part}`)).catch(() => null)
    if (found?.size !== want.size || found.crc32 !== want.crc32) return false
  }
  return true
}
