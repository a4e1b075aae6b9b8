/** @file Cases that every runtime must pass; each runtime's test runs the whole table. */
import { expect } from 'vitest'
import { encodeOnnx, type OnnxAttribute, type OnnxDType, type OnnxTensor } from '../src/formats/index.ts'
import type { DType, TensorSpec } from '../src/graph/index.ts'
import type { DeviceTensor, Program, Runtime } from '../src/runtime/index.ts'

type NodeRow = [
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes?: Record<string, OnnxAttribute>,
]
type ValueRow = [name: string, dtype: OnnxDType, shape: (number | string)[]]

/** A small ONNX model from rows of nodes and values. */
export function model(
  nodes: NodeRow[],
  inputs: ValueRow[],
  outputs: ValueRow[],
  initializers: OnnxTensor[] = [],
): Uint8Array {
  const value = ([name, dtype, shape]: ValueRow) => ({ name, dtype, shape })
  return encodeOnnx({
    irVersion: 8,
    opset: 18,
    producerName: 'test',
    producerVersion: '',
    graph: {
      name: 'g',
      nodes: nodes.map(([opType, ins, outs, attributes = {}]) => ({
        opType,
        inputs: ins,
        outputs: outs,
        attributes,
      })),
      initializers,
      inputs: inputs.map(value),
      outputs: outputs.map(value),
    },
  })
}

const ARRAYS = {
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float32: Float32Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
} as const
type Values = (number | bigint)[]

/** A tensor that holds `values`. */
export async function tensorOf(
  runtime: Runtime,
  dtype: DType,
  shape: number[],
  values: Values,
): Promise<DeviceTensor> {
  const tensor = runtime.allocate({ dtype, shape })
  const array =
    dtype === 'int64'
      ? BigInt64Array.from(values.map(BigInt))
      : ARRAYS[dtype as 'float32'].from(values.map(Number))
  await tensor.write(new Uint8Array(array.buffer))
  return tensor
}

/** The values of a tensor. */
export async function valuesOf(tensor: DeviceTensor): Promise<Values> {
  const { buffer } = await tensor.read()
  return Array.from(new ARRAYS[tensor.dtype](buffer as ArrayBuffer) as Iterable<number | bigint>)
}

const tie = (tensors: Record<string, DeviceTensor>) => new Map(Object.entries(tensors))
const ADD: [NodeRow[], ValueRow[], ValueRow[]] = [
  [['Add', ['a', 'b'], ['c']]],
  [
    ['a', 'float32', [4]],
    ['b', 'float32', [4]],
  ],
  [['c', 'float32', [4]]],
]
const loadAdd = (runtime: Runtime): Promise<Program> => runtime.load(model(...ADD))

/** A program of `count` products of [size, size] matrices, one after the other: a run that takes a while. */
export function chain(count: number, size: number): Uint8Array {
  const nodes = Array.from(
    { length: count },
    (_, i): NodeRow => ['MatMul', [i === 0 ? 'x' : `t${i}`, 'w'], [i === count - 1 ? 'y' : `t${i + 1}`]],
  )
  const shape = [size, size]
  return model(
    nodes,
    ['x', 'w'].map((name): ValueRow => [name, 'float32', shape]),
    [['y', 'float32', shape]],
  )
}

/** Work for a while, on a processor as on a device that software stands in for, which is a hundred times slower. */
function work(runtime: Runtime, count: number, size: number): Uint8Array {
  return chain(count, runtime.name === 'webgpu' ? size / 8 : size)
}

function bindZeros(runtime: Runtime, program: Program) {
  const side = (specs: ReadonlyMap<string, TensorSpec>) =>
    new Map([...specs].map(([name, spec]) => [name, runtime.allocate(spec)] as const))
  return program.bind(side(program.inputs), side(program.outputs))
}

