/** @file `regauge runs show`: one run with its curve, figures, samples, checkpoints and notes. */
import { harmless } from '../../harmless.ts'
import { figuresOf, findRun, type RunRecord, readRun } from '../../watch/index.ts'
import { bytes, compact, grouped, localTime, percent } from '../../words.ts'
import type { Command } from '../context.ts'
import { curveLines } from '../ui/curve.ts'
import { stateText } from '../ui/state.ts'
import { tableLines } from '../ui/table.ts'
import type { Terminal } from '../ui/terminal.ts'

const CURVE_WIDTH = 72
const CURVE_HEIGHT = 6

export const run: Command<'runs show'> = async ({ arguments: [word], options, json, terminal }) => {
  const record = await readRun(findRun(word!, options.runs ?? 'runs'))
  if (json) {
    const { id, folder, state, message, run, runProblem, history } = record
    const figures = figuresOf(history)
    terminal.data(JSON.stringify({ id, folder, state, message, figures, run, runProblem, history }, null, 2))
  } else {
    for (const line of [...head(record, terminal), ...curve(record, terminal), ...tail(record, terminal)]) {
      terminal.data(line)
    }
  }
  return 0
}

function head(record: RunRecord, terminal: Terminal): string[] {
  const { history, message } = record
  const { colors, glyphs } = terminal
  const { step, steps, parameters, loss, heldoutLoss, bitsPerByte, tokensPerSecond } = figuresOf(history)
  const start = history.starts.at(-1)
  const resumed = history.starts.length - 1
  const facts: [string, string | undefined][] = [
    ['state', stateText(record.state, colors) + (message === undefined ? '' : `  ${harmless(message)}`)],
    [
      'step',
      step === undefined
        ? undefined
        : `${grouped(step)} of ${grouped(steps ?? step)} (${percent(step / (steps || 1), 0)})`,
    ],
    ['parameters', parameters === undefined ? undefined : compact(parameters)],
    ['loss', loss?.toFixed(4)],
    ['held-out loss', heldoutLoss?.toFixed(4)],
    ['bits per byte', bitsPerByte === undefined ? undefined : bitsPerByte.toFixed(4)],
    ['speed', tokensPerSecond === undefined ? undefined : `${compact(tokensPerSecond)} tok/s (median)`],
    ['machine', start && `${start.machine.host}, ${start.machine.processor}, ${start.machine.runtime}`],
    ['begun', history.begun && localTime(history.begun)],
    ['updated', history.updated && localTime(history.updated)],
    ['resumed', resumed > 0 ? `${resumed} ${glyphs.times}` : undefined],
  ]
  const rows = facts.flatMap(([name, value]) => (value === undefined ? [] : [[colors.dim(name), value]]))
  return [colors.bold(record.id), ...tableLines([{ title: '' }, { title: '' }], rows), '']
}

function curve({ history }: RunRecord, terminal: Terminal): string[] {
  const { colors, glyphs } = terminal
  const losses = history.steps.map(({ loss }) => loss)
  const finite = losses.filter(Number.isFinite)
  if (finite.length < 2) return []
  const high = finite.reduce((a, b) => Math.max(a, b)).toFixed(2)
  const low = finite.reduce((a, b) => Math.min(a, b)).toFixed(2)
  const room = Math.max(high.length, low.length)
  const width = Math.min(CURVE_WIDTH, terminal.width() - room - 2)
  const rows = curveLines(losses, width, CURVE_HEIGHT, glyphs)
  const labels = [high, ...new Array<string>(CURVE_HEIGHT - 2).fill(''), low]
  const steps = history.steps
  return [
    ...rows.map((row, i) => `${colors.dim(labels[i]!.padStart(room))} ${colors.cyan(row)}`),
    colors.dim(
      `${' '.repeat(room)} loss, steps ${grouped(steps[0]!.step)} to ${grouped(steps.at(-1)!.step)}`,
    ),
    '',
  ]
}

function tail({ history, runProblem }: RunRecord, { colors, glyphs }: Terminal): string[] {
  const lines: string[] = []
  const lastStep = history.samples.at(-1)?.step
  for (const { step, prompt, text } of history.samples.filter((sample) => sample.step === lastStep)) {
    lines.push(`${colors.dim(`@${step}`)}  ${colors.bold(harmless(prompt))}${harmless(text)}`, '')
  }
  for (const { step, path, bytes: size } of history.checkpoints.slice(-5)) {
    lines.push(`checkpoint ${colors.dim(`@${step}`)}  ${path}${size === undefined ? '' : `  ${bytes(size)}`}`)
  }
  for (const { time, message } of history.notes.slice(-5)) {
    lines.push(`note ${colors.dim(localTime(time))}  ${harmless(message)}`)
  }
  const warn = colors.yellow(glyphs.warn)
  if (history.badLines.length > 0) {
    const { line, reason } = history.badLines[0]!
    lines.push(
      `${warn} ${history.badLines.length} lines of events.jsonl are no events; line ${line}: ${reason}`,
    )
  }
  if (runProblem !== undefined) lines.push(`${warn} ${runProblem}`)
  return lines
}
