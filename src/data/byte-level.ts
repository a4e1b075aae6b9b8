/** @file The tokenizer of byte-level BPE models, for those tokenizer.json that the encoder here covers. */
import { type AddedTokenSplitter, createAddedTokenSplitter } from './added-tokens.ts'
import { createBpeEncoder, type IdBuffer } from './bpe-encoder.ts'
import { BYTE_TO_CHARACTER, fromAlphabet } from './byte-alphabet.ts'
import { normalizeNfc } from './nfc.ts'
import type { Tokenizer } from './tokenizer.ts'
import type { CheckedTokenizer, ComponentJson } from './tokenizer-json.ts'
import { WORD_PATTERNS, WORD_SCANNERS, type WordPattern, type WordScanner } from './word-scanner.ts'

/** The tokenizer of a checked tokenizer.json, or null when it is not of the kind described at `loadTokenizer`. */
export function createByteLevelTokenizer(checked: CheckedTokenizer): Omit<Tokenizer, 'json'> | null {
  const { json, vocab, contents, merges } = checked
  const { model, normalizer } = json
  const scan = scannerOf(json.pre_tokenizer)
  if (scan === null || (model.type ?? 'BPE') !== 'BPE' || model.merges === undefined) return null
  if (model.dropout || model.continuing_subword_prefix || model.end_of_word_suffix) return null
  if (normalizer && normalizer.type !== 'NFC') return null
  if (json.decoder?.type !== 'ByteLevel') return null
  const added = json.added_tokens ?? []
  if (added.some((token) => token.single_word || token.lstrip || token.rstrip)) return null
  const byteIds = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    const id = vocab.get(BYTE_TO_CHARACTER[byte]!)
    if (id === undefined) return null
    byteIds[byte] = id
  }

  const encodeText = createBpeEncoder({
    scan,
    byteIds,
    merges,
    ...(model.ignore_merges ? { wholeWords: vocab } : {}),
  })

  const normalize = normalizer ? normalizeNfc : (text: string) => text
  // Tokens that are found in the text as it is go first, then those that are found in normalized text.
  const raw = createAddedTokenSplitter(
    new Map(added.filter((t) => !isNormalized(t)).map((t) => [t.content, t.id])),
  )
  const normalized = createAddedTokenSplitter(
    new Map(added.filter(isNormalized).map((t) => [normalize(t.content), t.id])),
  )

  const buffer: IdBuffer = { ids: new Int32Array(1 << 12), length: 0 }
  const put = (id: number): void => {
    if (buffer.length === buffer.ids.length) {
      const ids = new Int32Array(buffer.length * 2)
      ids.set(buffer.ids)
      buffer.ids = ids
    }
    buffer.ids[buffer.length++] = id
  }
  const encodePieces = (
    text: string,
    split: AddedTokenSplitter | null,
    then: (text: string) => void,
  ): void => {
    if (split === null) then(text)
    else for (const piece of split(text)) typeof piece === 'number' ? put(piece) : then(piece)
  }

  const addedIds = new Set(added.map((token) => token.id))
  const known: Uint8Array[] = new Array(contents.length)
  const tokenBytes = (id: number): Uint8Array => {
    const found = known[id]
    if (found !== undefined) return found
    const content = contents[id]
    if (content === undefined) return NOTHING
    // An added token stands for its own UTF-8, as does a token with a character out of the alphabet.
    const bytes = addedIds.has(id) ? null : fromAlphabet(content)
    known[id] = bytes ?? Buffer.from(content, 'utf8')
    return known[id]
  }
  return {
    encoder: 'regauge',
    vocabSize: contents.length,
    encode(text) {
      buffer.length = 0
      encodePieces(text, raw, (piece) =>
        encodePieces(normalize(piece), normalized, (rest) => encodeText(rest, buffer)),
      )
      return buffer.ids.slice(0, buffer.length)
    },
    decode: (ids) => Buffer.concat(Array.from(ids, tokenBytes)).toString('utf8'),
    tokenBytes,
  }
}

const NOTHING = new Uint8Array(0)

function isNormalized(token: { normalized?: boolean; special?: boolean }): boolean {
  return token.normalized ?? !token.special
}

/** The scanner that does what a pre-tokenizer says, or null when none here does. */
function scannerOf(preTokenizer: ComponentJson | null | undefined): WordScanner | null {
  if (!preTokenizer) return null
  if (preTokenizer.type === 'ByteLevel') {
    return preTokenizer.add_prefix_space === false && preTokenizer.use_regex !== false
      ? WORD_SCANNERS.gpt2
      : null
  }
  const parts = preTokenizer.type === 'Sequence' ? preTokenizer.pretokenizers : null
  if (!Array.isArray(parts) || parts.length !== 2) return null
  const [split, bytes] = parts as ComponentJson[]
  if (split?.type !== 'Split' || bytes?.type !== 'ByteLevel') return null
  if (bytes.add_prefix_space !== false || bytes.use_regex !== false) return null
  // The words tile the text, so that to isolate them or to remove what lies between is the same.
  const tiles = split.invert ? split.behavior === 'Removed' : split.behavior === 'Isolated'
  const regex = (split.pattern as { Regex?: unknown } | undefined)?.Regex
  const known = Object.entries(WORD_PATTERNS).find(([, pattern]) => pattern === regex)
  return tiles && known !== undefined ? WORD_SCANNERS[known[0] as WordPattern] : null
}
