/** @file Which text is trained on and which is held out: one answer for the tokenizer, the shards and the check. */
import { resolve } from 'node:path'
import { RegaugeError } from '../errors.ts'
import { type Document, readFiles } from './corpus.ts'
import { hashOf } from './permutation.ts'
import { listSourceFiles, type SourceFile } from './source-files.ts'

/** What is held out for evaluation: files of its own, or a share of all documents. */
export type HeldOut = { readonly sources: readonly string[] } | { readonly fraction: number }

export interface SplitOptions {
  /** Files, folders and globs; see `openCorpus`. */
  readonly sources: readonly string[]
  readonly heldout: HeldOut
  /** Decides which documents a fraction holds out. Default 0. */
  readonly seed?: number
  /** The field or column that holds the text. Default `text`. */
  readonly field?: string
}

/** The end of a document, held out where a fraction holds out no document as a whole, or all of them. */
export interface Tail {
  /** Number of the document in the corpus, its file, and how many documents there are. */
  readonly document: number
  readonly source: string
  readonly documents: number
  /** UTF-16 units before and in it. */
  readonly start: number
  readonly length: number
}

export type Part = 'train' | 'heldout'

export interface CorpusSplit {
  /** There where documents are too few to be held out as a whole. */
  readonly tail: Tail | undefined
  /** The documents of one part or, a pass over the corpus in its order, of both. */
  documents(part?: Part): AsyncGenerator<Document & { readonly part: Part }>
}

/** The files of a split; `heldout` is null for a fraction. */
export interface SplitFiles {
  readonly train: readonly SourceFile[]
  readonly heldout: readonly SourceFile[] | null
}

/**
 * Splits a corpus. Held-out files are left out of training when both name them. A fraction holds out a document by a
 * hash of the seed and its number in the corpus; where that gives none, or all, the end of the longest document is
 * held out instead, from a paragraph's beginning on, else a line's, else a word's: the fraction of the whole text,
 * and at least 4 Ki UTF-16 units or a tenth of it.
 *
 * Throws RegaugeError of kind `data`: see `openCorpus`; a part that would be empty.
 */
export async function splitCorpus(options: SplitOptions): Promise<CorpusSplit> {
  return splitFiles(await listSplitFiles(options), options)
}

/** The files that a split is made of. */
export async function listSplitFiles({ sources, heldout }: SplitOptions): Promise<SplitFiles> {
  const train = await listSourceFiles(sources)
  if (!('sources' in heldout)) {
    if (!(heldout.fraction > 0 && heldout.fraction < 1)) {
      const message = `held-out fraction is ${heldout.fraction}, expected more than 0 and less than 1`
      throw new RegaugeError('usage', { code: 'DATA_FRACTION', message })
    }
    return { train, heldout: null }
  }
  const held = await listSourceFiles(heldout.sources)
  const heldPaths = new Set(held.map((file) => resolve(file.path)))
  const rest = train.filter((file) => !heldPaths.has(resolve(file.path)))
  if (rest.length === 0) {
    const message = `all ${train.length} files are held out, none is left to train on`
    throw new RegaugeError('data', { code: 'DATA_EMPTY_SPLIT', message })
  }
  return { train: rest, heldout: held }
}

/** As `splitCorpus`, from files that are listed already. */
export async function splitFiles(
  files: SplitFiles,
  { heldout, seed = 0, field = 'text' }: SplitOptions,
): Promise<CorpusSplit> {
  if (!('fraction' in heldout)) {
    async function* named(part?: Part): AsyncGenerator<Document & { part: Part }> {
      for (const each of ['train', 'heldout'] as const) {
        if (part !== undefined && part !== each) continue
        for await (const document of readFiles(files[each]!, { field })) yield { ...document, part: each }
      }
    }
    return { tail: undefined, documents: named }
  }
  const { fraction } = heldout
  const tail = await tailOf(files.train, fraction, seed, field)
  async function* all(): AsyncGenerator<Document & { part: Part }> {
    let number = 0
    for await (const document of readFiles(files.train, { field })) {
      const { text } = document
      if (tail?.document === number) {
        yield { ...document, text: text.slice(0, tail.start), part: 'train' }
        yield { ...document, text: text.slice(tail.start), part: 'heldout' }
      } else {
        const held = tail === undefined && isHeldOut(number, seed, fraction)
        yield { ...document, part: held ? 'heldout' : 'train' }
      }
      number++
    }
  }
  async function* documents(part?: Part): AsyncGenerator<Document & { part: Part }> {
    for await (const document of all()) if (part === undefined || document.part === part) yield document
  }
  return { tail, documents }
}

/** Whether a fraction holds out the document with this number: the same on every machine, whoever reads it. */
function isHeldOut(document: number, seed: number, fraction: number): boolean {
  return hashOf(seed, document) < fraction * 2 ** 32
}

/** Held-out text is at least so long, where that is not more than `MOST_SHARE` of all: less measures nothing. */
const LEAST = 1 << 12
const MOST_SHARE = 0.1

/** The tail to hold out; undefined as soon as a document was met for each part. */
async function tailOf(
  files: readonly SourceFile[],
  fraction: number,
  seed: number,
  field: string,
): Promise<Tail | undefined> {
  let longest = { document: 0, source: '', text: '' }
  let length = 0
  let documents = 0
  const met = { train: false, heldout: false }
  for await (const { text, source } of readFiles(files, { field })) {
    met[isHeldOut(documents, seed, fraction) ? 'heldout' : 'train'] = true
    if (met.train && met.heldout) return undefined
    if (text.length > longest.text.length) longest = { document: documents, source, text }
    length += text.length
    documents++
  }
  const { document, source, text } = longest
  const wanted = Math.ceil(Math.max(fraction * length, Math.min(LEAST, MOST_SHARE * length)))
  const start = tailStart(text, wanted)
  if (start > 0) return { document, source, documents, start, length: text.length - start }
  const message = `no document has more than one character, so that nothing can be held out (${documents} documents)`
  throw new RegaugeError('data', { code: 'DATA_EMPTY_SPLIT', message, hint: 'add text' })
}

/** Where the last `wanted` units of a text begin, moved back to a paragraph, line or word; 0 where it has no two parts. */
function tailStart(text: string, wanted: number): number {
  const at = text.length - Math.min(wanted, Math.floor(0.9 * text.length))
  // at most as much again, and never half of what is trained on
  const least = at - Math.min(wanted, at >> 1)
  const before = text.slice(least, at)
  for (const border of [/\n[^\S\n]*\n\s*/g, /\n/g, /\s+/g]) {
    const last = [...before.matchAll(border)].at(-1)
    const start = last === undefined ? 0 : least + last.index + last[0].length
    if (start > 0 && text.slice(start).trim() !== '' && text.slice(0, start).trim() !== '') return start
  }
  // not between the two halves of a character
  if ((text.charCodeAt(at) & 0xfc00) !== 0xdc00) return at < text.length ? at : 0
  return at + 1 < text.length ? at + 1 : at - 1
}
