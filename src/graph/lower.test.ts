/** @file Models that leave this room: standard ONNX, of the operators that every runtime has, with sound names. */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { OP_CASES, type OpCase } from '../../test/op-cases.ts'
import { randomGraph } from '../../test/random-graph.ts'
import { distance, runGraph } from '../../test/run-graph.ts'
import { decodeOnnx, encodeOnnx, type OnnxModel } from '../formats/index.ts'
import { readArchitecture } from '../model/index.ts'
import { createRuntime } from '../runtime/index.ts'
import { accumulateStep, decodeStep, evaluateStep, logitsStep, trainStep } from '../steps/index.ts'
import {
  add,
  constant,
  evaluate,
  exp,
  Graph,
  matmul,
  OPSET,
  type Op,
  optimize,
  reshape,
  split,
  toOnnx,
} from './index.ts'

/**
 * Operators that ONNX Runtime runs on CPU, CUDA and WebGPU and that CANN's graph mode claims, at opset 18: the
 * kernel tables of ONNX Runtime 1.30 (measured for CPU and WebGPU), the list in the CANN provider's
 * cann_graph.cc, and the plugins that CANN's ONNX parser registers for `ai.onnx::18`.
 */
const ALLOWED = new Set(
  `MatMul Gemm Transpose Reshape Softmax ReduceSum ReduceMean ReduceMax ReduceSumSquare Add Sub Mul Div Sqrt
  Reciprocal Exp Log Neg Sigmoid Tanh Erf Pow Min Max Abs Relu Gather GatherElements ScatterElements Split Concat
  Slice Expand Unsqueeze Squeeze Tile Range Cast Where Equal Less Greater Identity`.split(/\s+/),
)

/** Checks what ONNX asks of a model, and what we ask beyond it. */
function check(bytes: Uint8Array): OnnxModel {
  const model = decodeOnnx(bytes)
  expect(Buffer.compare(encodeOnnx(model), bytes)).toBe(0)
  expect(model).toMatchObject({ opset: OPSET, irVersion: 8, producerName: 'regauge' })
  expect(OPSET).toBe(18)
  const { nodes, initializers, inputs, outputs } = model.graph
  const problems: string[] = []
  const known = new Set([...inputs, ...initializers].map(({ name }) => name))
  if (known.size !== inputs.length + initializers.length)
    problems.push('inputs and initializers share a name')
  for (const node of nodes) {
    if (!ALLOWED.has(node.opType)) problems.push(`${node.name} is a ${node.opType}`)
    if ((node.domain ?? '') !== '') problems.push(`${node.name} is of ${node.domain}`)
    for (const name of node.inputs)
      if (!known.has(name)) problems.push(`${node.name} reads ${name}, not made yet`)
    for (const name of node.outputs) {
      if (known.has(name)) problems.push(`${name} is made twice`)
      known.add(name)
    }
    // CANN ignores the factors of a Gemm of two inputs
    const factors = Object.keys(node.attributes ?? {}).filter((key) => key === 'alpha' || key === 'beta')
    if (node.opType === 'Gemm' && factors.length > 0) problems.push(`${node.name} has ${factors}`)
  }
  for (const { name } of outputs) if (!known.has(name)) problems.push(`output ${name} is not made`)
  expect(problems).toEqual([])
  expect(new Set(nodes.map(({ name }) => name)).size).toBe(nodes.length)
  return model
}

test.each(Object.keys(OP_CASES) as Op[])('%s becomes what every runtime has', (op) => {
  const lowered = ({ attributes, inputs }: OpCase) => {
    const graph = new Graph()
    const tensors = inputs.map(({ dtype, shape }, i) => graph.input(`x${i}`, { dtype, shape }))
    const outputs =
      op === 'input' ? [graph.input('x', attributes as never)] : graph.node(op, attributes as never, tensors)
    outputs.forEach((output, i) => void graph.output(`y${i}`, output))
    check(toOnnx(graph, op))
  }
  fc.assert(fc.property(OP_CASES[op].any as fc.Arbitrary<OpCase>, lowered), { numRuns: 10, seed: 3 })
})

const SIZES = {
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
}
const SHAPE = { microBatch: 2, sequenceLength: 8 }
const OPTIMIZER = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 } as const

