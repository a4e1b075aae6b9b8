/**
 * @file Checkpoints that were trained here, loaded in Hugging Face transformers, and back. Needs a Python with torch
 * and transformers: REGAUGE_PYTHON=path/to/python (see scripts/check-transformers.py).
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSafetensor, readSafetensorsHeader, toFloat32, writeSafetensors } from '../src/formats/index.ts'
import { className, FAMILY_NAMES } from '../src/model/index.ts'
import { logitsStep } from '../src/steps/index.ts'
import { completeRun, createGenerator, type Model, openModel, train } from '../src/train/index.ts'
import { bytesOf, distance, numbersOf, runGraph } from './run-graph.ts'

const PYTHON = process.env.REGAUGE_PYTHON
/** Of the contract: norm of the difference over the norm. */
const TOLERANCE = 1e-4
const [SEQUENCES, LENGTH, NEW_TOKENS] = [2, 48, 24]

const SIZE = {
  vocab_size: 512,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  initializer_range: 0.08,
  hidden_act: 'silu',
}
const LLAMA3_ROPE = {
  rope_type: 'llama3',
  factor: 4,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
}
const GEMMA = { hidden_act: undefined, head_dim: 24, query_pre_attn_scalar: 20, sliding_window: 20 }
/** One model a family, as a config.json. */
const CONFIGS: Readonly<Record<string, object>> = {
  llama: { ...SIZE, model_type: 'llama', tie_word_embeddings: false, rope_scaling: LLAMA3_ROPE },
  mistral: { ...SIZE, model_type: 'mistral', tie_word_embeddings: false, sliding_window: 20 },
  qwen2: { ...SIZE, model_type: 'qwen2', tie_word_embeddings: true },
  qwen3: { ...SIZE, model_type: 'qwen3', tie_word_embeddings: true, head_dim: 24, attention_bias: false },
  gemma2: { ...SIZE, ...GEMMA, model_type: 'gemma2', attn_logit_softcapping: 4, final_logit_softcapping: 6 },
  gemma3_text: {
    ...SIZE,
    ...GEMMA,
    model_type: 'gemma3_text',
    sliding_window_pattern: 2,
    rope_local_base_freq: 100,
    rope_scaling: { rope_type: 'linear', factor: 4 },
  },
  phi3: {
    ...SIZE,
    model_type: 'phi3',
    sliding_window: 20,
    partial_rotary_factor: 0.5,
  },
  olmo2: { ...SIZE, model_type: 'olmo2' },
  gpt2: {
    model_type: 'gpt2',
    vocab_size: SIZE.vocab_size,
    n_embd: 64,
    n_layer: 2,
    n_head: 4,
    n_positions: 128,
    initializer_range: 0.08,
  },
}
const FAMILIES = FAMILY_NAMES.filter((name) => name in CONFIGS)

const TEXTS = [
  'The river does not hurry, and it arrives.',
  '  two  spaces,\ttabs\nand\r\nlines',
  'naïve café — 日本語 🙂 ́',
  '<|endoftext|>after<|endoftext|>',
]

const work = mkdtempSync(join(tmpdir(), 'regauge-transformers-'))
const cases = join(work, 'cases')
const text = join(work, 'text.txt')
const other = join(work, 'other.txt')
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** What the script prints of a case. */
interface Found {
  readonly case: string
  readonly class: string
  readonly dtype: string
  readonly keys: Readonly<Record<string, readonly string[]>>
  readonly complaints: readonly string[]
  readonly logits: number
  readonly greedy: readonly number[]
  readonly ids: readonly (readonly number[])[]
  readonly decoded: readonly string[]
  /** Of the tokenizer and of the generation config. */
  readonly eos: readonly number[]
  readonly loss: number
}
interface Ours {
  readonly ids: readonly (readonly number[])[]
  readonly greedy: readonly number[]
  readonly eos: number | undefined
  readonly batch: readonly number[]
}

/** Sentences that a small model can learn something of. */
function sentences(seed: number, count: number): string {
  const subjects = ['The river', 'A miller', 'The old bridge', 'Every lamp', 'My neighbour', 'The last train']
  const verbs = ['follows', 'remembers', 'leaves', 'carries', 'waits for', 'asks']
  const objects = ['the hill', 'a quiet song', 'no one', 'the morning', 'seven stones', 'the naïve café']
  const pick = (list: readonly string[], i: number) => list[(i * 7919 + seed * 31 + (i >> 3)) % list.length]!
  return Array.from(
    { length: count },
    (_, i) => `${pick(subjects, i)} ${pick(verbs, i * 3 + 1)} ${pick(objects, i * 5 + 2)}.`,
  ).join('\n')
}

function runOf(model: { config: string } | { from: string }, name: string, steps: number) {
  return completeRun({
    name,
    model,
    ...('config' in model && { tokenizer: { train: { vocabSize: 400 } } }),
    data: { train: text, heldout: other, sequenceLength: LENGTH },
    train: { steps, batchSize: 4 },
    optimizer: { learningRate: 3e-3 },
    output: join(work, 'runs'),
  })
}

