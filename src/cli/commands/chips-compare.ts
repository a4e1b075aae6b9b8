/** @file `regauge chips compare`: figures side by side; for a model, what fits and what bounds its operations. */

import { statSync } from 'node:fs'
import { join } from 'node:path'
import {
  boundOf,
  type Chip,
  chipsToHold,
  efficiencyOf,
  NUMBER_FORMATS,
  trainingRate,
} from '../../chips/index.ts'
import { RegaugeError } from '../../errors.ts'
import { readHfConfig } from '../../formats/index.ts'
import { harmless } from '../../harmless.ts'
import {
  decoderParameters,
  type Operation,
  readDecoder,
  TRAINING_STATE_BYTES,
  trainingOperations,
  trainingStateBytes,
} from '../../model/index.ts'
import {
  DEFAULT_OPTIMIZER,
  OPTIMIZER_KINDS,
  type OptimizerKind,
  ruleOf,
  stateBytesPerValue,
} from '../../steps/index.ts'
import { findModelFolder } from '../../train/index.ts'
import { compact, grouped } from '../../words.ts'
import { chipsNamed, ratio, si, UNKNOWN, wayText } from '../chips.ts'
import type { Command } from '../context.ts'
import { modelPath } from '../models.ts'
import { tableLines } from '../ui/table.ts'
import type { Terminal } from '../ui/terminal.ts'
import { cutTo } from '../ui/text.ts'

export const run: Command<'chips compare'> = async ({ arguments: words, options, json, terminal }) => {
  const problem = (message: string, hint?: string): RegaugeError =>
    new RegaugeError('usage', { code: 'CLI_ARGUMENT', message, ...(hint !== undefined && { hint }) })
  if (words.length < 2) throw problem(`chips compare needs two chips or more, got ${words.length}`)
  if (options.tokens !== undefined && options.model === undefined) {
    throw problem('--tokens is of a model', 'give --model too')
  }
  const chips = await chipsNamed(words, options.chips, terminal)
  const work =
    options.model === undefined ? undefined : await workOf(modelPath(options.model), options.tokens ?? 4096)
  if (json) {
    const compared = chips.map((chip) => ({ ...chip, efficiency: efficiencyOf(chip) }))
    terminal.data(
      JSON.stringify({ chips: compared, ...(work && { model: modelJson(work, chips) }) }, null, 2),
    )
    return 0
  }
  for (const line of figureLines(chips, terminal)) terminal.data(line)
  if (work !== undefined) for (const line of modelLines(work, chips, terminal)) terminal.data(line)
  return 0
}

/** A model and what a training step of it does. */
interface Work {
  readonly path: string
  /** What was assumed of it, and whether it trains here. */
  readonly notes: readonly string[]
  readonly parameters: number
  readonly stateBytes: number
  /** In bf16 or fp16. */
  readonly weightBytes: number
  readonly tokens: number
  readonly sequenceLength: number
  readonly operations: readonly Operation[]
}

async function workOf(path: string, tokens: number): Promise<Work> {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
  const file = isFolder ? join(await findModelFolder(path), 'config.json') : path
  const notes: string[] = []
  const decoder = readDecoder(await readHfConfig(file), file, (text) => void notes.push(text))
  const parameters = decoderParameters(decoder).total
  const sequenceLength = Math.min(tokens, decoder.maxPositions ?? tokens)
  return {
    path,
    notes,
    parameters,
    stateBytes: trainingStateBytes(decoder, stateBytesPerValue(DEFAULT_OPTIMIZER).most),
    weightBytes: TRAINING_STATE_BYTES.weights * parameters,
    tokens,
    sequenceLength,
    operations: trainingOperations(decoder, { tokens, sequenceLength }),
  }
}

/** Attention is fused or not: of these two, a step does one. */
const ALTERNATIVE = 'attention, unfused'

/** Time of a step with fused attention at peak rates, seconds; null when a figure is missing. */
function secondsAtPeak(work: Work, chip: Chip): number | null {
  let total = 0
  for (const operation of work.operations) {
    const { seconds } = boundOf(chip, operation)
    if (seconds === null) return null
    if (operation.name !== ALTERNATIVE) total += seconds
  }
  return total
}

