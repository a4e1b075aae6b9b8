/** @file Writes safetensors files as a stream: no more than one tensor is held at a time. */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { RegaugeError } from '../errors.ts'
import { IO_CHUNK_BYTES, withFile, writeFully } from './files.ts'
import { quote } from './json.ts'
import {
  MAX_HEADER_BYTES,
  SAFETENSORS_BITS,
  type SafetensorsDType,
  tensorBytes,
} from './safetensors-header.ts'

/** A tensor to be written. */
export interface SafetensorsTensor {
  readonly name: string
  readonly dtype: SafetensorsDType
  readonly shape: readonly number[]
  /**
   * Raw bytes, little endian and row major; or a function that gives them when their turn comes, whole or in
   * parts, so that they need not all be in memory.
   */
  readonly data: Uint8Array | (() => Uint8Array | Promise<Uint8Array> | AsyncIterable<Uint8Array>)
}

/**
 * Writes a safetensors file, durable when the promise is fulfilled. Wider element types go first, so that
 * every tensor is aligned; otherwise the order is kept. `sha256` is of the whole file, in hexadecimal.
 *
 * Throws `RegaugeError('environment')` when the disk is full or not writable, and removes the part written.
 *
 * @example
 * ```ts
 * import { writeSafetensors } from 'regauge/formats'
 *
 * const data = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer)
 * await writeSafetensors('model.safetensors', [{ name: 'w', dtype: 'F32', shape: [2, 2], data }])
 * ```
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<SafetensorsTensor>,
  metadata?: Readonly<Record<string, string>>,
): Promise<{ bytes: number; sha256: string }> {
  const ordered = [...tensors].sort((a, b) => SAFETENSORS_BITS[b.dtype] - SAFETENSORS_BITS[a.dtype])
  const header = encodeHeader(path, ordered, metadata)
  const hash = createHash('sha256')
  let bytes = 0
  let removable = false // never a device or a pipe that was given as the path
  try {
    await withFile(path, 'w', async (handle) => {
      removable = (await handle.stat()).isFile()
      const put = async (chunk: Uint8Array): Promise<void> => {
        const written = writeFully(handle, chunk)
        hash.update(chunk) // while the system writes
        await written
        bytes += chunk.byteLength
      }
      await put(header)
      for (const tensor of ordered) {
        const size = tensorBytes(tensor.dtype, tensor.shape)!
        let given = 0
        for await (const part of parts(tensor.data)) {
          given += part.byteLength
          if (given > size) break
          for (let at = 0; at < part.byteLength; at += IO_CHUNK_BYTES) {
            await put(part.subarray(at, at + IO_CHUNK_BYTES))
          }
        }
        if (given !== size) {
          throw new Error(
            `tensor ${quote(tensor.name)} needs ${size} bytes, its data has ${given > size ? 'more' : given}`,
          )
        }
      }
      await handle.sync()
    })
  } catch (error) {
    if (removable) await rm(path, { force: true })
    throw error
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function* parts(data: SafetensorsTensor['data']): AsyncGenerator<Uint8Array> {
  const given = typeof data === 'function' ? await data() : data
  if (given instanceof Uint8Array) yield given
  else yield* given
}

/** The length and the JSON of the header, padded with spaces so that the data begins at a multiple of 8. */
function encodeHeader(
  path: string,
  tensors: readonly SafetensorsTensor[],
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  const names = new Set(['__metadata__'])
  const fields = metadata === undefined ? [] : [`"__metadata__":${JSON.stringify(metadata)}`]
  let offset = 0
  for (const { name, dtype, shape } of tensors) {
    if (names.has(name)) throw new Error(`two tensors are named ${quote(name)}`)
    names.add(name)
    const bytes = tensorBytes(dtype, shape)
    if (bytes === undefined)
      throw new Error(`tensor ${quote(name)} of ${dtype}[${shape}] has no size in whole bytes`)
    const entry = { dtype, shape, data_offsets: [offset, offset + bytes] }
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`)
    offset += bytes
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`)
  const length = Math.ceil(json.byteLength / 8) * 8
  if (length > MAX_HEADER_BYTES) {
    throw new RegaugeError('data', {
      code: 'SAFETENSORS_TOO_MANY',
      message: `a header of ${length} bytes for ${tensors.length} tensors, the most is ${MAX_HEADER_BYTES}`,
      file: path,
      hint: 'write the tensors to several files',
    })
  }
  const header = new Uint8Array(8 + length).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true)
  header.set(json, 8)
  return header
}
