/** @file YAML and JSON that people write: parsed within bounds, and every value with its line and column. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'
import { type Issue, RegaugeError } from '../../errors.ts'
import type { Path } from './introspect.ts'

/** A place for a person: a file with line and column, or a flag of the command line. */
export type Place = Pick<Issue, 'file' | 'line' | 'column'>

/** A file as it was read, before it is checked. */
export interface Source {
  readonly value: unknown
  /** Where the value at `path` (or its key) stands; what is missing is where its parent is. */
  locate(path: Path, atKey?: boolean): Place
  /** What is wrong with the text but does not keep it from being checked further. */
  readonly issues: readonly Issue[]
}

export const MAX_FILE_BYTES = 1 << 18
const MAX_DEPTH = 100
const MAX_VALUES = 100_000
const MAX_ALIASES = 100
/** More syntax errors than these follow from the first ones. */
const MAX_SYNTAX_ERRORS = 5

/** What a file is called in messages (`run file`), and the prefix of their codes (`RUN`). */
export interface FileKind {
  readonly name: string
  readonly prefix: string
}

/** Parses YAML, or JSON as the subset of YAML that it is. */
export function parseSource(bytes: Uint8Array, file: string, kind: FileKind): Source {
  const { prefix } = kind
  const text = decode(bytes, file, kind)
  const lines = new LineCounter()
  const issue = (code: string, message: string, offset: number, hint?: string): Issue => {
    const { line, col } = lines.linePos(offset)
    return { code, message, file, line, column: col, ...(hint !== undefined && { hint }) }
  }
  const tooDeep = depthExceeded(text)
  if (tooDeep !== undefined) {
    lines.addNewLine(0)
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1)
    throw new RegaugeError(
      'usage',
      issue(`${prefix}_SYNTAX`, `nested deeper than ${MAX_DEPTH} levels`, tooDeep),
    )
  }

  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
    stringKeys: true,
  })
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    fatal: error.code !== 'DUPLICATE_KEY',
    issue: issue(
      error.code === 'DUPLICATE_KEY' ? `${prefix}_DUPLICATE_KEY` : `${prefix}_SYNTAX`,
      syntaxMessage(error.code, error.message, text, error.pos[0], kind),
      error.pos[0],
    ),
  }))
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return
      const message = `*${alias.source} points to no anchor before it`
      const hint = 'put text that begins with * in quotes'
      syntax.push({ fatal: true, issue: issue(`${prefix}_SYNTAX`, message, alias.range?.[0] ?? 0, hint) })
    },
  })
  if (syntax.some((one) => one.fatal)) {
    const first = syntax.sort((a, b) => (a.issue.line ?? 0) - (b.issue.line ?? 0)).slice(0, MAX_SYNTAX_ERRORS)
    throw new RegaugeError(
      'usage',
      first.map((one) => one.issue),
    )
  }
  const value = toValue(document, file, kind)
  return {
    value,
    issues: syntax.map((one) => one.issue),
    locate: (path, atKey = false) => {
      const { line, col } = lines.linePos(offsetOf(document, path, atKey))
      return { file, line, column: col }
    },
  }
}

function decode(bytes: Uint8Array, file: string, { name, prefix }: FileKind): string {
  const fail = (message: string, hint: string): RegaugeError =>
    new RegaugeError('usage', { code: `${prefix}_SYNTAX`, message, file, hint })
  if (bytes.length > MAX_FILE_BYTES) {
    throw fail(
      `a ${name} of ${bytes.length} bytes exceeds the limit of ${MAX_FILE_BYTES}`,
      'is this the right file?',
    )
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
    throw fail(utf16 ? 'the file is UTF-16, not UTF-8' : 'the file is not UTF-8', 'save it as UTF-8')
  }
  if (text.includes('\0')) throw fail('the file has NUL bytes, so it is not text', 'is this the right file?')
  return text
}

