/**
 * @file Asks runtimes which operator they take with which element type, one small model each; for the support tables.
 *
 *     npx tsx scripts/measure-support.ts cpu webgpu
 *
 * Each model is run on ones, so that a kernel that is registered but fails is seen too.
 */
import { encodeOnnx, ONNX_DTYPES, type OnnxAttribute, type OnnxTensor } from '../src/formats/index.ts'
import { DTYPE_BYTES, type DType, elements, OPSET, type TensorSpec } from '../src/graph/index.ts'
import { createRuntime, type ProviderName } from '../src/runtime/index.ts'

const TYPES = Object.keys(DTYPE_BYTES) as DType[]

/** A case: shapes of the inputs of type T, further inputs, output shapes (of type T unless it says bool), attributes. */
interface Case {
  readonly inputs: readonly (readonly number[])[]
  /** Inputs of a fixed type, after the others; `before` puts them first. */
  readonly also?: readonly TensorSpec[]
  readonly before?: readonly TensorSpec[]
  readonly vectors?: readonly (readonly number[])[]
  readonly outputs: readonly (readonly number[])[]
  readonly outputType?: DType
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>
}

const int = (value: number): OnnxAttribute => ({ kind: 'int', value })
const ints = (value: readonly number[]): OnnxAttribute => ({ kind: 'ints', value })
const unary: Case = { inputs: [[2, 3]], outputs: [[2, 3]] }
const binary: Case = {
  inputs: [
    [2, 3],
    [2, 3],
  ],
  outputs: [[2, 3]],
}
const compare: Case = { ...binary, outputType: 'bool' }
const reduce: Case = { inputs: [[2, 3]], vectors: [[1]], outputs: [[2, 1]] }
const index = (shape: readonly number[]): TensorSpec => ({ dtype: 'int32', shape })

const CASES: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(
    [
      'Neg',
      'Abs',
      'Exp',
      'Log',
      'Sqrt',
      'Reciprocal',
      'Sigmoid',
      'Tanh',
      'Erf',
      'Relu',
      'Identity',
      'Not',
    ].map((op) => [op, unary]),
  ),
  ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max'].map((op) => [op, binary])),
  ...Object.fromEntries(['Equal', 'Less', 'Greater'].map((op) => [op, compare])),
  ...Object.fromEntries(
    ['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceSumSquare'].map((op) => [op, reduce]),
  ),
  Where: { ...binary, before: [{ dtype: 'bool', shape: [2, 3] }] },
  MatMul: {
    inputs: [
      [2, 3],
      [3, 2],
    ],
    outputs: [[2, 2]],
  },
  Gemm: {
    inputs: [
      [2, 3],
      [2, 3],
    ],
    outputs: [[2, 2]],
    attributes: { transB: int(1) },
  },
  Softmax: { ...unary, attributes: { axis: int(1) } },
  Reshape: { inputs: [[2, 3]], vectors: [[3, 2]], outputs: [[3, 2]] },
  Transpose: { inputs: [[2, 3]], outputs: [[3, 2]], attributes: { perm: ints([1, 0]) } },
  Expand: { inputs: [[1, 3]], vectors: [[2, 3]], outputs: [[2, 3]] },
  Concat: { ...binary, outputs: [[4, 3]], attributes: { axis: int(0) } },
  Split: {
    inputs: [[4, 3]],
    outputs: [
      [2, 3],
      [2, 3],
    ],
    attributes: { axis: int(0), num_outputs: int(2) },
  },
  Slice: { inputs: [[4, 3]], vectors: [[1], [3], [0]], outputs: [[2, 3]] },
  Gather: { inputs: [[4, 3]], also: [index([2])], outputs: [[2, 3]], attributes: { axis: int(0) } },
  GatherElements: {
    inputs: [[4, 3]],
    also: [index([4, 1])],
    outputs: [[4, 1]],
    attributes: { axis: int(1) },
  },
  ScatterElements: {
    inputs: [[4, 3]],
    also: [index([4, 1])],
    outputs: [[4, 3]],
    attributes: { axis: int(1) },
  },
  'ScatterElements(add)': {
    inputs: [[4, 3]],
    also: [index([4, 1])],
    outputs: [[4, 3]],
    attributes: { axis: int(1), reduction: { kind: 'string', value: 'add' } },
  },
}

function modelOf(key: string, one: Case, dtype: DType, to?: DType): Uint8Array {
  const specs: TensorSpec[] = [
    ...(one.before ?? []),
    ...one.inputs.map((shape) => ({ dtype, shape })),
    ...(one.also ?? []),
    ...(key.startsWith('Scatter') ? [{ dtype, shape: [4, 1] }] : []),
  ]
  const initializers = (one.vectors ?? []).map(
    (values, i): OnnxTensor => ({
      name: `v${i}`,
      dtype: 'int64',
      shape: [values.length],
      data: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
    }),
  )
  const attributes = { ...one.attributes, ...(to !== undefined && { to: int(ONNX_DTYPES[to].code) }) }
  return encodeOnnx({
    irVersion: 8,
    opset: OPSET,
    producerName: 'regauge',
    producerVersion: '',
    graph: {
      name: 'support',
      nodes: [
        {
          opType: key.replace(/\(.*/, ''),
          inputs: [...specs.map((_, i) => `x${i}`), ...initializers.map(({ name }) => name)],
          outputs: one.outputs.map((_, i) => `y${i}`),
          attributes,
        },
      ],
      initializers,
      inputs: specs.map((spec, i) => ({ name: `x${i}`, ...spec })),
      outputs: one.outputs.map((shape, i) => ({
        name: `y${i}`,
        dtype: to ?? one.outputType ?? dtype,
        shape,
      })),
    },
  })
}

/** Undefined when the runtime runs the model, else why it does not. */
async function failure(name: ProviderName, model: Uint8Array): Promise<string | undefined> {
  const runtime = createRuntime({ name })
  try {
    const program = await runtime.load(model)
    const side = (specs: ReadonlyMap<string, TensorSpec>) =>
      new Map([...specs].map(([key, spec]) => [key, runtime.allocate(spec)]))
    const [inputs, outputs] = [side(program.inputs), side(program.outputs)]
    for (const tensor of inputs.values()) {
      const bytes = new Uint8Array(elements(tensor.shape) * DTYPE_BYTES[tensor.dtype])
      // ones, except that float16 and bfloat16 take what int16 ones are: small numbers
      for (let i = 0; i < bytes.length; i += DTYPE_BYTES[tensor.dtype]) bytes[i] = 1
      await tensor.write(bytes)
    }
    await program.bind(inputs, outputs).run()
    for (const tensor of outputs.values()) await tensor.read()
    return undefined
  } catch (error) {
    return (error as Error).message.split('\n')[0]!
  } finally {
    runtime.dispose()
  }
}

for (const name of process.argv.slice(2) as ProviderName[]) {
  console.log(`// ${name}`)
  for (const [key, one] of Object.entries(CASES)) {
    const taken: DType[] = []
    for (const dtype of TYPES)
      if ((await failure(name, modelOf(key, one, dtype))) === undefined) taken.push(dtype)
    console.log(`${key}: ${taken.join(' ')}`)
  }
  for (const from of TYPES) {
    const taken: DType[] = []
    for (const to of TYPES)
      if ((await failure(name, modelOf('Cast', unary, from, to))) === undefined) taken.push(to)
    console.log(`Cast from ${from}: ${taken.join(' ')}`)
  }
}
