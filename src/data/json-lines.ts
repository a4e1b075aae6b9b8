/** @file Documents from JSON lines: one object a line, the text in one field. */
import { nearest, RegaugeError } from '../errors.ts'
import { decodeUtf8, hasByteOrderMark, readBytes } from './byte-source.ts'
import type { SourceFile } from './source-files.ts'

/** A line has to fit in memory; above this it is taken for a file that is not JSON lines. */
const MAX_LINE_BYTES = 1 << 28

/**
 * The texts of a file of JSON lines. Lines of white space are passed over; a text that is null counts as empty.
 * Throws RegaugeError of kind `data` with the number of the line that is no object or has no such field.
 */
export async function* readJsonLines(file: SourceFile, field: string): AsyncGenerator<string> {
  let line = 0
  let first = true
  for await (const { bytes, offset } of readLines(file)) {
    line++
    const text = decodeUtf8(bytes, file, offset)
    if (text.trim() === '') continue
    yield textOf(text, field, file.path, line, first ? whole(text) : undefined)
    first = false
  }
}

/** What to do about a file that begins as one JSON value over many lines, or one list of all documents. */
function whole(text: string): string | undefined {
  const list = /^\s*\[/.test(text)
  if (!list && text.trim() !== '{') return undefined
  return `an object a line is needed: jq -c ${list ? "'.[]'" : '.'} makes that of ${list ? 'a list' : 'objects'}`
}

function textOf(json: string, field: string, file: string, line: number, remedy: string | undefined): string {
  const fail = (message: string, hint?: string): RegaugeError =>
    new RegaugeError('data', {
      code: 'DATA_BAD_LINE',
      message,
      file,
      line,
      ...(hint === undefined ? {} : { hint }),
    })
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw fail(`is not JSON: ${(error as Error).message.slice(0, 120)}`, remedy)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fail(`is not a JSON object, but ${json.trim().slice(0, 40)}`, remedy)
  }
  if (!Object.hasOwn(value, field)) throw fail(missingField('field', field, Object.keys(value)), FIELD_HINT)
  const text = (value as Record<string, unknown>)[field]
  if (text === null) return ''
  if (typeof text !== 'string') throw fail(`field "${field}" is not a string, but ${describe(text)}`)
  if (/\p{Surrogate}/u.test(text))
    throw fail(`field "${field}" holds half of a surrogate pair, which is no character`)
  return text
}

/** A value that is no string; what nests is not written out, since it may nest without end. */
function describe(value: unknown): string {
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : String(value)
}

const FIELD_HINT = 'say which field holds the text'

/** The wording for a field or column that is not there. */
export function missingField(what: string, name: string, names: readonly string[]): string {
  const near = nearest(name, names)
  const all = names.slice(0, 12).join(', ') + (names.length > 12 ? ', …' : '')
  return `has no ${what} "${name}" (${near === undefined ? `it has: ${all}` : `did you mean "${near}"?`})`
}

/** The lines of a file, without line feeds, each with the offset of its first byte. */
async function* readLines(file: SourceFile): AsyncGenerator<{ bytes: Uint8Array; offset: number }> {
  let parts: Uint8Array[] = [] // the beginning of a line whose end has not come yet
  let length = 0
  let offset = 0 // of the line
  let line = 1
  const take = (end: Uint8Array): { bytes: Uint8Array; offset: number } => {
    const bytes = parts.length === 0 ? end : Buffer.concat([...parts, end])
    const found =
      offset === 0 && hasByteOrderMark(bytes) ? { bytes: bytes.subarray(3), offset: 3 } : { bytes, offset }
    offset += bytes.length + 1
    parts = []
    length = 0
    line++
    return found
  }
  for await (const chunk of readBytes(file)) {
    let start = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      yield take(chunk.subarray(start, at))
      start = at + 1
    }
    if (start === chunk.length) continue
    parts.push(chunk.subarray(start))
    length += chunk.length - start
    if (length > MAX_LINE_BYTES) {
      const message = `is longer than ${MAX_LINE_BYTES / 2 ** 20} MiB`
      throw new RegaugeError('data', { code: 'DATA_BAD_LINE', message, file: file.path, line })
    }
  }
  if (length > 0) yield take(new Uint8Array(0))
}