/** Offset of the first token that is nested too deep. The parser recurses, so this is known before it runs. */
function depthExceeded(text: string): number | undefined {
  let flow = 0
  let column = 0
  let offset = 0
  let scalarNext = false
  for (const token of new Lexer().lex(text)) {
    // \x02, \x18 and \x1f are marks of the lexer that stand for no text; after \x1f comes a scalar.
    if (token === '\x02' || token === '\x18' || token === '\x1f') {
      scalarNext = token === '\x1f'
      continue
    }
    if (!scalarNext) {
      if (token === '[' || token === '{') flow += 1
      else if (token === ']' || token === '}') flow -= 1
      // A block level takes at least one column, so the column of its mark bounds the depth.
      const block = flow === 0 && (token === '-' || token === '?')
      if (flow > MAX_DEPTH || (block && column > 2 * MAX_DEPTH)) return offset
      if (flow === 0 && column === 0 && /^ +$/.test(token) && token.length > 2 * MAX_DEPTH) return offset
    }
    scalarNext = false
    offset += token.length
    const newline = token.lastIndexOf('\n')
    column = newline < 0 ? column + token.length : token.length - newline - 1
  }
  return undefined
}

function syntaxMessage(code: string, message: string, text: string, offset: number, kind: FileKind): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'a tab where spaces are needed'
    case 'DUPLICATE_KEY':
      return `key ${JSON.stringify(/^[^\s:]*/.exec(text.slice(offset, offset + 80))![0])} is given twice`
    case 'MULTIPLE_DOCS':
      return `a second document begins here; a ${kind.name} holds one`
    case 'TAG_RESOLVE_FAILED':
      return `unknown tag ${/![^\s]*/.exec(text.slice(offset, offset + 80))?.[0] ?? ''}`.trim()
    default:
      return message.charAt(0).toLowerCase() + message.slice(1)
  }
}

function toValue(document: Document, file: string, { prefix }: FileKind): unknown {
  const fail = (message: string): RegaugeError =>
    new RegaugeError('usage', { code: `${prefix}_SYNTAX`, message, file })
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (cause) {
    if (cause instanceof ReferenceError) throw fail(`aliases repeat more than ${MAX_ALIASES} values`)
    // What is left is a merge key (<<) with something else than mappings.
    throw fail(cause instanceof Error ? cause.message : String(cause))
  }
  let values = 0
  const walk = (node: unknown, depth: number): void => {
    values += 1
    if (depth > MAX_DEPTH || values > MAX_VALUES) throw fail('aliases go in circles or repeat too much')
    if (typeof node === 'object' && node !== null)
      for (const child of Object.values(node)) walk(child, depth + 1)
  }
  walk(value, 0)
  return value
}

/** Offset of the node at `path`, or of the nearest parent that is there. */
function offsetOf(document: Document, path: Path, atKey: boolean): number {
  let node = resolved(document, document.contents)
  let offset = node?.range?.[0] ?? 0
  for (const [depth, key] of path.entries()) {
    if (isMap(node)) {
      const pair = pairOf(document, node.items, String(key))
      if (pair === undefined) return offset
      const keyOffset = (pair.key as Node).range?.[0] ?? offset
      const value = resolved(document, pair.value as Node | null)
      // An empty value has no place of its own; a mapping or list is best shown by its key.
      const useKey = !isScalar(value) || value.value === null || (atKey && depth === path.length - 1)
      offset = useKey ? keyOffset : ((pair.value as Node).range?.[0] ?? keyOffset)
      node = value
    } else if (isSeq(node)) {
      const item = node.items[Number(key)] as Node | undefined
      if (item === undefined) return offset
      offset = item.range?.[0] ?? offset
      node = resolved(document, item)
    } else {
      return offset
    }
  }
  return offset
}

function resolved(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node
}

/** The pair of a mapping with this key, also by way of a merge (`<<`). */
function pairOf(document: Document, items: readonly Pair[], key: string): Pair | undefined {
  const own = items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key)
  if (own !== undefined) return own
  for (const pair of items) {
    if (!isScalar(pair.key) || pair.key.source !== '<<') continue
    const merged = resolved(document, pair.value as Node | null)
    for (const one of isSeq(merged) ? merged.items : [merged]) {
      const map = resolved(document, one as Node | null)
      const found = isMap(map) ? pairOf(document, map.items, key) : undefined
      if (found !== undefined) return found
    }
  }
  return undefined
}
