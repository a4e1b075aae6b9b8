/** @file From a run's text to its tokenizer and token shards, in the run folder. */
import { existsSync } from 'node:fs'
import { copyFile, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  buildTokenShards,
  type HeldOut,
  loadTokenizer,
  openBatches,
  openEvaluationBatches,
  openTokenShards,
  splitCorpus,
  type Tokenizer,
  type TokenizerJson,
  type TokenShards,
  trainBpe,
} from '../data/index.ts'
import { RegaugeError } from '../errors.ts'
import { CHECKPOINT_FILES as FILES } from './checkpoint/files.ts'
import { writeDurably } from './checkpoint/write.ts'
import { requireSequence, textNotes } from './estimate/text-size.ts'
import type { RunText } from './prepare.ts'
import type { ResolvedRun } from './run/index.ts'

/**
 * The tokenizer of a run, as `tokenizer.json` and `tokenizer_config.json` in its folder: trained on the training
 * text alone, or copied. With `checkpoint`, the folder of a good checkpoint, it is the one that lies there.
 * `check` is called between documents; what it throws ends the work.
 */
export async function prepareTokenizer(
  run: ResolvedRun,
  folder: string,
  checkpoint: string | undefined,
  note: (message: string) => void,
  check: () => void,
): Promise<Tokenizer> {
  const file = join(folder, FILES.tokenizer)
  const configFile = join(folder, FILES.tokenizerConfig)
  if (checkpoint !== undefined) {
    for (const name of [FILES.tokenizer, FILES.tokenizerConfig]) {
      if (await sameBytes(join(checkpoint, name), join(folder, name))) continue
      if (existsSync(join(folder, name))) note(`${name} of the run was changed; the checkpoint's is put back`)
      await copyWhole(join(checkpoint, name), join(folder, name))
    }
    return loadTokenizer(file)
  }
  const settings = run.tokenizer!
  if (settings.file === undefined) {
    note(`training a tokenizer of ${settings.train!.vocabSize} tokens on the training text`)
    const began = performance.now()
    const json = await trainTokenizer(run, trainingTexts(run, check))
    await writeWhole(file, JSON.stringify(json))
    await rm(configFile, { force: true })
    note(`trained the tokenizer in ${((performance.now() - began) / 1000).toFixed(1)} s`)
  } else {
    await loadTokenizer(settings.file) // problems are told of the file that the person gave
    await copyWhole(settings.file, file)
    const beside = join(dirname(settings.file), FILES.tokenizerConfig)
    await (existsSync(beside) ? copyWhole(beside, configFile) : rm(configFile, { force: true }))
  }
  const tokenizer = await loadTokenizer(file)
  if (!existsSync(configFile)) await writeWhole(configFile, tokenizerConfig(tokenizer))
  return tokenizer
}

/** The least that transformers needs beside a tokenizer.json. */
function tokenizerConfig({ json, eosId }: Tokenizer): string {
  const added = json.added_tokens?.find(({ id }) => id === eosId)?.content
  const eos = added ?? Object.entries(json.model.vocab ?? {}).find(([, id]) => id === eosId)?.[0]
  const names = eos === undefined ? {} : { bos_token: eos, eos_token: eos }
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false, ...names }
  return `${JSON.stringify(config, null, 2)}\n`
}

/**
 * The token shards of a run, in `data/` of its folder, and what a person is to know of its text. A resumed run uses
 * them as they are; when they are missing or damaged they are made again, and the settings of the checkpoint tell
 * whether they came out the same.
 * `check` is called between documents; what it throws ends the work.
 */
export async function prepareShards(
  run: ResolvedRun,
  folder: string,
  tokenizer: Tokenizer,
  resumes: boolean,
  note: (message: string) => void,
  check: () => void,
): Promise<RunText<never>> {
  const directory = join(folder, 'data')
  if (resumes) {
    try {
      const shards = await openTokenShards(directory)
      return { shards, tokens: shards.train.tokens, notes: [] }
    } catch (error) {
      if (!(error instanceof RegaugeError) || error.kind !== 'data') throw error
      note(`the token shards are made again: ${error.message.replaceAll('\n', '; ')}`)
    }
  }
  const corpus = corpusOf(run)
  const split = await splitCorpus(corpus)
  const shards = await buildTokenShards({ ...corpus, tokenizer, directory, onProgress: check })
  const { train, heldout } = shards
  const made = shards.reused ? 'using the token shards of before' : 'tokenized the text'
  note(`${made}: ${train.tokens} tokens to train on, ${heldout.tokens} held out`)
  requireSequence(run, train.tokens)
  const notes = textNotes(run, split, train.tokens)
  for (const message of notes) note(message)
  return { shards, tokens: train.tokens, notes }
}

/** Opens the token shards of a run: batches to train on by step, and held-out text. */
export async function openRunData(run: ResolvedRun, shards: TokenShards) {
  const { sequenceLength } = run.data
  const { batchSize, microBatchSize } = run.train
  const { prefix } = shards.train
  const batches = await openBatches({ prefix, sequenceLength, batchSize, seed: run.seed })
  try {
    const { prefix, bytes } = shards.heldout
    const heldout = await openEvaluationBatches({ prefix, sequenceLength, batchSize: microBatchSize })
    return {
      batches,
      heldout: { ...heldout, bytesPerLabel: bytes / heldout.labelCount },
      async dispose(): Promise<void> {
        await batches.close()
        await heldout.close()
      },
    }
  } catch (error) {
    await batches.close()
    throw error
  }
}

/** The text of a run, as the data room takes it. */
export function corpusOf({ data }: ResolvedRun): { sources: string[]; heldout: HeldOut; field: string } {
  const list = (paths: string | string[]): string[] => (typeof paths === 'string' ? [paths] : paths)
  const { heldout } = data
  const held =
    typeof heldout === 'object' && 'fraction' in heldout
      ? { fraction: heldout.fraction }
      : { sources: list(heldout) }
  return { sources: list(data.train), heldout: held, field: data.field }
}

/** The training texts without what is held out. */
async function* trainingTexts(run: ResolvedRun, check: () => void): AsyncGenerator<string> {
  const split = await splitCorpus(corpusOf(run))
  for await (const { text } of split.documents('train')) {
    check()
    yield text
  }
}

/** Trains the tokenizer of a run on its training texts. */
export async function trainTokenizer(
  { tokenizer }: ResolvedRun,
  texts: AsyncIterable<string> | Iterable<string>,
): Promise<TokenizerJson> {
  const { vocabSize, minFrequency, maxBytes = Number.POSITIVE_INFINITY } = tokenizer!.train!
  return trainBpe(atMost(texts, maxBytes), { vocabSize, minFrequency })
}

/** Texts until they have `most` UTF-8 bytes together. */
async function* atMost(
  texts: AsyncIterable<string> | Iterable<string>,
  most: number,
): AsyncGenerator<string> {
  let bytes = 0
  for await (const text of texts) {
    yield text
    bytes += Buffer.byteLength(text)
    if (bytes >= most) return
  }
}

async function sameBytes(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([readFile(a), readFile(b).catch(() => undefined)])
  return second !== undefined && first.equals(second)
}

/** Puts a file in its place whole or not at all. */
export async function writeWhole(path: string, text: string | Uint8Array): Promise<void> {
  await writeDurably(`${path}.partial`, text)
  await rename(`${path}.partial`, path)
}

async function copyWhole(from: string, to: string): Promise<void> {
  await copyFile(from, `${to}.partial`)
  await rename(`${to}.partial`, to)
}
