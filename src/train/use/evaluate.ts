/** @file Measures a model on held-out text: loss, nats per token and bits per byte. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import {
  IGNORED_LABEL,
  openCorpus,
  openEvaluationBatches,
  openTokenShards,
  type Tokenizer,
} from '../../data/index.ts'
import { RegaugeError } from '../../errors.ts'
import { heldoutLoss } from '../loop.ts'
import { loadRun } from '../run/index.ts'
import { type Batch, createEvaluator } from '../trainer.ts'
import type { Model } from './model.ts'

export interface EvaluateOptions {
  /** Files, folders and globs to measure on; by default the held-out text of the run that the model belongs to. */
  readonly data?: readonly string[]
  /** Key or column that holds the text of jsonl and parquet. Default `text`. */
  readonly field?: string
  /** Most batches; by default all. Of a run's held-out text they are evenly spread, of other text they are the first. */
  readonly batches?: number
}

export interface Evaluation {
  /** Mean cross-entropy, nats per token. */
  readonly loss: number
  readonly bitsPerByte: number
  /** Tokens that were predicted. */
  readonly tokens: number
  readonly sequenceLength: number
  readonly seconds: number
}

/** Sequences at once, and their length where no run gives one. */
const DEFAULTS = { rows: 4, sequenceLength: 1024 }

/**
 * Measures a model. `path` is what it was opened by: a run, one of its checkpoints, or a Hugging Face folder (which
 * needs `data`). Text is cut into windows as in training; each token but the first is predicted once.
 *
 * @example
 * ```ts
 * import { evaluateModel, openModel } from 'regauge'
 *
 * const model = await openModel('llama')
 * const { loss, bitsPerByte } = await evaluateModel(model, 'llama', { data: ['news.txt'] })
 * console.log(loss, bitsPerByte)
 * model.dispose()
 * ```
 */
export async function evaluateModel(
  model: Model,
  path: string,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const folder = runFolderOf(path)
  const run = folder === undefined ? undefined : (await loadRun(join(folder, 'run.yaml'))).run
  const sequenceLength =
    run?.data.sequenceLength ?? Math.min(model.architecture.maxPositions, DEFAULTS.sequenceLength)
  const microBatch = run?.train.microBatchSize ?? DEFAULTS.rows
  const evaluator = await createEvaluator(model.runtime, model.architecture, model.state, {
    microBatch,
    sequenceLength,
  })
  const began = performance.now()
  const most = options.batches ?? Number.POSITIVE_INFINITY
  try {
    if (options.data !== undefined) {
      const packer = packTexts(
        model.tokenizer,
        options.data,
        options.field ?? 'text',
        microBatch,
        sequenceLength,
      )
      const { nats, labels } = await evaluator.evaluate(first(packer.batches, most))
      if (labels === 0) throw nothing(options.data)
      return {
        ...figures(nats / labels, packer.bytesPerToken()),
        tokens: labels,
        sequenceLength,
        seconds: since(began),
      }
    }
    if (folder === undefined) {
      const message = 'there is no held-out text beside this model'
      const hint = 'name the text to measure on (--data)'
      throw new RegaugeError('usage', { code: 'EVAL_NO_DATA', message, file: path, hint })
    }
    const { heldout } = await openTokenShards(join(folder, 'data'))
    const batches = await openEvaluationBatches({
      prefix: heldout.prefix,
      sequenceLength,
      batchSize: microBatch,
    })
    try {
      let tokens = 0
      const counted = {
        evaluate: async (source: AsyncIterable<Batch> | Iterable<Batch>) => {
          const sums = await evaluator.evaluate(source)
          tokens = sums.labels
          return sums
        },
      }
      const text = { ...batches, bytesPerLabel: heldout.bytes / batches.labelCount }
      const { loss, bitsPerByte } = (await heldoutLoss(counted, text, most))!
      return { loss, bitsPerByte, tokens, sequenceLength, seconds: since(began) }
    } finally {
      await batches.close()
    }
  } finally {
    evaluator.dispose()
  }
}

/** The folder of the run that a path belongs to: the path itself, or two above a checkpoint. */
function runFolderOf(path: string): string | undefined {
  return [path, dirname(dirname(resolve(path)))].find(
    (folder) => existsSync(join(folder, 'run.yaml')) && existsSync(join(folder, 'checkpoints')),
  )
}

function figures(loss: number, bytesPerToken: number): { loss: number; bitsPerByte: number } {
  return { loss, bitsPerByte: loss / Math.LN2 / bytesPerToken }
}

/** Texts one after another, each with the end-of-text token after it, as batches; the last one is filled up. */
function packTexts(
  tokenizer: Tokenizer,
  sources: readonly string[],
  field: string,
  rows: number,
  length: number,
) {
  let bytes = 0
  let tokens = 0
  async function* batches(): AsyncGenerator<Batch> {
    let waiting = new Int32Array(0)
    const size = rows * length
    const batchOf = (count: number): Batch => {
      const ids = new Int32Array(size)
      const labels = new Int32Array(size).fill(IGNORED_LABEL)
      ids.set(waiting.subarray(0, count))
      labels.set(waiting.subarray(1, count + 1))
      // the last token of a batch is the first of the next: each but the very first is predicted once
      waiting = waiting.slice(count)
      return { ids, labels }
    }
    for await (const { text } of openCorpus(sources, { field })) {
      const ids = tokenizer.encode(text)
      const end = tokenizer.eosId === undefined ? [] : [tokenizer.eosId]
      bytes += Buffer.byteLength(text)
      tokens += ids.length + end.length
      waiting = concatenated(waiting, ids, end)
      while (waiting.length > size) yield batchOf(size)
    }
    if (waiting.length > 1) yield batchOf(waiting.length - 1)
  }
  return { batches: batches(), bytesPerToken: () => bytes / tokens }
}

function concatenated(a: Int32Array, b: Int32Array, end: readonly number[]): Int32Array<ArrayBuffer> {
  const all = new Int32Array(a.length + b.length + end.length)
  all.set(a)
  all.set(b, a.length)
  all.set(end, a.length + b.length)
  return all
}

async function* first<T>(items: AsyncIterable<T>, most: number): AsyncGenerator<T> {
  let count = 0
  for await (const item of items) {
    if (count++ >= most) return
    yield item
  }
}

function nothing(sources: readonly string[]): RegaugeError {
  const message = `${sources.join(', ')} has fewer than two tokens: there is nothing to predict`
  return new RegaugeError('data', { code: 'EVAL_EMPTY', message })
}

function since(began: number): number {
  return (performance.now() - began) / 1000
}
