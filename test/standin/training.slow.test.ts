/** @file A language model in training on CANN and on CUDA by a stand-in, against the same on the CPU, bit for bit. */
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { readArchitecture } from '../../src/model/index.ts'
import { createRuntime, type ProviderName, type Runtime } from '../../src/runtime/index.ts'
import { allocateState, createTrainer, initializeState, type TrainerOptions } from '../../src/train/index.ts'
import { inPlaceBindings, parseCalls, problemsOf } from './calls.ts'
import { buildStandin, missingCompiler, type Standin } from './standin.ts'

const missing = missingCompiler()
if (missing !== undefined) console.warn(`skipped: ${missing}`)

const TINY = readArchitecture({
  model_type: 'llama',
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  tie_word_embeddings: true,
})
const STEPS = 5
const TOKENS = 4 * 12
const OPTIONS: TrainerOptions = {
  batchSize: 4,
  microBatchSize: 4,
  sequenceLength: 12,
  recompute: 'none',
  optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
}

function batchOf(step: number) {
  const ids = Int32Array.from({ length: TOKENS }, (_, i) => (7 * i + step) % 64)
  return { ids, labels: ids.map((id) => (id + 7) % 64) }
}

/** Trains for a few steps; the calls of it all, and of the last step alone. */
async function train(runtime: Runtime, standin: Standin, options: Partial<TrainerOptions> = {}) {
  const calls: string[] = []
  const drain = () => {
    const taken = standin.take()
    calls.push(...taken)
    return taken
  }
  const state = allocateState(runtime, TINY, 'adamw')
  await initializeState(state, TINY, 1)
  const trainer = await createTrainer(runtime, TINY, state, { ...OPTIONS, ...options })
  const results: { loss: number; gradNorm: number }[] = []
  const crossed: ReturnType<Runtime['traffic']>[] = []
  for (let step = 1; step <= STEPS; step++) {
    drain()
    results.push(await trainer.step(batchOf(step), step, 1e-2))
    crossed.push(runtime.traffic() && { ...runtime.traffic()! })
  }
  const last = drain()
  const bytes = new Map<string, Buffer>()
  for (const name of state.names) bytes.set(name, Buffer.from(await state.current(name).read()))
  trainer.dispose()
  state.dispose()
  drain()
  return { results, bytes, crossed, last, calls }
}

describe.skipIf(missing !== undefined)('training', () => {
  const standin = missing === undefined ? buildStandin() : ({} as Standin)
  if (missing === undefined) {
    for (const part of ['shared', 'cuda'])
      writeFileSync(join(dirname(standin.library), `libonnxruntime_providers_${part}.so`), '')
  }
  const runtimes: Runtime[] = []
  const make = (name: ProviderName): Runtime => {
    const runtime = createRuntime({ name, library: standin.library })
    runtimes.push(runtime)
    standin.take()
    return runtime
  }
  afterEach(() => {
    for (const runtime of runtimes.splice(0)) runtime.dispose()
    standin.take()
  })

  test.each(['cann', 'cuda'] as const)('on %s gives the bits of the CPU', async (name) => {
    const cpu = await train(make('cpu'), standin, { inPlace: false })
    const device = await train(make(name), standin)
    expect(device.results).toEqual(cpu.results)
    expect(device.bytes).toEqual(cpu.bytes)
    expect(device.results.at(-1)!.loss).toBeLessThan(device.results[0]!.loss)
  })

  test.each(['cann', 'cuda'] as const)(
    'on %s moves ids, labels and scalars in and two scalars out',
    async (name) => {
      const { crossed, last } = await train(make(name), standin)
      const [before, after] = crossed.slice(-2)
      // the scale of the loss, the learning rate and two corrections of the moments; loss and norm
      expect(after!.toDevice - before!.toDevice).toBe(4 * (TOKENS + TOKENS + 4))
      expect(after!.toHost - before!.toHost).toBe(4 * 2)
      const step = parseCalls(last)
      const host = step.filter(({ name }) => name === 'CreateTensorWithDataAsOrtValue')
      expect(host.map(({ args }) => args.slice(1).join(' ')).sort()).toEqual([
        '192 bytes int32[4,12]',
        '192 bytes int32[4,12]',
        ...Array(6).fill('4 bytes float32[]'),
      ])
      // each of them by a run of its own, and the step in one
      expect(step.filter(({ name }) => name === 'RunWithBinding')).toHaveLength(host.length + 1)
      expect(step.filter(({ name }) => name === 'CreateTensorAsOrtValue')).toEqual([])
    },
  )

  test.each(['cann', 'cuda'] as const)('on %s never ties an output to an input', async (name) => {
    const calls = parseCalls((await train(make(name), standin)).calls)
    expect(calls.filter(({ name }) => name === 'BindOutput').length).toBeGreaterThan(100)
    expect(inPlaceBindings(calls)).toEqual([])
  })

  test('leaves nothing behind', async () => {
    const runtime = make('cann')
    const { calls } = await train(runtime, standin)
    runtime.dispose()
    expect(problemsOf([...calls, ...standin.take()])).toEqual([])
  })

  test('and where the CPU writes state over itself, the record shows it', async () => {
    const { calls } = await train(make('cpu'), standin)
    expect(inPlaceBindings(parseCalls(calls)).length).toBeGreaterThan(0)
  })
})
