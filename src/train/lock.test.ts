/** @file The lock of a run folder: one holder, dead holders, processes that start together. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { lockRunFolder } from './lock.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('is held once, and can be taken again after it is released', async () => {
  const lock = await lockRunFolder(folder)
  const error: unknown = await lockRunFolder(folder).catch((caught) => caught)
  expect((error as RegaugeError).kind).toBe('environment')
  expect((error as RegaugeError).message).toMatch(`process ${process.pid} on`)
  lock.release()
  const again = await lockRunFolder(folder)
  again.release()
  expect(readdirSync(join(folder, 'lock'))).toEqual([])
})

test('of a process that is gone is taken over', async () => {
  const gone = 2 ** 30 // more than any system counts to
  mkdirSync(join(folder, 'lock'))
  writeFileSync(join(folder, 'lock', `${gone}-1234@${hostname()}`), '')
  const lock = await lockRunFolder(folder)
  expect(readdirSync(join(folder, 'lock'))).toHaveLength(1)
  lock.release()
})

test.runIf(process.platform === 'linux')(
  'of an earlier process with a number that is used again is taken over',
  async () => {
    mkdirSync(join(folder, 'lock'))
    writeFileSync(join(folder, 'lock', `${process.ppid}-1@${hostname()}`), '')
    const lock = await lockRunFolder(folder)
    lock.release()
  },
)

test('of a living process is respected, and on another machine taken for alive', async () => {
  mkdirSync(join(folder, 'lock'))
  for (const holder of [`${process.ppid}-0@${hostname()}`, '1-0@elsewhere']) {
    writeFileSync(join(folder, 'lock', holder), '')
    await expect(lockRunFolder(folder)).rejects.toThrow(RegaugeError)
    rmSync(join(folder, 'lock', holder))
  }
})

test('says so when the folder cannot be written', async () => {
  writeFileSync(join(folder, 'file'), '')
  const error: unknown = await lockRunFolder(join(folder, 'file')).catch((caught) => caught)
  expect((error as RegaugeError).message).toMatch('the run folder cannot be written (ENOTDIR)')
})
