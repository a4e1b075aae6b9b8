/** @file The sizes that vendors' tools tell, by tools that print what theirs print. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { missingRuntime } from '../../test/runtimes.ts'
import { deviceMemoryBytes } from './devices.ts'
import { createRuntime } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'tools-'))
const path = process.env.PATH
afterEach(() => {
  process.env.PATH = path
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Puts a tool on the path that prints some lines. */
function tool(name: string, lines: readonly string[]): void {
  const file = join(folder, name)
  writeFileSync(file, `#!/bin/sh\ncat <<'END'\n${lines.join('\n')}\nEND\n`)
  chmodSync(file, 0o755)
  process.env.PATH = `${folder}${delimiter}${path}`
}

test.skipIf(process.platform === 'win32').each([
  ['cuda', 'nvidia-smi', ['81559', '81559'], 81559 * 2 ** 20],
  ['cuda', 'nvidia-smi', ['81559', '24576'], null],
  ['cuda', 'nvidia-smi', ['[N/A]'], null],
  ['cuda', 'nvidia-smi', [], null],
  [
    'cann',
    'npu-smi',
    [
      '\tNPU ID                         : 0',
      '\tDDR Capacity(MB)               : 0',
      '\tHBM Capacity(MB)               : 65536',
    ],
    2 ** 36,
  ],
  ['cann', 'npu-smi', ['\tDDR Capacity(MB)               : 0'], null],
] as const)('of %s by %s: %j', (name, command, lines, bytes) => {
  tool(command, lines)
  expect(deviceMemoryBytes(name, 0)).toBe(bytes)
})

test('without a tool no size is known', () => {
  process.env.PATH = folder
  rmSync(join(folder, 'npu-smi'), { force: true })
  expect(deviceMemoryBytes('cann', 0)).toBeNull()
})

test('the CPU has its tensors on the host', () => {
  const runtime = createRuntime({ name: 'cpu' })
  const { on, bytes } = runtime.capacity()
  expect(on).toBe('host')
  expect(bytes).toBeGreaterThan(2 ** 20)
  runtime.dispose()
})

test.skipIf(process.platform !== 'linux' || missingRuntime('webgpu') !== undefined)(
  'WebGPU has them on a device, whose size Vulkan tells',
  () => {
    const runtime = createRuntime({ name: 'webgpu' })
    const { on, bytes } = runtime.capacity()
    expect(on).toBe('device')
    // of several devices that differ none is known
    if (bytes !== null) expect(bytes).toBeGreaterThan(2 ** 26)
    runtime.dispose()
  },
)