async function logitsOf(model: Model, batch: readonly number[]): Promise<Float64Array> {
  const { runtime, architecture, state } = model
  const given = new Map<string, ArrayLike<number>>([['ids', batch]])
  for (const { name } of state.parameters) {
    given.set(name, numbersOf('float32', await state.current(name).read()))
  }
  const { graph } = logitsStep(architecture, { microBatch: SEQUENCES, sequenceLength: LENGTH })
  return (await runGraph(runtime, graph, given)).get('logits')!
}

/** Trains a model of the family, and writes the case for the script. */
async function prepare(family: string): Promise<Ours> {
  const config = join(work, `${family}.json`)
  writeFileSync(config, JSON.stringify(CONFIGS[family]))
  const { checkpoint } = await train(runOf({ config }, family, 20), { threads: 1 })
  const model = await openModel(checkpoint!, { threads: 1 })
  const folder = join(cases, family)
  mkdirSync(folder, { recursive: true })
  cpSync(checkpoint!, join(folder, 'checkpoint'), { recursive: true })

  const ids = TEXTS.map((one) => [...model.tokenizer.encode(one)])
  const batch = [...model.tokenizer.encode(sentences(3, 60))].slice(0, SEQUENCES * LENGTH)
  const logits = await logitsOf(model, batch)
  const { runtime, architecture, state } = model
  const generator = createGenerator(runtime, architecture, state, LENGTH + NEW_TOKENS)
  const greedy: number[] = []
  const prompt = batch.slice(0, LENGTH)
  for await (const token of generator.generate(prompt, NEW_TOKENS, { temperature: 0, seed: 1 }))
    greedy.push(token)
  generator.dispose()
  const tensor = (name: string, dtype: 'F32' | 'I32', shape: number[], values: ArrayLike<number>) => ({
    name,
    dtype,
    shape,
    data: async function* () {
      yield bytesOf(dtype === 'F32' ? 'float32' : 'int32', values)
    },
  })
  await writeSafetensors(join(folder, 'ours.safetensors'), [
    tensor('batch', 'I32', [SEQUENCES, LENGTH], batch),
    tensor('logits', 'F32', [SEQUENCES, LENGTH, SIZE.vocab_size], logits),
    tensor('greedy', 'I32', [NEW_TOKENS], greedy),
  ])
  writeFileSync(join(folder, 'ours.json'), JSON.stringify({ texts: TEXTS, ids }))
  const eos = model.tokenizer.eosId
  model.dispose()
  return { ids, greedy, eos, batch }
}

const title = 'checkpoints in transformers'
describe.skipIf(PYTHON === undefined)(
  PYTHON === undefined ? `${title} (set REGAUGE_PYTHON to a Python with transformers)` : title,
  () => {
    const ours = new Map<string, Ours>()
    const found = new Map<string, Found>()

    beforeAll(async () => {
      writeFileSync(text, sentences(1, 400))
      writeFileSync(other, sentences(2, 60))
      for (const family of FAMILIES) ours.set(family, await prepare(family))
      const script = join(import.meta.dirname, '../scripts/check-transformers.py')
      const { stdout } = await promisify(execFile)(PYTHON!, [script, cases])
      for (const line of stdout.trimEnd().split('\n')) {
        const one = JSON.parse(line) as Found
        found.set(one.case, one)
        console.log(
          `${one.case}: logits differ by ${one.logits.toExponential(1)}, loss ${one.loss.toFixed(4)}`,
        )
      }
    }, 600_000)

    test.each(FAMILIES)('%s loads without a word and computes the same', (family) => {
      const { ids, greedy, eos } = ours.get(family)!
      const theirs = found.get(family)!
      expect(theirs.class).toBe(className(family))
      expect(theirs.dtype).toBe('torch.float32')
      expect(theirs.keys).toEqual({})
      expect(theirs.complaints).toEqual([])
      expect(theirs.logits).toBeLessThan(TOLERANCE)
      expect(theirs.greedy).toEqual(greedy)
      expect(theirs.ids).toEqual(ids)
      expect(theirs.decoded).toEqual(TEXTS)
      expect(theirs.eos).toEqual([eos, eos])
    })

    test.each(FAMILIES)('%s, trained and saved by transformers, trains on here', async (family) => {
      const saved = join(cases, family, 'saved')
      const { batch, ids } = ours.get(family)!
      const model = await openModel(saved, { threads: 1 })
      const after = await readSafetensorsHeader(join(cases, family, 'after.safetensors'))
      const expected = toFloat32(await readSafetensor(after, 'logits'), 'F32')
      const error = distance(await logitsOf(model, batch), expected)
      expect(TEXTS.map((one) => [...model.tokenizer.encode(one)])).toEqual(ids)
      model.dispose()
      expect(error).toBeLessThan(TOLERANCE)

      const losses: number[] = []
      const { state } = await train(runOf({ from: saved }, `${family}-on`, 5), {
        threads: 1,
        onEvent: (event) => void (event.type === 'step' && losses.push(event.loss)),
      })
      console.log(
        `${family}, saved: logits differ by ${error.toExponential(1)}; loss ${losses.map((x) => x.toFixed(3))}`,
      )
      expect(state).toBe('finished')
      // near what transformers measured, and far from a model that knows nothing: ln 512 = 6.2
      expect(losses[0]).toBeLessThan(found.get(family)!.loss + 0.7)
      expect(losses.at(-1)).toBeLessThan(losses[0]!)
    })
  },
)
