/** @file The training state from Hugging Face folders: every layout and width that they come in, and what is wrong. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { RegaugeError } from '../errors.ts'
import {
  readHfConfig,
  readSafetensor,
  readSafetensorsHeader,
  type SafetensorsTensor,
  toFloat32,
  writeSafetensors,
} from '../formats/index.ts'
import { type Architecture, PRESETS, readArchitecture } from '../model/index.ts'
import { createRuntime } from '../runtime/index.ts'
import { allocateState, initializeState, loadWeights, type TrainingState } from './state.ts'
import { createTrainer } from './trainer.ts'

const GOLDEN = new URL('../../test/golden/models/', import.meta.url).pathname
const runtime = createRuntime({ name: 'cpu', threads: 1 })
const place = mkdtempSync(join(tmpdir(), 'state-'))
afterAll(() => {
  runtime.dispose()
  rmSync(place, { recursive: true, force: true })
})

async function valuesOf(state: TrainingState, name: string): Promise<Float32Array> {
  const bytes = await state.current(name).read()
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}

async function loaded(folder: string): Promise<{ a: Architecture; state: TrainingState }> {
  const a = readArchitecture(await readHfConfig(join(folder, 'config.json')))
  const state = allocateState(runtime, a, 'adamw')
  await loadWeights(state, a, folder)
  return { a, state }
}

const tiny = readArchitecture({
  ...PRESETS.nano,
  hidden_size: 16,
  num_hidden_layers: 1,
  intermediate_size: 16,
  vocab_size: 32,
})

/** Writes the parameters of `tiny`, changed by `change`, as a folder of weights. */
async function weights(
  name: string,
  change: (tensors: Map<string, SafetensorsTensor>) => void,
): Promise<string> {
  const state = allocateState(runtime, tiny)
  await initializeState(state, tiny, 1)
  const tensors = new Map<string, SafetensorsTensor>()
  for (const { name: parameter, shape } of state.parameters) {
    const data = await state.current(parameter).read()
    tensors.set(parameter, { name: parameter, dtype: 'F32', shape, data })
  }
  change(tensors)
  const folder = mkdtempSync(join(place, `${name}-`))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors.values())
  return folder
}

describe('initializeState', () => {
  test('depends on the seed alone', async () => {
    const first = allocateState(runtime, tiny, 'adamw')
    const second = allocateState(runtime, tiny, 'adamw')
    const name = 'model.embed_tokens.weight'
    await initializeState(first, tiny, 1)
    await initializeState(second, tiny, 1)
    expect(await valuesOf(second, name)).toEqual(await valuesOf(first, name))
    await initializeState(second, tiny, 2)
    expect(await valuesOf(second, name)).not.toEqual(await valuesOf(first, name))
    expect((await valuesOf(first, `exp_avg/${name}`)).every((value) => value === 0)).toBe(true)
  })
})

