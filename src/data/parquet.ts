/** @file Documents from parquet: one string column, page by page, read by ranges of the file. */
import { isUtf8 } from 'node:buffer'
import { createWriteStream } from 'node:fs'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import {
  type FileMetaData,
  type PageHeader,
  parquetMetadataAsync,
  parquetSchema,
  type SchemaElement,
} from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { RegaugeError } from '../errors.ts'
import { readBytes } from './byte-source.ts'
import { missingField } from './json-lines.ts'
import { type ColumnState, decodePage } from './parquet-page.ts'
import type { SourceFile } from './source-files.ts'

/** A page header; beyond this it is taken for damage. */
const MAX_HEADER_BYTES = 2 ** 24

/**
 * The texts of one column. Null counts as empty. Memory holds a page and a dictionary at a time.
 * A packed parquet file is unpacked to the system's temporary folder first, since it is read from its end.
 * Throws RegaugeError of kind `data` for a file that is cut off or damaged, or a column that is missing or no text.
 */
export async function* readParquet(file: SourceFile, column: string): AsyncGenerator<string> {
  if (file.packing === 'none') {
    yield* readColumn(file, file.path, column)
    return
  }
  const folder = await mkdtemp(join(tmpdir(), 'regauge-'))
  try {
    const path = join(folder, 'unpacked.parquet')
    await pipeline(readBytes(file), createWriteStream(path))
    yield* readColumn(file, path, column)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function* readColumn(file: SourceFile, path: string, column: string): AsyncGenerator<string> {
  let handle: FileHandle
  try {
    handle = await open(path)
  } catch (error) {
    const message = `cannot be read: ${(error as NodeJS.ErrnoException).code}`
    throw new RegaugeError('data', { code: 'DATA_UNREADABLE', message, file: file.path }, { cause: error })
  }
  try {
    const buffer = { byteLength: (await handle.stat()).size, slice }
    // what a damaged footer is read as may lack any part
    const { metadata, element } = await attempt(file, 'its footer', async () => {
      const metadata = await parquetMetadataAsync(buffer)
      return { metadata, element: checkMetadata(file, metadata, column, buffer.byteLength) }
    })
    for (const [index, group] of metadata.row_groups.entries()) {
      const chunk = group.columns.find((c) => c.meta_data?.path_in_schema[0] === column)!.meta_data!
      const optional = element.repetition_type !== 'REQUIRED'
      const state: ColumnState = { codec: chunk.codec, optional, dictionary: null }
      let at = firstPage(chunk)
      const end = at + Number(chunk.total_compressed_size)
      let left = Number(chunk.num_values)
      while (left > 0) {
        const values = await attempt(file, `row group ${index}`, async () => {
          const { header, length } = await readHeader(slice, at, end)
          const body = new Uint8Array(await slice(at + length, at + length + header.compressed_page_size))
          at += length + body.length
          return decodePage(header, body, state, left)
        })
        for (const value of values) yield value === null ? '' : utf8Of(value, file, column)
        left -= values.length
      }
    }
  } finally {
    await handle.close()
  }

  /** Bytes from `start` to `end`, all of which must be there. */
  async function slice(start: number, end?: number): Promise<ArrayBuffer> {
    const { size } = await handle.stat()
    const stop = end ?? size
    if (!(start >= 0 && start <= stop && stop <= size))
      throw new Error(`bytes ${start} to ${stop} of ${size}`)
    const bytes = new Uint8Array(stop - start)
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done)
      if (bytesRead === 0) throw new Error('the file became shorter while it was read')
      done += bytesRead
    }
    return bytes.buffer
  }
}

/** The page header at `at`. How long it is shows only when it is read: it may carry long statistics. */
async function readHeader(
  slice: (start: number, end: number) => Promise<ArrayBuffer>,
  at: number,
  end: number,
): Promise<{ header: PageHeader; length: number }> {
  for (let room = 1 << 12; ; room *= 16) {
    const stop = Math.min(at + room, end)
    const reader = { view: new DataView(await slice(at, stop)), offset: 0 }
    try {
      const header = parquetHeader(reader)
      if (!(header.compressed_page_size >= 0 && at + reader.offset + header.compressed_page_size <= end)) {
        throw new RangeError(`a page claims ${header.compressed_page_size} bytes of ${end - at}`)
      }
      return { header, length: reader.offset }
    } catch (error) {
      if (stop === end || room >= MAX_HEADER_BYTES) throw error
    }
  }
}

function utf8Of(bytes: Uint8Array, file: SourceFile, column: string): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (isUtf8(buffer)) return buffer.toString('utf8')
  const message = `column "${column}" holds a value that is not UTF-8 (${buffer.toString('hex', 0, 16)}…)`
  throw new RegaugeError('data', { code: 'DATA_NOT_UTF8', message, file: file.path })
}

/** Where a column chunk begins. Some writers give 0 for a dictionary that is not there. */
function firstPage(chunk: { data_page_offset: bigint; dictionary_page_offset?: bigint }): number {
  const data = Number(chunk.data_page_offset)
  const dictionary = Number(chunk.dictionary_page_offset ?? 0)
  return dictionary > 0 ? Math.min(dictionary, data) : data
}

/** Runs a step of the decoder; whatever it throws is an error of the file. */
async function attempt<T>(file: SourceFile, what: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (error instanceof RegaugeError) throw error
    const message = `is not parquet, cut off or damaged at ${what}: ${(error as Error).message}`
    throw new RegaugeError('data', { code: 'DATA_BAD_PARQUET', message, file: file.path }, { cause: error })
  }
}

/** Checks what the footer claims before anything is allocated by it. */
function checkMetadata(
  file: SourceFile,
  metadata: FileMetaData,
  column: string,
  size: number,
): SchemaElement {
  const fail = (message: string, hint?: string): RegaugeError =>
    new RegaugeError('data', {
      code: 'DATA_BAD_PARQUET',
      message,
      file: file.path,
      ...(hint === undefined ? {} : { hint }),
    })
  const { children } = parquetSchema(metadata)
  const element = children.find((child) => child.element.name === column)
  if (element === undefined) {
    const names = children.map((child) => child.element.name)
    throw fail(missingField('column', column, names), 'say which column holds the text')
  }
  if (element.children.length > 0 || element.element.type !== 'BYTE_ARRAY') {
    throw fail(`column "${column}" is ${element.element.type ?? 'nested'}, not text`)
  }
  for (const [index, group] of metadata.row_groups.entries()) {
    const rows = Number(group.num_rows)
    const chunk = group.columns.find((c) => c.meta_data?.path_in_schema[0] === column)?.meta_data
    if (chunk === undefined) throw fail(`row group ${index} has no column "${column}"`)
    const start = firstPage(chunk)
    const packed = Number(chunk.total_compressed_size)
    const values = Number(chunk.num_values)
    if (!(start >= 4 && packed >= 0 && start + packed <= size)) {
      throw fail(`row group ${index} lies at bytes ${start} to ${start + packed} of ${size}`)
    }
    if (!(values >= 0 && values === rows))
      throw fail(`row group ${index} claims ${values} values for ${rows} rows`)
  }
  return element.element
}
