/** @file `regauge runs compare`: figures side by side, and the values of the run files that differ. */

import { RegaugeError } from '../../errors.ts'
import { compareRuns, findRun, readRun } from '../../watch/index.ts'
import { compact, grouped } from '../../words.ts'
import type { Command } from '../context.ts'
import { stateText } from '../ui/state.ts'
import { tableLines } from '../ui/table.ts'

export const run: Command<'runs compare'> = async ({ arguments: words, options, json, terminal }) => {
  if (words.length < 2) {
    const issue = {
      code: 'CLI_ARGUMENT',
      message: `runs compare needs two runs or more, got ${words.length}`,
    }
    throw new RegaugeError('usage', issue)
  }
  const records = await Promise.all(words.map((word) => readRun(findRun(word, options.runs ?? 'runs'))))
  const comparison = compareRuns(records)
  if (json) {
    terminal.data(JSON.stringify(comparison, null, 2))
    return 0
  }
  const figures = comparison.runs.map((one) => one.figures)
  const { colors, glyphs } = terminal
  const number = (value: number | undefined, show: (value: number) => string): string =>
    value === undefined ? glyphs.dash : show(value)
  const columns = [{ title: '' }, ...records.map(({ id }) => ({ title: id, align: 'right' as const }))]
  const rows = [
    ['state', ...records.map(({ state }) => stateText(state, colors))],
    ['step', ...figures.map(({ step }) => number(step, grouped))],
    ['parameters', ...figures.map(({ parameters }) => number(parameters, compact))],
    ['loss', ...figures.map(({ loss }) => number(loss, (value) => value.toFixed(4)))],
    [
      'held-out loss',
      ...best(
        figures.map(({ heldoutLoss }) => heldoutLoss),
        glyphs.dash,
        colors.green,
      ),
    ],
    [
      'bits per byte',
      ...best(
        figures.map(({ bitsPerByte }) => bitsPerByte),
        glyphs.dash,
        colors.green,
      ),
    ],
    ['tok/s', ...figures.map(({ tokensPerSecond }) => number(tokensPerSecond, compact))],
    ...Object.entries(comparison.differences).map(([key, values]) => {
      return [colors.dim(key), ...values.map((value) => value ?? glyphs.dash)]
    }),
  ]
  for (const line of tableLines(columns, rows, colors.bold)) terminal.data(line)
  for (const { id, runProblem } of records) {
    if (runProblem !== undefined) terminal.talk(`${id} is compared without its run file: ${runProblem}`)
  }
  return 0
}

/** Values with four digits, the least one marked. */
function best(
  values: readonly (number | undefined)[],
  none: string,
  mark: (text: string) => string,
): string[] {
  const least = Math.min(...values.map((value) => value ?? Number.POSITIVE_INFINITY))
  return values.map((value) => {
    if (value === undefined) return none
    return value === least ? mark(value.toFixed(4)) : value.toFixed(4)
  })
}
