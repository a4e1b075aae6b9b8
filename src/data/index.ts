/** @file Data: text to tokenizer, token shards, and batches in an order that depends on the seed alone. */

export { loadTokenizer, type Tokenizer } from './tokenizer.ts'
export type { TokenizerJson } from './tokenizer-json.ts'
export { type TrainBpeOptions, trainBpe } from './train-bpe.ts'
