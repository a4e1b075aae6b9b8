/** @file `regauge simulate`: what one layout of a model on chips would take: time, memory, where they go, how sure. */

import { EXAMPLE_CHIPS, loadChips } from '../../chips/index.ts'
import { ENGINES, violations } from '../../engines/index.ts'
import { EXIT_CODES, RegaugeError } from '../../errors.ts'
import { harmless } from '../../harmless.ts'
import {
  createSimulator,
  layoutPipeline,
  layoutText,
  type Pipeline,
  stageLayers,
} from '../../simulate/index.ts'
import {
  GRADES,
  largestTerm,
  MEMORY_TERMS,
  parameters,
  type Simulation,
  seconds,
  simulationFile,
  TIME_TERMS,
  traceFile,
  writePlaced,
} from '../../watch/index.ts'
import { compact, gibibytes, grouped, percent } from '../../words.ts'
import { si } from '../chips.ts'
import type { Command } from '../context.ts'
import type { OptionValues } from '../options.ts'
import {
  chipPool,
  constantsText,
  fullestStage,
  layoutFor,
  linkNotes,
  machineJson,
  modelText,
  type PlannedModel,
  plannedRun,
  requirePlaces,
  runJson,
} from '../planning.ts'
import { poolOf, problemList, reported } from '../quantities.ts'
import { tableLines } from '../ui/table.ts'
import type { Terminal } from '../ui/terminal.ts'
import { wrapped } from '../ui/text.ts'

export const run: Command<'simulate'> = async ({ options, json, terminal }) => {
  const { model, simulation } = await simulationOf(options, terminal)
  // files first, together: what cannot be written is the one thing that is told
  writePlaced([
    ...(options.trace === undefined ? [] : [traceFile(drawn(simulation.pipeline), options.trace)]),
    ...(options.report === undefined ? [] : [simulationFile(simulation, options.report)]),
  ])
  const code = fits(simulation) ? 0 : EXIT_CODES.memory
  if (json) {
    terminal.data(JSON.stringify(simulationJson(model, simulation), null, 2))
    return code
  }
  for (const line of lines(model, simulation, terminal)) terminal.data(line)
  for (const note of simulation.notes) terminal.talk(harmless(note))
  if (options.trace !== undefined) terminal.talk(`trace: ${options.trace}`)
  if (options.report !== undefined) terminal.talk(`page: ${options.report}`)
  return code
}

function drawn(pipeline: Pipeline | string): Pipeline {
  if (typeof pipeline !== 'string') return pipeline
  throw new RegaugeError('usage', {
    code: 'TRACE_NONE',
    message: `--trace: this pipeline cannot be run pass by pass, ${pipeline}`,
    hint: 'change the layout',
  })
}

/** Reads what is asked, with every mistake at once, and predicts it. */
async function simulationOf(
  options: OptionValues<'simulate'>,
  terminal: Terminal,
): Promise<{ readonly model: PlannedModel; readonly simulation: Simulation }> {
  const problems = problemList()
  const { report, end } = problems
  const chips = await loadChips(options.chips)
  const asked = reported(report, '--on', () => poolOf(options.on, EXAMPLE_CHIPS[0]))
  const pool = asked && reported(report, '--on', () => chipPool(asked, chips, options, terminal))
  const planned = pool?.engine ?? ENGINES.torch
  const layout = asked && reported(report, '--layout', () => layoutFor(planned, options.layout, asked.count))
  const { model, workload, notes } = await plannedRun(options, problems)
  requirePlaces(options, problems)
  end()
  const { machine, engine } = pool!
  for (const message of violations(layout!, workload, machine.count, engine)) {
    report({ code: 'LAYOUT_RULE', message: `--layout: ${message}` })
  }
  end()
  const simulator = createSimulator(workload, machine, engine.behaviour)
  return {
    model,
    simulation: {
      model: model.name,
      engine,
      simulator,
      layout: layout!,
      prediction: simulator.predict(layout!),
      pipeline: layoutPipeline(simulator.costs, layout!),
      notes: [...model.notes, ...linkNotes([machine]), ...notes],
    },
  }
}

/** Whether the fullest chip holds what it is to hold. */
function fits({ prediction, simulator }: Simulation): boolean {
  return fullestStage(prediction).peak <= simulator.machine.memoryBytes
}

/** All of it for scripts. Bytes and seconds. */
function simulationJson(model: PlannedModel, simulation: Simulation) {
  const { engine, simulator, layout, prediction, notes } = simulation
  const { machine, workload } = simulator
  const fullest = fullestStage(prediction)
  return {
    ...runJson(model, workload),
    engine: engine.name,
    machine: machineJson(machine),
    layout: { text: layoutText(layout), ...layout },
    fits: fits(simulation),
    overBytes: Math.max(0, fullest.peak - machine.memoryBytes),
    ...prediction,
    notes,
  }
}

const WIDTH = 100

