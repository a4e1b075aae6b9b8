/** @file The build as a package in a folder of its own, for tests that start it as someone who installed it does. */
import { cpSync, existsSync, mkdtempSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

/** Copies `dist` and what the package ships with it; gives the folder, whose dependencies are those of the repository. */
export function copyBuild(): string {
  if (!existsSync(join(ROOT, 'dist/cli/main.js'))) throw new Error('there is no build: npm run build')
  const folder = mkdtempSync(join(tmpdir(), 'regauge-'))
  for (const part of ['dist', 'package.json', 'examples/models'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  return folder
}
