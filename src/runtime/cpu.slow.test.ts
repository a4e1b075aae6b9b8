/** @file ONNX Runtime on the CPU: the shared cases, and what only the CPU offers. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { chain, model, RUNTIME_CASES, tensorOf } from '../../test/runtime-cases.ts'
import { addressOf } from './api.ts'
import { createRuntime, inspectLibrary, measureMatmul, type Runtime, type RuntimeOptions } from './index.ts'
import { findLibrary } from './library.ts'
import { defaultThreads, parseCpuList } from './threads.ts'

const runtimes: Runtime[] = []
const cpu = (options: Partial<RuntimeOptions> = {}): Runtime => {
  const runtime = createRuntime({ name: 'cpu', ...options })
  runtimes.push(runtime)
  return runtime
}
const folders: string[] = []
const temporaryFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'runtime-'))
  folders.push(folder)
  return folder
}
afterEach(() => {
  for (const runtime of runtimes.splice(0)) runtime.dispose()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

describe('the cases of every runtime', () => {
  for (const [name, check] of Object.entries(RUNTIME_CASES)) test(name, () => check(cpu()))
})

test('names the library, the device and the threads', () => {
  expect(cpu({ threads: 1 }).description).toMatch(/^ONNX Runtime 1\.\d+\.\d+, cpu, 1 thread$/)
  expect(cpu({ threads: 3 }).description).toMatch(/cpu, 3 threads$/)
  for (const threads of [0, -1, 1.5, Number.NaN, 5000, 1e9])
    expect(() => cpu({ threads })).toThrow(`threads is ${threads}, expected a whole number from 1 to`)
})

test('tensors are views of one memory, aligned to 64 bytes', async () => {
  const tensor = await tensorOf(cpu(), 'float32', [3], [1, 2, 3])
  const view = tensor.hostView()!
  expect(addressOf(view) % 64n).toBe(0n)
  expect(view.buffer).toBe(tensor.hostView(4, 4)!.buffer)
  view[0] = 7
  expect((await tensor.read())[0]).toBe(7)
  expect(() => tensor.hostView(8, 8)).toThrow('do not lie')
})

test('a tensor above 4 GiB is written and read in parts', async () => {
  const tensor = cpu().allocate({ dtype: 'bool', shape: [5, 2 ** 30] })
  const end = tensor.byteLength - 4
  await tensor.write(new Uint8Array([1, 2, 3, 4]), end)
  expect([...tensor.hostView(end)!]).toEqual([1, 2, 3, 4])
  expect([...(await tensor.read(end + 1, 2))]).toEqual([2, 3])
})

test('a tensor that no machine can hold is an error of memory', () => {
  const runtime = cpu()
  expect(() => runtime.allocate({ dtype: 'float32', shape: [2 ** 50] })).toThrow(
    expect.objectContaining({ kind: 'memory' }),
  )
  expect(() => runtime.allocate({ dtype: 'float32', shape: [2 ** 31, 2 ** 31] })).toThrow('not a shape')
})

test('running out of memory in a run is an error of memory', async () => {
  const runtime = cpu()
  const shape = [1, 2 ** 23]
  // x^T x would take 2^48 bytes.
  const program = await runtime.load(
    model(
      [
        ['MatMul', ['x', 'y'], ['xy']],
        ['ReduceSum', ['xy'], ['z'], { keepdims: { kind: 'int', value: 0 } }],
      ],
      [
        ['x', 'float32', [2 ** 23, 1]],
        ['y', 'float32', shape],
      ],
      [['z', 'float32', []]],
    ),
  )
  const tensors = new Map([...program.inputs].map(([name, spec]) => [name, runtime.allocate(spec)]))
  const z = runtime.allocate({ dtype: 'float32', shape: [] })
  await expect(program.bind(tensors, new Map([['z', z]])).run()).rejects.toMatchObject({ kind: 'memory' })
})

test('loads a model from a file', async () => {
  const dir = temporaryFolder()
  const path = join(dir, 'größe.onnx')
  writeFileSync(path, chain(1, 4))
  const program = await cpu().load(path)
  expect([...program.inputs.keys()]).toEqual(['x', 'w'])
})

test('a tensor of another runtime is refused', async () => {
  const program = await cpu().load(chain(1, 4))
  const other = cpu().allocate({ dtype: 'float32', shape: [4, 4] })
  expect(() => program.bind(new Map([['x', other]]), new Map())).toThrow(
    'input x: the tensor belongs to another runtime',
  )
})

test('reports the memory of intermediate tensors, which programs share', async () => {
  const runtime = cpu()
  const run = async () => {
    const program = await runtime.load(chain(3, 1024))
    const side = (specs: typeof program.inputs) =>
      new Map([...specs].map(([name, spec]) => [name, runtime.allocate(spec)]))
    await program.bind(side(program.inputs), side(program.outputs)).run()
    return runtime.memory()!
  }
  expect(runtime.memory()).toBeNull()
  const first = await run()
  expect(first.peak).toBeGreaterThanOrEqual(1024 * 1024 * 4)
  expect(first.reserved).toBeGreaterThanOrEqual(first.peak)
  expect(first.inUse).toBeLessThan(first.peak)
  expect((await run()).reserved).toBe(first.reserved)
})

test('writes a profile on request', async () => {
  const dir = temporaryFolder()
  const program = await cpu({ profile: join(dir, 'trace') }).load(chain(1, 4))
  const path = program.endProfile()!
  expect(path.startsWith(join(dir, 'trace'))).toBe(true)
  expect(Array.isArray(JSON.parse(readFileSync(path, 'utf8')))).toBe(true)
  expect(program.endProfile()).toBe(path)
  expect((await cpu().load(chain(1, 4))).endProfile()).toBeNull()
})

test('says what the library offers', () => {
  const report = inspectLibrary()
  expect(report.providers).toContain('CPUExecutionProvider')
  expect(report.buildInfo).toContain('ORT Build Info')
  expect(report.version).toMatch(/^1\./)
})

test('finds the library of every platform that the package ships', () => {
  const platforms = [
    ['darwin', 'arm64'],
    ['linux', 'arm64'],
    ['linux', 'x64'],
    ['win32', 'arm64'],
    ['win32', 'x64'],
  ] as const
  for (const [platform, arch] of platforms) expect(existsSync(findLibrary(platform, arch))).toBe(true)
  expect(() => findLibrary('darwin', 'x64')).toThrow('no ONNX Runtime library for darwin/x64')
  expect(() => findLibrary('freebsd', 'x64')).toThrow('freebsd/x64')
})

test('a library that cannot be loaded is an error of the environment', () => {
  for (const library of ['/no/such/libonnxruntime.so', import.meta.filename]) {
    expect(() => cpu({ library })).toThrow(expect.objectContaining({ kind: 'environment' }))
  }
})

test('measures matrix products', async () => {
  const { best, median } = await measureMatmul(cpu())
  expect(best).toBeGreaterThanOrEqual(median)
  expect(median).toBeGreaterThan(0)
})

test('counts the cores that this process may use', () => {
  expect(parseCpuList('0-2,7')).toEqual([0, 1, 2, 7])
  expect(parseCpuList('3')).toEqual([3])
  expect(defaultThreads()).toBeGreaterThan(0)
})

test('memory stays bounded over many programs, bindings and runs', async () => {
  const runtime = cpu({ threads: 1 })
  const bytes = chain(2, 64)
  const cycle = async () => {
    const program = await runtime.load(bytes)
    const side = (specs: typeof program.inputs) =>
      new Map([...specs].map(([name, spec]) => [name, runtime.allocate(spec)]))
    const tensors = [side(program.inputs), side(program.outputs)] as const
    for (let i = 0; i < 3; i++) {
      const binding = program.bind(...tensors)
      await binding.run()
      binding.dispose()
    }
    program.dispose()
    for (const map of tensors) for (const tensor of map.values()) tensor.dispose()
  }
  for (let i = 0; i < 200; i++) await cycle()
  const before = process.memoryUsage().rss
  for (let i = 0; i < 1000; i++) await cycle()
  // A leak of one session (about 100 kB) or tensor (16 kB) a cycle would show as 16 to 100 MB.
  expect(process.memoryUsage().rss - before).toBeLessThan(30e6)
})