describe.each([
  ['llama', { attention_bias: true, mlp_bias: true }],
  ['mistral', { sliding_window: 3, tie_word_embeddings: true }],
  ['qwen2', { rope_scaling: { type: 'linear', factor: 2 } }],
  ['qwen3', { head_dim: 6, tie_word_embeddings: true }],
])('every program of %s', (model_type, rest) => {
  const a = readArchitecture({ ...SIZES, ...rest, model_type })
  test.each([
    ['train', () => trainStep(a, { ...SHAPE, optimizer: OPTIMIZER, accumulates: false, recompute: 'none' })],
    [
      'train, accumulating',
      () => trainStep(a, { ...SHAPE, optimizer: OPTIMIZER, accumulates: true, recompute: 'layer' }),
    ],
    ['accumulate', () => accumulateStep(a, { ...SHAPE, recompute: 'selective' })],
    ['evaluate', () => evaluateStep(a, SHAPE)],
    ['logits', () => logitsStep(a, SHAPE)],
    ['decode', () => decodeStep(a, { tokens: 2, cacheLength: 8 })],
  ])('%s', (_, make) => {
    const { graph, name } = make()
    const model = check(toOnnx(graph, name, { key: 'value' }))
    expect(model.graph.inputs.map((input) => input.name)).toEqual([...graph.inputs.keys()])
    expect(model.graph.outputs.map((output) => output.name)).toEqual([...graph.outputs.keys()])
    expect(model.metadata).toEqual({ key: 'value' })
    // ids are int32 and the rest float32: what WebGPU and CANN take without conversions
    const types = new Set([...model.graph.inputs, ...model.graph.outputs].map(({ dtype }) => dtype))
    expect([...types].sort()).toEqual(['float32', 'int32'])
  })
})

describe('names', () => {
  const named = (build: (graph: Graph) => void) => {
    const graph = new Graph()
    build(graph)
    return check(toOnnx(graph, 'names')).graph
  }

  test('are those of inputs and outputs, else where a tensor was made', () => {
    const { nodes } = named((graph) => {
      const x = graph.input('x', { dtype: 'float32', shape: [2] })
      graph.output('y', exp(graph.within('layers.0', () => exp(x))))
    })
    expect(nodes.map(({ outputs }) => outputs)).toEqual([['layers.0.exp_1'], ['y']])
  })

  test('that a caller chose as we would have do not collide', () => {
    named((graph) => {
      const x = graph.input('exp_2', { dtype: 'float32', shape: [2, 2] })
      const y = graph.input('shape_4', { dtype: 'float32', shape: [3, 2, 2] })
      const product = matmul(exp(x), y, { transA: true, transB: true })
      graph.output('matmul_3', add(product, 1))
      graph.output('matmul_3.a', reshape(exp(x), [4]))
      const [head] = split(x, [1, 1], 0)
      graph.output('split_9_1', exp(head!))
    })
  })

  test('of one tensor with several names, of an input and of a constant, are copies', () => {
    const { nodes } = named((graph) => {
      const x = graph.input('x', { dtype: 'float32', shape: [2] })
      const y = exp(x)
      for (const name of ['a', 'b']) graph.output(name, y)
      graph.output('c', x)
      graph.output('d', constant(graph, 'int32', [1], Int32Array.of(7)))
    })
    expect(nodes.map(({ opType, outputs }) => `${opType} ${outputs}`)).toEqual([
      'Exp a',
      'Identity b',
      'Identity c',
      'Identity d',
    ])
  })
})

describe('whole graphs', () => {
  const runtime = createRuntime({ name: 'cpu', threads: 1 })
  afterAll(() => runtime.dispose())

  test('random ones mean the same to ONNX Runtime as to the reference', async () => {
    const property = fc.asyncProperty(randomGraph, async ({ graph, inputs }) => {
      const expected = evaluate(graph, inputs)
      for (const lowered of [graph, optimize(graph)]) {
        const actual = await runGraph(runtime, lowered, inputs)
        for (const [name, values] of expected)
          expect(distance(actual.get(name)!, values), name).toBeLessThan(1e-3)
      }
    })
    await fc.assert(property, { numRuns: 15, seed: 8 })
  })
})
