/** @file The parts of a Hugging Face tokenizer.json that matter here, and the checks before it is used. */
import { type Issue, RegaugeError } from '../errors.ts'

/** A token that is found in text before anything else is done to it. */
export interface AddedTokenJson {
  id: number
  content: string
  single_word?: boolean
  lstrip?: boolean
  rstrip?: boolean
  normalized?: boolean
  special?: boolean
}

/** A component such as `{type: 'ByteLevel', ...}`. */
export interface ComponentJson {
  type?: string
  [key: string]: unknown
}

/** The model of a tokenizer. `vocab` and `merges` are there when `type` is BPE. */
export interface ModelJson extends ComponentJson {
  vocab?: Record<string, number>
  merges?: ([string, string] | string)[]
  dropout?: number | null
  continuing_subword_prefix?: string | null
  end_of_word_suffix?: string | null
  ignore_merges?: boolean
}

/** A tokenizer.json, as the `tokenizers` packages write it. */
export interface TokenizerJson {
  version?: string
  truncation?: unknown
  padding?: unknown
  added_tokens?: AddedTokenJson[]
  normalizer?: ComponentJson | null
  pre_tokenizer?: ComponentJson | null
  post_processor?: ComponentJson | null
  decoder?: ComponentJson | null
  model: ModelJson
}

/** Above any vocabulary that exists (the largest have 262,144); a larger id is taken for damage. */
const MAX_ID = 0xffffff
/** A damaged file has one problem a line; nobody reads more of them. */
const MAX_ISSUES = 8

/** A tokenizer.json that was checked, with its tables. */
export interface CheckedTokenizer {
  readonly json: TokenizerJson
  /** The id of each token of the model, without added ones. */
  readonly vocab: ReadonlyMap<string, number>
  /** Every token by id, added ones included. Ids may have gaps. */
  readonly contents: readonly (string | undefined)[]
  /** BPE only: left id, right id, merged id of each merge in the order of rank; else empty. */
  readonly merges: Int32Array
}

/**
 * Checks a parsed tokenizer.json: that it has a model, that ids are whole, bounded, and used once, that added tokens
 * agree with the vocabulary, and that merges join known tokens into known ones, each pair once.
 * `file` is what errors name. Throws RegaugeError of kind `data` with the first problems.
 */
export function checkTokenizerJson(json: unknown, file: string): CheckedTokenizer {
  const issues: Issue[] = []
  const report = (code: string, message: string, hint?: string): void => {
    if (issues.length < MAX_ISSUES)
      issues.push({ code, message, file, ...(hint === undefined ? {} : { hint }) })
  }
  if (!isRecord(json) || !isRecord(json.model)) {
    const message = isRecord(json) ? 'has no "model"' : `is ${describe(json)}, not a JSON object`
    throw new RegaugeError('data', { code: 'TOKENIZER_NO_MODEL', message, file, hint: EXPECTED })
  }
  const model = json.model
  const vocab = new Map<string, number>()
  const contents: (string | undefined)[] = []
  const add = (token: string, id: unknown): void => {
    if (!isId(id)) {
      report('TOKENIZER_BAD_ID', `token ${quote(token)} has id ${describe(id)}, expected 0 to ${MAX_ID}`)
    } else if (contents[id] !== undefined) {
      report('TOKENIZER_DUPLICATE_ID', `tokens ${quote(contents[id])} and ${quote(token)} share id ${id}`)
    } else {
      contents[id] = token
      vocab.set(token, id)
    }
  }
  if (isRecord(model.vocab)) for (const token of Object.keys(model.vocab)) add(token, model.vocab[token])
  else if (Array.isArray(model.vocab)) {
    // Unigram: a list of [token, score].
    for (const [id, entry] of model.vocab.entries()) {
      if (Array.isArray(entry) && typeof entry[0] === 'string') add(entry[0], id)
      else
        report('TOKENIZER_BAD_VOCAB', `vocabulary entry ${id} is ${describe(entry)}, expected [token, score]`)
    }
  } else report('TOKENIZER_NO_VOCAB', `model.vocab is ${describe(model.vocab)}`, EXPECTED)
  if (vocab.size === 0 && issues.length === 0) report('TOKENIZER_NO_VOCAB', 'the vocabulary is empty')
  const isBpe = model.type === 'BPE' || (model.type === undefined && model.merges !== undefined)
  const merges = isBpe ? readMerges(model, vocab, report) : new Int32Array(0)
  addAddedTokens(json.added_tokens, vocab, contents, report)
  if (issues.length > 0) throw new RegaugeError('data', issues)
  return { json: json as unknown as TokenizerJson, vocab, contents, merges }
}

