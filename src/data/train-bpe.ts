/** @file Trains a byte-level BPE tokenizer on text and writes it as a Hugging Face tokenizer.json. */
import { RegaugeError } from '../errors.ts'
import { ALPHABET_BYTES, BYTE_TO_CHARACTER } from './byte-alphabet.ts'
import { createPairHeap } from './pair-heap.ts'
import { createPairTable } from './pair-table.ts'
import type { TokenizerJson } from './tokenizer-json.ts'
import { countWords, type WordCounts } from './word-counts.ts'
import { WORD_PATTERNS, type WordPattern } from './word-scanner.ts'
import { resized, unitsToUtf8 } from './word-table.ts'

/** What the trainer needs to know. */
export interface TrainBpeOptions {
  /** Tokens in all: the special ones, the 256 bytes, and as many merges as fit. */
  readonly vocabSize: number
  /** A pair that occurs more seldom is not merged. Default 2. */
  readonly minFrequency?: number
  /** Take the first ids. Default `<|endoftext|>`, which is then what ends a text. */
  readonly specialTokens?: readonly string[]
  /** How text is cut into words, within which pairs are merged. Default `gpt2`. */
  readonly pattern?: WordPattern
}

/**
 * Trains on `documents`, read once. Words are counted first; then the pair of neighbours that occurs most often
 * becomes a token, again and again. Of pairs that occur equally often the one with the smaller ids goes first, so
 * that the same text gives the same tokenizer; merges are those of the trainer of Hugging Face tokenizers.
 * The vocabulary comes out smaller than asked for when no pair is left that occurs `minFrequency` times.
 *
 * Memory grows with the distinct words up to the bound in word-counts.ts, not with the text.
 * Throws RegaugeError: `usage` for a vocabulary without room for the bytes, `data` for a text without words.
 *
 * @example
 * ```ts
 * import { loadTokenizer, openCorpus, trainBpe } from 'regauge'
 *
 * async function* texts() {
 *   for await (const { text } of openCorpus(['books/*.txt'])) yield text
 * }
 * const tokenizer = await loadTokenizer(await trainBpe(texts(), { vocabSize: 4096 }))
 * console.log(tokenizer.encode('Once upon a time'))
 * ```
 */
export async function trainBpe(
  documents: AsyncIterable<string> | Iterable<string>,
  options: TrainBpeOptions,
): Promise<TokenizerJson> {
  const { vocabSize, minFrequency = 2, specialTokens = ['<|endoftext|>'], pattern = 'gpt2' } = options
  const least = 256 + specialTokens.length
  if (!Number.isInteger(vocabSize) || vocabSize < least || vocabSize > 0xffffff) {
    const message = `vocabulary of ${vocabSize} tokens: needs a whole number from ${least} (256 bytes and ${specialTokens.length} special tokens) to ${0xffffff}`
    throw new RegaugeError('usage', { code: 'BPE_VOCAB_SIZE', message })
  }
  if (new Set(specialTokens).size < specialTokens.length || specialTokens.some((token) => token.length < 2)) {
    const message = `special tokens ${JSON.stringify(specialTokens)}: each needs two characters at least, and to be listed once`
    throw new RegaugeError('usage', { code: 'BPE_SPECIAL_TOKENS', message })
  }
  const counts = await countWords(documents, pattern)
  if (counts.words.size === 0) {
    throw new RegaugeError('data', { code: 'BPE_NO_TEXT', message: 'no text to train a tokenizer on' })
  }
  const tokens = [...specialTokens, ...ALPHABET_BYTES.map((byte) => BYTE_TO_CHARACTER[byte]!)]
  const merges = mergePairs(counts, tokens, vocabSize, Math.max(1, minFrequency), specialTokens.length)
  return toTokenizerJson(tokens, merges, specialTokens, pattern)
}

/** Symbols of all words in a row, and how often each word occurs. */
interface Words {
  readonly symbols: Int32Array
  /** Word w is symbols[starts[w] .. starts[w] + lengths[w]). Merging shortens words in place. */
  readonly starts: Int32Array
  readonly lengths: Int32Array
  readonly counts: Float64Array
}

