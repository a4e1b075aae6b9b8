/** @file What a person sees of a run that trains: a live area on a terminal, key=value lines in a pipe, or JSON. */

import { harmless } from '../../harmless.ts'
import type { EvalEvent, RunEvent, RunState, StepEvent, SummaryEvent } from '../../train/index.ts'
import { bytes, compact, duration, grouped, percent, small } from '../../words.ts'
import { curveLines } from './curve.ts'
import { openLiveArea } from './live.ts'
import type { Terminal } from './terminal.ts'
import { oneLine } from './text.ts'

/** Steps that the curve of the live area shows. */
const CURVE_STEPS = 200
/** Steps that the loss of the live area is the mean of. */
const MEAN_STEPS = 10
const BAR_WIDTH = 24
const CURVE_HEIGHT = 3

export interface TrainingView {
  /** Shows one event of the run, in the order in which they come. */
  event(event: RunEvent): void
  /** Ends the live area; what was said stays. */
  close(): void
}

export interface TrainingViewOptions {
  /** Name of the run. */
  readonly name: string
  /** Steps between printed lines; the live area takes every step. */
  readonly everySteps: number
  /** Each event as a line of JSON on stdout, and nothing else. */
  readonly json: boolean
}

/** The view that fits the terminal. */
export function openTrainingView(terminal: Terminal, options: TrainingViewOptions): TrainingView {
  if (options.json) return { event: (event) => terminal.data(JSON.stringify(event)), close: () => {} }
  return terminal.live ? liveView(terminal, options) : plainView(terminal, options)
}

function plainView(terminal: Terminal, { everySteps }: TrainingViewOptions): TrainingView {
  return {
    event: (event) => {
      if (
        event.type === 'step' &&
        event.step % everySteps !== 0 &&
        event.step !== 1 &&
        event.step !== event.steps
      )
        return
      terminal.data(plainLine(withoutError(event)))
    },
    close: () => {},
  }
}

/** A failure without its message: the command ends with that as its error, with place and remedy. */
function withoutError(event: RunEvent): RunEvent {
  return event.type === 'state' && event.state === 'failed' ? { type: 'state', state: 'failed' } : event
}

/** One event as `key=value` pairs on one line; texts are quoted as in JSON. */
export function plainLine(event: RunEvent): string {
  const { type, ...fields } = event
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined && typeof value !== 'object')
    .map(
      ([key, value]) => `${key}=${typeof value === 'number' ? plainNumber(value) : oneLine(String(value))}`,
    )
  // the state is the first field of its event: its name would stand twice
  return (type === 'step' || type === 'state' ? pairs : [type, ...pairs]).join(' ')
}

function plainNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)))
}

function liveView(terminal: Terminal, { name }: TrainingViewOptions): TrainingView {
  const losses: number[] = []
  let state: RunState = 'queued'
  let step: StepEvent | undefined
  let evaluation: EvalEvent | undefined
  const { talkColors: colors, glyphs } = terminal

  const area = openLiveArea(terminal, (width) => [
    headLine(state, name, step, terminal),
    ...(step === undefined ? [] : [lossLine(step, losses, evaluation, terminal), speedLine(step, terminal)]),
    ...curve(losses, width, terminal),
  ])
  const above = (text: string): void => terminal.talk(text)
  return {
    event: (given) => {
      const event = withoutError(given)
      switch (event.type) {
        case 'step':
          step = event
          losses.push(event.loss)
          if (losses.length > CURVE_STEPS) losses.shift()
          break
        case 'state':
          state = event.state
          if (event.message !== undefined) above(`${event.state}: ${harmless(event.message)}`)
          break
        case 'eval':
          evaluation = event
          above(`${at(event.step, terminal)}${heldoutText(event, terminal)}`)
          break
        case 'sample':
          above(`${at(event.step, terminal)}${colors.bold(harmless(event.prompt))}${harmless(event.text)}`)
          break
        case 'checkpoint': {
          const size = event.bytes === undefined ? '' : `  ${bytes(event.bytes)}`
          above(
            `${at(event.step, terminal)}${colors.green(glyphs.good)} saved ${harmless(event.path)}${size}`,
          )
          break
        }
        case 'move':
          above(`${at(event.step, terminal)}moved from ${harmless(event.from)} to ${harmless(event.to)}`)
          break
        case 'note':
          above(`${colors.yellow(glyphs.warn)} ${harmless(event.message)}`)
          break
        case 'summary':
          for (const line of summaryLines(event, terminal)) above(line)
          break
        case 'start':
          break
      }
      area.update()
    },
    close: () => area.close(),
  }
}

function at(step: number, { talkColors: colors }: Terminal): string {
  return `${colors.dim(`@${step}`)}  `
}

