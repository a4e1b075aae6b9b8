/** @file The machine's matrix product limit, measured through the runtime itself. */
import { ownModel } from './own-model.ts'
import type { Runtime } from './runtime.ts'

/**
 * Rows and columns of the square matrices: large enough for full speed, small enough to repeat. The small one comes
 * first, and is enough for a device so slow that the large one would take seconds.
 */
const SIZES = [256, 1024] as const
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
  const [small, large] = SIZES
  const first = await measure(runtime, small)
  const seconds = (2 * large ** 3) / first.best
  return seconds > 1 ? first : measure(runtime, large)
}

async function measure(runtime: Runtime, size: number): Promise<MatmulSpeed> {
  const spec = { dtype: 'float32', shape: [size, size] } as const
  const scalar = { dtype: 'float32', shape: [] } as const
  const model = ownModel({
    name: 'matmul',
    nodes: [
      { opType: 'MatMul', inputs: ['a', 'b'], outputs: ['c'] },
      // a scalar to wait for: a device goes on after a run resolves, and a whole matrix takes time to copy
      {
        opType: 'ReduceMax',
        inputs: ['c'],
        outputs: ['max'],
        attributes: { keepdims: { kind: 'int', value: 0 } },
      },
    ],
    inputs: ['a', 'b'].map((name) => ({ name, ...spec })),
    outputs: [{ name: 'max', ...scalar }],
  })
  const program = await runtime.load(model)
  const [a, b, max] = [runtime.allocate(spec), runtime.allocate(spec), runtime.allocate(scalar)]
  try {
    // Not zeros: a processor's clock can depend on the values.
    const bytes = new Uint8Array(Float32Array.from({ length: size * size }, (_, i) => Math.sin(i)).buffer)
    await a.write(bytes)
    await b.write(bytes)
    const inputs = new Map([
      ['a', a],
      ['b', b],
    ])
    const binding = program.bind(inputs, new Map([['max', max]]))
    const run = async (): Promise<void> => {
      await binding.run()
      await max.read()
    }
    await run()
    const times: number[] = []
    const start = performance.now()
    do {
      const before = performance.now()
      await run()
      times.push(performance.now() - before)
    } while (times.length < 3 || performance.now() - start < BUDGET)
    times.sort((x, y) => x - y)
    const speed = (milliseconds: number): number => (2 * size ** 3) / (milliseconds / 1000)
    return { best: speed(times[0]!), median: speed(times[times.length >> 1]!) }
  } finally {
    program.dispose()
    for (const tensor of [a, b, max]) tensor.dispose()
  }
}
