/** @file What a training step costs, against counts by hand. */
import { expect, test } from 'vitest'
import type { HfConfig } from '../formats/index.ts'
import {
  type Architecture,
  parameterCount,
  parametersOf,
  readArchitecture,
  readDecoder,
  TRAINING_STATE_BYTES,
  trainingOperations,
  trainingStateBytes,
} from './index.ts'

const CONFIG: HfConfig = {
  model_type: 'llama',
  vocab_size: 1000,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
}
const SHAPE = { tokens: 256, sequenceLength: 128 }

function operation(name: string, config: HfConfig = CONFIG, shape = SHAPE) {
  const found = trainingOperations(readDecoder(config), shape).find((one) => one.name === name)
  if (found === undefined) throw new Error(`no operation ${name}`)
  return found
}

/** Weights that a product with activations reads. */
function weightsOf(a: Architecture): number {
  const read = parametersOf(a).filter(({ kind, name }) => {
    return kind === 'matrix' || kind === 'residual' || name === 'lm_head.weight'
  })
  return read.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0)
}

test('the training state takes 16 bytes a parameter where an optimizer keeps 8', () => {
  const a = readArchitecture(CONFIG)
  expect(TRAINING_STATE_BYTES).toEqual({ weights: 2, gradients: 2, masterWeights: 4 })
  expect(trainingStateBytes(a, 8)).toBe(16 * parameterCount(a))
})

test('products with weights take 6 FLOP a weight and token', () => {
  const products = ['attention projections', 'MLP', 'logits'].map((name) => operation(name).flops)
  expect(products.reduce((sum, flops) => sum + flops)).toBe(
    6 * weightsOf(readArchitecture(CONFIG)) * SHAPE.tokens,
  )
})

test('a product reads and writes its three matrices three times over', () => {
  expect(operation('logits').bytes).toBe(3 * 2 * (256 * 64 + 64 * 1000 + 256 * 1000))
})

test('attention counts the keys that a query sees', () => {
  const seen = (128 * 129) / 2
  // two sequences, three layers, four heads of 16
  expect(operation('attention, fused').flops).toBe(2 * 16 * (2 * seen) * 4 * 3 * 7)
  const unfused = operation('attention, unfused')
  expect(unfused.bytes - operation('attention, fused').bytes).toBe(11 * 2 * (256 * 128 * 4 * 3))
})

test('a sliding window bounds attention', () => {
  const config = { ...CONFIG, model_type: 'mistral', sliding_window: 16 }
  const seen = (16 * 17) / 2 + 16 * (128 - 16)
  expect(operation('attention, fused', config).flops).toBeCloseTo(2 * 16 * (2 * seen) * 4 * 3 * 7)
})

test('norms of queries and keys count where there are any', () => {
  const config = { ...CONFIG, model_type: 'qwen3', head_dim: 16 }
  const more = operation('norms', config).flops - operation('norms').flops
  expect(more).toBe(12 * 256 * (4 + 2) * 16 * 3)
})

test('tied embeddings leave the logits as they are, and the optimizer less to do', () => {
  const tied = { ...CONFIG, tie_word_embeddings: true }
  expect(operation('logits', tied)).toEqual(operation('logits'))
  expect(operation('optimizer update').bytes - operation('optimizer update', tied).bytes).toBe(28 * 64_000)
})

test('an MLP without a gate has two matrices, and layer norms more to do', () => {
  const gpt2 = { model_type: 'gpt2', vocab_size: 1000, n_embd: 64, n_inner: 160, n_layer: 3, n_head: 4 }
  expect(operation('MLP', gpt2).flops).toBe((operation('MLP').flops * 2) / 3)
  expect(operation('norms', gpt2).flops).toBe(operation('norms').flops * 1.5)
})

test('norms around attention and MLP are four a layer', () => {
  const normed = operation('norms', { ...CONFIG, model_type: 'gemma2' }).flops
  expect(normed / operation('norms').flops).toBe((4 * 3 + 1) / (2 * 3 + 1))
})

test('experts: a token goes to some, and all are read', () => {
  const experts = { num_local_experts: 8, num_experts_per_tok: 2, model_type: 'mixtral' }
  const { flops, bytes } = operation('experts', { ...CONFIG, ...experts })
  expect(flops).toBe(2 * operation('MLP').flops)
  const [values, weights] = [256 * 2 * 3 * (64 + 160), 8 * 3 * 64 * 160]
  expect(bytes).toBe(3 * 3 * 2 * (values + weights))
  expect(operation('router', { ...CONFIG, ...experts }).flops).toBe(6 * 256 * 64 * 8 * 3)
})

test('the update does not grow with the batch, all else does', () => {
  const a = readArchitecture(CONFIG)
  const double = { tokens: 512, sequenceLength: 128 }
  for (const [i, once] of trainingOperations(a, SHAPE).entries()) {
    const twice = trainingOperations(a, double)[i]!
    if (once.name === 'optimizer update') expect(twice).toEqual(once)
    else expect(twice.flops).toBeCloseTo(2 * once.flops)
  }
})
