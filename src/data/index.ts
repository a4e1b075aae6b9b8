/** @file Data: text to tokenizer, token shards, and batches in an order that depends on the seed alone. */
export {
  type Batch,
  type BatchOptions,
  type EvaluationBatches,
  IGNORED_LABEL,
  openBatches,
  openEvaluationBatches,
  type TrainingBatches,
} from './batches.ts'
export { type CorpusOptions, type Document, openCorpus } from './corpus.ts'
export { loadTokenizer } from './load-tokenizer.ts'
export {
  buildTokenShards,
  openTokenShards,
  requireEndOfText,
  type ShardOptions,
  type Split,
  type TokenShards,
} from './shards.ts'
export { listSourceFiles } from './source-files.ts'
export { type CorpusSplit, type HeldOut, type SplitOptions, splitCorpus, type Tail } from './split.ts'
export { createTextStream, type TextStream } from './text-stream.ts'
export type { Tokenizer } from './tokenizer.ts'
export type { TokenizerJson } from './tokenizer-json.ts'
export { type TrainBpeOptions, trainBpe } from './train-bpe.ts'
export type { WordPattern } from './word-scanner.ts'
