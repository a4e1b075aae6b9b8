/** @file `regauge init`: writes a commented run file by recipe, once what it names is looked at. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { listSourceFiles } from '../../data/index.ts'
import { type Issue, RegaugeError } from '../../errors.ts'
import { readHfConfig } from '../../formats/index.ts'
import { readArchitecture } from '../../model/index.ts'
import { shownPath } from '../../train/index.ts'
import type { Command } from '../context.ts'
import { type Recipe, recipeText } from '../recipes.ts'

export const run: Command<'init'> = async ({ arguments: [word], options, json, terminal }) => {
  const file = resolve(word ?? 'run.yaml')
  const shown = shownPath(file)
  const { data, from, force } = options
  const recipe = (options.recipe ?? (from === undefined ? 'scratch' : 'continue')) as Recipe
  if (from !== undefined && recipe !== 'continue') {
    const message = `--from has no meaning with --recipe ${recipe}`
    throw new RegaugeError('usage', { code: 'CLI_VALUE', message, hint: '--recipe continue' })
  }
  if (!force) await requireSources(dirname(file), data, from)
  const name = options.name ?? freeName(file)
  const text = recipeText(recipe, { name, data, ...(from !== undefined && { from }) })
  writeNew(file, shown, text, force)
  if (json) terminal.data(JSON.stringify({ file, recipe, name }))
  else {
    terminal.talk(`wrote ${shown}: the run ${name}`)
    const first = data.length === 0 ? 'put your text where data.train says, then ' : ''
    terminal.talk(`next: ${first}regauge check ${shown}, then regauge train ${shown}`)
  }
  return 0
}

/**
 * Looks for the text and at the model, by paths that start at the folder of the run file. Throws one error with all
 * that is missing or does not train.
 */
async function requireSources(folder: string, data: readonly string[], from: string | undefined) {
  const issues: Issue[] = []
  const later = '--force writes the file all the same'
  const looks = [
    ...(data.length === 0 ? [] : [() => listSourceFiles(data.map((path) => resolve(folder, path)))]),
    ...(from === undefined ? [] : [() => requireTrainable(join(resolve(folder, from), 'config.json'))]),
  ]
  for (const look of looks) {
    try {
      await look()
    } catch (error) {
      if (!(error instanceof RegaugeError)) throw error
      for (const issue of error.issues) {
        const file = issue.file === undefined ? undefined : shownPath(issue.file)
        issues.push({ ...issue, ...(file !== undefined && { file }), hint: issue.hint ?? later })
      }
    }
  }
  if (issues.length > 0) throw new RegaugeError('data', issues)
}

async function requireTrainable(config: string): Promise<void> {
  readArchitecture(await readHfConfig(config), config)
}

function writeNew(file: string, shown: string, text: string, force: boolean): void {
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text, { flag: force ? 'w' : 'wx' })
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'EEXIST' && existsSync(file)) {
      const message = 'there is such a file already'
      const hint = 'name another one, or overwrite it by --force'
      throw new RegaugeError('usage', { code: 'INIT_EXISTS', message, file: shown, hint })
    }
    // what a full disk took of it would stand in the way of the next try
    if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code ?? '')) rmSync(file, { force: true })
    const issue = { code: 'INIT_UNWRITABLE', message: `cannot be written (${code})`, file: shown }
    throw new RegaugeError('environment', issue, { cause })
  }
}

/** The folder's name, as far as it can name a run, with the first number that no run and no run file beside it has. */
function freeName(file: string): string {
  const folder = dirname(file)
  const plain = basename(folder)
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  const base = plain === '' ? 'run' : plain.slice(0, 90)
  const taken = new Set(namesBeside(file))
  const isFree = (name: string): boolean => !taken.has(name) && !existsSync(join(folder, 'runs', name))
  let name = base
  for (let n = 2; !isFree(name); n++) name = `${base}-${n}`
  return name
}

/** Names that the other run files of the folder give, as `init` writes them; those that cannot be read give none. */
function namesBeside(file: string): string[] {
  const folder = dirname(file)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name) && entry.name !== basename(file))
    .flatMap(({ name }) => {
      try {
        return /^name: *(\S+)/m.exec(readFileSync(join(folder, name), 'utf8'))?.[1] ?? []
      } catch {
        return []
      }
    })
}
