/** @file The training programs as wholes: in place or not, recomputed or not, and with numbers that are none. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rounding } from '../../test/rounding.ts'
import { distance, runGraph } from '../../test/run-graph.ts'
import { byteLength, type Graph, type Tensor } from '../graph/index.ts'
import { type Architecture, initialValues, parametersOf, readArchitecture, uniform } from '../model/index.ts'
import { createRuntime } from '../runtime/index.ts'
import {
  allocateState,
  type Batch,
  createTrainer,
  initializeState,
  type TrainerOptions,
  type TrainingState,
} from '../train/index.ts'
import {
  accumulateStep,
  gradientStep,
  type Optimizer,
  type StepRecompute,
  stateNames,
  trainStep,
} from './index.ts'

const runtime = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => runtime.dispose())

const SIZES = {
  vocab_size: 50,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
}
const LLAMA = readArchitecture({
  ...SIZES,
  model_type: 'llama',
  attention_bias: true,
  tie_word_embeddings: true,
})
const FAMILIES = {
  llama: LLAMA,
  qwen3: readArchitecture({ ...SIZES, model_type: 'qwen3', head_dim: 6 }),
}
const SHAPE = { microBatch: 2, sequenceLength: 12 }
const CLIPPED: Optimizer = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 0.5 }
const FREE: Optimizer = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0 }

function batch(sequences: number, seed: number): Batch {
  const next = uniform(seed, 'batch')
  const ids = Int32Array.from({ length: sequences * SHAPE.sequenceLength }, () => Math.floor(next() * 50))
  return { ids, labels: ids.map((id, i) => (i % 7 === 0 ? -100 : (id * 3 + 1) % 50)) }
}

/** Every byte of the state, by name. */
async function bytesOf(state: TrainingState): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for (const name of state.names) found.set(name, Buffer.from(await state.current(name).read()))
  return found
}

interface Trained {
  readonly losses: readonly number[]
  readonly state: Map<string, Buffer>
}

/** Five steps from the same first values. */
async function train(a: Architecture, options: Partial<TrainerOptions>): Promise<Trained> {
  const state = allocateState(runtime, a, 'adamw')
  await initializeState(state, a, 3)
  const all = {
    batchSize: 2,
    microBatchSize: 2,
    sequenceLength: SHAPE.sequenceLength,
    recompute: 'none',
    optimizer: CLIPPED,
  } as const
  const trainer = await createTrainer(runtime, a, state, { ...all, ...options })
  const losses: number[] = []
  for (let step = 1; step <= 5; step++) {
    const { loss, gradNorm } = await trainer.step(batch(options.batchSize ?? 2, step), step, 0.01)
    losses.push(loss, gradNorm)
  }
  const found = await bytesOf(state)
  trainer.dispose()
  state.dispose()
  return { losses, state: found }
}

describe('in place', () => {
  test.each([
    ['llama', { optimizer: CLIPPED, accumulates: false, recompute: 'none' }],
    ['llama', { optimizer: FREE, accumulates: true, recompute: 'layer' }],
    ['qwen3', { optimizer: FREE, accumulates: false, recompute: 'selective' }],
  ] as const)('every state of %s is proven safe', (family, options) => {
    const a = FAMILIES[family]
    const { state } = trainStep(a, { ...SHAPE, ...options })
    expect(state.filter(({ inPlace }) => !inPlace)).toEqual([])
    expect(state).toHaveLength(3 * parametersOf(a).length)
    const sums = accumulateStep(a, { ...SHAPE, recompute: options.recompute }).state
    expect(sums.filter(({ inPlace }) => !inPlace)).toEqual([])
  })

  test.each([
    ['llama, clipped', { optimizer: CLIPPED }],
    ['llama, not clipped', { optimizer: FREE }],
    ['llama, accumulating', { optimizer: CLIPPED, batchSize: 6 }],
    ['qwen3, recomputing layers', { optimizer: FREE, recompute: 'layer' }],
    ['qwen3, recomputing what is cheap', { optimizer: CLIPPED, recompute: 'selective' }],
  ] as const)('gives the bits of two sets of buffers: %s', async (name, options) => {
    const a = FAMILIES[name.startsWith('llama') ? 'llama' : 'qwen3']
    const over = await train(a, { ...options, inPlace: true })
    const beside = await train(a, { ...options, inPlace: false })
    expect(over.losses).toEqual(beside.losses)
    for (const [key, bytes] of beside.state) expect(over.state.get(key)!.equals(bytes), key).toBe(true)
  })
})

