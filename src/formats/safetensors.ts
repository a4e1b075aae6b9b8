/** @file Reads safetensors files and folders of shards. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { RegaugeError } from '../errors.ts'
import { contentError, fileError, IO_CHUNK_BYTES, readExactly, withFile } from './files.ts'
import { isObject, JsonError, parseJson, quote } from './json.ts'
import {
  MAX_HEADER_BYTES,
  parseHeader,
  type SafetensorsEntry,
  safetensorsError,
} from './safetensors-header.ts'

/** A safetensors file whose header was read and checked. */
export interface SafetensorsFile {
  readonly path: string
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of their places in the file. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>
  readonly fileBytes: number
}

/** The tensors of a model that lies in one file or in several. */
export interface SafetensorsFolder {
  readonly files: readonly SafetensorsFile[]
  readonly tensors: ReadonlyMap<string, { readonly file: SafetensorsFile; readonly entry: SafetensorsEntry }>
}

/**
 * Reads and checks the header of a safetensors file; the tensors' bytes are not touched.
 *
 * Throws `RegaugeError('data')` unless the header is a JSON object of at most 100 MB without a key named
 * twice, whose tensors have known types and cover the rest of the file exactly.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsFile> {
  return withFile(path, 'r', async (handle) => {
    const { size } = await handle.stat()
    if (size < 8)
      throw safetensorsError(path, `the file has ${size} bytes, fewer than the 8 of the header's length`)
    const prefix = new DataView(new ArrayBuffer(8))
    await readExactly(handle, path, new Uint8Array(prefix.buffer), 0)
    const length = prefix.getBigUint64(0, true)
    if (length > BigInt(MAX_HEADER_BYTES)) {
      throw safetensorsError(path, `a header of ${length} bytes, the most is ${MAX_HEADER_BYTES}`)
    }
    if (length > BigInt(size - 8)) {
      throw safetensorsError(path, `a header of ${length} bytes in a file of ${size}`)
    }
    const header = new Uint8Array(Number(length))
    await readExactly(handle, path, header, 8)
    return { path, ...parseHeader(path, header, size), fileBytes: size }
  })
}

function find(file: SafetensorsFile, name: string): SafetensorsEntry {
  const entry = file.tensors.get(name)
  if (entry === undefined) throw new Error(`${file.path} holds no tensor ${quote(name)}`)
  return entry
}

/** The raw bytes of a tensor, little endian and row major. Throws `RegaugeError('memory')` where no array can hold them. */
export async function readSafetensor(file: SafetensorsFile, name: string): Promise<Uint8Array> {
  const { begin, end } = find(file, name)
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(end - begin)
  } catch (error) {
    const message = `tensor ${quote(name)} takes ${end - begin} bytes, more than can be held at once`
    const hint = 'use a machine with more memory or a newer Node'
    throw new RegaugeError(
      'memory',
      { code: 'TENSOR_TOO_LARGE', message, file: file.path, hint },
      { cause: error },
    )
  }
  await withFile(file.path, 'r', (handle) => readExactly(handle, file.path, bytes, begin))
  return bytes
}

/** The raw bytes of a tensor of any size, part by part; each part is an array of its own. */
export async function* readSafetensorChunks(
  file: SafetensorsFile,
  name: string,
  chunkBytes = IO_CHUNK_BYTES,
): AsyncGenerator<Uint8Array> {
  const { begin, end } = find(file, name)
  const handle = await open(file.path, 'r').catch((error) => {
    throw fileError(file.path, error)
  })
  try {
    for (let at = begin; at < end; at += chunkBytes) {
      const chunk = new Uint8Array(Math.min(chunkBytes, end - at))
      await readExactly(handle, file.path, chunk, at)
      yield chunk
    }
  } finally {
    await handle.close()
  }
}

/** SHA-256 of a file's bytes, in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  return withFile(path, 'r', async (handle) => {
    const hash = createHash('sha256')
    const { size } = await handle.stat()
    const buffer = new Uint8Array(Math.min(size, IO_CHUNK_BYTES))
    for (let at = 0; at < size; at += IO_CHUNK_BYTES) {
      const chunk = buffer.subarray(0, Math.min(IO_CHUNK_BYTES, size - at))
      await readExactly(handle, path, chunk, at)
      hash.update(chunk)
    }
    return hash.digest('hex')
  })
}

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/**
 * Opens the weights of a Hugging Face folder: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` names. Throws `RegaugeError('data')` when there is neither, when the index
 * names a file outside the folder, or a tensor that its shard does not hold.
 */
export async function openSafetensorsFolder(dir: string): Promise<SafetensorsFolder> {
  if (existsSync(join(dir, SINGLE))) {
    const file = await readSafetensorsHeader(join(dir, SINGLE))
    return {
      files: [file],
      tensors: new Map([...file.tensors].map(([name, entry]) => [name, { file, entry }])),
    }
  }
  const indexPath = join(dir, INDEX)
  if (!existsSync(indexPath)) {
    throw contentError(
      'SAFETENSORS_MISSING',
      dir,
      `the folder holds neither ${SINGLE} nor ${INDEX}`,
      'give a folder that a model was saved to; files of pickled weights (.bin, .pt) are never read, save them as safetensors',
    )
  }
  const shards = await readShardIndex(indexPath)
  const files = new Map<string, SafetensorsFile>()
  for (const shard of new Set(shards.values()))
    files.set(shard, await readSafetensorsHeader(join(dir, shard)))
  const tensors = new Map<string, { file: SafetensorsFile; entry: SafetensorsEntry }>()
  for (const [name, shard] of shards) {
    const file = files.get(shard)!
    const entry = file.tensors.get(name)
    if (entry === undefined) throw indexError(indexPath, `${shard} holds no tensor ${quote(name)}`)
    tensors.set(name, { file, entry })
  }
  return { files: [...files.values()], tensors }
}

function indexError(path: string, message: string): Error {
  return contentError('SAFETENSORS_INDEX_INVALID', path, message, 'fetch or save the folder again')
}

/** The file name of each tensor's shard. */
async function readShardIndex(path: string): Promise<Map<string, string>> {
  const text = await withFile(path, 'r', async (handle) => {
    const { size } = await handle.stat()
    if (size > MAX_HEADER_BYTES)
      throw indexError(path, `an index of ${size} bytes, the most is ${MAX_HEADER_BYTES}`)
    const bytes = new Uint8Array(size)
    await readExactly(handle, path, bytes, 0)
    return new TextDecoder().decode(bytes)
  })
  let index: unknown
  try {
    index = parseJson(text)
  } catch (error) {
    if (error instanceof JsonError) throw indexError(path, `the index ${error.message}`)
    throw error
  }
  const map = isObject(index) ? index.weight_map : undefined
  if (!isObject(map)) throw indexError(path, 'the index has no object weight_map')
  const shards = new Map<string, string>()
  for (const [name, shard] of Object.entries(map)) {
    const plain =
      typeof shard === 'string' && /^[^/\\\0:]+\.safetensors$/.test(shard) && basename(shard) === shard
    if (!plain) {
      throw indexError(
        path,
        `tensor ${quote(name)} lies in ${quote(String(shard))}, which is not a .safetensors file of this folder`,
      )
    }
    shards.set(name, shard)
  }
  return shards
}
