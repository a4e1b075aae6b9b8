/** @file Reads tables with bounds: every problem names the file, the line, and what stood there. */
import { readFileSync, statSync } from 'node:fs'
import { type Issue, RegaugeError } from '../../src/errors.ts'

const MAX_FILE_BYTES = 64 * 2 ** 20
const MAX_ISSUES = 20

/** The most layers of a model that was measured: lists have an entry for each. */
export const MOST_LAYERS = 1024
/** Counts beyond it are mistakes; products of three of them still compare. */
const MOST_COUNT = 1e12

export function readText(file: string): string {
  const fail = (code: string, message: string, cause?: unknown) =>
    new RegaugeError('data', { code, message, file }, { cause })
  try {
    const found = statSync(file)
    // a pipe may have no writer, and a device no end
    if (!found.isFile()) throw fail('EVIDENCE_KIND', 'is not a file')
    if (found.size > MAX_FILE_BYTES) {
      throw fail(
        'EVIDENCE_TOO_LARGE',
        `a table of ${found.size} bytes exceeds the limit of ${MAX_FILE_BYTES}`,
      )
    }
    // spreadsheets begin with a mark of their byte order
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '')
  } catch (cause) {
    if (cause instanceof RegaugeError) throw cause
    throw fail('EVIDENCE_UNREADABLE', `cannot be read (${(cause as NodeJS.ErrnoException).code})`, cause)
  }
}

/** Throws for what is no folder that can be read. */
export function requireFolder(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false })
  if (found?.isDirectory()) return
  throw new RegaugeError('data', {
    code: 'EVIDENCE_FOLDER',
    message: found === undefined ? 'no such folder' : 'is not a folder',
    file: folder,
    hint: 'give the folder of the tables of measured steps',
  })
}

/** Throws when there are issues: the first ones, and how many more there are. */
export function throwIssues(file: string, issues: readonly Issue[]): void {
  if (issues.length === 0) return
  const more = issues.length - MAX_ISSUES
  throw new RegaugeError('data', [
    ...issues.slice(0, MAX_ISSUES),
    ...(more > 0 ? [{ code: 'EVIDENCE_MORE', message: `and ${more} problems more`, file }] : []),
  ])
}

/** Cells of one line by column. */
export interface CsvRow {
  readonly line: number
  text(column: string): string
  /** A number above 0. */
  number(column: string): number
  /** A whole number above 0. */
  count(column: string, most?: number): number
}

/** A CSV file without quotes, as the tables here are: header, then rows; lines with # and no comma are comments, given apart. */
export interface Csv {
  readonly comments: readonly string[]
  readonly rows: readonly CsvRow[]
}

class BadCell extends Error {}

/**
 * Reads a CSV file whose header must hold `columns`; `read` makes a value of each row. Throws a `data` error with all
 * bad cells.
 */
export function readCsv<T>(
  file: string,
  columns: readonly string[],
  read: (row: CsvRow) => T,
): { comments: readonly string[]; values: T[] } {
  const lines = readText(file).split(/\r?\n/)
  const comments: string[] = []
  const values: T[] = []
  const issues: Issue[] = []
  let header: readonly string[] | undefined
  for (const [index, text] of lines.entries()) {
    const line = index + 1
    const fail = (code: string, message: string): number => issues.push({ code, message, file, line })
    // a header may begin with # as well
    if (/^#[^,]*$/.test(text)) comments.push(text.slice(1).trim())
    else if (text.trim() === '') continue
    else if (header === undefined) {
      header = text.split(',')
      const missing = columns.filter((column) => !header?.includes(column))
      if (missing.length > 0) {
        fail('EVIDENCE_COLUMNS', `the header lacks ${missing.map((name) => `"${name}"`).join(', ')}`)
        break
      }
    } else {
      const cells = text.split(',')
      if (cells.length !== header.length) {
        fail('EVIDENCE_CELLS', `${cells.length} cells where the header has ${header.length}`)
        continue
      }
      const names = header
      try {
        values.push(read(rowOf(line, (column) => cells[names.indexOf(column)] ?? '')))
      } catch (error) {
        if (!(error instanceof BadCell)) throw error
        fail('EVIDENCE_CELL', error.message)
      }
    }
  }
  if (header === undefined) issues.push({ code: 'EVIDENCE_EMPTY', message: 'has no header', file })
  throwIssues(file, issues)
  return { comments, values }
}

function rowOf(line: number, cell: (column: string) => string): CsvRow {
  const number = (column: string): number => {
    const text = cell(column).trim()
    const value = Number(text)
    if (text === '' || !Number.isFinite(value) || value <= 0) {
      throw new BadCell(`"${column}" is "${text.slice(0, 40)}", no number above 0`)
    }
    return value
  }
  const count = (column: string, most = MOST_COUNT): number => {
    const value = number(column)
    if (!Number.isSafeInteger(value)) throw new BadCell(`"${column}" is ${value}, no whole number`)
    if (value > most) throw new BadCell(`"${column}" is ${value}, more than ${most}`)
    return value
  }
  return { line, text: cell, number, count }
}

/** Ends the reading of a row whose cell is none of what it can be. */
export function badCell(column: string, value: string, allowed: string): never {
  throw new BadCell(`"${column}" is "${value.slice(0, 40)}", not ${allowed}`)
}