const EXPECTED = 'expected a tokenizer.json of Hugging Face tokenizers'

type Report = (code: string, message: string, hint?: string) => void

function addAddedTokens(
  added: unknown,
  vocab: ReadonlyMap<string, number>,
  contents: (string | undefined)[],
  report: Report,
): void {
  if (added === undefined || added === null) return
  if (!Array.isArray(added)) {
    report('TOKENIZER_BAD_ADDED', `added_tokens is ${describe(added)}, expected a list`)
    return
  }
  const seen = new Set<string>()
  for (const [i, token] of added.entries()) {
    if (!isRecord(token) || typeof token.content !== 'string' || !isId(token.id)) {
      report('TOKENIZER_BAD_ADDED', `added token ${i} needs "content" and an "id" from 0 to ${MAX_ID}`)
      continue
    }
    const { content, id } = token as { content: string; id: number }
    const inVocab = vocab.get(content)
    if (seen.has(content)) {
      report('TOKENIZER_DUPLICATE_ADDED', `added token ${quote(content)} is listed twice`)
    } else if (inVocab !== undefined && inVocab !== id) {
      const message = `added token ${quote(content)} has id ${id}, in the vocabulary ${inVocab}`
      report('TOKENIZER_DUPLICATE_ADDED', message)
    } else if (contents[id] !== undefined && contents[id] !== content) {
      const message = `added token ${quote(content)} and ${quote(contents[id])} share id ${id}`
      report('TOKENIZER_DUPLICATE_ID', message)
    }
    seen.add(content)
    contents[id] = content
  }
}

function readMerges(
  model: Record<string, unknown>,
  vocab: ReadonlyMap<string, number>,
  report: Report,
): Int32Array {
  const list = model.merges
  if (!Array.isArray(list)) {
    report('TOKENIZER_BAD_MERGES', `model.merges is ${describe(list)}, expected a list of pairs`)
    return new Int32Array(0)
  }
  const prefix = model.continuing_subword_prefix
  const prefixLength = typeof prefix === 'string' ? prefix.length : 0
  const merges = new Int32Array(list.length * 3)
  const pairs = new Set<number>()
  for (let rank = 0; rank < list.length; rank++) {
    const pair = mergePair(list[rank])
    if (pair === null) {
      report('TOKENIZER_BAD_MERGES', `merge ${rank} is ${describe(list[rank])}, expected two tokens`)
      continue
    }
    const merged = pair[0] + (prefixLength === 0 ? pair[1] : pair[1].slice(prefixLength))
    const left = vocab.get(pair[0])
    const right = vocab.get(pair[1])
    const result = vocab.get(merged)
    if (left === undefined || right === undefined || result === undefined) {
      const unknown = left === undefined ? pair[0] : right === undefined ? pair[1] : merged
      const message = `merge ${rank} (${quote(pair.join(' '))}) names ${quote(unknown)}, which is no token`
      report('TOKENIZER_UNKNOWN_IN_MERGE', message)
      continue
    }
    merges.set([left, right, result], rank * 3)
    pairs.add(left * (MAX_ID + 1) + right)
    if (pairs.size <= rank) {
      report('TOKENIZER_DUPLICATE_MERGE', `merge ${rank} (${quote(pair.join(' '))}) is listed twice`)
      break
    }
  }
  return merges
}

/** The two tokens of a merge, in either of the two spellings `"a b"` and `["a", "b"]`, or null. */
function mergePair(merge: unknown): readonly [string, string] | null {
  if (typeof merge === 'string') {
    const parts = merge.split(' ')
    return parts.length === 2 && parts[0] !== '' && parts[1] !== '' ? [parts[0]!, parts[1]!] : null
  }
  if (!Array.isArray(merge) || merge.length !== 2) return null
  const [left, right] = merge as unknown[]
  return typeof left === 'string' && typeof right === 'string' && left !== '' && right !== ''
    ? [left, right]
    : null
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_ID
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A token for an error message, cut short. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return quote(value)
  return Array.isArray(value) ? `a list of ${value.length}` : 'an object'
}