function spell({ words, counts }: WordCounts, firstByteId: number): Words {
  const idOfByte = new Int32Array(256)
  for (const [i, byte] of ALPHABET_BYTES.entries()) idOfByte[byte] = firstByteId + i
  const starts = new Int32Array(words.size)
  const lengths = new Int32Array(words.size)
  let symbols = new Int32Array(words.unitCount * 2)
  let bytes = new Uint8Array(256)
  let at = 0
  for (let w = 0; w < words.size; w++) {
    const units = words.word(w)
    if (units.length * 3 > bytes.length) bytes = new Uint8Array(units.length * 3)
    const length = unitsToUtf8(units, 0, units.length, bytes)
    if (at + length > symbols.length) symbols = resized(symbols, Int32Array, (at + length) * 2)
    starts[w] = at
    lengths[w] = length
    for (let i = 0; i < length; i++) symbols[at++] = idOfByte[bytes[i]!]!
  }
  return { symbols, starts, lengths, counts }
}

/** Merges the most frequent pair until the vocabulary is full. Appends to `tokens`; returns the merges by rank. */
function mergePairs(
  wordCounts: WordCounts,
  tokens: string[],
  vocabSize: number,
  minFrequency: number,
  firstByteId: number,
): [string, string][] {
  const words = spell(wordCounts, firstByteId)
  const { symbols, starts, lengths } = words
  const pairs = createPairTable()
  for (let w = 0; w < lengths.length; w++) {
    const end = starts[w]! + lengths[w]! - 1
    for (let i = starts[w]!; i < end; i++) {
      const pair = pairs.intern(symbols[i]!, symbols[i + 1]!)
      pairs.add(pair, words.counts[w]!)
      pairs.remember(pair, w)
    }
  }
  const heap = createPairHeap(pairs.left, pairs.right)
  for (let pair = 0; pair < pairs.size(); pair++) heap.push(pairs.count(pair), pair)

  // Two merges may give the same string; it is then one token.
  const idOfToken = new Map(tokens.map((token, id) => [token, id]))
  const merges: [string, string][] = []
  const grown = new Set<number>()
  while (tokens.length < vocabSize && heap.size() > 0) {
    const claimed = heap.topCount()
    const best = heap.pop()
    const count = pairs.count(best)
    if (count !== claimed) {
      // Counted before other merges took some of it. It goes back to where it belongs.
      if (count > 0) heap.push(count, best)
      continue
    }
    if (count < minFrequency) break
    const left = pairs.left(best)
    const right = pairs.right(best)
    const token = tokens[left]! + tokens[right]!
    const merged = idOfToken.get(token) ?? tokens.length
    if (merged === tokens.length) {
      idOfToken.set(token, merged)
      tokens.push(token)
    }
    merges.push([tokens[left]!, tokens[right]!])
    grown.clear()
    pairs.drain(best, (w) => {
      const start = starts[w]!
      const end = start + lengths[w]!
      const weight = words.counts[w]!
      let to = start
      for (let from = start; from < end; to++) {
        if (from + 1 < end && symbols[from] === left && symbols[from + 1] === right) {
          pairs.add(best, -weight)
          if (to > start) {
            const before = symbols[to - 1]!
            pairs.add(pairs.intern(before, left), -weight)
            gain(before, merged, w, weight)
          }
          if (from + 2 < end) {
            const after = symbols[from + 2]!
            pairs.add(pairs.intern(right, after), -weight)
            gain(merged, after, w, weight)
          }
          symbols[to] = merged
          from += 2
        } else {
          symbols[to] = symbols[from]!
          from++
        }
      }
      lengths[w] = to - start
    })
    for (const pair of grown) if (pairs.count(pair) > 0) heap.push(pairs.count(pair), pair)
  }
  return merges

  function gain(left: number, right: number, word: number, weight: number): void {
    const pair = pairs.intern(left, right)
    pairs.add(pair, weight)
    pairs.remember(pair, word)
    grown.add(pair)
  }
}

function toTokenizerJson(
  tokens: readonly string[],
  merges: [string, string][],
  specialTokens: readonly string[],
  pattern: WordPattern,
): TokenizerJson {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true }
  const split = {
    type: 'Split',
    pattern: { Regex: WORD_PATTERNS[pattern] },
    behavior: 'Isolated',
    invert: false,
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer:
      pattern === 'gpt2'
        ? { ...byteLevel, use_regex: true }
        : { type: 'Sequence', pretokenizers: [split, { ...byteLevel, use_regex: false }] },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  }
}