function heldoutText(
  { loss, bitsPerByte }: { loss: number; bitsPerByte?: number },
  { glyphs }: Terminal,
): string {
  const bits = bitsPerByte === undefined ? '' : ` ${glyphs.dot} ${bitsPerByte.toFixed(3)} bits per byte`
  return `held-out loss ${loss.toFixed(3)}${bits}`
}

/** The figures of a run that ended, for the terminal. */
export function summaryLines(event: SummaryEvent, terminal: Terminal): string[] {
  const { talkColors: colors, glyphs } = terminal
  const head = `${grouped(event.step)} steps, ${compact(event.tokens)} tokens in ${duration(event.seconds)}`
  const lines = [`${colors.green(glyphs.good)} ${colors.bold(head)}`]
  if (event.heldoutLoss !== undefined) {
    const bits = event.bitsPerByte === undefined ? {} : { bitsPerByte: event.bitsPerByte }
    lines.push(`  ${heldoutText({ loss: event.heldoutLoss, ...bits }, terminal)}`)
  }
  return lines
}

function headLine(state: RunState, name: string, step: StepEvent | undefined, terminal: Terminal): string {
  const { talkColors: colors } = terminal
  const head = `${colors.bold(colors.cyan(state))}  ${harmless(name)}`
  if (step === undefined) return head
  const share = step.steps === 0 ? 0 : Math.min(1, step.step / step.steps)
  const eta = step.etaSeconds === undefined ? '' : `   ETA ${duration(step.etaSeconds)}`
  const count = `${grouped(step.step)}/${grouped(step.steps)}`
  return `${head}  ${bar(share, terminal)} ${count}  ${percent(share, 0)}${colors.bold(eta)}`
}

function bar(share: number, { glyphs, talkColors: colors }: Terminal): string {
  const { barCells, barEnds } = glyphs
  const parts = barCells.length - 1
  const filled = Math.floor(share * BAR_WIDTH * parts)
  const full = Math.floor(filled / parts)
  const rest = full < BAR_WIDTH ? barCells[filled % parts]! : ''
  const cells = (barCells.at(-1)!.repeat(full) + rest).padEnd(BAR_WIDTH)
  return `${colors.dim(barEnds[0])}${colors.cyan(cells)}${colors.dim(barEnds[1])}`
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function lossLine(
  step: StepEvent,
  losses: readonly number[],
  evaluation: EvalEvent | undefined,
  { talkColors: colors, glyphs }: Terminal,
): string {
  const now = mean(losses.slice(-MEAN_STEPS))
  const before = losses.slice(-2 * MEAN_STEPS, -MEAN_STEPS)
  const trend =
    before.length === 0
      ? ''
      : mean(before) > now
        ? colors.green(` ${glyphs.down}`)
        : colors.yellow(` ${glyphs.up}`)
  const bits =
    evaluation?.bitsPerByte === undefined
      ? ''
      : ` ${colors.dim(`${evaluation.bitsPerByte.toFixed(2)} bits/byte`)}`
  const heldout =
    evaluation === undefined
      ? []
      : [`held-out ${evaluation.loss.toFixed(3)} ${colors.dim(`@${evaluation.step}`)}${bits}`]
  return [
    `loss ${colors.bold(now.toFixed(3))}${trend}`,
    ...heldout,
    `lr ${small(step.learningRate)}`,
    `grad ${small(step.gradNorm)}`,
  ].join('   ')
}

function speedLine(step: StepEvent, { talkColors: colors }: Terminal): string {
  return [
    `${colors.bold(compact(step.tokensPerSecond))} tok/s`,
    ...(step.matmulShare === undefined ? [] : [`${percent(step.matmulShare)} of matmul limit`]),
    ...(step.memoryBytes === undefined ? [] : [`mem ${bytes(step.memoryBytes)}`]),
    `step ${duration(step.stepSeconds)}`,
  ].join('   ')
}

/** The losses of the last steps, with the greatest and the least beside the curve. */
function curve(losses: readonly number[], width: number, { glyphs, talkColors: colors }: Terminal): string[] {
  const finite = losses.filter(Number.isFinite)
  if (finite.length < 2) return []
  const label = [Math.max(...finite).toFixed(2), '', Math.min(...finite).toFixed(2)]
  const room = Math.max(...label.map((text) => text.length))
  const across = Math.min(width - room - 3, CURVE_STEPS / 2)
  if (across < 10) return []
  const rows = curveLines(losses, across, CURVE_HEIGHT, glyphs)
  return [
    ...rows.map((row, i) => `${colors.dim(label[i]!.padStart(room))} ${colors.cyan(row)}`),
    colors.dim(`${' '.repeat(room)} loss, last ${losses.length} steps`),
  ]
}
