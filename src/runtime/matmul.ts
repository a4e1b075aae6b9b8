/** @file The machine's matrix product limit, measured through the runtime itself. */
import { encodeOnnx } from '../formats/index.ts'
import { OPSET } from '../graph/index.ts'
import type { Runtime } from './runtime.ts'

/** Rows and columns of the square matrices: large enough for full speed, small enough to repeat. */
const SIZE = 1024
/** Milliseconds spent on repeats. */
const BUDGET = 400

/** Speed of float32 matrix products, in FLOP/s. */
export interface MatmulSpeed {
  readonly best: number
  readonly median: number
}

/**
 * Multiplies float32 matrices of 1024 x 1024 (2.1 GFLOP) over and over for under half a second (longer only below
 * 10 GFLOP/s), after one unmeasured product.
 */
export async function measureMatmul(runtime: Runtime): Promise<MatmulSpeed> {
  const spec = { dtype: 'float32', shape: [SIZE, SIZE] } as const
  const model = encodeOnnx({
    irVersion: 8,
    opset: OPSET,
    producerName: 'regauge',
    producerVersion: '',
    graph: {
      name: 'matmul',
      nodes: [{ opType: 'MatMul', inputs: ['a', 'b'], outputs: ['c'] }],
      initializers: [],
      inputs: ['a', 'b'].map((name) => ({ name, ...spec })),
      outputs: [{ name: 'c', ...spec }],
    },
  })
  const program = await runtime.load(model)
  const [a, b, c] = [runtime.allocate(spec), runtime.allocate(spec), runtime.allocate(spec)]
  try {
    // Not zeros: a processor's clock can depend on the values.
    const bytes = new Uint8Array(Float32Array.from({ length: SIZE * SIZE }, (_, i) => Math.sin(i)).buffer)
    await Promise.all([a.write(bytes), b.write(bytes)])
    const inputs = new Map([
      ['a', a],
      ['b', b],
    ])
    const binding = program.bind(inputs, new Map([['c', c]]))
    await binding.run()
    const times: number[] = []
    const start = performance.now()
    do {
      const before = performance.now()
      await binding.run()
      times.push(performance.now() - before)
    } while (times.length < 3 || performance.now() - start < BUDGET)
    times.sort((x, y) => x - y)
    const speed = (milliseconds: number): number => (2 * SIZE ** 3) / (milliseconds / 1000)
    return { best: speed(times[0]!), median: speed(times[times.length >> 1]!) }
  } finally {
    program.dispose()
    for (const tensor of [a, b, c]) tensor.dispose()
  }
}
