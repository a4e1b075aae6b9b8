/**
 * @file Trains one of the benchmark's models with regauge and prints one JSON line, as torch_train.py does.
 *
 *     node bench/peers/regauge_train.mjs --hidden 384 --layers 6 ... --recompute selective
 *
 * It runs the built package, so that what is measured is what a user runs.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  allocateState,
  createRuntime,
  createTrainer,
  initializeState,
  parameterCount,
  readArchitecture,
} from '../../dist/index.js'

const defaults = {
  hidden: 384,
  layers: 6,
  heads: 6,
  'kv-heads': 6,
  intermediate: 1024,
  vocab: 4096,
  seq: 256,
}
const more = { batch: 8, steps: 10, warmup: 2, threads: 2, seed: 1 }
const { values } = parseArgs({
  options: Object.fromEntries(
    [...Object.entries({ ...defaults, ...more }), ['recompute', 'selective']].map(([name, value]) => [
      name,
      { type: 'string', default: String(value) },
    ]),
  ),
})
const n = (name) => Number(values[name])

const architecture = readArchitecture({
  model_type: 'llama',
  hidden_size: n('hidden'),
  num_hidden_layers: n('layers'),
  num_attention_heads: n('heads'),
  num_key_value_heads: n('kv-heads'),
  intermediate_size: n('intermediate'),
  vocab_size: n('vocab'),
  max_position_embeddings: n('seq'),
  tie_word_embeddings: true,
})
const runtime = createRuntime({ name: 'cpu', threads: n('threads') })
const state = allocateState(runtime, architecture, 'adamw')
await initializeState(state, architecture, n('seed'))
const started = performance.now()
const trainer = await createTrainer(runtime, architecture, state, {
  batchSize: n('batch'),
  microBatchSize: n('batch'),
  sequenceLength: n('seq'),
  recompute: values.recompute,
  optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
})
const compileSeconds = (performance.now() - started) / 1000

/** As many tokens as the other peers see, drawn so that some are far likelier than others. */
const tokens = n('batch') * n('seq')
let word = n('seed')
const draw = () => {
  word = (Math.imul(word, 1664525) + 1013904223) >>> 0
  return Math.floor((word / 2 ** 32) ** 3 * n('vocab'))
}
const batch = () => {
  const ids = Int32Array.from({ length: tokens }, draw)
  return { ids, labels: Int32Array.from(ids, (_, i) => ids[i + 1] ?? 0) }
}

/** CPU seconds that other processes took so far, where the kernel tells. */
const foreign = () => {
  const own = process.cpuUsage()
  try {
    const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
      .split(/\s+/)
      .slice(1, 9)
      .map(Number)
    return (user + nice + system + irq + softirq + steal) / 100 - (own.user + own.system) / 1e6
  } catch {
    return Number.NaN
  }
}

const rows = []
for (let step = 1; step <= n('warmup') + n('steps'); step++) {
  const data = batch()
  const others = foreign()
  const start = performance.now()
  const { loss, gradNorm } = await trainer.step(data, step, 1e-3)
  const seconds = (performance.now() - start) / 1000
  rows.push({ loss, gradNorm, seconds, foreign: (foreign() - others) / seconds })
}
const timed = rows.slice(n('warmup'))
console.log(
  JSON.stringify({
    peer: `regauge-${values.recompute}`,
    version: runtime.description,
    params: parameterCount(architecture),
    tokensPerStep: tokens,
    compileSeconds,
    stepSeconds: timed.map((row) => row.seconds),
    loss: rows.map((row) => row.loss),
    gradNorm: rows.map((row) => row.gradNorm),
    foreignCores: timed.map((row) => row.foreign),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }),
)
trainer.dispose()
runtime.dispose()
