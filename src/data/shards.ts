/** @file Turns a corpus into token shards: a training and a held-out dataset, made once and used again. */
import { createHash } from 'node:crypto'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { RegaugeError } from '../errors.ts'
import { createIndexedDatasetWriter, type IndexedDatasetWriter } from '../formats/index.ts'
import {
  fingerprintFile,
  readManifest,
  removeLeftovers,
  type SplitManifest,
  verifySplit,
  writeManifest,
} from './shard-manifest.ts'
import { type HeldOut, listSplitFiles, type SplitFiles, type SplitOptions, splitFiles } from './split.ts'
import type { Tokenizer } from './tokenizer.ts'

/** What to tokenize, and where to. */
export interface ShardOptions extends SplitOptions {
  readonly tokenizer: Tokenizer
  /** Receives train.bin, train.idx, heldout.bin, heldout.idx and data.json. Created where it is missing. */
  readonly directory: string
  /** Called now and then with what has been read so far. */
  readonly onProgress?: (progress: { readonly documents: number; readonly bytes: number }) => void
}

/** One dataset of the two. */
export interface Split {
  /** Path without `.bin` and `.idx`. */
  readonly prefix: string
  readonly documents: number
  /** End-of-text tokens included. */
  readonly tokens: number
  /** UTF-8 bytes of the documents: what bits per byte are counted over. */
  readonly bytes: number
}

/** Token shards on disk. */
export interface TokenShards {
  readonly directory: string
  readonly train: Split
  readonly heldout: Split
  /** Of the tokenizer: one more than its largest id. */
  readonly vocabSize: number
  /** The largest id that occurs. */
  readonly maxTokenId: number
  /** Whether they were there already, made from the same files, tokenizer and options. */
  readonly reused: boolean
}

/**
 * Tokenizes a corpus, document by document, with the end-of-text token after each; `splitCorpus` says what is held out.
 * When data.json says that the shards were made from the same (files by path, size and time of change; tokenizer;
 * options), and the shards are still as they were written, they are used again. Memory does not grow with the corpus.
 *
 * Throws RegaugeError of kind `data`: see `splitCorpus`; a tokenizer without end-of-text token.
 */
export async function buildTokenShards(options: ShardOptions): Promise<TokenShards> {
  const { tokenizer, heldout, seed = 0, field = 'text' } = options
  const directory = resolve(options.directory)
  const eosId = requireEndOfText(tokenizer)
  const files = await listSplitFiles(options)
  const fingerprint = await fingerprintOf(files, tokenizer, eosId, heldout, seed, field)
  const found = await readManifest(directory)
  if (found?.fingerprint === fingerprint) {
    const intact =
      (await verifySplit(directory, 'train', found)) && (await verifySplit(directory, 'heldout', found))
    if (intact) return describeShards(directory, found, true)
  }

  await mkdir(directory, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    const message = `cannot be created: ${error.code}`
    throw new RegaugeError(
      'environment',
      { code: 'DATA_UNWRITABLE', message, file: directory },
      { cause: error },
    )
  })
  // From here until the new data.json is written the folder says nothing of itself.
  await rm(join(directory, 'data.json'), { force: true })
  await removeLeftovers(directory)
  const train = createSplit(join(directory, 'train'), tokenizer, eosId)
  const held = createSplit(join(directory, 'heldout'), tokenizer, eosId)
  try {
    let documents = 0
    const corpus = await splitFiles(files, options)
    for await (const { text, part } of corpus.documents()) {
      const split = part === 'train' ? train : held
      split.add(text)
      documents++
      if (documents % 64 === 0) options.onProgress?.({ documents, bytes: train.bytes() + held.bytes() })
    }
    options.onProgress?.({ documents, bytes: train.bytes() + held.bytes() })
    const manifest = {
      version: 1 as const,
      fingerprint,
      vocabSize: tokenizer.vocabSize,
      maxTokenId: Math.max(train.maxId(), held.maxId()),
      train: await train.finish(),
      heldout: await held.finish(),
    }
    await writeManifest(directory, manifest)
    return describeShards(directory, manifest, false)
  } catch (error) {
    train.abort()
    held.abort()
    throw error
  }
}

