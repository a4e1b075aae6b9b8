/** @file Training in 16 bits: it converges as float32 does, survives overflow, and is refused where there are no kernels. */
import { afterEach, describe, expect, test } from 'vitest'
import { Graph, slice } from '../graph/index.ts'
import { type Architecture, readArchitecture } from '../model/index.ts'
import { coverage, createRuntime, PROVIDER_NAMES, type Runtime } from '../runtime/index.ts'
import { requireKernels } from './kernels.ts'
import { allocateState, initializeState, type TrainingState } from './state.ts'
import { stepPrograms, type TrainerOptions } from './step-programs.ts'
import { type Batch, createTrainer } from './trainer.ts'

const VOCABULARY = 64
const config = {
  model_type: 'llama',
  vocab_size: VOCABULARY,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  initializer_range: 0.1,
  tie_word_embeddings: false,
  hidden_act: 'silu',
}
const a: Architecture = readArchitecture(config, 'config.json')
const options: TrainerOptions = {
  batchSize: 8,
  microBatchSize: 4,
  sequenceLength: 16,
  recompute: 'selective',
  optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 },
}

/** Sequences whose next token follows from the one before, with noise: something to learn, and to not learn. */
function batchOf(step: number): Batch {
  let seed = step * 7919 + 1
  const random = (below: number): number => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * below)
  }
  const count = options.batchSize * (options.sequenceLength + 1)
  const tokens = new Int32Array(count)
  for (let i = 0; i < count; i++) {
    const fresh = i % (options.sequenceLength + 1) === 0 || random(8) === 0
    tokens[i] = fresh ? random(VOCABULARY) : (tokens[i - 1]! * 5 + 3) % VOCABULARY
  }
  const rows = Array.from({ length: options.batchSize }, (_, row) => {
    const at = row * (options.sequenceLength + 1)
    return tokens.subarray(at, at + options.sequenceLength + 1)
  })
  const flat = (part: (row: Int32Array) => Int32Array) =>
    Int32Array.from(rows.flatMap((row) => [...part(row)]))
  return { ids: flat((row) => row.subarray(0, -1)), labels: flat((row) => row.subarray(1)) }
}

const runtimes: Runtime[] = []
afterEach(() => {
  for (const runtime of runtimes.splice(0)) runtime.dispose()
})

async function trained(steps: number, more: Partial<TrainerOptions> = {}) {
  const runtime = createRuntime({ name: 'cpu', threads: 1 })
  runtimes.push(runtime)
  const state: TrainingState = allocateState(runtime, a, 'adamw')
  await initializeState(state, a, 1)
  const trainer = await createTrainer(runtime, a, state, { ...options, ...more })
  const results = []
  for (let step = 1; step <= steps; step++) results.push(await trainer.step(batchOf(step), step, 1e-2))
  return {
    trainer,
    state,
    losses: results.map(({ loss }) => loss),
    norms: results.map(({ gradNorm }) => gradNorm),
  }
}

const meanRelative = (actual: readonly number[], expected: readonly number[]) =>
  expected.reduce((sum, x, i) => sum + Math.abs(actual[i]! - x) / x, 0) / expected.length

describe('float16', () => {
  // MindSpore Transformers' standard for a model that was moved: the first loss within 0.5 %, the mean error of all
  // within 1 %, that of the gradient norm within 10 %
  test('with loss scaling converges as float32 does, within the published criterion', async () => {
    const [full, half] = [await trained(200), await trained(200, { precision: 'float16' })]
    expect(full.losses.at(-1)!).toBeLessThan(0.6 * full.losses[0]!)
    expect(half.losses).not.toEqual(full.losses)
    expect(Math.abs(half.losses[0]! / full.losses[0]! - 1)).toBeLessThan(0.005)
    expect(meanRelative(half.losses, full.losses)).toBeLessThan(0.01)
    expect(meanRelative(half.norms, full.norms)).toBeLessThan(0.1)
    expect(half.trainer.lossScale).toEqual({ scale: 2 ** 16, steps: 200 })
  })

  test('halves its scale until a step that overflows does not, and loses no step', async () => {
    const usual = await trained(3, { precision: 'float16' })
    const high = await trained(3, { precision: 'float16', lossScale: { scale: 2 ** 40, steps: 7 } })
    const { scale, steps } = high.trainer.lossScale!
    expect(scale).toBeLessThan(2 ** 32)
    expect(Math.log2(scale) % 1).toBe(0)
    expect(steps).toBeGreaterThan(0)
    expect(meanRelative(high.losses, usual.losses)).toBeLessThan(1e-3)
  })

  test('doubles its scale after 2000 steps without overflow', async () => {
    const { trainer } = await trained(1, { precision: 'float16', lossScale: { scale: 1024, steps: 1999 } })
    expect(trainer.lossScale).toEqual({ scale: 2048, steps: 0 })
  })

  test('gives up at a scale of 1, with the state as it was', async () => {
    const { trainer, state } = await trained(1, { precision: 'float16' })
    const name = 'model.norm.weight'
    const before = await state.current(name).read()
    await state
      .current('model.layers.0.mlp.up_proj.weight')
      .write(new Uint8Array(new Float32Array(32 * 64).fill(Number.NaN).buffer))
    await expect(trainer.step(batchOf(2), 2, 1e-2)).rejects.toMatchObject({ kind: 'diverged' })
    expect(await state.current(name).read()).toEqual(before)
  })

  test('needs no scale in float32', async () => {
    expect((await trained(1)).trainer.lossScale).toBeUndefined()
  })
})

test('a precision without kernels is refused before anything starts', () => {
  const programs = stepPrograms(a, { ...options, precision: 'bfloat16' })
  expect(() => requireKernels(programs, 'cpu', 'bfloat16')).toThrow(
    /cpu has no kernels for \d+ of the \d+ operations of \w+ in bfloat16, first Gemm \(layers\.0\.attention/,
  )
  const able = PROVIDER_NAMES.filter((name) => {
    try {
      requireKernels(programs, name, 'bfloat16')
      return true
    } catch {
      return false
    }
  })
  expect(able).toHaveLength(2)
})

test('what only the device lacks is refused, unless the host may take it', () => {
  const graph = new Graph()
  const x = graph.input('x', { dtype: 'int64', shape: [4] })
  graph.output('y', slice(x, 0, 1, 3))
  const programs = { train: { name: 'part', graph, state: [] } }
  const [lacking, ...more] = PROVIDER_NAMES.filter((name) => coverage(graph, name).unsupported.length > 0)
  expect(more).toEqual([])
  expect(() => requireKernels(programs, lacking!, 'float32')).toThrow(
    /has no kernels for 1 of the 1 operations of part in float32, first Slice \(y\): no kernel for int64/,
  )
  expect(requireKernels(programs, lacking!, 'float32', true)).toEqual(programs)
  // nothing here computes in bfloat16
  const half = stepPrograms(a, { ...options, precision: 'bfloat16' })
  expect(() => requireKernels(half, lacking!, 'bfloat16', true)).toThrow('has no kernels')
})
