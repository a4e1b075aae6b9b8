/** @file Checkpoints: written whole or not at all, found again, and passed over when damaged. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { RegaugeError } from '../../errors.ts'
import { readHfConfig, readSafetensorsHeader } from '../../formats/index.ts'
import { PRESETS, readArchitecture } from '../../model/index.ts'
import { createRuntime } from '../../runtime/index.ts'
import { allocateState, initializeState, loadOptimizer, loadWeights } from '../state.ts'
import { CHECKPOINT_FILES, newestCheckpoint, removePartial, stateText, verifyCheckpoint } from './files.ts'
import { type CheckpointContent, checkSpace, writeCheckpoint } from './write.ts'

const architecture = readArchitecture({
  ...PRESETS.nano,
  hidden_size: 16,
  intermediate_size: 16,
  num_hidden_layers: 1,
  vocab_size: 32,
  torch_dtype: 'bfloat16',
})
const runtime = createRuntime({ name: 'cpu', threads: 1 })
const state = allocateState(runtime, architecture, 'adamw')
let place: string
let folder: string
let cases = 0

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'checkpoint-'))
  writeFileSync(join(place, 'tokenizer.json'), '{"model":{}}')
  await initializeState(state, architecture, 1)
  for (const name of state.names.filter((one) => one.startsWith('exp_avg'))) {
    const tensor = state.current(name)
    const values = Float32Array.from({ length: tensor.byteLength / 4 }, (_, i) => i + name.length / 100)
    await tensor.write(new Uint8Array(values.buffer))
  }
})
afterAll(() => {
  runtime.dispose()
  rmSync(place, { recursive: true, force: true })
})
beforeEach(() => {
  folder = join(place, String(cases++))
})

function write(step: number, policy = { keepLast: 2 }): Promise<{ folder: string; bytes: number }> {
  const content: CheckpointContent = {
    architecture,
    state,
    copies: { 'tokenizer.json': join(place, 'tokenizer.json') },
    eosId: 3,
    version: '1',
    runtime: 'a runtime',
    step,
    seed: 1,
    tokens: 10 * step,
    seconds: step / 2,
    settings: { seed: 1, 'train.batchSize': 4, 'optimizer.clipNorm': null },
  }
  return writeCheckpoint(folder, content, policy)
}

async function newest(): Promise<{ step: number | undefined; notes: string }> {
  const notes: string[] = []
  const found = await newestCheckpoint(folder, (note) => notes.push(note), 'set aside')
  return { step: found?.state.step, notes: notes.join('\n') }
}

function flipBit(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at < 0 ? bytes.length + at : at]! ^= 4
  writeFileSync(file, bytes)
}

describe('writeCheckpoint', () => {
  test('writes a Hugging Face folder with the optimizer beside it, and says how large it is', async () => {
    const { folder: at, bytes } = await write(7)
    expect(at).toBe(join(folder, 'step-00000007'))
    expect(readdirSync(at).sort()).toEqual(
      Object.values(CHECKPOINT_FILES)
        .filter((name) => name !== 'tokenizer_config.json')
        .sort(),
    )
    const config = await readHfConfig(join(at, 'config.json'))
    expect(config).toMatchObject({ architectures: ['LlamaForCausalLM'], dtype: 'float32', vocab_size: 32 })
    expect(config).not.toHaveProperty('torch_dtype')
    const weights = await readSafetensorsHeader(join(at, 'model.safetensors'))
    expect(weights.metadata).toEqual({ format: 'pt' })
    expect([...weights.tensors.keys()].sort()).toEqual(state.parameters.map(({ name }) => name).sort())
    expect(weights.tensors.has('lm_head.weight')).toBe(false)
    expect(JSON.parse(readFileSync(join(at, 'generation_config.json'), 'utf8'))).toEqual({ eos_token_id: 3 })
    const { state: saved } = await verifyCheckpoint(at, { files: true })
    expect(saved).toMatchObject({
      step: 7,
      tokens: 70,
      seconds: 3.5,
      settings: { 'optimizer.clipNorm': null },
    })
    expect(bytes).toBe(Object.values(saved.files).reduce((sum, file) => sum + file.bytes, 0))
  })

  test('gives back the same bits', async () => {
    const { folder: at } = await write(1)
    const other = allocateState(runtime, architecture, 'adamw')
    await loadWeights(other, architecture, at)
    await loadOptimizer(other, join(at, 'optimizer.safetensors'))
    for (const name of state.names) {
      expect(await other.current(name).read()).toEqual(await state.current(name).read())
    }
  })

  test('keeps the newest and those for good, and deletes no other file', async () => {
    mkdirSync(folder)
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    for (const step of [5, 10, 15, 20, 25])
      await write(step, { keepLast: 2, keepEvery: 10 } as { keepLast: number })
    expect(readdirSync(folder).sort()).toEqual([
      'notes.txt',
      'step-00000010',
      'step-00000020',
      'step-00000025',
    ])
  })

  test('refuses before it writes when the disk has no room', async () => {
    const error: unknown = await checkSpace(join(folder, 'not', 'there'), 1e18).catch((caught) => caught)
    expect((error as RegaugeError).kind).toBe('environment')
    expect((error as RegaugeError).message).toMatch(
      /a checkpoint takes \d+.\d MiB, the disk has \d+.\d MiB free/,
    )
  })

  test('leaves nothing behind when a file fails, and the one before it as it was', async () => {
    await write(1)
    const missing = write(2)
    rmSync(join(place, 'tokenizer.json'))
    const error: unknown = await missing.catch((caught) => caught)
    writeFileSync(join(place, 'tokenizer.json'), '{"model":{}}')
    expect(error).toBeInstanceOf(RegaugeError)
    expect(readdirSync(folder)).toEqual(['step-00000001'])
    expect(await newest()).toEqual({ step: 1, notes: '' })
  })
})

describe('newestCheckpoint', () => {
  const damages: [string, (at: string) => void, RegExp][] = [
    [
      'truncated weights',
      (at) => truncateSync(join(at, 'model.safetensors'), 500),
      /model.safetensors {2}has 500 bytes/,
    ],
    [
      'a bit of the weights',
      (at) => flipBit(join(at, 'model.safetensors'), -9),
      /model.safetensors {2}has other bytes/,
    ],
    [
      'a bit of the moments',
      (at) => flipBit(join(at, 'optimizer.safetensors'), 2000),
      /optimizer.safetensors {2}has other/,
    ],
    [
      'a missing file',
      (at) => rmSync(join(at, 'optimizer.safetensors')),
      /optimizer.safetensors {2}is missing/,
    ],
    [
      'a bit of the tokenizer',
      (at) => flipBit(join(at, 'tokenizer.json'), 3),
      /tokenizer.json {2}has other bytes/,
    ],
    [
      'a truncated state',
      (at) => truncateSync(join(at, 'state.json'), 40),
      /state.json {2}is not valid JSON/,
    ],
    ['a missing state', (at) => rmSync(join(at, 'state.json')), /state.json {2}is missing/],
    [
      'a digit of the state',
      (at) => {
        const file = join(at, 'state.json')
        writeFileSync(file, readFileSync(file, 'utf8').replace('"step": 9', '"step": 8'))
      },
      /state.json {2}has other bytes/,
    ],
  ]
  test.each(damages)('passes over one with %s, says so, and sets it aside', async (_, damage, message) => {
    await write(4)
    const { folder: at } = await write(9)
    damage(at)
    const { step, notes } = await newest()
    expect(step).toBe(4)
    expect(notes).toMatch(/the checkpoint of step 9 is damaged and set aside: /)
    expect(notes).toMatch(message)
    expect(notes).toMatch(/going on from the good checkpoint of step 4/)
    expect(existsSync(`${at}.damaged`)).toBe(true)
    // the next good one of the same step takes its place and ends the damaged one
    await write(9)
    expect(await newest()).toEqual({ step: 9, notes: '' })
    expect(readdirSync(folder).sort()).toEqual(['step-00000004', 'step-00000009'])
  })

  test('finds none where there is none, and refuses where all are damaged', async () => {
    expect(await newest()).toEqual({ step: undefined, notes: '' })
    truncateSync(join((await write(3)).folder, 'model.safetensors'), 0)
    for (let time = 0; time < 2; time++)
      await expect(newest()).rejects.toThrow('none of the 1 checkpoints of this run is whole')
  })

  test('leaves one that a later version has written as it is', async () => {
    const { folder: at } = await write(5)
    const { state: written } = await verifyCheckpoint(at, { files: false })
    const later = { ...written, format: 2, version: '9.0.0' } as unknown as typeof written
    writeFileSync(join(at, 'state.json'), stateText(later))
    await expect(newest()).rejects.toThrow(/state.json {2}has format 2, this version reads 1: .*"9.0.0"/)
    expect(readdirSync(folder)).toEqual(['step-00000005'])
  })

  test('takes no half-written folder for one, and removes it', async () => {
    await write(2)
    mkdirSync(join(folder, '.step-00000003.4711.partial'))
    writeFileSync(join(folder, '.step-00000003.4711.partial', 'model.safetensors'), 'half')
    expect((await newest()).step).toBe(2)
    await removePartial(folder)
    expect(readdirSync(folder)).toEqual(['step-00000002'])
  })
})
