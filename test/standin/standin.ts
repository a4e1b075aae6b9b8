/** @file Builds the stand-in for a library with CANN and CUDA, and reads the calls that it recorded. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import koffi from 'koffi'
import { afterAll } from 'vitest'
import { findLibrary } from '../../src/runtime/library.ts'

export interface Standin {
  /** Path of the library, which is alone in its folder. */
  readonly library: string
  /** The calls since the last time, one a line. */
  take(): readonly string[]
  /** Reports every node of an operation on the host from now on; none for the empty string. */
  hostOperation(type: string): void
  /** Sets which name of its precision option the CANN provider knows. */
  precisionOption(key: 'precision_mode' | 'precision_mode_v2'): void
}

const compiler = process.env.CC ?? 'cc'

/** Why the stand-in cannot be built here; undefined when it can. */
export function missingCompiler(): string | undefined {
  if (process.platform === 'win32') return 'the stand-in is written for Linux and macOS'
  const { error } = spawnSync(compiler, ['--version'])
  return error === undefined ? undefined : `no C compiler (${compiler}); set CC to one`
}

/** Builds the stand-in in a folder of its own, which goes away after the tests of the file. */
export function buildStandin(): Standin {
  const folder = mkdtempSync(join(tmpdir(), 'regauge-standin-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const library = join(folder, `libonnxruntime.${process.platform === 'darwin' ? 'dylib' : 'so'}`)
  const { status, stderr } = spawnSync(compiler, [
    ...['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O1', '-shared', '-fPIC'],
    `-DREAL_LIBRARY=${JSON.stringify(findLibrary())}`,
    ...['-o', library, join(import.meta.dirname, 'standin.c'), '-lpthread', '-ldl'],
  ])
  if (status !== 0) throw new Error(`the stand-in does not compile: ${stderr}`)
  const loaded = koffi.load(library)
  const take = loaded.func('standin_take', 'str', [])
  const hostOperation = loaded.func('standin_host_operation', 'void', ['str'])
  const precisionOption = loaded.func('standin_precision_option', 'void', ['str'])
  return {
    library,
    take: () => (take() as string).split('\n').filter((line) => line !== ''),
    hostOperation: (type) => void hostOperation(type),
    precisionOption: (key) => void precisionOption(key),
  }
}