describe('recomputation', () => {
  const given = new Map<string, ArrayLike<number>>()
  beforeAll(() => {
    for (const parameter of parametersOf(LLAMA)) given.set(parameter.name, initialValues(LLAMA, parameter, 4))
    const { ids, labels } = batch(2, 9)
    given
      .set('ids', ids)
      .set('labels', labels)
      .set('loss_scale', [1 / 20])
  })
  const results = (recompute: StepRecompute) =>
    runGraph(runtime, gradientStep(LLAMA, SHAPE, recompute).graph, given)

  test.each(['selective', 'layer'] as const)('%s: the same loss and gradients', async (recompute) => {
    const kept = await results('none')
    const made = await results(recompute)
    // the same sums, of at most 50 logits, fused in other places
    for (const [name, values] of kept)
      expect(distance(made.get(name)!, values), name).toBeLessThan(rounding(50))
  })

  test('keeps less from the forward pass to the backward pass', () => {
    const peak = (recompute: StepRecompute) =>
      peakBytes(gradientStep(LLAMA, { microBatch: 4, sequenceLength: 192 }, recompute).graph)
    const [none, selective, layer] = [peak('none'), peak('selective'), peak('layer')]
    expect(selective).toBeLessThan(0.95 * none)
    expect(layer).toBeLessThan(0.75 * none)
  })

  test('no product of the backward pass over heads shares an operand, and so its transpose, with the forward pass', () => {
    const { graph } = gradientStep(LLAMA, { microBatch: 1, sequenceLength: 192 }, 'selective')
    const root = (tensor: Tensor): Tensor =>
      tensor.node.op === 'reshape' ? root(tensor.node.inputs[0]!) : tensor
    const products = graph.nodes.filter(
      ({ op, scope, outputs }) =>
        op === 'matmul' && scope.startsWith('backward') && outputs[0]!.shape.length === 4,
    )
    expect(products.length).toBeGreaterThan(0)
    for (const { inputs } of products) {
      for (const input of inputs) expect(root(input).node.scope).toMatch(/^backward/)
    }
  })
})

/** Most bytes alive at once when the nodes run in their order, inputs and constants left out. */
function peakBytes(graph: Graph): number {
  const last = new Map<Tensor, number>()
  for (const node of graph.nodes) for (const input of node.inputs) last.set(input, node.id)
  for (const tensor of graph.outputs.values()) last.set(tensor, graph.nodes.length)
  let alive = 0
  let most = 0
  for (const node of graph.nodes) {
    const own = (tensor: Tensor) => tensor.node.op !== 'input' && tensor.node.op !== 'constant'
    for (const output of node.outputs) if (own(output)) alive += byteLength(output)
    most = Math.max(most, alive)
    for (const output of node.outputs) if (own(output) && !last.has(output)) alive -= byteLength(output)
    for (const input of new Set(node.inputs)) {
      if (own(input) && last.get(input) === node.id) alive -= byteLength(input)
    }
  }
  return most
}

