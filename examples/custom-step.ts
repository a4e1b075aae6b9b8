/** @file A training step of one's own with the graph API, a network that learns sin(3x): npx tsx examples/custom-step.ts */
import { createRuntime, type DeviceTensor } from 'regauge'
import {
  add,
  Graph,
  gradients,
  inPlaceSafe,
  matmul,
  mul,
  optimize,
  reduceMean,
  reduceSumSquare,
  sqrt,
  sub,
  type Tensor,
  tanh,
  toOnnx,
  updateParameters,
} from 'regauge/graph'

const [POINTS, HIDDEN, STEPS] = [256, 64, 400]
const SHAPES = { w1: [1, HIDDEN], b1: [HIDDEN], w2: [HIDDEN, 1], b2: [1] }
const names = Object.keys(SHAPES) as (keyof typeof SHAPES)[]

// The step as a graph: what comes in, the prediction, the loss.
const graph = new Graph()
const input = (name: string, shape: readonly number[] = []) => graph.input(name, { dtype: 'float32', shape })
const parameters = names.map((name) => input(name, SHAPES[name]))
const [w1, b1, w2, b2] = parameters as [Tensor, Tensor, Tensor, Tensor]
const x = input('x', [POINTS, 1])
const y = input('y', [POINTS, 1])
const predicted = add(matmul(tanh(add(matmul(x, w1), b1)), w2), b2) // (POINTS, 1)
const error = sub(predicted, y)
const loss = reduceMean(mul(error, error))

// Its gradients, and AdamW, clipped to a global norm of 1.
const grads = gradients(loss, parameters)
const norm = sqrt(grads.map((g) => reduceSumSquare(g)).reduce((sum, square) => add(sum, square)))
const learningRate = input('learning_rate')
const scalars = {
  bias_correction1: input('bias_correction1'),
  bias_correction2: input('bias_correction2'),
}
const [beta1, beta2] = [0.9, 0.99]
const trained = names.map((name, i) => ({
  kind: name.startsWith('b') ? ('bias' as const) : ('matrix' as const),
  value: parameters[i]!,
  gradient: grads[i]!,
  state: { exp_avg: input(`m/${name}`, SHAPES[name]), exp_avg_sq: input(`v/${name}`, SHAPES[name]) },
}))
const adamw = { betas: [beta1, beta2] as const, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 }
updateParameters(adamw, trained, { norm, loss, learningRate, scalars }).forEach(({ value, state }, i) => {
  graph.output(`next/${names[i]}`, value)
  graph.output(`next/m/${names[i]}`, state.exp_avg!)
  graph.output(`next/v/${names[i]}`, state.exp_avg_sq!)
})
graph.output('loss', loss)

// One standard ONNX file, compiled for the device at hand.
const step = optimize(graph)
const onnx = toOnnx(step, 'sine_step')
console.log(`${step.nodes.length} nodes, ${onnx.length} bytes of ONNX`)
const runtime = createRuntime({ name: 'cpu' })
console.log(runtime.description)
const program = await runtime.load(onnx)

// Memory for every input; the state's outputs are written over its inputs, which is proven safe first.
const inputs = new Map<string, DeviceTensor>()
for (const [name, spec] of program.inputs) inputs.set(name, runtime.allocate(spec))
const lossTensor = runtime.allocate(program.outputs.get('loss')!)
const outputs = new Map([['loss', lossTensor]])
for (const name of program.outputs.keys()) {
  if (name === 'loss') continue
  const from = name.slice('next/'.length)
  if (!inPlaceSafe(step, from, name)) throw new Error(`${from} cannot be updated in place`)
  outputs.set(name, inputs.get(from)!)
}
const binding = program.bind(inputs, outputs)
const write = (name: string, values: readonly number[]) =>
  inputs.get(name)!.write(new Uint8Array(Float32Array.from(values).buffer))

// First values: evenly spread bends, small weights behind them; moments start at zero.
const even = Array.from({ length: HIDDEN }, (_, i) => (2 * i) / (HIDDEN - 1) - 1) // -1 to 1
await write(
  'w1',
  even.map((_, i) => 1.5 + Math.sin(i)),
)
await write(
  'b1',
  even.map((b) => 2 * b),
)
await write(
  'w2',
  even.map((_, i) => 0.1 * Math.cos(7 * i)),
)

// The data stays on the device; each step sends three numbers and reads one.
const points = Array.from({ length: POINTS }, (_, i) => (2 * i) / (POINTS - 1) - 1)
await write('x', points)
await write(
  'y',
  points.map((point) => Math.sin(3 * point)),
)
for (let i = 1; i <= STEPS; i++) {
  await write('learning_rate', [0.02 * (1 - i / STEPS)])
  await write('bias_correction1', [1 - beta1 ** i])
  await write('bias_correction2', [Math.sqrt(1 - beta2 ** i)])
  await binding.run()
  if (i === 1 || i % 100 === 0) {
    const value = new DataView((await lossTensor.read()).buffer).getFloat32(0, true)
    console.log(`step ${i}: mean squared error ${value.toExponential(2)}`)
  }
}

for (const resource of [binding, program, ...inputs.values(), lossTensor, runtime]) resource.dispose()
