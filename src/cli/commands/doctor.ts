/** @file `regauge doctor`: what this machine has, what is missing, and what to do about it. */

import { EXIT_CODES } from '../../errors.ts'
import { loadRun, programsOf } from '../../train/index.ts'
import { diagnose } from '../../watch/index.ts'
import type { Command } from '../context.ts'
import { tableLines } from '../ui/table.ts'
import { columnsOf, wrapped } from '../ui/text.ts'

export const run: Command<'doctor'> = async ({ options, json, terminal }) => {
  const programs = options.run === undefined ? undefined : await programsOf((await loadRun(options.run)).run)
  const findings = await diagnose(process.cwd(), programs && { programs })
  const broken = findings.filter(({ ok, optional }) => !ok && optional !== true).length
  if (json) terminal.data(JSON.stringify({ ok: broken === 0, findings }, null, 2))
  else {
    const { colors, glyphs } = terminal
    const mark = (ok: boolean, optional: boolean): string =>
      ok ? colors.green(glyphs.good) : optional ? colors.yellow(glyphs.warn) : colors.red(glyphs.bad)
    const names = Math.max(...findings.map(({ name }) => columnsOf(name)))
    const room = Math.min(terminal.width(), WIDTH) - names - 5
    const rows = findings.flatMap(({ name, ok, optional, found, fix }) => [
      ...wrapped(found, room).map((line, i) =>
        i === 0 ? [mark(ok, optional === true), name, line] : ['', '', line],
      ),
      ...(fix === undefined ? [] : wrapped(fix, room).map((line) => ['', '', colors.yellow(line)])),
    ])
    for (const line of tableLines([{ title: '' }, { title: '' }, { title: '' }], rows)) terminal.data(line)
    const without = findings.filter(({ ok, optional }) => !ok && optional === true).length
    terminal.talk(verdict(broken, without, findings.length))
  }
  return broken === 0 ? 0 : EXIT_CODES.environment
}

const WIDTH = 110

/** What it comes to, where so many are broken, and so many can be done without. */
export function verdict(broken: number, without: number, all: number): string {
  if (broken > 0) return `${broken} of ${all} are broken`
  return without === 0
    ? 'all is well'
    : `nothing that training needs is broken; ${without} of ${all} cannot be used here`
}
