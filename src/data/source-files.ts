/** @file From files, folders and globs to the list of files of a corpus, in an order that is always the same. */
import { readdir, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { RegaugeError } from '../errors.ts'

/** What a file holds, by its name. */
export type Format = 'text' | 'jsonl' | 'parquet'

/** How a file is packed, by its name. */
export type Packing = 'none' | 'gzip' | 'zstd'

/** A file of a corpus. */
export interface SourceFile {
  readonly path: string
  readonly format: Format
  readonly packing: Packing
}

/** Endings that a folder is searched for; a file that is named or matched by a glob may have any. */
const FOLDER_ENDING = /\.(txt|text|md|jsonl|ndjson|parquet)(\.gz|\.zst)?$/i

/** The format of a file. Anything that is not known by its ending is text. */
export function describeFile(path: string): SourceFile {
  const name = path.toLowerCase()
  const packing: Packing = name.endsWith('.gz') ? 'gzip' : name.endsWith('.zst') ? 'zstd' : 'none'
  const inner = packing === 'none' ? name : name.slice(0, name.lastIndexOf('.'))
  const format: Format = /\.(jsonl|ndjson|json)$/.test(inner)
    ? 'jsonl'
    : inner.endsWith('.parquet')
      ? 'parquet'
      : 'text'
  return { path, format, packing }
}

/**
 * The files of `sources`, each a file, a folder or a glob, in the order given and sorted by name within each; a file
 * that comes twice is taken once. A folder stands for all files in it, at any depth, that end in txt, text, md,
 * jsonl, ndjson or parquet, or one of these with .gz or .zst. A glob knows `*`, `?`, `**`, `[a-z]`, `[!a-z]` and
 * `{a,b}`; what is there by the very name is no pattern. Names that begin with a dot are passed over unless the source
 * spells out the dot.
 * Throws RegaugeError of kind `data` with every source that gives no file.
 */
export async function listSourceFiles(sources: readonly string[]): Promise<SourceFile[]> {
  if (sources.length === 0) {
    throw new RegaugeError('data', {
      code: 'DATA_NO_SOURCE',
      message: 'no data: no file, folder or glob is named',
    })
  }
  const paths = new Set<string>()
  const issues = []
  for (const source of sources) {
    const found = await expand(source)
    if (Array.isArray(found)) for (const path of found) paths.add(path)
    else issues.push({ code: 'DATA_NOT_FOUND', file: source, ...found })
  }
  if (issues.length > 0) throw new RegaugeError('data', issues)
  return [...paths].map(describeFile)
}

async function expand(source: string): Promise<string[] | { message: string; hint?: string }> {
  const info = await stat(source).catch((error: NodeJS.ErrnoException) => error)
  if (!(info instanceof Error)) {
    if (info.isFile()) return [source]
    if (!info.isDirectory()) return { message: 'is neither a file nor a folder' }
    const files = (await walk(source)).filter((path) => FOLDER_ENDING.test(path)).sort(byCodeUnits)
    const hint =
      'a folder is searched for .txt, .md, .jsonl, .ndjson and .parquet; name other files by a glob'
    return files.length > 0 ? files : { message: 'no file of text in this folder', hint }
  }
  if (info.code !== 'ENOENT' && info.code !== 'ENOTDIR') return { message: `cannot be read (${info.code})` }
  if (!/[*?[{]/.test(source)) return { message: 'no such file or folder' }
  const files = await glob(source)
  return files.length > 0 ? files.sort(byCodeUnits) : { message: 'no file matches' }
}

/** Not by locale: the order must be the same on every machine. */
function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** All files under a folder. Hidden names and links to folders are passed over. */
async function walk(folder: string): Promise<string[]> {
  const files: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) files.push(...(await walk(path)))
    else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(path)))) files.push(path)
  }
  return files
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  )
}

/**
 * The files that match a pattern, with `/` between its parts. Its leading folders are taken by their names as far as
 * they are there, so that a folder called `my [runs]` is no pattern.
 */
export async function glob(pattern: string): Promise<string[]> {
  const parts = (sep === '/' ? pattern : pattern.replaceAll(sep, '/')).split('/')
  let there = 0
  while (there < parts.length - 1 && (await isFolder(`${parts.slice(0, there + 1).join('/')}/`))) there++
  const root = there === 0 ? '' : `${parts.slice(0, there).join('/')}/`
  const found = new Set<string>()
  for (const plain of expandBraces(parts.slice(there).join('/'))) await match(root, plain.split('/'), found)
  return [...found]
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  )
}

async function match(folder: string, parts: readonly string[], found: Set<string>): Promise<void> {
  const [part, ...rest] = parts
  if (part === undefined) return
  if (part === '') return match(folder, rest, found)
  if (part !== '**' && !/[*?[]/.test(part)) {
    const path = join(folder, part)
    if (rest.length > 0) return match(path, rest, found)
    if (await isFile(path)) found.add(path)
    return
  }
  const entries = await readdir(folder === '' ? '.' : folder, { withFileTypes: true }).catch(() => [])
  if (part === '**') {
    await match(folder, rest.length === 0 ? ['*'] : rest, found)
    for (const entry of entries) {
      if (entry.isDirectory() && !entry.name.startsWith('.'))
        await match(join(folder, entry.name), parts, found)
    }
    return
  }
  const expression = partExpression(part)
  for (const entry of entries) {
    if (!expression.test(entry.name) || (entry.name.startsWith('.') && !part.startsWith('.'))) continue
    const path = join(folder, entry.name)
    if (rest.length > 0) await match(path, rest, found)
    else if (await isFile(path)) found.add(path)
  }
}

/** One part of a pattern as a regular expression on a name. */
function partExpression(part: string): RegExp {
  let source = ''
  for (let i = 0; i < part.length; i++) {
    const character = part[i]!
    const close = character === '[' ? part.indexOf(']', i + 2) : -1
    if (character === '*') source += '.*'
    else if (character === '?') source += '.'
    else if (close > 0) {
      const inside = part.slice(i + 1, close).replace(/[\\\]^]/g, '\\$&')
      source += inside.startsWith('!') ? `[^${inside.slice(1)}]` : `[${inside}]`
      i = close
    } else source += character.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  }
  return new RegExp(`^${source}$`, 'su')
}

/** `a{b,c}d` as `abd` and `acd`; braces nest. A brace without a partner or a comma stands for itself. */
function expandBraces(pattern: string): string[] {
  for (let open = pattern.indexOf('{'); open >= 0; open = pattern.indexOf('{', open + 1)) {
    const commas: number[] = []
    let depth = 0
    for (let i = open; i < pattern.length; i++) {
      if (pattern[i] === '{') depth++
      else if (pattern[i] === ',' && depth === 1) commas.push(i)
      else if (pattern[i] === '}' && --depth === 0) {
        if (commas.length === 0) break
        const cuts = [open, ...commas, i]
        return cuts.slice(1).flatMap((cut, n) => {
          const choice = pattern.slice(cuts[n]! + 1, cut)
          return expandBraces(pattern.slice(0, open) + choice + pattern.slice(i + 1))
        })
      }
    }
  }
  return [pattern]
}
