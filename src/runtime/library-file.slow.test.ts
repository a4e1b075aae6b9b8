/** @file Paths that are no library: told as one error each, where the loader would hang or end the process. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { createRuntime } from './index.ts'
import { findLibrary } from './library.ts'
import { problemOfLibraryFile } from './library-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'regauge-library-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string): string => join(folder, name)

function refused(library: string, reason: RegExp): void {
  expect(() => createRuntime({ name: 'cpu', library })).toThrow(
    expect.objectContaining({
      kind: 'environment',
      issues: [expect.objectContaining({ file: library, message: expect.stringMatching(reason) })],
    }),
  )
}

test('a folder, a text and a missing file', () => {
  refused(folder, /\(it is a folder\)/)
  writeFileSync(at('text.so'), 'no library')
  refused(at('text.so'), /not a loadable ONNX Runtime library/)
  refused(at('missing.so'), /not a loadable ONNX Runtime library/)
})

test.runIf(process.platform === 'linux')('a library that was cut off at any place', () => {
  copyFileSync(findLibrary(), at('cut.so'))
  expect(problemOfLibraryFile(at('cut.so'))).toBeUndefined()
  for (const bytes of [20_000_000, 200_000, 64]) {
    truncateSync(at('cut.so'), bytes)
    refused(at('cut.so'), new RegExp(`it is cut off: it has ${bytes} bytes of \\d+`))
  }
})

test.runIf(process.platform === 'linux')('a pipe that nobody writes', () => {
  execFileSync('mkfifo', [at('pipe.so')])
  refused(at('pipe.so'), /\(it is not a file\)/)
})