function lines(model: PlannedModel, simulation: Simulation, terminal: Terminal): string[] {
  const { engine, simulator, layout, prediction } = simulation
  const { machine, workload } = simulator
  const { colors, glyphs } = terminal
  const width = Math.min(terminal.width(), WIDTH)
  const rows = (name: string, text: string, paint = (line: string) => line): string[] =>
    wrapped(text, width - 12).map(
      (line, i) => `${colors.dim((i === 0 ? name : '').padEnd(12))}${paint(line)}`,
    )
  const { band } = prediction
  const tokens = workload.globalBatch * workload.sequenceLength
  const microBatches = workload.globalBatch / (layout.microBatch * layout.dataParallel)
  const fullest = fullestStage(prediction)
  const over = fullest.peak - machine.memoryBytes
  const term = largestTerm(fullest.terms, MEMORY_TERMS)
  const where = prediction.memory.length === 1 ? '' : ` on stage ${fullest.stage}`
  const of = `${gibibytes(fullest.peak)} of ${gibibytes(machine.memoryBytes)} GiB a chip${where}`
  return [
    ...rows('model', modelText(model)),
    ...rows(
      'chips',
      `${grouped(machine.count)} ${machine.chip.name}, ${si(machine.memoryBytes, 'B')} each, ${engine.name}`,
    ),
    ...rows('layout', layoutText(layout)),
    ...rows(
      'batch',
      `${grouped(workload.globalBatch)} sequences of ${grouped(workload.sequenceLength)} (${parameters(tokens)} tokens), ${grouped(microBatches)} micro-batch${microBatches === 1 ? '' : 'es'} a replica, ${workload.precision}`,
    ),
    ...rows('step', `${seconds(prediction.seconds)}, predicted`, colors.bold),
    ...rows(
      'band',
      `${seconds(band.low)} to ${seconds(band.high)} in four of five cases; constants ${GRADES[band.grade]}`,
    ),
    ...rows(
      'speed',
      `${compact(prediction.tokensPerSecond)} tokens/s, ${compact(prediction.tokensPerSecond / machine.count)} a chip`,
    ),
    ...rows('MFU', `${percent(prediction.modelFlopsUtilization)} of ${si(machine.flops, 'FLOP/s')} a chip`),
    ...(over <= 0
      ? rows('memory', `${glyphs.good} fits: ${of}`, colors.green)
      : rows(
          'memory',
          `${glyphs.bad} does not fit: ${of}, ${gibibytes(over)} GiB over; most of it is ${term.name}, ${gibibytes(fullest.terms[term.key])} GiB`,
          colors.red,
        )),
    '',
    ...timeLines(simulation, terminal),
    '',
    ...memoryLines(simulation, terminal, width),
    '',
    ...wrapped(
      `constants: ${constantsText(prediction.constants, machine)}. Computed from these, not measured.`,
      width,
    ).map(colors.dim),
  ]
}

function timeLines({ prediction: { terms, seconds: step } }: Simulation, { colors, glyphs }: Terminal) {
  const cells = 24
  const bar = (share: number): string => {
    const full = glyphs.barCells.at(-1)!
    return full.repeat(Math.round(share * cells))
  }
  const shown = TIME_TERMS.filter(({ key }) => terms[key] > 0)
  return tableLines(
    [
      { title: 'where the time goes' },
      { title: 'time', align: 'right' },
      { title: 'share', align: 'right' },
      { title: '' },
    ],
    shown.map(({ key, name }) => {
      const share = terms[key] / step
      return [name, seconds(terms[key]), percent(share), colors.cyan(bar(share))]
    }),
    colors.bold,
  )
}

/** Stages that are shown: all, or the first and last, the fullest and some between them. */
function memoryLines({ prediction, layout, simulator }: Simulation, { colors }: Terminal, width: number) {
  const { memory } = prediction
  const room = Math.max(2, Math.floor((width - 18) / 10))
  const count = Math.min(memory.length, room)
  const taken = new Set(
    Array.from({ length: count }, (_, i) =>
      count === 1 ? 0 : Math.round((i * (memory.length - 1)) / (count - 1)),
    ),
  )
  const fullest = fullestStage(prediction).stage
  if (!taken.has(fullest)) {
    // in the place of the nearest that is neither end
    const inner = [...taken].slice(1, -1)
    taken.delete(inner.toSorted((a, b) => Math.abs(a - fullest) - Math.abs(b - fullest))[0]!)
    taken.add(fullest)
  }
  const stages = [...taken].sort((a, b) => a - b).map((stage) => memory[stage]!)
  const layers = stageLayers(simulator.workload.decoder.layers, layout)
  const limit = simulator.machine.memoryBytes
  const rows = MEMORY_TERMS.filter(({ key }) => memory.some(({ terms }) => terms[key] > 0)).map(
    ({ key, name }) => [name, ...stages.map(({ terms }) => gibibytes(terms[key]))],
  )
  const sums = stages.map(({ peak }) =>
    peak > limit ? colors.red(gibibytes(peak)) : colors.bold(gibibytes(peak)),
  )
  return [
    ...tableLines(
      [
        { title: 'memory, GiB a chip' },
        ...stages.map(({ stage }) => ({
          title: memory.length === 1 ? '' : `stage ${stage}`,
          align: 'right' as const,
        })),
      ],
      [
        ['layers', ...stages.map(({ stage }) => String(layers[stage]))],
        ...rows,
        [colors.bold('sum'), ...sums],
      ],
      colors.bold,
    ),
    ...(stages.length < memory.length
      ? [colors.dim(`${stages.length} of ${memory.length} stages; all with --json or --report`)]
      : []),
  ]
}
