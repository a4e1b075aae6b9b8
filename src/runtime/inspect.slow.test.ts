/** @file What this machine is said to have for a runtime. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { inspectRuntime } from './inspect.ts'

const place = mkdtempSync(join(tmpdir(), 'inspect-'))
afterAll(() => rmSync(place, { recursive: true }))
afterEach(() => vi.unstubAllEnvs())

test('a library that cannot be loaded is told with the variable that names it', () => {
  const file = join(place, 'libonnxruntime.so')
  writeFileSync(file, 'not a library')
  vi.stubEnv('REGAUGE_CUDA_LIBRARY', file)
  expect(inspectRuntime('cuda')).toMatchObject({
    usable: false,
    problem: expect.stringContaining('not a loadable ONNX Runtime library'),
    remedy: expect.stringMatching(/^REGAUGE_CUDA_LIBRARY names this file; give the libonnxruntime/),
  })
})
