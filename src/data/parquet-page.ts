/** @file Decodes one page of a parquet column of byte arrays, with every length checked before it is believed. */
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import type { CompressionCodec, PageHeader } from 'hyparquet'
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js'
import { compressors } from 'hyparquet-compressors'
import { decompressZstd } from './zstd.ts'

/** A page unpacked; writers aim at about 1 MB, above this it is taken for damage. */
const MAX_PAGE_BYTES = 2 ** 28
/** Values of a page, nulls included. */
const MAX_PAGE_VALUES = 2 ** 24

/** What is known of a column chunk while its pages are read one by one. */
export interface ColumnState {
  readonly codec: CompressionCodec
  /** Whether values may be null. */
  readonly optional: boolean
  /** From the dictionary page, which comes first where there is one. */
  dictionary: Uint8Array[] | null
}

/**
 * The values of a data page, null where there is none; a dictionary page gives none and is kept in `column`.
 * `limit` is how many values the column chunk still may have. Throws Error for whatever does not add up.
 */
export async function decodePage(
  header: PageHeader,
  body: Uint8Array,
  column: ColumnState,
  limit: number,
): Promise<(Uint8Array | null)[]> {
  const size = Number(header.uncompressed_page_size)
  if (!(size >= 0 && size <= MAX_PAGE_BYTES)) throw new Error(`a page claims ${size} bytes`)
  if (header.type === 'DICTIONARY_PAGE') {
    const count = checkCount(header.dictionary_page_header?.num_values, size / 4)
    column.dictionary = readPlain(await unpack(body, size, column.codec), count)
    return []
  }
  if (header.type === 'DATA_PAGE') {
    const { num_values, encoding, definition_level_encoding } = header.data_page_header ?? {}
    const count = checkCount(num_values, limit)
    let bytes = await unpack(body, size, column.codec)
    let present: Int32Array | null = null
    if (column.optional) {
      if (definition_level_encoding !== 'RLE')
        throw new Error(`levels encoded as ${definition_level_encoding}`)
      const length = uint32(bytes, 0)
      present = readHybrid(within(bytes, 4, length), 1, count)
      bytes = bytes.subarray(4 + length)
    }
    return place(present, count, (n) => readValues(bytes, encoding, n, column))
  }
  if (header.type === 'DATA_PAGE_V2') {
    const v2 = header.data_page_header_v2
    const count = checkCount(v2?.num_values, limit)
    const repetition = Number(v2?.repetition_levels_byte_length)
    const definition = Number(v2?.definition_levels_byte_length)
    const levels = within(body, repetition, definition)
    const present = column.optional ? readHybrid(levels, 1, count) : null
    const rest = body.subarray(repetition + definition)
    const left = size - repetition - definition
    const bytes = v2?.is_compressed === false ? rest : await unpack(rest, left, column.codec)
    return place(present, count, (n) => readValues(bytes, v2?.encoding, n, column))
  }
  throw new Error(`a page of type ${header.type}`)
}

function checkCount(count: number | undefined, limit: number): number {
  if (count === undefined || !(count >= 0 && count <= Math.min(limit, MAX_PAGE_VALUES)))
    throw new Error(`a page claims ${count} values`)
  return count
}

/** Puts values where the levels say that there is one. */
function place(
  present: Int32Array | null,
  count: number,
  read: (count: number) => Uint8Array[],
): (Uint8Array | null)[] {
  if (present === null) return read(count)
  const values = read(present.reduce((sum, level) => sum + level, 0))
  let next = 0
  return Array.from(present, (level) => (level === 1 ? values[next++]! : null))
}

function readValues(
  bytes: Uint8Array,
  encoding: string | undefined,
  count: number,
  column: ColumnState,
): Uint8Array[] {
  if (count === 0) return []
  if (encoding === 'PLAIN') return readPlain(bytes, count)
  if (encoding === 'PLAIN_DICTIONARY' || encoding === 'RLE_DICTIONARY') {
    const { dictionary } = column
    if (dictionary === null) throw new Error('a page of indices without a dictionary')
    const indices = readHybrid(bytes.subarray(1), bytes[0] ?? 33, count)
    return Array.from(indices, (index) => {
      const value = dictionary[index]
      if (value === undefined) throw new Error(`index ${index} in a dictionary of ${dictionary.length}`)
      return value
    })
  }
  if (encoding === 'DELTA_LENGTH_BYTE_ARRAY') return readDelta(bytes, count, false)
  if (encoding === 'DELTA_BYTE_ARRAY') return readDelta(bytes, count, true)
  throw new Error(`values encoded as ${encoding}`)
}

