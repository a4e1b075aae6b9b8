/** @file Generation on devices: the ids are the CPU's, and what crosses for a token is an id and a position in, logits out. */
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { HfConfig } from '../src/formats/index.ts'
import { type Architecture, readArchitecture } from '../src/model/index.ts'
import { createRuntime, type Runtime } from '../src/runtime/index.ts'
import { decodeStep } from '../src/steps/index.ts'
import { allocateState, createGenerator, initializeState } from '../src/train/index.ts'
import { missingRuntime } from './runtimes.ts'
import { inPlaceBindings, parseCalls, problemsOf } from './standin/calls.ts'
import { buildStandin, missingCompiler, type Standin } from './standin/standin.ts'

const VOCABULARY = 96
const model = (config: HfConfig): Architecture =>
  readArchitecture({
    vocab_size: VOCABULARY,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    // large first values, so that the likeliest token changes
    initializer_range: 0.4,
    ...config,
  })
const MODELS: [string, Architecture][] = [
  ['llama', model({ model_type: 'llama', num_key_value_heads: 4 })],
  ['qwen3', model({ model_type: 'qwen3', num_key_value_heads: 2, head_dim: 16, tie_word_embeddings: true })],
  ['mistral with a window', model({ model_type: 'mistral', num_key_value_heads: 1, sliding_window: 5 })],
]
/** One prompt that is read in two chunks with padding, one that ends in a token read alone, and a short one again. */
const PROMPTS = [70, 65, 3].map((length) => Array.from({ length }, (_, i) => (13 * i + 5) % VOCABULARY))
const NEW_TOKENS = 5

/** The ids after each prompt, and the bytes that crossed for each of them but the first, which the prompt gives. */
async function generate(runtime: Runtime, a: Architecture) {
  const state = allocateState(runtime, a)
  await initializeState(state, a, 1)
  const generator = createGenerator(runtime, a, state, 128)
  const made: number[][] = []
  const crossed: [number, number][] = []
  for (const prompt of PROMPTS) {
    const ids: number[] = []
    let before = { ...runtime.traffic() }
    for await (const id of generator.generate(prompt, NEW_TOKENS, { temperature: 0, seed: 0 })) {
      const after = { ...runtime.traffic() }
      if (ids.length > 0) crossed.push([after.toDevice! - before.toDevice!, after.toHost! - before.toHost!])
      before = after
      ids.push(id)
    }
    made.push(ids)
  }
  generator.dispose()
  state.dispose()
  return { made, crossed }
}

async function onCpu(a: Architecture): Promise<number[][]> {
  const runtime = createRuntime({ name: 'cpu', threads: 1 })
  const { made } = await generate(runtime, a)
  runtime.dispose()
  expect(new Set(made.flat()).size).toBeGreaterThan(5)
  return made
}

/** An id and a position in, logits out, 4 bytes each. */
const A_TOKEN = [4 + 4, 4 * VOCABULARY]
/** Those of the first prompt are left out: what is compiled on the way has tensors, which are filled with zeros. */
const crossedOf = (crossed: readonly [number, number][]) => crossed.slice(NEW_TOKENS - 1)

test.each(MODELS)('%s writes its caches in place where a runtime allows it', (_, a) => {
  for (const tokens of [1, 64])
    expect(decodeStep(a, { tokens, cacheLength: 128 }).state.map(({ inPlace }) => inPlace)).toEqual(
      Array(2 * a.layers).fill(true),
    )
})

const missing = missingRuntime('webgpu')
if (missing !== undefined) console.warn(`skipped: ${missing}`)

describe.skipIf(missing !== undefined)('on webgpu', () => {
  test.each(MODELS)('%s goes on as on the CPU', async (_, a) => {
    const runtime = createRuntime({ name: 'webgpu' })
    const { made, crossed } = await generate(runtime, a)
    runtime.dispose()
    expect(made).toEqual(await onCpu(a))
    expect(crossedOf(crossed)).toEqual(Array(2 * (NEW_TOKENS - 1)).fill(A_TOKEN))
  })
})

const missingC = missingCompiler()
if (missingC !== undefined) console.warn(`skipped: ${missingC}`)

describe.skipIf(missingC !== undefined)('on a stand-in', () => {
  const standin = missingC === undefined ? buildStandin() : ({} as Standin)
  if (missingC === undefined) {
    for (const part of ['shared', 'cuda'])
      writeFileSync(join(dirname(standin.library), `libonnxruntime_providers_${part}.so`), '')
  }
  afterEach(() => void standin.take())

  test.each(MODELS.flatMap(([name, a]) => (['cann', 'cuda'] as const).map((on) => [name, on, a] as const)))(
    '%s goes on as on the CPU, on %s',
    async (_, on, a) => {
      const runtime = createRuntime({ name: on, library: standin.library })
      const { made, crossed } = await generate(runtime, a)
      runtime.dispose()
      expect(made).toEqual(await onCpu(a))
      expect(crossedOf(crossed)).toEqual(Array(2 * (NEW_TOKENS - 1)).fill(A_TOKEN))
      const lines = standin.take()
      expect(problemsOf(lines)).toEqual([])
      expect(inPlaceBindings(parseCalls(lines))).toEqual([])
    },
  )

  test('the CPU writes caches over themselves', async () => {
    const runtime = createRuntime({ name: 'cpu', library: standin.library })
    await generate(runtime, MODELS[0]![1])
    runtime.dispose()
    expect(inPlaceBindings(parseCalls(standin.take())).length).toBeGreaterThan(0)
  })
})
