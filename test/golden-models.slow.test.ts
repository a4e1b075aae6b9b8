/** @file Our programs against the numbers that transformers computes: see scripts/golden-models.py for the files. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readHfConfig, readSafetensor, readSafetensorsHeader, toFloat32 } from '../src/formats/index.ts'
import { type Architecture, readArchitecture } from '../src/model/index.ts'
import { createRuntime } from '../src/runtime/index.ts'
import {
  cacheNames,
  decodeStep,
  evaluateStep,
  gradientStep,
  logitsStep,
  stateNames,
} from '../src/steps/index.ts'
import {
  allocateState,
  createDevice,
  createTrainer,
  loadWeights,
  type TrainingState,
} from '../src/train/index.ts'
import { allocateSlots } from '../src/train/state.ts'
import { distance, numbersOf, runGraph } from './run-graph.ts'

const GOLDEN = join(import.meta.dirname, 'golden/models')
/** Of the contract: norm of the difference over the norm. */
const TOLERANCE = 1e-4

const runtime = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => runtime.dispose())

/** Tensors of a safetensors file as numbers. */
async function tensorsOf(path: string) {
  const file = await readSafetensorsHeader(path)
  const entry = (name: string) => file.tensors.get(name)!
  return {
    shape: (name: string) => entry(name).shape,
    async numbers(name: string): Promise<Float64Array> {
      const bytes = await readSafetensor(file, name)
      if (entry(name).dtype === 'I64') return numbersOf('int64', bytes)
      return Float64Array.from(toFloat32(bytes, entry(name).dtype))
    },
  }
}

async function open(name: string) {
  const folder = join(GOLDEN, name)
  const a = readArchitecture(await readHfConfig(join(folder, 'config.json')))
  return { folder, a, golden: await tensorsOf(join(folder, 'golden.safetensors')) }
}

/** The weights as the library loads them: one file or shards, of any floating-point type. */
async function weightsOf(folder: string, a: Architecture): Promise<Map<string, Float64Array>> {
  const state = allocateState(runtime, a)
  await loadWeights(state, a, folder)
  const weights = new Map<string, Float64Array>()
  for (const { name } of state.parameters) {
    weights.set(name, numbersOf('float32', await state.current(name).read()))
  }
  state.dispose()
  return weights
}

/** 20 steps of what the golden run trained on; the batch in micro-batches of `microBatchSize` sequences. */
async function train(folder: string, a: Architecture, microBatchSize: number, state: TrainingState) {
  const golden = await tensorsOf(join(folder, 'golden.safetensors'))
  const [steps, microBatches, batch, length] = golden.shape('train.ids') as [number, number, number, number]
  await loadWeights(state, a, folder)
  const trainer = await createTrainer(runtime, a, state, {
    batchSize: microBatches * batch,
    microBatchSize,
    sequenceLength: length,
    recompute: 'none',
    optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
  })
  const ids = Int32Array.from(await golden.numbers('train.ids'))
  const labels = Int32Array.from(await golden.numbers('train.labels'))
  const rates = await golden.numbers('train.lr')
  const size = microBatches * batch * length
  const results = []
  for (let step = 0; step < steps; step++) {
    const part = (x: Int32Array) => x.subarray(step * size, (step + 1) * size)
    results.push(await trainer.step({ ids: part(ids), labels: part(labels) }, step + 1, rates[step]!))
  }
  trainer.dispose()
  return results
}

/** Tokens of a prompt that are read at once: so few that the last part of each prompt is padded. */
const PREFILL = 3

/** Reads parts of a text of so many tokens against a cache, each from where the one before ended. */
async function createReader(folder: string, a: Architecture, length: number) {
  const state = allocateState(runtime, a)
  await loadWeights(state, a, folder)
  const { keyValueHeads, headSize } = a.attention
  // padding has a place too
  const cacheLength = length + PREFILL
  const names = Array.from({ length: a.layers }, (_, i) => [cacheNames.keys(i), cacheNames.values(i)]).flat()
  const caches = allocateSlots(
    runtime,
    new Map(names.map((name) => [name, [1, keyValueHeads, cacheLength, headSize]])),
  )
  const open = async (tokens: number) => {
    const device = createDevice(runtime, true)
    device.hold(state)
    device.hold(caches)
    return { tokens, device, run: await device.prepare(decodeStep(a, { tokens, cacheLength })) }
  }
  const [prefill, decode] = [await open(PREFILL), await open(1)]
  return {
    /** Logits after the last of some tokens, of which the first has the given position. */
    async read(ids: readonly number[], position: number): Promise<Float64Array> {
      const { tokens, device, run } = ids.length === 1 ? decode : prefill
      await device.write(
        'ids',
        Int32Array.from({ length: tokens }, (_, i) => ids[i] ?? 0),
      )
      await device.write('position', Int32Array.of(position))
      if (tokens > 1) await device.write('last', Int32Array.of(ids.length - 1))
      await run()
      return numbersOf('float32', await device.read('logits'))
    },
    dispose() {
      for (const one of [prefill.device, decode.device, caches, state]) one.dispose()
    },
  }
}

