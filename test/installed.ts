/** @file The package as a user has it: packed, and installed without scripts into an empty folder. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const ROOT = resolve(import.meta.dirname, '..')
/** What npm says when it reaches no registry, and its cache has not all. */
const OFFLINE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED/

const npm = (cwd: string, ...words: string[]) =>
  promisify(execFile)('npm', words, { cwd, shell: process.platform === 'win32', maxBuffer: 1 << 26 })

export interface Installed {
  /** Where it was installed: `node_modules/regauge` and what it needs, nothing else. */
  readonly folder: string
  /** The packed file. */
  readonly file: string
  remove(): void
}

/** Packs the build and installs it; where no registry can be reached, says why not. */
export async function installPacked(): Promise<Installed | { readonly missing: string }> {
  const place = mkdtempSync(join(tmpdir(), 'regauge-package-'))
  const remove = () => rmSync(place, { recursive: true, force: true })
  const folder = join(place, 'user')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true, "type": "module" }\n')
  try {
    // built before: `npm pack` of a clone builds
    await npm(ROOT, 'pack', '--ignore-scripts', '--pack-destination', place)
    const file = join(place, readdirSync(place).find((name) => name.endsWith('.tgz'))!)
    const quiet = ['--prefer-offline', '--no-audit', '--no-fund']
    await npm(folder, 'install', '--ignore-scripts', ...quiet, file)
    return { folder, file, remove }
  } catch (error) {
    remove()
    const { stderr } = error as { readonly stderr?: string }
    if (stderr === undefined || !OFFLINE.test(stderr)) throw error
    return { missing: `no registry: ${OFFLINE.exec(stderr)![0]}` }
  }
}
