/** @file ONNX Runtime on WebGPU: the shared cases, and what only a device with its own memory shows. */
import { afterEach, describe, expect, test } from 'vitest'
import { model, RUNTIME_CASES, tensorOf, valuesOf } from '../../test/runtime-cases.ts'
import { missingRuntime } from '../../test/runtimes.ts'
import { createRuntime, type Runtime, type RuntimeOptions } from './index.ts'

const missing = missingRuntime('webgpu')
if (missing !== undefined) console.warn(`skipped: ${missing}`)

const runtimes: Runtime[] = []
const webgpu = (options: Partial<RuntimeOptions> = {}): Runtime => {
  const runtime = createRuntime({ name: 'webgpu', ...options })
  runtimes.push(runtime)
  return runtime
}
afterEach(() => {
  for (const runtime of runtimes.splice(0)) runtime.dispose()
})

describe.skipIf(missing !== undefined)('webgpu', () => {
  // WGSL has no 64-bit integers: the support tables say so, and no program of ours computes with them
  const cases = Object.entries(RUNTIME_CASES).filter(([name]) => name !== 'int64 arithmetic')
  for (const [name, check] of cases) test(name, () => check(webgpu()))

  test('counts the bytes that cross', async () => {
    const runtime = webgpu()
    const a = await tensorOf(runtime, 'float32', [4], [1, 2, 3, 4])
    const before = { ...runtime.traffic()! }
    await a.write(new Uint8Array(16))
    await a.read()
    expect(runtime.traffic()).toEqual({ toDevice: before.toDevice + 16, toHost: before.toHost + 16 })
    expect(a.hostView()).toBeNull()
  })

  test('names the nodes that would run on the host, and runs them there when told to', async () => {
    const sum = model(
      [
        ['Add', ['a', 'b'], ['d']],
        ['Sum', ['d', 'a', 'b'], ['c']],
      ],
      [
        ['a', 'float32', [2]],
        ['b', 'float32', [2]],
      ],
      [['c', 'float32', [2]]],
    )
    await expect(webgpu().load(sum)).rejects.toMatchObject({
      kind: 'environment',
      issues: [
        { code: 'RUNTIME_NODE_ON_HOST', message: expect.stringContaining('Sum') },
        { code: 'RUNTIME_NODES_ON_HOST' },
      ],
    })
    const runtime = webgpu({ allowHost: true })
    const program = await runtime.load(sum)
    const [a, c] = [
      await tensorOf(runtime, 'float32', [2], [1, 2]),
      runtime.allocate({ dtype: 'float32', shape: [2] }),
    ]
    await program
      .bind(
        new Map([
          ['a', a],
          ['b', a],
        ]),
        new Map([['c', c]]),
      )
      .run()
    expect(await valuesOf(c)).toEqual([4, 8])
  })

  test('has one device', () => {
    expect(() => webgpu({ index: 1 })).toThrow('webgpu:1 is not a device')
  })
})