describe('numbers that are none', () => {
  test.each([
    [Number.NaN, 'model.layers.1.mlp.up_proj.weight', CLIPPED, 2],
    [Number.POSITIVE_INFINITY, 'model.embed_tokens.weight', FREE, 2],
    // overflows on the way
    [3e38, 'model.norm.weight', CLIPPED, 4],
  ])(
    '%d in %s: the state comes out as it went in, bit for bit',
    async (poison, name, optimizer, batchSize) => {
      const state = allocateState(runtime, LLAMA, 'adamw')
      await initializeState(state, LLAMA, 3)
      const trainer = await createTrainer(runtime, LLAMA, state, {
        batchSize,
        microBatchSize: 2,
        sequenceLength: SHAPE.sequenceLength,
        recompute: 'none',
        optimizer,
      })
      await trainer.step(batch(batchSize, 1), 1, 0.01)
      for (let at = 0; at < 64; at += 4) {
        await state.current(name).write(new Uint8Array(Float32Array.of(poison).buffer), at)
      }
      const before = await bytesOf(state)
      await expect(trainer.step(batch(batchSize, 2), 2, 0.01)).rejects.toMatchObject({ kind: 'diverged' })
      for (const [key, bytes] of await bytesOf(state)) expect(bytes.equals(before.get(key)!), key).toBe(true)
      trainer.dispose()
      state.dispose()
    },
  )

  test('a batch without labels gives a loss of 0 and only decays', async () => {
    const state = allocateState(runtime, LLAMA, 'adamw')
    await initializeState(state, LLAMA, 3)
    const before = await bytesOf(state)
    const options = {
      batchSize: 2,
      microBatchSize: 2,
      sequenceLength: SHAPE.sequenceLength,
      recompute: 'none',
    } as const
    const trainer = await createTrainer(runtime, LLAMA, state, { ...options, optimizer: FREE })
    const { ids } = batch(2, 1)
    expect(await trainer.step({ ids, labels: ids.map(() => -100) }, 1, 0.01)).toEqual({
      loss: 0,
      gradNorm: 0,
    })
    for (const [key, bytes] of await bytesOf(state)) expect(bytes.equals(before.get(key)!), key).toBe(true)
    trainer.dispose()
    state.dispose()
  })
})

test('gradients that accumulate are those of the joined batch', async () => {
  const given = new Map<string, ArrayLike<number>>([['loss_scale', [1 / 40]]])
  for (const parameter of parametersOf(LLAMA)) given.set(parameter.name, initialValues(LLAMA, parameter, 4))
  const { ids, labels } = batch(4, 2)
  const joined = await runGraph(
    runtime,
    gradientStep(LLAMA, { ...SHAPE, microBatch: 4 }).graph,
    new Map([...given, ['ids', ids], ['labels', labels]]),
  )
  const { graph } = accumulateStep(LLAMA, { ...SHAPE, recompute: 'none' })
  let sums = new Map<string, ArrayLike<number>>()
  let loss = 0
  for (const [micro, keep] of [0, 1].entries()) {
    const part = (x: Int32Array) => x.subarray(micro * 24, (micro + 1) * 24)
    const inputs = new Map([...given, ['ids', part(ids)], ['labels', part(labels)], ['keep', [keep]]] as [
      string,
      ArrayLike<number>,
    ][])
    for (const { name, shape } of parametersOf(LLAMA)) {
      const key = stateNames.accumulated(name)
      // what is there before the first micro-batch does not count
      inputs.set(
        key,
        sums.get(stateNames.next(key)) ?? new Array(shape.reduce((n, size) => n * size, 1)).fill(7),
      )
    }
    sums = await runGraph(runtime, graph, inputs)
    loss += sums.get('loss')![0]!
  }
  // sums over 48 positions, here in two halves
  expect(Math.abs(loss / joined.get('loss')![0]! - 1)).toBeLessThan(rounding(48))
  for (const { name } of parametersOf(LLAMA)) {
    const key = stateNames.accumulated(name)
    expect(distance(sums.get(stateNames.next(key))!, joined.get(key)!), name).toBeLessThan(rounding(48))
  }
})
