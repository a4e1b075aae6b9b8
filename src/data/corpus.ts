/** @file A corpus as a stream of documents: text, JSON lines and parquet, plain or packed, in a fixed order. */
import { RegaugeError } from '../errors.ts'
import { readText } from './byte-source.ts'
import { readJsonLines } from './json-lines.ts'
import { readParquet } from './parquet.ts'
import { listSourceFiles, type SourceFile } from './source-files.ts'

/** One document. */
export interface Document {
  readonly text: string
  /** The file it comes from. */
  readonly source: string
}

/** How to read a corpus. */
export interface CorpusOptions {
  /** The field (JSON lines) or column (parquet) that holds the text. Default `text`. */
  readonly field?: string
}

/** A text file of at most this many UTF-16 units is one document; a larger one is cut. Nor is a piece ever larger. */
const LARGE_FILE = 1 << 20
/** A piece of a large file ends at the first blank line after this many units. */
const PIECE = 1 << 16

/**
 * Streams the documents of files, folders and globs (see `listSourceFiles`), always in the same order.
 *
 * - `.jsonl`, `.ndjson`, `.json`: a document a line, from the field. `.parquet`: a document a row, from the column.
 * - Any other file is text, and one document; above 1 Mi UTF-16 units it is cut at the first blank line after each
 *   64 Ki units, or where there is none at the last line end, else the last space, within 1 Mi units.
 * - `.gz` and `.zst` after the ending say that the file is packed. A byte order mark is dropped.
 * - An empty text, or null in the place of one, is passed over.
 *
 * Memory does not grow with the corpus. Throws RegaugeError of kind `data`: a missing or damaged file, bytes that
 * are not UTF-8 (with the offset), a line without the field (with its number), or a corpus without any text.
 */
export async function* openCorpus(
  sources: readonly string[],
  options: CorpusOptions = {},
): AsyncGenerator<Document> {
  yield* readFiles(await listSourceFiles(sources), options)
}

/** As `openCorpus`, from files that are listed already. */
export async function* readFiles(
  files: readonly SourceFile[],
  { field = 'text' }: CorpusOptions = {},
): AsyncGenerator<Document> {
  let empty = true
  for (const file of files) {
    const texts =
      file.format === 'jsonl'
        ? readJsonLines(file, field)
        : file.format === 'parquet'
          ? readParquet(file, field)
          : readTextFile(file)
    for await (const text of texts) {
      if (text === '') continue
      empty = false
      yield { text, source: file.path }
    }
  }
  if (empty) {
    const message =
      files.length === 1 ? 'holds no text' : `holds no text, nor do the ${files.length - 1} files after`
    throw new RegaugeError('data', { code: 'DATA_EMPTY', message, file: files[0]?.path ?? '' })
  }
}

/** A text file, whole or in pieces that together are the file. */
async function* readTextFile(file: SourceFile): AsyncGenerator<string> {
  let parts: string[] = []
  let length = 0
  let large = false
  for await (const part of readText(file)) {
    parts.push(part)
    length += part.length
    if (length <= LARGE_FILE) continue
    large = true
    let text = parts.join('')
    while (text.length > LARGE_FILE) {
      const cut = pieceEnd(text)
      yield text.slice(0, cut)
      text = text.slice(cut)
    }
    parts = [text]
    length = text.length
  }
  let text = parts.join('')
  while (large && text.length > PIECE) {
    const cut = pieceEnd(text)
    yield text.slice(0, cut)
    text = text.slice(cut)
  }
  yield text
}

/** Where the first piece of a text ends. */
function pieceEnd(text: string): number {
  const blank = /\n[^\S\n]*\n+/g
  blank.lastIndex = PIECE
  if (blank.test(text) && blank.lastIndex <= LARGE_FILE) return blank.lastIndex
  if (text.length <= LARGE_FILE) return text.length
  const line = text.lastIndexOf('\n', LARGE_FILE - 1)
  if (line > PIECE) return line + 1
  const space = text.lastIndexOf(' ', LARGE_FILE - 1)
  if (space > PIECE) return space
  // Not between the two halves of a character.
  return (text.charCodeAt(LARGE_FILE) & 0xfc00) === 0xdc00 ? LARGE_FILE - 1 : LARGE_FILE
}
