/**
 * @file Writes test/golden/runs/<version>/: a run that a release began, for later versions to go on with.
 *
 *     npm pack regauge@0.1.0, or a checkout of its tag that is built; then
 *     node scripts/golden-run.mjs <folder of that package>
 *
 * run.yaml, text/          what is trained; paths start at their folder
 * golden/                  the run's folder as that release left it when it was stopped half way
 * reference/events.jsonl   what the same run came to where it was never stopped
 *
 * What names the machine and its folders is replaced. test/golden-runs.slow.test.ts goes on with each such folder.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, release, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const STEPS = 16
const STOPPED_AFTER = 9

const RUN = `name: golden
model:
  preset: nano
  overrides: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 }
tokenizer: { train: { vocabSize: 272 } }
data: { train: text, heldout: { fraction: 0.2 }, sequenceLength: 32 }
train: { steps: ${STEPS}, batchSize: 4, microBatchSize: 2 }
optimizer: { learningRate: 5e-3 }
schedule: { kind: cosine, warmupSteps: 3 }
evaluate: { everySteps: 8, batches: 2, samples: [rail], sampleTokens: 12, temperature: 0 }
checkpoint: { everySteps: 5, keepLast: 1 }
output: .
`

const [, script, given] = process.argv
if (given === undefined) throw new Error(`usage: node ${script} <folder of a regauge package>`)
const { version } = JSON.parse(readFileSync(join(given, 'package.json'), 'utf8'))
const { loadRun, train } = await import(pathToFileURL(resolve(given, 'dist/index.js')).href)

const to = resolve(dirname(fileURLToPath(import.meta.url)), '../test/golden/runs', version)
const at = mkdtempSync(join(tmpdir(), 'golden-'))
try {
  writeFileSync(join(at, 'run.yaml'), RUN)
  mkdirSync(join(at, 'text'))
  for (let i = 0; i < 5; i++) writeFileSync(join(at, 'text', `${i}.txt`), textOf(i))
  const { run } = await loadRun(join(at, 'run.yaml'))

  await train(run, { folder: join(at, 'reference'), threads: 1 })
  const stop = new AbortController()
  const stopAfter = ({ type, step }) => type === 'step' && step === STOPPED_AFTER && stop.abort()
  await train(run, { threads: 1, stop: stop.signal, onEvent: stopAfter })

  const host = `"host":${JSON.stringify(hostname())}`
  // what a run only writes is left out
  for (const name of ['lock', 'tensorboard']) rmSync(join(at, 'golden', name), { recursive: true })
  for (const name of ['golden/events.jsonl', 'golden/run.yaml', 'reference/events.jsonl']) {
    const text = readFileSync(join(at, name), 'utf8')
    writeFileSync(
      join(at, name),
      text.replaceAll(at, '/golden').replaceAll(` ${release()} `, ' ').replaceAll(host, '"host":"a-host"'),
    )
  }
  rmSync(to, { recursive: true, force: true })
  for (const name of ['run.yaml', 'text', 'golden', 'reference/events.jsonl'])
    cpSync(join(at, name), join(to, name), { recursive: true })
} finally {
  rmSync(at, { recursive: true, force: true })
}

/** A text of 200 words. */
function textOf(seed) {
  const words = ['north', 'south', 'east', 'west', 'rail', 'gauge', 'train', 'stops', 'goes']
  return Array.from({ length: 200 }, (_, i) => words[(i * i + seed * i) % words.length]).join(' ')
}