/** What must hold, and how to see it. Each case gets a fresh runtime, and need not dispose of what it makes. */
export const RUNTIME_CASES: Readonly<Record<string, (runtime: Runtime) => Promise<void>>> = {
  'a tensor starts at zero and keeps what is written': async (runtime) => {
    for (const dtype of ['float32', 'int32', 'int64', 'bool'] as const) {
      const tensor = runtime.allocate({ dtype, shape: [2, 3] })
      expect(await valuesOf(tensor)).toEqual(Array(6).fill(dtype === 'int64' ? 0n : 0))
      const values = [1, 0, 1, 1, 0, 1]
      const written = await tensorOf(runtime, dtype, [2, 3], values)
      expect((await valuesOf(written)).map(Number)).toEqual(values)
    }
  },
  'a part of a tensor is written and read': async (runtime) => {
    const tensor = runtime.allocate({ dtype: 'bool', shape: [5] })
    await tensor.write(new Uint8Array([1, 1]), 3)
    expect([...(await tensor.read())]).toEqual([0, 0, 0, 1, 1])
    expect([...(await tensor.read(2, 2))]).toEqual([0, 1])
  },
  'a write of the wrong length or outside is refused': async (runtime) => {
    const tensor = runtime.allocate({ dtype: 'float32', shape: [2, 3] })
    await expect(tensor.write(new Uint8Array(20))).rejects.toThrow(
      'a tensor of 24 bytes (float32[2,3]) was given 20',
    )
    await expect(tensor.write(new Uint8Array(8), 20)).rejects.toThrow('bytes 20 to 28')
    await expect(tensor.read(-4)).rejects.toThrow('do not lie in')
  },
  'scalars and tensors without elements': async (runtime) => {
    const program = await runtime.load(
      model(
        [
          ['Mul', ['s', 's'], ['t']],
          ['Neg', ['e'], ['f']],
        ],
        [
          ['s', 'float32', []],
          ['e', 'float32', [0, 3]],
        ],
        [
          ['t', 'float32', []],
          ['f', 'float32', [0, 3]],
        ],
      ),
    )
    const s = await tensorOf(runtime, 'float32', [], [3])
    const [t, e, f] = [
      runtime.allocate(s),
      ...[0, 0].map(() => runtime.allocate({ dtype: 'float32', shape: [0, 3] })),
    ]
    await program.bind(tie({ s, e: e! }), tie({ t: t!, f: f! })).run()
    expect(await valuesOf(t!)).toEqual([9])
    expect(await valuesOf(f!)).toEqual([])
  },
  'every element type goes in and out': async (runtime) => {
    const program = await runtime.load(
      model(
        [
          ['Add', ['i', 'i'], ['i2']],
          ['Not', ['b'], ['b2']],
          ['Cast', ['i'], ['f'], { to: { kind: 'int', value: 1 } }],
        ],
        [
          ['i', 'int32', [2]],
          ['b', 'bool', [2]],
        ],
        [
          ['i2', 'int32', [2]],
          ['b2', 'bool', [2]],
          ['f', 'float32', [2]],
        ],
      ),
    )
    const outputs = new Map([...program.outputs].map(([name, spec]) => [name, runtime.allocate(spec)]))
    const inputs = tie({
      i: await tensorOf(runtime, 'int32', [2], [-3, 2_000_000]),
      b: await tensorOf(runtime, 'bool', [2], [1, 0]),
    })
    await program.bind(inputs, outputs).run()
    const results = await Promise.all([...outputs].map(async ([name, t]) => [name, await valuesOf(t)]))
    expect(Object.fromEntries(results)).toEqual({
      i2: [-6, 4_000_000],
      b2: [0, 1],
      f: [-3, 2_000_000],
    })
  },
  'int64 arithmetic': async (runtime) => {
    const program = await runtime.load(
      model([['Add', ['l', 'l'], ['l2']]], [['l', 'int64', [2]]], [['l2', 'int64', [2]]]),
    )
    const l = await tensorOf(runtime, 'int64', [2], [-3n, 2n ** 60n])
    const l2 = runtime.allocate({ dtype: 'int64', shape: [2] })
    await program.bind(tie({ l }), tie({ l2 })).run()
    expect(await valuesOf(l2)).toEqual([-6n, 2n ** 61n])
  },
  'a program tells its signature, whatever the names': async (runtime) => {
    const names = ['model/layers.0:x', 'größe', 'a b'] as const
    const program = await runtime.load(
      model(
        [['Add', [names[0], names[1]], [names[2]]]],
        [
          [names[0], 'float32', [2, 1]],
          [names[1], 'float32', []],
        ],
        [[names[2], 'float32', [2, 1]]],
      ),
    )
    expect([...program.inputs]).toEqual([
      [names[0], { dtype: 'float32', shape: [2, 1] }],
      [names[1], { dtype: 'float32', shape: [] }],
    ])
    expect([...program.outputs]).toEqual([[names[2], { dtype: 'float32', shape: [2, 1] }]])
    await bindZeros(runtime, program).run()
  },
  'an output in the place of an input': async (runtime) => {
    const program = await loadAdd(runtime)
    const a = await tensorOf(runtime, 'float32', [4], [1, 2, 3, 4])
    const b = await tensorOf(runtime, 'float32', [4], [1, 1, 1, 1])
    const binding = program.bind(tie({ a, b }), tie({ c: a }))
    for (let i = 0; i < 100; i++) await binding.run()
    expect(await valuesOf(a)).toEqual([101, 102, 103, 104])
  },
  'two bindings that swap input and output': async (runtime) => {
    const program = await loadAdd(runtime)
    const [a, c] = [
      await tensorOf(runtime, 'float32', [4], [1, 2, 3, 4]),
      runtime.allocate({ dtype: 'float32', shape: [4] }),
    ]
    const b = await tensorOf(runtime, 'float32', [4], [1, 1, 1, 1])
    const there = program.bind(tie({ a, b }), tie({ c }))
    const back = program.bind(tie({ a: c, b }), tie({ c: a }))
    for (let i = 0; i < 10; i++) await (i % 2 === 0 ? there : back).run()
    expect(await valuesOf(a)).toEqual([11, 12, 13, 14])
    expect(await valuesOf(c)).toEqual([10, 11, 12, 13])
  },
  'two programs that share tensors': async (runtime) => {
    const add = await loadAdd(runtime)
    const square = await runtime.load(
      model([['Mul', ['a', 'a'], ['c']]], [['a', 'float32', [4]]], [['c', 'float32', [4]]]),
    )
    const a = await tensorOf(runtime, 'float32', [4], [1, 2, 3, 4])
    const c = runtime.allocate({ dtype: 'float32', shape: [4] })
    await add.bind(tie({ a, b: a }), tie({ c })).run()
    await square.bind(tie({ a: c }), tie({ c: a })).run()
    add.dispose()
    expect(await valuesOf(a)).toEqual([4, 16, 36, 64])
  },
  'what is written between runs is seen': async (runtime) => {
    const program = await loadAdd(runtime)
    const a = runtime.allocate({ dtype: 'float32', shape: [4] })
    const c = runtime.allocate({ dtype: 'float32', shape: [4] })
    const binding = program.bind(tie({ a, b: a }), tie({ c }))
    for (const x of [1, 5]) {
      await a.write(new Uint8Array(Float32Array.of(x, x, x, x).buffer))
      await binding.run()
      expect(await valuesOf(c)).toEqual(Array(4).fill(2 * x))
    }
  },
  'a binding names every mistake': async (runtime) => {
    const program = await loadAdd(runtime)
    const a = runtime.allocate({ dtype: 'int32', shape: [4] })
    const c = runtime.allocate({ dtype: 'float32', shape: [2, 2] })
    expect(() => program.bind(tie({ a, x: a }), tie({ c }))).toThrow(
      'input a: received int32[4], expected float32[4]\ninput b: missing, expected float32[4]\ninput x: the program has no such input\noutput c: received float32[2,2], expected float32[4]',
    )
  },
  'a model that is none is refused': async (runtime) => {
    await expect(runtime.load(new Uint8Array([1, 2, 3]))).rejects.toMatchObject({ kind: 'environment' })
    await expect(runtime.load('no/such/file.onnx')).rejects.toMatchObject({
      kind: 'environment',
      issues: [{ code: 'RUNTIME_FAILED', file: 'no/such/file.onnx' }],
    })
    await expect(
      runtime.load(model([['Add', ['a', 'b'], ['c']]], [['a', 'float32', [4]]], [['c', 'float32', [4]]])),
    ).rejects.toThrow('b')
  },
  'a model with free shapes or another type is refused': async (runtime) => {
    const identity = (dtype: OnnxDType, shape: (number | string)[]) =>
      runtime.load(model([['Identity', ['a'], ['c']]], [['a', dtype, shape]], [['c', dtype, shape]]))
    await expect(identity('float32', ['batch', 4])).rejects.toThrow(
      'input a of the model has a shape that is not fixed: [?,4]',
    )
    await expect(identity('float64', [4])).rejects.toThrow('input a of the model has element type 11')
  },
  'the event loop stays free during a run': async (runtime) => {
    const binding = bindZeros(runtime, await runtime.load(work(runtime, 40, 512)))
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    const start = performance.now()
    await binding.run()
    const elapsed = performance.now() - start
    clearInterval(timer)
    // On two busy cores the timer is late often, yet a blocked loop would give none at all.
    expect(ticks).toBeGreaterThan(Math.min(2, elapsed / 20))
  },
  'a second run of a binding under way is refused': async (runtime) => {
    const binding = bindZeros(runtime, await runtime.load(work(runtime, 20, 512)))
    const first = binding.run()
    await expect(binding.run()).rejects.toThrow('under way')
    expect(() => binding.dispose()).toThrow('while it runs')
    await first
    await binding.run()
  },
  'two bindings run at once': async (runtime) => {
    const program = await runtime.load(work(runtime, 10, 256))
    const bindings = [0, 1, 2].map(() => bindZeros(runtime, program))
    await Promise.all(bindings.map((binding) => binding.run()))
  },
  'a run is interrupted, and the next one is not': async (runtime) => {
    const program = await runtime.load(work(runtime, 400, 256))
    const binding = bindZeros(runtime, program)
    const run = binding.run()
    setTimeout(() => binding.interrupt(), 1)
    await expect(run).rejects.toMatchObject({ kind: 'interrupted' })
    await binding.run()
    binding.interrupt()
    await binding.run()
  },
  'a program is not disposed of while it runs': async (runtime) => {
    const program = await runtime.load(work(runtime, 20, 512))
    const run = bindZeros(runtime, program).run()
    expect(() => program.dispose()).toThrow('while it runs')
    await run
    program.dispose()
  },
  'what was disposed of says so': async (runtime) => {
    const program = await loadAdd(runtime)
    const [a, c] = [
      runtime.allocate({ dtype: 'float32', shape: [4] }),
      runtime.allocate({ dtype: 'float32', shape: [4] }),
    ]
    const binding = program.bind(tie({ a, b: a }), tie({ c }))
    a.dispose()
    a.dispose()
    await expect(a.read()).rejects.toThrow('disposed')
    await expect(binding.run()).rejects.toThrow('the tensor of input a was disposed of')
    expect(() => program.bind(tie({ a, b: a }), tie({ c }))).toThrow('input a: the tensor was disposed of')
    program.dispose()
    program.dispose()
    await expect(binding.run()).rejects.toThrow('a binding was used after')
    expect(() => program.bind(tie({ a, b: a }), tie({ c }))).toThrow('a program was used after')
    runtime.dispose()
    runtime.dispose()
    expect(() => runtime.allocate({ dtype: 'float32', shape: [4] })).toThrow('a runtime was used after')
    await expect(runtime.load(chain(1, 2))).rejects.toThrow('a runtime was used after')
  },
  'a tensor disposed of during a run outlives it': async (runtime) => {
    const program = await runtime.load(work(runtime, 20, 512))
    const inputs = new Map([...program.inputs].map(([name, spec]) => [name, runtime.allocate(spec)]))
    const outputs = new Map([...program.outputs].map(([name, spec]) => [name, runtime.allocate(spec)]))
    const run = program.bind(inputs, outputs).run()
    for (const tensor of [...inputs.values(), ...outputs.values()]) tensor.dispose()
    await run
  },
}
