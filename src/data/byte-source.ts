/** @file The bytes of a file, unpacked as they stream; and bytes as text, with the place of what is not UTF-8. */
import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { RegaugeError } from '../errors.ts'
import type { SourceFile } from './source-files.ts'
import { decompressZstd } from './zstd.ts'

/** The unpacked bytes of a file. Throws RegaugeError of kind `data` when it cannot be read or unpacked. */
export async function* readBytes(file: SourceFile): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(file.path, { highWaterMark: 1 << 17 })
  try {
    if (file.packing === 'gzip') {
      const unpacked = createGunzip({ chunkSize: 1 << 17 })
      stream.on('error', (error) => unpacked.destroy(error))
      yield* stream.pipe(unpacked) as AsyncIterable<Uint8Array>
    } else if (file.packing === 'zstd') yield* decompressZstd(stream)
    else yield* stream as AsyncIterable<Uint8Array>
  } catch (error) {
    throw readError(file, error as NodeJS.ErrnoException)
  } finally {
    stream.destroy()
  }
}

function readError(file: SourceFile, error: NodeJS.ErrnoException): RegaugeError {
  if (error instanceof RegaugeError) return error
  const code = error.code ?? ''
  const unpacking = file.packing !== 'none' && !/^E[A-Z]+$/.test(code)
  let message = `cannot be read: ${code || error.message}`
  if (unpacking) {
    const cut = code === 'Z_BUF_ERROR' || /cut off/.test(error.message)
    message = cut
      ? `the ${file.packing} data is cut off`
      : `the ${file.packing} data is damaged: ${error.message}`
  }
  return new RegaugeError('data', { code: 'DATA_UNREADABLE', message, file: file.path }, { cause: error })
}

/** The text of a file in pieces, without a byte order mark. Throws RegaugeError at the first byte that is not UTF-8. */
export async function* readText(file: SourceFile): AsyncGenerator<string> {
  let rest: Uint8Array = new Uint8Array(0)
  let offset = 0 // of rest[0]
  let first = true
  for await (const chunk of readBytes(file)) {
    let bytes: Uint8Array = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    if (first) {
      if (bytes.length < 3) {
        rest = bytes
        continue
      }
      first = false
      if (hasByteOrderMark(bytes)) {
        bytes = bytes.subarray(3)
        offset = 3
      }
    }
    const whole = bytes.length - unfinished(bytes)
    yield decodeUtf8(bytes.subarray(0, whole), file, offset)
    offset += whole
    rest = Buffer.from(bytes.subarray(whole))
  }
  if (rest.length > 0) yield decodeUtf8(rest, file, offset)
}

/** Whether the bytes begin with EF BB BF. */
export function hasByteOrderMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
}

/** Bytes as text. Throws RegaugeError with the place, counted from `offset`, of the first that is not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, file: SourceFile, offset: number): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (isUtf8(buffer)) return buffer.toString('utf8')
  const at = firstInvalid(bytes)
  const value = bytes[at]!.toString(16).padStart(2, '0')
  const where = file.packing === 'none' ? '' : ' of the unpacked text'
  throw new RegaugeError('data', {
    code: 'DATA_NOT_UTF8',
    message: `byte ${offset + at}${where} (0x${value}) is not UTF-8`,
    file: file.path,
    hint: 'convert the file, for instance with iconv -t utf-8',
  })
}

/** How many bytes at the end begin a character that may go on in the next chunk: 0 to 3. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0
  }
  return 0
}

/** Index of the first byte that begins no whole UTF-8 character. */
function firstInvalid(bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; ) {
    const byte = bytes[i]!
    const length = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    if (length > 1 && !isUtf8(Buffer.from(bytes.subarray(i, i + length)))) return i
    i += length
  }
  return bytes.length - 1
}