/** The id of the token that ends a text. Throws RegaugeError of kind `data` where the tokenizer has none. */
export function requireEndOfText({ eosId }: Tokenizer): number {
  if (eosId !== undefined) return eosId
  const message = 'the tokenizer has no token that ends a text'
  const hint = 'name it as eos_token in the tokenizer_config.json beside it'
  throw new RegaugeError('data', { code: 'TOKENIZER_NO_EOS', message, hint })
}

/**
 * The shards in a folder, without the corpus that they were made from. Throws RegaugeError of kind `data` when there
 * are none, or when they are not as they were written.
 */
export async function openTokenShards(folder: string): Promise<TokenShards> {
  const directory = resolve(folder)
  const manifest = await readManifest(directory)
  if (manifest === null) {
    const message = 'no token shards here (data.json is missing or damaged)'
    throw new RegaugeError('data', {
      code: 'DATA_NO_SHARDS',
      message,
      file: directory,
      hint: 'tokenize again',
    })
  }
  for (const name of ['train', 'heldout'] as const) {
    if (await verifySplit(directory, name, manifest)) continue
    const message = 'is missing, cut off, or not as it was written'
    const file = join(directory, `${name}.bin`)
    throw new RegaugeError('data', { code: 'DATA_DAMAGED_SHARD', message, file, hint: 'tokenize again' })
  }
  return describeShards(directory, manifest, true)
}

function describeShards(
  directory: string,
  manifest: NonNullable<Awaited<ReturnType<typeof readManifest>>>,
  reused: boolean,
): TokenShards {
  const split = (name: 'train' | 'heldout'): Split => {
    const { documents, tokens, bytes } = manifest[name]
    return { prefix: join(directory, name), documents, tokens, bytes }
  }
  const { vocabSize, maxTokenId } = manifest
  return { directory, train: split('train'), heldout: split('heldout'), vocabSize, maxTokenId, reused }
}

async function fingerprintOf(
  files: SplitFiles,
  tokenizer: Tokenizer,
  eosId: number,
  heldout: HeldOut,
  seed: number,
  field: string,
): Promise<string> {
  const digest = createHash('sha256')
  digest.update(JSON.stringify(['shards 1', tokenizer.json, eosId, field]))
  digest.update(JSON.stringify('fraction' in heldout ? [heldout.fraction, seed] : 'files'))
  for (const list of [files.train, files.heldout ?? []]) {
    for (const { path } of list) {
      const { size, mtimeMs } = await stat(path)
      digest.update(JSON.stringify([resolve(path), size, mtimeMs]))
    }
    digest.update(';')
  }
  return digest.digest('hex')
}

/** One dataset while it is written. */
function createSplit(prefix: string, tokenizer: Tokenizer, eosId: number) {
  const writer: IndexedDatasetWriter = createIndexedDatasetWriter(prefix, { vocabSize: tokenizer.vocabSize })
  let ids = new Int32Array(1 << 12)
  let documents = 0
  let bytes = 0
  let maxId = 0
  return {
    documents: () => documents,
    bytes: () => bytes,
    maxId: () => maxId,
    abort: () => writer.abort(),
    add(text: string): void {
      const encoded = tokenizer.encode(text)
      if (encoded.length + 1 > ids.length) ids = new Int32Array((encoded.length + 1) * 2)
      ids.set(encoded)
      ids[encoded.length] = eosId
      const tokens = ids.subarray(0, encoded.length + 1)
      for (let i = 0; i < tokens.length; i++) if (tokens[i]! > maxId) maxId = tokens[i]!
      writer.addDocument(tokens)
      documents++
      bytes += Buffer.byteLength(text)
    },
    async finish(): Promise<SplitManifest> {
      const { tokens } = await writer.finish()
      const files = {
        bin: await fingerprintFile(`${prefix}.bin`),
        idx: await fingerprintFile(`${prefix}.idx`),
      }
      return { documents, tokens, bytes, files }
    },
  }
}