describe('loadWeights', () => {
  test('reads shards as it reads one file', async () => {
    const { state } = await loaded(join(GOLDEN, 'llama-sharded'))
    for (const { name } of state.parameters)
      expect((await valuesOf(state, name)).some((value) => value !== 0)).toBe(true)
  })

  test('reads bfloat16 exactly', async () => {
    const folder = join(GOLDEN, 'qwen3-bf16')
    const { state } = await loaded(folder)
    const file = await readSafetensorsHeader(join(folder, 'model.safetensors'))
    for (const { name } of state.parameters) {
      expect(file.tensors.get(name)!.dtype).toBe('BF16')
      expect(await valuesOf(state, name)).toEqual(toFloat32(await readSafetensor(file, name), 'BF16'))
    }
  })

  test('passes over a tied output matrix and old tables of rotary embeddings', async () => {
    const folder = await weights('extra', (tensors) => {
      tensors.set('lm_head.weight', { ...tensors.get('model.embed_tokens.weight')!, name: 'lm_head.weight' })
      const name = 'model.layers.0.self_attn.rotary_emb.inv_freq'
      tensors.set(name, { name, dtype: 'F32', shape: [2], data: new Uint8Array(8) })
    })
    await loadWeights(allocateState(runtime, tiny), tiny, folder)
  })

  test('lists every tensor that does not fit, at once, and changes nothing', async () => {
    const folder = await weights('wrong', (tensors) => {
      tensors.delete('model.norm.weight')
      tensors.set('model.extra', { name: 'model.extra', dtype: 'F32', shape: [1], data: new Uint8Array(4) })
      const down = 'model.layers.0.mlp.down_proj.weight'
      tensors.set(down, { ...tensors.get(down)!, shape: [8, 32] })
      const up = 'model.layers.0.mlp.up_proj.weight'
      tensors.set(up, { name: up, dtype: 'I32', shape: [16, 16], data: new Uint8Array(1024) })
    })
    const state = allocateState(runtime, tiny)
    const error = (await loadWeights(state, tiny, folder).catch((caught) => caught)) as RegaugeError
    expect(error.kind).toBe('data')
    expect(error.issues.map(({ message }) => message)).toEqual([
      'tensor model.layers.0.mlp.up_proj.weight is I32, expected one of F32, F16, BF16, F64',
      'tensor model.layers.0.mlp.down_proj.weight has shape [8,32], expected [16,16]',
      'tensor model.norm.weight is missing, expected [16]',
      'tensor model.extra is not part of this architecture',
    ])
    expect((await valuesOf(state, 'model.embed_tokens.weight')).every((value) => value === 0)).toBe(true)
  })

  test('says so when the folder has no weights', async () => {
    const folder = mkdtempSync(join(place, 'none-'))
    cpSync(join(GOLDEN, 'llama-tied', 'config.json'), join(folder, 'config.json'))
    await expect(loaded(folder)).rejects.toThrow(/holds neither model.safetensors/)
  })
})

describe('training on from a folder of transformers', () => {
  const cases = ['llama-tied', 'llama-untied-gqa', 'mistral', 'qwen2-tied', 'qwen3-tied']
  test.each(cases)('20 steps of two micro-batches have its losses and norms: %s', async (name) => {
    const { a, state } = await loaded(join(GOLDEN, name))
    const golden = await readSafetensorsHeader(join(GOLDEN, name, 'golden.safetensors'))
    const ints = async (key: string) => {
      const bytes = await readSafetensor(golden, key)
      return Int32Array.from(new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8), Number)
    }
    const floats = async (key: string) => toFloat32(await readSafetensor(golden, key), 'F32')
    const [steps, micro, rows, sequenceLength] = golden.tensors.get('train.ids')!.shape as [
      number,
      number,
      number,
      number,
    ]
    const trainer = await createTrainer(runtime, a, state, {
      batchSize: micro * rows,
      microBatchSize: rows,
      sequenceLength,
      recompute: 'none',
      optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
    })
    const size = micro * rows * sequenceLength
    const [ids, labels] = [await ints('train.ids'), await ints('train.labels')]
    const [rates, losses, norms] = [
      await floats('train.lr'),
      await floats('train.loss'),
      await floats('train.grad_norm'),
    ]
    for (let step = 0; step < steps; step++) {
      const part = (x: Int32Array) => x.slice(step * size, (step + 1) * size)
      const { loss, gradNorm } = await trainer.step(
        { ids: part(ids), labels: part(labels) },
        step + 1,
        rates[step]!,
      )
      expect(Math.abs(loss / losses[step]! - 1)).toBeLessThan(1e-4)
      expect(Math.abs(gradNorm / norms[step]! - 1)).toBeLessThan(1e-3)
    }
    for (const { name: parameter } of state.parameters) {
      const want = await floats(`final.${parameter}`)
      const got = await valuesOf(state, parameter)
      const distance = Math.hypot(...got.map((value, i) => value - want[i]!)) / Math.hypot(...want)
      expect(distance, parameter).toBeLessThan(1e-4)
    }
    trainer.dispose()
  })
})
