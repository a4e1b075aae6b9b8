/** @file Documents from parquet: one string column, row group by row group, read by ranges of the file. */
import { createWriteStream } from 'node:fs'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type FileMetaData, parquetMetadataAsync, parquetRead, parquetSchema } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { RegaugeError } from '../errors.ts'
import { decodeUtf8, readBytes } from './byte-source.ts'
import { missingField } from './json-lines.ts'
import type { SourceFile } from './source-files.ts'

/** A column of a row group is decoded in one piece: above this it is taken for damage. */
const MAX_COLUMN_BYTES = 2 ** 30
/** Rows of a row group; writers put at most a million. */
const MAX_GROUP_ROWS = 2 ** 24

/**
 * The texts of one column. Null counts as empty. Needs as much memory as the column takes in the largest row group.
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
    const metadata = await attempt(file, 'its footer', () => parquetMetadataAsync(buffer))
    checkMetadata(file, metadata, column, buffer.byteLength)
    const parsers = {
      stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decodeUtf8(bytes, file, 0),
    }
    let rowStart = 0
    for (const [index, group] of metadata.row_groups.entries()) {
      const rowEnd = rowStart + Number(group.num_rows)
      const rows: unknown[] = []
      await attempt(file, `row group ${index}`, () =>
        parquetRead({
          file: buffer,
          metadata,
          columns: [column],
          rowStart,
          rowEnd,
          compressors,
          parsers,
          onComplete: (found: unknown[][]) => {
            for (const row of found) rows.push(row[0])
          },
        }),
      )
      for (const text of rows) yield checkText(text, file, column)
      rowStart = rowEnd
    }
  } finally {
    await handle.close()
  }

  /** Bytes from `start` to `end`. Never more than the file has, whatever it says of itself. */
  async function slice(start: number, end?: number): Promise<ArrayBuffer> {
    const { size } = await handle.stat()
    const stop = Math.min(end ?? size, size)
    if (start < 0 || start > stop) throw new Error(`bytes ${start} to ${end} lie outside of the file`)
    const bytes = new Uint8Array(stop - start)
    await handle.read(bytes, 0, bytes.length, start)
    return bytes.buffer
  }
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
function checkMetadata(file: SourceFile, metadata: FileMetaData, column: string, size: number): void {
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
    if (!(rows >= 0 && rows <= MAX_GROUP_ROWS)) throw fail(`row group ${index} claims ${rows} rows`)
    const chunk = group.columns.find((c) => c.meta_data?.path_in_schema[0] === column)?.meta_data
    if (chunk === undefined) throw fail(`row group ${index} has no column "${column}"`)
    const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset)
    const packed = Number(chunk.total_compressed_size)
    const unpacked = Number(chunk.total_uncompressed_size)
    const values = Number(chunk.num_values)
    if (!(start >= 4 && packed >= 0 && start + packed <= size)) {
      throw fail(`row group ${index} lies at bytes ${start} to ${start + packed} of ${size}`)
    }
    if (!(unpacked >= 0 && unpacked <= MAX_COLUMN_BYTES)) {
      throw fail(
        `row group ${index} claims ${unpacked} bytes in column "${column}"`,
        'write smaller row groups',
      )
    }
    if (values !== rows) throw fail(`row group ${index} claims ${values} values for ${rows} rows`)
  }
}

function checkText(value: unknown, file: SourceFile, column: string): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'string') return value
  const message = `column "${column}" holds ${typeof value}, not text`
  throw new RegaugeError('data', { code: 'DATA_BAD_PARQUET', message, file: file.path })
}
