/** @file Loads a tokenizer.json: byte-level BPE runs on the encoder here, any other on @huggingface/tokenizers. */
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers'
import { RegaugeError } from '../errors.ts'
import { createByteLevelTokenizer } from './byte-level.ts'
import type { Tokenizer } from './tokenizer.ts'
import { type CheckedTokenizer, checkTokenizerJson, type TokenizerJson } from './tokenizer-json.ts'

/** Names under which tokenizers of published models have their end-of-text token, in the order of preference. */
const END_OF_TEXT = [
  '<|endoftext|>',
  '<|end_of_text|>',
  '</s>',
  '<|end▁of▁sentence|>',
  '<eos>',
  '<|return|>',
  '<|im_end|>',
]

/**
 * Loads a tokenizer from the path of a tokenizer.json (or of a folder that holds one), or from its parsed content.
 * The end-of-text token is `options.eosToken`; else what a tokenizer_config.json beside the file names; else the
 * first of the usual names that is an added token.
 *
 * The encoder here takes byte-level BPE: model BPE with all 256 bytes in the vocabulary, no dropout, prefix or
 * suffix; normalizer none or NFC; pre-tokenizer ByteLevel without prefix space, or one of the Split expressions in
 * word-scanner.ts followed by ByteLevel; decoder ByteLevel; added tokens that do not strip or ask for word borders.
 * Everything else goes to @huggingface/tokenizers. Truncation, padding and the post-processor are not applied.
 *
 * Throws RegaugeError of kind `data` for a file that is missing, not JSON, or damaged.
 */
export async function loadTokenizer(
  source: string | TokenizerJson,
  options: { readonly eosToken?: string } = {},
): Promise<Tokenizer> {
  if (typeof source !== 'string')
    return build(checkTokenizerJson(source, 'tokenizer'), {}, options.eosToken, 'tokenizer')
  const file = source.endsWith('.json') ? source : join(source, 'tokenizer.json')
  const checked = checkTokenizerJson(await readJson(file), file)
  const configFile = join(dirname(file), 'tokenizer_config.json')
  const config = await readJson(configFile, true)
  return build(checked, isConfig(config) ? config : {}, options.eosToken, file)
}

interface TokenizerConfig {
  readonly eos_token?: unknown
}

function isConfig(value: unknown): value is TokenizerConfig {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function build(
  checked: CheckedTokenizer,
  config: TokenizerConfig,
  eosToken: string | undefined,
  file: string,
): Tokenizer {
  const { json, vocab } = checked
  const idOf = new Map((json.added_tokens ?? []).map((token) => [token.content, token.id]))
  const find = (content: string): number | undefined => idOf.get(content) ?? vocab.get(content)
  let eosId: number | undefined
  if (eosToken !== undefined) {
    eosId = find(eosToken)
    if (eosId === undefined) {
      const message = `has no token ${JSON.stringify(eosToken)}, which is to end a text`
      throw new RegaugeError('data', { code: 'TOKENIZER_NO_EOS', message, file })
    }
  } else {
    const named = config.eos_token
    const content = isConfig(named) ? (named as { content?: unknown }).content : named
    const usual = END_OF_TEXT.find((name) => idOf.has(name))
    if (typeof content === 'string') eosId = find(content)
    else if (usual !== undefined) eosId = idOf.get(usual)
  }
  const core = createByteLevelTokenizer(checked) ?? createLibraryTokenizer(checked, config, file)
  return { ...core, json, ...(eosId === undefined ? {} : { eosId }) }
}

/** Any tokenizer, by @huggingface/tokenizers. */
function createLibraryTokenizer(
  { json, contents }: CheckedTokenizer,
  config: TokenizerConfig,
  file: string,
): Omit<Tokenizer, 'json'> {
  let library: LibraryTokenizer
  try {
    library = new LibraryTokenizer(json, config)
  } catch (error) {
    const message = `@huggingface/tokenizers cannot load it: ${(error as Error).message}`
    throw new RegaugeError('data', { code: 'TOKENIZER_UNSUPPORTED', message, file }, { cause: error })
  }
  const decoding = { skip_special_tokens: false, clean_up_tokenization_spaces: false }
  return {
    encoder: 'huggingface',
    vocabSize: contents.length,
    encode: (text) => Int32Array.from(library.encode(text, { add_special_tokens: false }).ids),
    decode(ids) {
      const known = Array.from(ids).filter((id) => contents[id] !== undefined)
      return known.length === 0 ? '' : library.decode(known, decoding)
    },
  }
}

/** A parsed JSON file. A missing one is undefined where `optional`. */
async function readJson(file: string, optional = false): Promise<unknown> {
  let text: string
  try {
    if (!(await stat(file)).isFile()) throw Object.assign(new Error('not a file'), { code: 'not a file' })
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (optional && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    const message = code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`
    throw new RegaugeError('data', { code: 'TOKENIZER_UNREADABLE', message, file }, { cause: error })
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    // A text nested too deep ends as RangeError, a damaged one as SyntaxError.
    const message = `is not JSON: ${(error as Error).message.slice(0, 120)}`
    throw new RegaugeError('data', { code: 'TOKENIZER_NOT_JSON', message, file }, { cause: error })
  }
}