function modelJson(work: Work, chips: readonly Chip[]) {
  const { operations, ...rest } = work
  return {
    ...rest,
    stateBytesPerParameter: {
      ...TRAINING_STATE_BYTES,
      optimizer: stateBytesPerValue(DEFAULT_OPTIMIZER).most,
    },
    chips: chips.map((chip) => ({
      id: chip.id,
      weightsFit: chip.memory.bytes === null ? null : work.weightBytes <= chip.memory.bytes,
      chipsForState: chipsToHold(chip, work.stateBytes),
      rate: trainingRate(chip),
      secondsAtPeakPerStep: secondsAtPeak(work, chip),
    })),
    operations: operations.map((operation) => ({
      ...operation,
      flopsPerByte: operation.flops / operation.bytes,
      bounds: chips.map((chip) => ({ id: chip.id, ...boundOf(chip, operation) })),
    })),
  }
}

type Rows = (readonly [string, ...string[]])[]

/** Columns of a table with a chip each; their titles are cut so that the table keeps to the width. */
function chipColumns(chips: readonly Chip[], used: number, { width, glyphs }: Terminal) {
  const room = Math.max(14, Math.floor((Math.min(width(), 100) - used) / chips.length) - 2)
  return chips.map(({ name }) => ({
    title: cutTo(harmless(name), room, glyphs.ellipsis),
    align: 'right' as const,
  }))
}

function dimUnknown(rows: Rows, { colors }: Terminal): string[][] {
  return rows.map((row) => row.map((cell) => (cell === UNKNOWN ? colors.dim(cell) : cell)))
}

function figureLines(chips: readonly Chip[], terminal: Terminal): string[] {
  const row = (label: string, show: (chip: Chip) => string): readonly [string, ...string[]] => [
    label,
    ...chips.map(show),
  ]
  const count = (value: number | null): string => (value === null ? UNKNOWN : grouped(value))
  const anyRate = (precision: (typeof NUMBER_FORMATS)[number]): boolean =>
    chips.some(({ peak }) => peak[precision] !== null)
  const rows: Rows = [
    row('status', ({ status }) => status),
    row('runtime', ({ software }) => software.runtime ?? 'none'),
    ...NUMBER_FORMATS.filter(anyRate).map((precision) =>
      row(precision, ({ peak }) => si(peak[precision], precision.startsWith('int') ? 'OP/s' : 'FLOP/s')),
    ),
    ...(chips.some(({ peak }) => peak.matmulOnly !== null)
      ? [
          row('  matmul only', ({ peak }) =>
            peak.matmulOnly === null ? 'as headline' : si(peak.matmulOnly, 'FLOP/s'),
          ),
        ]
      : []),
    row('memory', ({ memory }) => si(memory.bytes, 'B')),
    row('memory type', ({ memory }) => (memory.type === null ? UNKNOWN : harmless(memory.type))),
    row('bandwidth', ({ memory }) => si(memory.bytesPerSecond, 'B/s')),
    row('scale-up', ({ scaleUp }) => si(scaleUp.bytesPerSecond, 'B/s')),
    row('scale-up counts', wayText),
    row('domain, chips', ({ scaleUp }) => count(scaleUp.domainSize)),
    row('scale-out each way', ({ scaleOut }) => si(scaleOut.bytesPerSecond, 'B/s')),
    row('server, chips', ({ server }) => count(server.chips)),
    row('power', ({ power }) => si(power.watts, 'W')),
    row('FLOP/s per watt', (chip) => si(efficiencyOf(chip).flopsPerWatt, 'FLOP/s')),
    row('memory per TFLOP/s', (chip) => si(scaled(efficiencyOf(chip).memoryPerFlops, 1e12), 'B')),
    row('bandwidth per FLOP/s', (chip) => ratio(efficiencyOf(chip).bandwidthPerFlops, 'B/FLOP')),
    row('links per FLOP/s', (chip) => ratio(efficiencyOf(chip).linksPerFlops, 'B/FLOP')),
    row('ridge point', (chip) => ratio(efficiencyOf(chip).ridgePoint, 'FLOP/B')),
  ]
  const columns = [{ title: '' }, ...chipColumns(chips, 22, terminal)]
  return tableLines(columns, dimUnknown(rows, terminal), terminal.colors.bold)
}

