/** @file `regauge doctor`: what this machine has, what is missing, and what to do about it. */

import { EXIT_CODES } from '../../errors.ts'
import { diagnose } from '../../watch/index.ts'
import type { Command } from '../context.ts'
import { tableLines } from '../ui/table.ts'

export const run: Command<'doctor'> = async ({ json, terminal }) => {
  const findings = await diagnose(process.cwd())
  const broken = findings.filter(({ ok }) => !ok).length
  if (json) terminal.data(JSON.stringify({ ok: broken === 0, findings }, null, 2))
  else {
    const { colors, glyphs } = terminal
    const rows = findings.flatMap(({ name, ok, found, fix }) => [
      [ok ? colors.green(glyphs.good) : colors.red(glyphs.bad), name, found],
      ...(fix === undefined ? [] : [['', '', colors.yellow(fix)]]),
    ])
    for (const line of tableLines([{ title: '' }, { title: '' }, { title: '' }], rows)) terminal.data(line)
    terminal.talk(broken === 0 ? 'all is well' : `${broken} of ${findings.length} are broken`)
  }
  return broken === 0 ? 0 : EXIT_CODES.environment
}
