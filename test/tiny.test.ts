/** @file A tour: from a constant to a language model that learns a sentence, each test one step further. */
import { afterAll, expect, test } from 'vitest'
import { decodeOnnx } from '../src/formats/index.ts'
import {
  add,
  evaluate,
  exp,
  Graph,
  gradients,
  graphCost,
  matmul,
  mul,
  optimize,
  reduceMean,
  reduceSum,
  scalar,
  sub,
  type Tensor,
  tanh,
  toOnnx,
} from '../src/graph/index.ts'
import { parameterCount, readArchitecture } from '../src/model/index.ts'
import { createRuntime } from '../src/runtime/index.ts'
import { allocateState, createGenerator, createTrainer, initializeState } from '../src/train/index.ts'
import { runGraph } from './run-graph.ts'

const cpu = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => cpu.dispose())

const float = (graph: Graph, name: string, ...shape: number[]) =>
  graph.input(name, { dtype: 'float32', shape })

test('a graph computes nothing until it is evaluated', () => {
  const graph = new Graph()
  const two = scalar(graph, 2)
  expect(two).toMatchObject({ dtype: 'float32', shape: [] })
  graph.output('four', add(two, two))
  expect(evaluate(graph, new Map()).get('four')).toEqual(Float64Array.of(4))
})

test('inputs have names, numbers are constants, shapes broadcast', () => {
  const graph = new Graph()
  const x = float(graph, 'x', 2, 1)
  const y = float(graph, 'y', 3)
  const z = add(mul(x, 10), y)
  expect(z.shape).toEqual([2, 3])
  graph.output('z', z)
  const values = new Map([
    ['x', [1, 2]],
    ['y', [0, 1, 2]],
  ])
  expect([...evaluate(graph, values).get('z')!]).toEqual([10, 11, 12, 20, 21, 22])
})

test('a mistake in a shape is found at once', () => {
  const graph = new Graph()
  expect(() => matmul(float(graph, 'a', 2, 3), float(graph, 'b', 4, 5))).toThrow(
    'matmul: inner sizes differ: float32[2,3] and float32[4,5]',
  )
})

test('gradients are more of the same graph', () => {
  const graph = new Graph()
  const x = float(graph, 'x', 3)
  const loss = reduceSum(mul(x, mul(x, x)))
  const [dx] = gradients(loss, [x])
  graph.output('dx', dx!)
  expect([...evaluate(graph, new Map([['x', [1, 2, 3]]])).get('dx')!]).toEqual([3, 12, 27])
})

test('so there are gradients of gradients', () => {
  const graph = new Graph()
  const x = float(graph, 'x')
  const [slope] = gradients(tanh(x), [x])
  const [curve] = gradients(slope!, [x])
  graph.output('curve', curve!)
  const t = Math.tanh(0.5)
  expect(evaluate(graph, new Map([['x', [0.5]]])).get('curve')![0]).toBeCloseTo(-2 * t * (1 - t * t), 12)
})

test('passes drop what is not needed and compute once what is the same', () => {
  const graph = new Graph()
  const x = float(graph, 'x', 4)
  exp(mul(x, 3))
  graph.output('y', add(exp(mul(x, 1)), exp(x)))
  expect(optimize(graph).nodes.map(({ op }) => op)).toEqual(['input', 'exp', 'add'])
})

test('a graph knows what it costs', () => {
  const graph = new Graph()
  graph.output('y', matmul(float(graph, 'a', 8, 16), float(graph, 'b', 16, 4)))
  // 8 x 4 sums of 16 products; two inputs read and one output written, 4 bytes an element
  expect(graphCost(graph)).toEqual({ flops: 1024, bytes: 4 * (128 + 64 + 32), matmulFlops: 1024 })
})

test('it is written as a standard ONNX model', () => {
  const graph = new Graph()
  graph.output('y', exp(float(graph, 'x', 2)))
  const model = decodeOnnx(toOnnx(graph, 'tiny'))
  expect(model).toMatchObject({
    opset: 18,
    graph: { name: 'tiny', inputs: [{ name: 'x' }], outputs: [{ name: 'y' }] },
  })
  expect(model.graph.nodes.map(({ opType, inputs, outputs }) => ({ opType, inputs, outputs }))).toEqual([
    { opType: 'Exp', inputs: ['x'], outputs: ['y'] },
  ])
})

