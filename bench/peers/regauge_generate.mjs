/** @file Generates greedily with regauge and prints one JSON line, as transformers_generate.py does. */
import { parseArgs } from 'node:util'
import {
  allocateState,
  createGenerator,
  createRuntime,
  initializeState,
  parameterCount,
  readArchitecture,
} from '../../dist/index.js'

const { values } = parseArgs({
  options: { prompt: { type: 'string', default: '64' }, new: { type: 'string', default: '128' } },
})
const [promptLength, count] = [Number(values.prompt), Number(values.new)]
const architecture = readArchitecture({
  model_type: 'llama',
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 2048,
  vocab_size: 16384,
  max_position_embeddings: 512,
  tie_word_embeddings: true,
})
const runtime = createRuntime({ name: 'cpu', threads: 2 })
const state = allocateState(runtime, architecture)
await initializeState(state, architecture, 1)
const generator = createGenerator(runtime, architecture, state, promptLength + count)
const prompt = Int32Array.from({ length: promptLength }, (_, i) => (i * 7919) % 16384)

let best = 0
for (let repeat = 0; repeat < 4; repeat++) {
  const started = performance.now()
  let first = started
  let made = 0
  for await (const _ of generator.generate(prompt, count, { temperature: 0, seed: 1 })) {
    if (made++ === 0) first = performance.now()
  }
  best = Math.max(best, ((made - 1) * 1000) / (performance.now() - first))
}
console.log(
  JSON.stringify({
    peer: 'regauge',
    version: runtime.description,
    params: parameterCount(architecture),
    tokensPerSecond: best,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }),
)
generator.dispose()
runtime.dispose()