function scaled(value: number | null, factor: number): number | null {
  return value === null ? null : value * factor
}

function modelLines(work: Work, chips: readonly Chip[], terminal: Terminal): string[] {
  const { colors } = terminal
  const { notes, parameters, stateBytes, weightBytes, tokens, sequenceLength, operations } = work
  const holds = (chip: Chip, bytes: number): string => {
    const needed = chipsToHold(chip, bytes)
    return needed === null ? UNKNOWN : needed === 1 ? 'fits in one' : `${grouped(needed)} chips`
  }
  const rows: Rows = [
    ['weights', si(weightBytes, 'B'), '', ...chips.map((chip) => holds(chip, weightBytes))],
    ['training state', si(stateBytes, 'B'), '', ...chips.map((chip) => holds(chip, stateBytes))],
    ['rate, bf16 or fp16', '', '', ...chips.map((chip) => si(trainingRate(chip)?.rate ?? null, 'FLOP/s'))],
    ...operations.map((operation): readonly [string, ...string[]] => [
      operation.name,
      `${compact(operation.flops)}FLOP`.replace(/(\D)FLOP/, ' $1FLOP'),
      `${Number((operation.flops / operation.bytes).toPrecision(3))}`,
      ...chips.map((chip) => boundText(chip, operation)),
    ]),
    ['step, fused attention', '', '', ...chips.map((chip) => timeText(secondsAtPeak(work, chip)))],
  ]
  const columns = [
    { title: '' },
    { title: 'work', align: 'right' as const },
    { title: 'FLOP/B', align: 'right' as const },
    ...chipColumns(chips, 41, terminal),
  ]
  const { weights, gradients, masterWeights } = TRAINING_STATE_BYTES
  const others = OPTIMIZER_KINDS.filter((kind) => kind !== DEFAULT_OPTIMIZER).map(keptText)
  return [
    '',
    `${colors.bold(harmless(work.path))}: ${compact(parameters)} parameters, micro-batch of ${grouped(tokens)} tokens in sequences of ${grouped(sequenceLength)}`,
    ...notes.map((note) => colors.dim(harmless(note))),
    '',
    ...tableLines(columns, dimUnknown(rows, terminal), colors.bold),
    '',
    ...[
      `training state: bytes per parameter ${weights} weights, ${gradients} gradients, ${masterWeights} float32 master weights,`,
      `  ${keptText(DEFAULT_OPTIMIZER)} (${others.join(', ')}); activations come on top`,
      'bound: FLOP per byte against the ridge point; values of 16 bits, all layers, forward and backward',
      'times: at peak rates, each value read and written once an operation; caches and fusion save bytes,',
      '  all else takes longer; computed from the figures above, not measured',
      'attention is fused or unfused; the update of the optimizer is once a step, not once a micro-batch',
    ].map(colors.dim),
  ]
}

/** `8 AdamW`, `4 to 8 Muon`: bytes that an optimizer keeps for a parameter. */
function keptText(kind: OptimizerKind): string {
  const { least, most } = stateBytesPerValue(kind)
  return `${least === most ? most : `${least} to ${most}`} ${ruleOf(kind).title}`
}

function boundText(chip: Chip, operation: Operation): string {
  const { by, seconds } = boundOf(chip, operation)
  return by === 'unknown' ? UNKNOWN : `${by} ${timeText(seconds)}`
}

function timeText(seconds: number | null): string {
  if (seconds === null) return UNKNOWN
  if (seconds >= 9.995) return `${grouped(Number(seconds.toPrecision(3)))} s`
  return seconds >= 0.9995e-3
    ? `${Number((seconds * 1e3).toPrecision(3))} ms`
    : `${Number((seconds * 1e6).toPrecision(3))} us`
}