test('which ONNX Runtime runs on a device', async () => {
  const graph = new Graph()
  graph.output('y', matmul(float(graph, 'a', 2, 2), float(graph, 'b', 2, 2), { transB: true }))
  const program = await cpu.load(toOnnx(graph, 'product'))
  const [a, b, y] = [0, 1, 2].map(() => cpu.allocate({ dtype: 'float32', shape: [2, 2] }))
  await a!.write(new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer))
  await b!.write(new Uint8Array(Float32Array.of(5, 6, 7, 8).buffer))
  const binding = program.bind(
    new Map([
      ['a', a!],
      ['b', b!],
    ]),
    new Map([['y', y!]]),
  )
  await binding.run()
  expect([...new Float32Array((await y!.read()).buffer)]).toEqual([17, 23, 39, 53])
})

/** One step of gradient descent on mean((x w + c - y)^2): the new w and c. */
function regression(samples: number, features: number): Graph {
  const graph = new Graph()
  const [x, y] = [float(graph, 'x', samples, features), float(graph, 'y', samples, 1)]
  const parameters: [string, Tensor][] = [
    ['w', float(graph, 'w', features, 1)],
    ['c', float(graph, 'c', 1)],
  ]
  const [w, c] = parameters.map(([, tensor]) => tensor)
  const error = sub(add(matmul(x, w!), c!), y)
  const loss = reduceMean(mul(error, error))
  const grads = gradients(loss, [w!, c!])
  parameters.forEach(([name, tensor], i) => void graph.output(`${name}'`, sub(tensor, mul(grads[i]!, 0.2))))
  graph.output('loss', loss)
  return optimize(graph)
}

test('a linear regression learns', async () => {
  const x = Array.from({ length: 40 }, (_, i) => Math.sin(i * i))
  const y = Array.from({ length: 20 }, (_, i) => 3 * x[2 * i]! - 2 * x[2 * i + 1]! + 0.5)
  const step = regression(20, 2)
  let [w, c] = [Float64Array.of(0, 0), Float64Array.of(0)]
  for (let i = 0; i < 100; i++) {
    const given = new Map<string, ArrayLike<number>>([
      ['x', x],
      ['y', y],
      ['w', w],
      ['c', c],
    ])
    // the same program, on the reference and now and then on the device
    const results = i % 10 === 0 ? await runGraph(cpu, step, given) : evaluate(step, given)
    w = results.get("w'") as Float64Array<ArrayBuffer>
    c = results.get("c'") as Float64Array<ArrayBuffer>
  }
  expect(w[0]).toBeCloseTo(3, 2)
  expect(w[1]).toBeCloseTo(-2, 2)
  expect(c[0]).toBeCloseTo(0.5, 2)
})

const TINY = readArchitecture({
  model_type: 'llama',
  vocab_size: 128,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  tie_word_embeddings: true,
})

test('a config.json is an architecture', () => {
  expect(TINY).toMatchObject({ family: 'llama', layers: 2, attention: { headSize: 16, keyValueHeads: 1 } })
  // embeddings, and a layer's four attention and three MLP matrices and two norms, and the last norm
  const layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32 + 2 * 32
  expect(parameterCount(TINY)).toBe(128 * 32 + 2 * layer + 32)
})

test('a language model learns a sentence by heart, and says it', async () => {
  const text = 'the break of gauge is where every train has to stop.'
  const ids = Int32Array.from(text, (letter) => letter.charCodeAt(0))
  const state = allocateState(cpu, TINY, 'adamw')
  await initializeState(state, TINY, 0)
  const trainer = await createTrainer(cpu, TINY, state, {
    batchSize: 1,
    microBatchSize: 1,
    sequenceLength: ids.length - 1,
    recompute: 'none',
    optimizer: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0, clipNorm: 1 },
  })
  const batch = { ids: ids.slice(0, -1), labels: ids.slice(1) }
  const first = await trainer.step(batch, 1, 0.01)
  expect(first.loss).toBeCloseTo(Math.log(128), 1)
  let last = first
  for (let step = 2; step <= 120; step++) last = await trainer.step(batch, step, 0.01)
  // 0.0008 is left, whatever the processor; after half as many steps it would be 0.08 or 0.10, as it rounds
  expect(last.loss).toBeLessThan(first.loss / 20)
  trainer.dispose()

  const generator = createGenerator(cpu, TINY, state, 64)
  let said = 'the break'
  const prompt = Array.from(said, (letter) => letter.charCodeAt(0))
  const left = text.length - said.length
  for await (const id of generator.generate(prompt, left, { temperature: 0, seed: 0 }))
    said += String.fromCharCode(id)
  expect(said).toBe(text)
  generator.dispose()
  state.dispose()
})
