/** @file `regauge runs`, also `runs list`: the runs in a folder with their state and figures. */

import { figuresOf, type RunRecord, readRuns } from '../../watch/index.ts'
import { compact, grouped, localTime } from '../../words.ts'
import type { Command } from '../context.ts'
import { stateText } from '../ui/state.ts'
import { tableLines } from '../ui/table.ts'
import type { Terminal } from '../ui/terminal.ts'

export const run: Command<'runs' | 'runs list'> = async ({ options, json, terminal }) => {
  const folder = options.runs ?? 'runs'
  const records = await readRuns(folder)
  if (json) {
    const rows = records.map(({ id, folder: path, state, message, history }) => {
      return { id, folder: path, state, message, updated: history.updated, ...figuresOf(history) }
    })
    terminal.data(JSON.stringify(rows, null, 2))
  } else if (records.length === 0) {
    terminal.talk(`no runs in ${folder}; regauge train begins one`)
  } else {
    const columns = [
      { title: 'run' },
      { title: 'state' },
      { title: 'step', align: 'right' },
      { title: 'loss', align: 'right' },
      { title: 'held-out', align: 'right' },
      { title: 'bits/byte', align: 'right' },
      { title: 'tok/s', align: 'right' },
      { title: 'updated' },
    ] as const
    const rows = records.map((record) => row(record, terminal))
    for (const line of tableLines(columns, rows, terminal.colors.bold)) terminal.data(line)
  }
  return 0
}

function row({ id, state, history }: RunRecord, terminal: Terminal): string[] {
  const { step, steps, loss, heldoutLoss, bitsPerByte, tokensPerSecond } = figuresOf(history)
  const { dash } = terminal.glyphs
  return [
    id,
    stateText(state, terminal.colors),
    step === undefined ? dash : `${grouped(step)}/${grouped(steps ?? step)}`,
    loss?.toFixed(3) ?? dash,
    heldoutLoss?.toFixed(3) ?? dash,
    bitsPerByte?.toFixed(3) ?? dash,
    tokensPerSecond === undefined ? dash : compact(tokensPerSecond),
    history.updated === undefined ? dash : localTime(history.updated),
  ]
}
