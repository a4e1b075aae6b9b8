/** @file What a tokenizer does, whichever encoder is behind it. */
import type { TokenizerJson } from './tokenizer-json.ts'

/** Text to token ids and back. */
export interface Tokenizer {
  /** One more than the largest id: the rows that an embedding needs at least. */
  readonly vocabSize: number
  /** Ids of `text`. Added tokens in it are found; none is put before or after. */
  encode(text: string): Int32Array
  /** Text of ids, special tokens included. Ids of no token give nothing; bytes that are not UTF-8 give U+FFFD. */
  decode(ids: ArrayLike<number>): string
  /** The bytes that a token stands for; there only when every token stands for bytes (byte-level BPE). */
  readonly tokenBytes?: (id: number) => Uint8Array
  /** The token that ends a text, where one is known. */
  readonly eosId?: number
  readonly json: TokenizerJson
  /** What encodes: the encoder here, or @huggingface/tokenizers for what that does not cover. */
  readonly encoder: 'regauge' | 'huggingface'
}
