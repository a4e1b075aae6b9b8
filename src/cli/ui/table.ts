/** @file Tables of text: columns as wide as they need to be, numbers to the right. */
import { columnsOf, padEnd, padStart } from './text.ts'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** The lines of a table, two spaces between columns; the head is passed through `head` to be coloured. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  head: (text: string) => string = (text) => text,
): string[] {
  const widths = columns.map(({ title }, i) =>
    Math.max(columnsOf(title), ...rows.map((row) => columnsOf(row[i] ?? ''))),
  )
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, i) => (align === 'right' ? padStart : padEnd)(cells[i] ?? '', widths[i]!))
      .join('  ')
      .trimEnd()
  const titled = columns.some(({ title }) => title !== '')
  return [...(titled ? [head(line(columns.map(({ title }) => title)))] : []), ...rows.map(line)]
}