/** Lengths first, then the bytes; where `prefixed`, each value begins with a part of the one before. */
function readDelta(bytes: Uint8Array, count: number, prefixed: boolean): Uint8Array[] {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), offset: 0 }
  const prefixes = new Int32Array(count)
  const lengths = new Int32Array(count)
  if (prefixed) deltaBinaryUnpack(reader, count, prefixes)
  deltaBinaryUnpack(reader, count, lengths)
  const values: Uint8Array[] = []
  let total = 0
  for (let i = 0; i < count; i++) {
    const prefix = prefixes[i] === 0 ? null : within(values[i - 1] ?? bytes.subarray(0, 0), 0, prefixes[i]!)
    const rest = within(bytes, reader.offset, lengths[i]!)
    reader.offset += rest.length
    total += rest.length + (prefix?.length ?? 0)
    if (total > MAX_PAGE_BYTES) throw new Error('prefixes that add up to more than a page')
    values.push(prefix === null ? rest : Buffer.concat([prefix, rest]))
  }
  return values
}

/** PLAIN: each value after its length in 4 bytes. */
function readPlain(bytes: Uint8Array, count: number): Uint8Array[] {
  const values: Uint8Array[] = []
  let at = 0
  for (let i = 0; i < count; i++) {
    const length = uint32(bytes, at)
    values.push(within(bytes, at + 4, length))
    at += 4 + length
  }
  return values
}

/** RLE and bit-packed hybrid: `count` numbers of `width` bits. */
function readHybrid(bytes: Uint8Array, width: number, count: number): Int32Array {
  if (width > 32) throw new Error(`numbers of ${width} bits`)
  const values = new Int32Array(count)
  const byteWidth = (width + 7) >> 3
  let at = 0
  let seen = 0
  while (seen < count) {
    let header = 0
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length || shift > 28) throw new Error('runs that are cut off')
      const byte = bytes[at++]!
      header += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    const run = Math.floor(header / 2)
    if (header % 2 === 0) {
      let value = 0
      for (let i = 0; i < byteWidth; i++) value |= (bytes[at + i] ?? 0) << (8 * i)
      at += byteWidth
      const end = Math.min(count, seen + run)
      values.fill(value, seen, end)
      seen = end
      continue
    }
    const end = Math.min(count, seen + run * 8)
    if (at + Math.ceil(((end - seen) * width) / 8) > bytes.length) throw new Error('numbers that are cut off')
    for (let bit = at * 8; seen < end; seen++, bit += width) {
      let value = 0
      for (let got = 0; got < width; ) {
        const place = (bit + got) & 7
        const take = Math.min(8 - place, width - got)
        value |= ((bytes[(bit + got) >> 3]! >> place) & ((1 << take) - 1)) << got
        got += take
      }
      values[seen] = value
    }
    at += run * width
  }
  return values
}

/** A page without its compression. The result has the size that the page claims, or it throws. */
async function unpack(body: Uint8Array, size: number, codec: CompressionCodec): Promise<Uint8Array> {
  const bytes =
    codec === 'UNCOMPRESSED' ? body : size === 0 ? body.subarray(0, 0) : await unpackWith(codec, body, size)
  if (bytes.length !== size) throw new Error(`a page of ${bytes.length} bytes claims ${size}`)
  return bytes
}

async function unpackWith(codec: CompressionCodec, body: Uint8Array, size: number): Promise<Uint8Array> {
  if (codec === 'GZIP') return gunzipSync(body, { maxOutputLength: size })
  if (codec === 'BROTLI') return brotliDecompressSync(body, { maxOutputLength: size })
  if (codec === 'ZSTD') {
    const parts: Uint8Array[] = []
    let length = 0
    for await (const part of decompressZstd(once(body))) {
      length += part.length
      if (length > size) throw new Error(`a page of more than the ${size} bytes that it claims`)
      parts.push(part)
    }
    return Buffer.concat(parts)
  }
  const decompress = compressors[codec]
  if (decompress === undefined) throw new Error(`compression ${codec}`)
  return decompress(body, size)
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function uint32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new Error('a length that is cut off')
  return new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true)
}

/** `length` bytes from `at` on, all of which must be there. */
function within(bytes: Uint8Array, at: number, length: number): Uint8Array {
  if (!(at >= 0 && length >= 0 && at + length <= bytes.length)) {
    throw new Error(`${length} bytes at ${at} of ${bytes.length}`)
  }
  return bytes.subarray(at, at + length)
}
