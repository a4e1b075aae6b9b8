/** @file What is no file is not read: a pipe that nobody writes, a device without an end. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readHfConfig, readSafetensorsHeader } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'pipe-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.skipIf(process.platform === 'win32')('does not wait for a pipe, nor read a device', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const path of [pipe, '/dev/zero']) {
    await expect(readHfConfig(path)).rejects.toThrow(/not a file/)
    await expect(readSafetensorsHeader(path)).rejects.toThrow(/a device or a pipe/)
  }
})
