/** @file `regauge init`: writes a commented run file by recipe, and never over an existing one. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { RegaugeError } from '../../errors.ts'
import { shownPath } from '../../train/index.ts'
import type { Command } from '../context.ts'
import { type Recipe, recipeText } from '../recipes.ts'

export const run: Command<'init'> = async ({ arguments: [word], options, json, terminal }) => {
  const file = resolve(word ?? 'run.yaml')
  const shown = shownPath(file)
  const recipe = (options.recipe ?? (options.from === undefined ? 'scratch' : 'continue')) as Recipe
  if (options.from !== undefined && recipe !== 'continue') {
    const issue = {
      code: 'CLI_VALUE',
      message: `--from has no meaning with --recipe ${recipe}`,
      hint: '--recipe continue',
    }
    throw new RegaugeError('usage', issue)
  }
  const text = recipeText(recipe, {
    name: options.name ?? nameFor(file),
    data: options.data,
    ...(options.from !== undefined && { from: options.from }),
  })
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text, { flag: 'wx' })
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'EEXIST' && existsSync(file)) {
      const issue = {
        code: 'INIT_EXISTS',
        message: 'there is such a file already',
        file: shown,
        hint: 'name another one',
      }
      throw new RegaugeError('usage', issue)
    }
    // what a full disk took of it would stand in the way of the next try
    if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code ?? '')) rmSync(file, { force: true })
    const issue = { code: 'INIT_UNWRITABLE', message: `cannot be written (${code})`, file: shown }
    throw new RegaugeError('environment', issue, { cause })
  }
  if (json) terminal.data(JSON.stringify({ file, recipe }))
  else {
    terminal.talk(`wrote ${shown}`)
    terminal.talk(`next: regauge check ${shown}, then regauge train ${shown}`)
  }
  return 0
}

/** The folder's name, as far as it can name a run. */
function nameFor(file: string): string {
  const name = basename(dirname(file))
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  return name === '' ? 'run' : name.slice(0, 100)
}
