/** @file Every test is in one tier, and keeps to it. */
import childProcess, { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { expect, test } from 'vitest'
import { SUFFIX, TIERS } from './tiers.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const FOLDERS = ['bench', 'docs', 'examples', 'scripts', 'src', 'test']

const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
    [folder, ...name.split(sep)].join('/'),
  ),
).filter((path) => /\.(test|spec)\.\w+$/.test(path))

test('no test is in no tier: each lies in src/ or test/, and its name ends as those of one tier', () => {
  const suffixes = TIERS.map((tier) => SUFFIX[tier].replace('.test.ts', '').slice(1)).filter(Boolean)
  const name = new RegExp(`^(src|test)/([\\w-]+/)*[\\w-]+(\\.(${suffixes.join('|')}))?\\.test\\.ts$`)
  expect(files.filter((path) => !name.test(path))).toEqual([])
  for (const tier of TIERS) expect(files.filter((path) => path.endsWith(SUFFIX[tier]))).not.toEqual([])
})

test('what runs the build is from end to end', () => {
  const others = files.filter((path) => !path.endsWith(SUFFIX.e2e) && !path.startsWith('test/tiers/'))
  const users = others.filter((path) =>
    /(workplace|build-copy)\.ts'/.test(readFileSync(join(ROOT, path), 'utf8')),
  )
  expect(users).toEqual([])
})

test('a unit test that starts a process fails, by a name that is imported too', () => {
  const refused = 'a unit test starts no process'
  expect(() => spawn('true')).toThrow(refused)
  for (const name of ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'] as const)
    expect(() => (childProcess[name] as (command: string) => unknown)('true'), name).toThrow(refused)
})
