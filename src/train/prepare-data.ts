/** @file From a run's text to its tokenizer and token shards, in the run folder. */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  buildTokenShards,
  type HeldOut,
  loadTokenizer,
  openCorpus,
  openTokenShards,
  type Tokenizer,
  type TokenizerJson,
  type TokenShards,
  trainBpe,
} from '../data/index.ts'
import { RegaugeError } from '../errors.ts'
import { openIndexedDataset } from '../formats/index.ts'
import { writeDurably } from './checkpoint.ts'
import { CHECKPOINT_FILES as FILES } from './checkpoint-files.ts'
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
    const { vocabSize, minFrequency, maxBytes = Number.POSITIVE_INFINITY } = settings.train!
    note(`training a tokenizer of ${vocabSize} tokens on the training text`)
    const began = performance.now()
    const texts = atMost(trainingTexts(run, folder, check), maxBytes)
    const json = await trainBpe(texts, { vocabSize, minFrequency })
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
 * The token shards of a run, in `data/` of its folder. A resumed run uses them as they are; when they are missing or
 * damaged they are made again, and the settings of the checkpoint tell whether they came out the same.
 * `check` is called between documents; what it throws ends the work.
 */
export async function prepareShards(
  run: ResolvedRun,
  folder: string,
  tokenizer: Tokenizer,
  resumes: boolean,
  note: (message: string) => void,
  check: () => void,
): Promise<TokenShards> {
  const directory = join(folder, 'data')
  if (resumes) {
    try {
      return await openTokenShards(directory)
    } catch (error) {
      if (!(error instanceof RegaugeError) || error.kind !== 'data') throw error
      note(`the token shards are made again: ${error.message.replaceAll('\n', '; ')}`)
    }
  }
  const shards = await buildTokenShards({ ...corpusOf(run), tokenizer, directory, onProgress: check })
  const { train, heldout } = shards
  const made = shards.reused ? 'using the token shards of before' : 'tokenized the text'
  note(`${made}: ${train.tokens} tokens to train on, ${heldout.tokens} held out`)
  return shards
}

function corpusOf({ data }: ResolvedRun): { sources: string[]; heldout: HeldOut; field: string } {
  const list = (paths: string | string[]): string[] => (typeof paths === 'string' ? [paths] : paths)
  const { heldout } = data
  const held =
    typeof heldout === 'object' && 'fraction' in heldout
      ? { fraction: heldout.fraction }
      : { sources: list(heldout) }
  return { sources: list(data.train), heldout: held, field: data.field }
}

/** The training texts without what is held out, before there is a tokenizer. */
async function* trainingTexts(run: ResolvedRun, folder: string, check: () => void): AsyncGenerator<string> {
  const { sources, heldout, field } = corpusOf(run)
  if ('sources' in heldout) {
    const held = new Set<string>()
    for await (const { source } of openCorpus(heldout.sources, { field })) {
      check()
      held.add(source)
    }
    for await (const { text, source } of openCorpus(sources, { field })) {
      check()
      if (!held.has(source)) yield text
    }
    return
  }
  // Which documents the fraction holds out is the shards' to say: shards of document numbers say it.
  await mkdir(folder, { recursive: true })
  const directory = await mkdtemp(join(folder, '.split-'))
  try {
    let count = 0
    const numbers: Tokenizer = {
      vocabSize: 0x7fffffff,
      encode: () => Int32Array.of(count++),
      decode: () => '',
      eosId: 0,
      json: { model: { type: 'document numbers' } } satisfies TokenizerJson,
      encoder: 'regauge',
    }
    const { train } = await buildTokenShards({
      sources,
      heldout,
      field,
      tokenizer: numbers,
      directory,
      onProgress: check,
    })
    const dataset = await openIndexedDataset(train.prefix)
    try {
      let number = 0
      let row = 0
      let [wanted] = await dataset.readTokens(0, 1)
      for await (const { text } of openCorpus(sources, { field })) {
        check()
        if (number++ !== wanted) continue
        yield text
        row += 1
        wanted = 2 * row < dataset.tokenCount ? (await dataset.readTokens(2 * row, 1))[0] : undefined
      }
    } finally {
      await dataset.close()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Texts until they have `most` UTF-8 bytes together. */
async function* atMost(texts: AsyncIterable<string>, most: number): AsyncGenerator<string> {
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
