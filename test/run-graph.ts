/** @file Runs a graph once on a runtime, with plain numbers in and out: for tests. */
import { fromHalf, toHalf } from '../src/formats/index.ts'
import type { DType, Graph } from '../src/graph/index.ts'
import { toOnnx } from '../src/graph/index.ts'
import type { DeviceTensor, Runtime } from '../src/runtime/index.ts'

/** Numbers as the bytes of a tensor. */
export function bytesOf(dtype: DType, values: ArrayLike<number>): Uint8Array {
  const numbers = Array.from(values)
  switch (dtype) {
    case 'float32':
      return new Uint8Array(Float32Array.from(numbers).buffer)
    case 'int32':
      return new Uint8Array(Int32Array.from(numbers).buffer)
    case 'int64':
      return new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer)
    case 'bool':
      return Uint8Array.from(numbers)
    case 'float16':
    case 'bfloat16':
      return new Uint8Array(toHalf(Float32Array.from(numbers), dtype).buffer)
  }
}

/** The bytes of a tensor as numbers. */
export function numbersOf(dtype: DType, bytes: Uint8Array): Float64Array {
  const { buffer } = bytes.slice()
  switch (dtype) {
    case 'float32':
      return Float64Array.from(new Float32Array(buffer))
    case 'int32':
      return Float64Array.from(new Int32Array(buffer))
    case 'int64':
      return Float64Array.from(new BigInt64Array(buffer), Number)
    case 'bool':
      return Float64Array.from(new Uint8Array(buffer))
    case 'float16':
    case 'bfloat16':
      return Float64Array.from(fromHalf(new Uint16Array(buffer), dtype))
  }
}

/** Lowers the graph, runs it on the inputs, and gives its outputs by name. */
export async function runGraph(
  runtime: Runtime,
  graph: Graph,
  inputs: ReadonlyMap<string, ArrayLike<number>>,
): Promise<Map<string, Float64Array>> {
  const program = await runtime.load(toOnnx(graph, 'test'))
  const given = new Map<string, DeviceTensor>()
  const results = new Map<string, DeviceTensor>()
  try {
    for (const [name, spec] of graph.inputs) {
      const tensor = runtime.allocate(spec)
      await tensor.write(bytesOf(spec.dtype, inputs.get(name)!))
      given.set(name, tensor)
    }
    for (const [name, spec] of graph.outputs) results.set(name, runtime.allocate(spec))
    await program.bind(given, results).run()
    const read = [...results].map(
      async ([name, tensor]) => [name, numbersOf(tensor.dtype, await tensor.read())] as const,
    )
    return new Map(await Promise.all(read))
  } finally {
    program.dispose()
    for (const tensor of [...given.values(), ...results.values()]) tensor.dispose()
  }
}

/** Norm of the difference over the norm of what is expected. */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0
  let norm = 0
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2
    norm += expected[i]! ** 2
  }
  if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm)
}
