/** @file Our optimizers against torch's on a tiny llama: see scripts/golden-optimizers.py for the files. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readHfConfig, readSafetensor, readSafetensorsHeader, toFloat32 } from '../src/formats/index.ts'
import { readArchitecture } from '../src/model/index.ts'
import { createRuntime } from '../src/runtime/index.ts'
import { kindOf, OPTIMIZER_KINDS, type Optimizer } from '../src/steps/index.ts'
import { allocateState, createTrainer, loadWeights } from '../src/train/index.ts'
import { distance, numbersOf } from './run-graph.ts'

const GOLDEN = join(import.meta.dirname, 'golden')
/** Of the contract: relative difference of losses and norms, norm of the difference of weights over their norm. */
const TOLERANCE = 1e-4

interface Case {
  /** Folder of the model, whose weights and batches are taken. */
  readonly model: string
  readonly optimizer: Optimizer
  /** How far the losses of torch's Muon are from the same with its iterations in float32. */
  readonly bfloat16?: { readonly loss: number }
}

const runtime = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => runtime.dispose())

async function openTensors(path: string) {
  const file = await readSafetensorsHeader(path)
  return {
    shape: (name: string) => file.tensors.get(name)!.shape,
    async numbers(name: string): Promise<Float64Array> {
      const { dtype } = file.tensors.get(name)!
      const bytes = await readSafetensor(file, name)
      return dtype === 'I64' ? numbersOf('int64', bytes) : Float64Array.from(toFloat32(bytes, dtype))
    },
  }
}

const cases = readdirSync(join(GOLDEN, 'optimizers')).map((name) => {
  const folder = join(GOLDEN, 'optimizers', name)
  const golden: Case = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8'))
  return { name, folder, ...golden }
})

/** Losses, norms and last weights of a case's 20 steps. */
async function trained({ model, optimizer, folder }: (typeof cases)[number]) {
  const source = join(GOLDEN, 'models', model)
  const a = readArchitecture(await readHfConfig(join(source, 'config.json')))
  const [data, golden] = [await openTensors(join(source, 'golden.safetensors')), await goldenOf(folder)]
  const [steps, microBatches, batch, sequenceLength] = data.shape('train.ids') as [
    number,
    number,
    number,
    number,
  ]
  const state = allocateState(runtime, a, kindOf(optimizer))
  await loadWeights(state, a, source)
  const options = { batchSize: microBatches * batch, microBatchSize: batch, sequenceLength, optimizer }
  const trainer = await createTrainer(runtime, a, state, { ...options, recompute: 'none' })
  const [ids, labels] = [await data.numbers('train.ids'), await data.numbers('train.labels')]
  const rates = await golden.numbers('train.lr')
  const size = options.batchSize * sequenceLength
  const losses: number[] = []
  const norms: number[] = []
  for (let step = 0; step < steps; step++) {
    const part = (x: Float64Array) => Int32Array.from(x.subarray(step * size, (step + 1) * size))
    const { loss, gradNorm } = await trainer.step(
      { ids: part(ids), labels: part(labels) },
      step + 1,
      rates[step]!,
    )
    losses.push(loss)
    norms.push(gradNorm)
  }
  const weights = new Map<string, Float64Array>()
  for (const { name } of state.parameters)
    weights.set(name, numbersOf('float32', await state.current(name).read()))
  trainer.dispose()
  state.dispose()
  return { losses, norms, weights }
}

function goldenOf(folder: string) {
  return openTensors(join(folder, 'golden.safetensors'))
}

const furthest = (actual: readonly number[], expected: Float64Array) =>
  Math.max(...actual.map((value, i) => Math.abs(value / expected[i]! - 1)))

test('there is a case of each optimizer', () => {
  expect(new Set(cases.map(({ optimizer }) => optimizer.kind))).toEqual(new Set(OPTIMIZER_KINDS))
})

describe.each(cases)('$name', (one) => {
  test("20 steps are torch's: losses, norms and weights", async () => {
    const golden = await goldenOf(one.folder)
    const { losses, norms, weights } = await trained(one)
    expect(losses).toHaveLength(20)
    expect(furthest(losses, await golden.numbers('train.loss'))).toBeLessThan(TOLERANCE)
    expect(furthest(norms, await golden.numbers('train.grad_norm'))).toBeLessThan(TOLERANCE)
    for (const [name, values] of weights) {
      expect(distance(values, await golden.numbers(`final.${name}`)), name).toBeLessThan(TOLERANCE)
    }
    if (one.bfloat16 === undefined) return
    // torch's Muon as it is rounds to bfloat16 before its iterations: what that alone moves its losses by comes on top
    const apart = furthest(losses, await golden.numbers('bfloat16.loss'))
    expect(apart).toBeLessThan(one.bfloat16.loss + TOLERANCE)
    // and it was really rounded: those are other losses
    expect(apart).toBeGreaterThan(1e-6)
  })
})
