/** @file `regauge doctor`: what this machine has, what is missing, and what to do about it. */

import { EXIT_CODES } from '../../errors.ts'
import { harmless } from '../../harmless.ts'
import { loadRun, programsOf } from '../../train/index.ts'
import { diagnose } from '../../watch/index.ts'
import type { Command } from '../context.ts'
import { tableLines } from '../ui/table.ts'

export const run: Command<'doctor'> = async ({ options, json, terminal }) => {
  const programs = options.run === undefined ? undefined : await programsOf((await loadRun(options.run)).run)
  const findings = await diagnose(process.cwd(), programs && { programs })
  const broken = findings.filter(({ ok, optional }) => !ok && optional !== true).length
  if (json) terminal.data(JSON.stringify({ ok: broken === 0, findings }, null, 2))
  else {
    const { colors, glyphs } = terminal
    const mark = (ok: boolean, optional: boolean): string =>
      ok ? colors.green(glyphs.good) : optional ? colors.yellow(glyphs.warn) : colors.red(glyphs.bad)
    const rows = findings.flatMap(({ name, ok, optional, found, fix }) => [
      [mark(ok, optional === true), name, harmless(found)],
      ...(fix === undefined ? [] : [['', '', colors.yellow(harmless(fix))]]),
    ])
    for (const line of tableLines([{ title: '' }, { title: '' }, { title: '' }], rows)) terminal.data(line)
    terminal.talk(broken === 0 ? 'all is well' : `${broken} of ${findings.length} are broken`)
  }
  return broken === 0 ? 0 : EXIT_CODES.environment
}