/** The text of a golden run's generation, and where its prompt ends. */
async function generated({ golden }: Awaited<ReturnType<typeof open>>) {
  const prompt = [...(await golden.numbers('generate.prompt'))]
  const text = [...prompt, ...(await golden.numbers('generate.ids'))]
  return { text, end: prompt.length }
}

const best = (logits: Float64Array): number => logits.indexOf(Math.max(...logits))

/** Without the biases of GPT-2's keys: no softmax sees them, so their gradient is rounding, which Adam enlarges. */
function settled(parameter: string, values: Float64Array): Float64Array {
  if (!parameter.endsWith('attn.c_attn.bias')) return values
  const third = values.length / 3
  return Float64Array.of(...values.subarray(0, third), ...values.subarray(2 * third))
}

describe.each(readdirSync(GOLDEN))('%s', (name) => {
  test('logits, loss and every gradient', async () => {
    const { folder, a, golden } = await open(name)
    const parameters = await weightsOf(folder, a)
    const [microBatch, sequenceLength] = golden.shape('ids') as [number, number]
    const shape = { microBatch, sequenceLength }
    const labels = await golden.numbers('labels')
    const given = new Map<string, ArrayLike<number>>([
      ...parameters,
      ['ids', await golden.numbers('ids')],
      ['labels', labels],
      ['loss_scale', [1 / labels.filter((label) => label >= 0).length]],
    ])
    const { logits } = Object.fromEntries(await runGraph(runtime, logitsStep(a, shape).graph, given))
    expect(distance(logits!, await golden.numbers('logits'))).toBeLessThan(TOLERANCE)

    const loss = await golden.numbers('loss')
    const evaluated = await runGraph(runtime, evaluateStep(a, shape).graph, given)
    expect(distance(evaluated.get('loss')!, loss)).toBeLessThan(TOLERANCE)

    const results = await runGraph(runtime, gradientStep(a, shape).graph, given)
    expect(distance(results.get('loss')!, loss)).toBeLessThan(TOLERANCE)
    for (const parameter of parameters.keys()) {
      const expected = await golden.numbers(`grad.${parameter}`)
      const error = distance(results.get(stateNames.accumulated(parameter))!, expected)
      expect(error, `gradient of ${parameter}`).toBeLessThan(TOLERANCE)
    }
  })

  test('prefill and decoding: greedy ids, and at each position the logits of the whole text', async () => {
    const opened = await open(name)
    const { folder, a } = opened
    const { text, end } = await generated(opened)
    const { graph } = logitsStep(a, { microBatch: 1, sequenceLength: text.length })
    const given = new Map<string, ArrayLike<number>>([...(await weightsOf(folder, a)), ['ids', text]])
    const whole = (await runGraph(runtime, graph, given)).get('logits')!
    const at = (position: number) =>
      whole.subarray(position * a.vocabularySize, (position + 1) * a.vocabularySize)

    const reader = await createReader(folder, a, text.length)
    const expectAt = (logits: Float64Array, position: number) =>
      expect(distance(logits, at(position)), `logits of position ${position}`).toBeLessThan(TOLERANCE)
    // the prompt token by token, then again in parts, over what the cache holds
    for (let i = 0; i < end; i++) expectAt(await reader.read([text[i]!], i), i)
    for (let i = 0; i < end; i += PREFILL) {
      const part = text.slice(i, Math.min(i + PREFILL, end))
      expectAt(await reader.read(part, i), i + part.length - 1)
    }
    for (let i = end; i < text.length; i++) {
      expect(best(at(i - 1)), `id ${i - end}`).toBe(text[i])
      expectAt(await reader.read([text[i]!], i), i)
    }
    reader.dispose()
  })

  test('20 AdamW steps of two micro-batches, clipped; and of the joined batch', async () => {
    const { folder, a, golden } = await open(name)
    const batch = golden.shape('ids')[0]!
    const losses = await golden.numbers('train.loss')
    const norms = await golden.numbers('train.grad_norm')
    for (const microBatchSize of [batch, golden.shape('train.ids')[1]! * batch]) {
      const state = allocateState(runtime, a, 'adamw')
      const results = await train(folder, a, microBatchSize, state)
      results.forEach(({ loss, gradNorm }, i) => {
        expect(Math.abs(loss / losses[i]! - 1), `loss of step ${i + 1}`).toBeLessThan(TOLERANCE)
        expect(Math.abs(gradNorm / norms[i]! - 1), `gradient norm of step ${i + 1}`).toBeLessThan(TOLERANCE)
      })
      for (const parameter of state.parameters) {
        const final = numbersOf('float32', await state.current(parameter.name).read())
        const expected = await golden.numbers(`final.${parameter.name}`)
        const error = distance(settled(parameter.name, final), settled(parameter.name, expected))
        expect(error, `final ${parameter.name}`).toBeLessThan(TOLERANCE)
      }
      state.dispose()
    }
  })
})
