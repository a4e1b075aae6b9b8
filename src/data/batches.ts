/** @file Batches of token windows, in an order that depends on the seed and the step alone. */
import { RegaugeError } from '../errors.ts'
import { type IndexedDataset, openIndexedDataset } from '../formats/index.ts'
import { permute } from './permutation.ts'

/** The label of a position that does not count. */
export const IGNORED_LABEL = -100

/** Token ids and the ids to predict, both (batchSize, sequenceLength), row major. */
export interface Batch {
  readonly ids: Int32Array
  readonly labels: Int32Array
}

/** Batches for training, at any step, in constant time. */
export interface TrainingBatches {
  /** Windows in the data: an epoch sees each once. */
  readonly sequencesPerEpoch: number
  /**
   * The batch of a step (from 0). Its row i is sequence number step * batchSize + i of the run, so that how a batch
   * is split over micro-batches, chips or workers changes nothing. `epoch` is that of its first row.
   */
  batch(step: number): Promise<Batch & { readonly epoch: number }>
  close(): Promise<void>
}

/** Batches for evaluation: every token once, in plain order. */
export interface EvaluationBatches {
  readonly batchCount: number
  /** Positions that count, over all batches: every token but the first. */
  readonly labelCount: number
  /** Rows and positions after the end of the data have id 0 and label -100. */
  batch(index: number): Promise<Batch>
  close(): Promise<void>
}

/** A dataset and the shape of its batches. */
export interface BatchOptions {
  /** Path of the dataset without `.bin` and `.idx`. */
  readonly prefix: string
  readonly sequenceLength: number
  readonly batchSize: number
}

/**
 * Opens a dataset for training. Its tokens, documents one after another, are cut into windows that begin every
 * `sequenceLength` tokens and are one longer, so that the last position too has a next token to predict. Tokens
 * after the last whole window are not seen. Each epoch goes through the windows in an order of its own.
 * Throws RegaugeError of kind `data` when there is not one window.
 */
export async function openBatches(
  options: BatchOptions & { readonly seed: number },
): Promise<TrainingBatches> {
  const { sequenceLength, batchSize, seed } = options
  const dataset = await open(options)
  const windows = Math.floor((dataset.tokenCount - 1) / sequenceLength)
  if (windows < 1) {
    await dataset.close()
    throw tooShort(options.prefix, dataset.tokenCount, sequenceLength)
  }
  return {
    sequencesPerEpoch: windows,
    async batch(step) {
      const batch = emptyBatch(batchSize * sequenceLength, 0)
      const first = step * batchSize
      await Promise.all(
        Array.from({ length: batchSize }, async (_, row) => {
          const sequence = first + row
          const epoch = Math.floor(sequence / windows)
          const window = permute(sequence % windows, windows, seed, epoch)
          await readWindow(dataset, window * sequenceLength, sequenceLength, batch, row * sequenceLength)
        }),
      )
      return { ...batch, epoch: Math.floor(first / windows) }
    },
    close: () => dataset.close(),
  }
}

/**
 * Opens a dataset for evaluation: the same windows, in plain order, with the last one and the last batch filled up.
 * Throws RegaugeError of kind `data` for a dataset of fewer than two tokens, which has nothing to predict.
 */
export async function openEvaluationBatches(options: BatchOptions): Promise<EvaluationBatches> {
  const { sequenceLength, batchSize } = options
  const dataset = await open(options)
  const labelCount = dataset.tokenCount - 1
  if (labelCount < 1) {
    await dataset.close()
    throw tooShort(options.prefix, dataset.tokenCount, 1)
  }
  const windows = Math.ceil(labelCount / sequenceLength)
  return {
    batchCount: Math.ceil(windows / batchSize),
    labelCount,
    async batch(index) {
      const batch = emptyBatch(batchSize * sequenceLength, IGNORED_LABEL)
      for (let row = 0; row < batchSize; row++) {
        const start = (index * batchSize + row) * sequenceLength
        const length = Math.min(sequenceLength, labelCount - start)
        if (length > 0) await readWindow(dataset, start, length, batch, row * sequenceLength)
      }
      return batch
    },
    close: () => dataset.close(),
  }
}

async function open({ prefix, sequenceLength, batchSize }: BatchOptions): Promise<IndexedDataset> {
  for (const [name, value] of Object.entries({ sequenceLength, batchSize })) {
    if (!(Number.isInteger(value) && value > 0)) {
      const message = `${name} is ${value}, expected a whole number above 0`
      throw new RegaugeError('usage', { code: 'BATCH_SHAPE', message })
    }
  }
  return openIndexedDataset(prefix)
}

function emptyBatch(size: number, label: number): Batch {
  return { ids: new Int32Array(size), labels: new Int32Array(size).fill(label) }
}

/** Copies `length` tokens from `start` on, and the same shifted by one, to position `at` of the batch. */
async function readWindow(
  dataset: IndexedDataset,
  start: number,
  length: number,
  batch: Batch,
  at: number,
): Promise<void> {
  const tokens = await dataset.readTokens(start, length + 1)
  batch.ids.set(tokens.subarray(0, length), at)
  batch.labels.set(tokens.subarray(1), at)
}

function tooShort(prefix: string, tokens: number, sequenceLength: number): RegaugeError {
  return new RegaugeError('data', {
    code: 'DATA_TOO_SHORT',
    message: `has ${tokens} tokens, a sequence needs ${sequenceLength + 1}`,
    file: `${prefix}.bin`,
    hint: sequenceLength > 1 ? 'add text, or choose a shorter sequence length' : 'add text',
  })
}
