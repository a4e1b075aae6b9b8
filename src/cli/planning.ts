/** @file What `simulate` and `plan` share: the model, chips with an engine, and text of what is predicted. */

import { statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { Chip } from '../chips/index.ts'
import { ENGINES, type Engine, type EngineId, engineFor } from '../engines/index.ts'
import { RegaugeError } from '../errors.ts'
import { readHfConfig } from '../formats/index.ts'
import { type Decoder, decoderParameters, readDecoder } from '../model/index.ts'
import {
  type Constant,
  type Layout,
  type Machine,
  MOST,
  machineOf,
  type Precision,
  type Prediction,
  parseLayout,
  type Workload,
} from '../simulate/index.ts'
import { PAGE_HINT, parameters, requirePlace, samePlace, TRACE_HINT } from '../watch/index.ts'
import { grouped } from '../words.ts'
import { chipNamed, si } from './chips.ts'
import { modelPath } from './models.ts'
import {
  awaited,
  batchOf,
  type PoolText,
  type Problems,
  reported,
  sequenceOf,
  usageIssues,
} from './quantities.ts'
import type { Terminal } from './ui/terminal.ts'

/** A model to plan for. */
export interface PlannedModel {
  /** Last part of its path. */
  readonly name: string
  readonly family: string
  readonly decoder: Decoder
  readonly notes: readonly string[]
}

/** Reads the sizes of a model from its folder, its `config.json` or by its name. Throws a `usage` error. */
export async function plannedModel(word: string): Promise<PlannedModel> {
  const path = modelPath(word)
  const fail = (message: string, hint: string, cause?: unknown) =>
    new RegaugeError('usage', { code: 'MODEL_MISSING', message, file: path, hint }, { cause })
  const statOf = (one: string) => {
    try {
      return statSync(one, { throwIfNoEntry: false })
    } catch (cause) {
      // links that go in a circle, names that are too long, folders of others
      const { code } = cause as NodeJS.ErrnoException
      throw fail(`cannot be read (${code})`, 'give the folder of a model or its config.json', cause)
    }
  }
  const isFolder = statOf(path)?.isDirectory() ?? false
  const file = isFolder ? join(path, 'config.json') : path
  if (isFolder && statOf(file) === undefined) {
    throw fail('the folder has no config.json', 'give the folder of a Hugging Face model, or a config.json')
  }
  const config = await readHfConfig(file)
  const notes: string[] = []
  const decoder = readDecoder(config, file, (text) => void notes.push(`${file}: ${text}`))
  const whole = resolve(path)
  return {
    name: basename(isFolder || basename(whole) !== 'config.json' ? whole : join(whole, '..')),
    family: typeof config.model_type === 'string' ? config.model_type : 'unknown family',
    decoder,
    notes,
  }
}

/** Sources that are named in a line. */
const SOURCES = 4

/** What is to be trained, as `plan` and `simulate` are asked. */
interface WorkloadOptions {
  readonly model: string
  readonly seq: string
  readonly batch: string
  readonly precision: string | undefined
}

/** A model with its workload; the notes say how the options were understood. */
export interface PlannedRun {
  readonly model: PlannedModel
  readonly workload: Workload
  readonly notes: readonly string[]
}

/** Reads the model, its sequences and their batch. Ends with all problems so far where one of them cannot be read. */
export async function plannedRun(options: WorkloadOptions, { report, end }: Problems): Promise<PlannedRun> {
  const sequence = reported(report, '--seq', () => sequenceOf(options.seq))
  if (sequence !== undefined && sequence.tokens > MOST.sequenceLength) {
    report({
      code: 'CLI_VALUE',
      message: `--seq: a sequence of ${sequence.tokens} tokens`,
      hint: `give ${MOST.sequenceLength} at most`,
    })
  }
  const batch = sequence && reported(report, '--batch', () => batchOf(options.batch, sequence.tokens))
  const model = await awaited(report, plannedModel(options.model))
  if (sequence === undefined || batch === undefined || model === undefined) {
    end()
    throw new Error('what cannot be read was not reported')
  }
  const noteOf = (option: string, note: string | undefined) =>
    note === undefined ? [] : [`${option}: ${note}`]
  return {
    model,
    workload: {
      decoder: model.decoder,
      sequenceLength: sequence.tokens,
      globalBatch: batch.sequences,
      precision: precisionOf(options.precision),
    },
    notes: [...noteOf('--seq', sequence.note), ...noteOf('--batch', batch.note)],
  }
}

/** The number format that is asked for, or the one by default. */
function precisionOf(name: string | undefined): Precision {
  return (name ?? 'bf16') as Precision
}

/** Chips of one kind with the engine that runs on them. */
export interface ChipPool {
  readonly machine: Machine
  readonly engine: Engine
}

/** Finds the chips that `--on` names. Throws a `usage` error. */
export function chipPool(
  { word, count, networkBytesPerSecond }: PoolText,
  chips: readonly Chip[],
  options: { readonly precision: string | undefined; readonly engine: string | undefined },
  terminal: Terminal,
): ChipPool {
  const chip = chipNamed(chips, word, terminal)
  const network = networkBytesPerSecond === undefined ? {} : { networkBytesPerSecond }
  const machine = machineOf(chip, count, precisionOf(options.precision), network)
  return { machine, engine: plannedEngine(chip, options.engine) }
}

/**
 * Asks for the places of the page and the trace before the work, which may take minutes. Reports those that would lose
 * something; one that cannot be written to is an `environment` error, once nothing else is wrong.
 */
export function requirePlaces(
  { model, chips, report: page, trace }: Places,
  { report, end }: Problems,
): void {
  const taken: [option: string, path: string][] = [
    ['--model', model],
    ['--model', join(model, 'config.json')],
    ...(chips === undefined ? [] : [['--chips', chips] as [string, string]]),
  ]
  const asked = [
    ['--report', page, PAGE_HINT],
    ['--trace', trace, TRACE_HINT],
  ] as const
  for (const [option, path, hint] of asked) {
    if (path === undefined) continue
    const other = taken.find(([, place]) => samePlace(path, place))
    taken.push([option, path])
    try {
      if (other === undefined) requirePlace(path, hint)
      else report({ code: 'CLI_PLACE', message: `${option}: ${path} is that of ${other[0]} too`, hint })
    } catch (error) {
      if (error instanceof RegaugeError && error.kind !== 'usage') end()
      usageIssues(error).forEach(report)
    }
  }
}

/** Files that a command reads and writes. */
interface Places {
  readonly model: string
  readonly chips: string | undefined
  readonly report: string | undefined
  readonly trace?: string | undefined
}

/** The engine by its name, or the one for a chip. */
function plannedEngine(chip: Chip, name: string | undefined): Engine {
  return name === undefined ? engineFor(chip) : ENGINES[name as EngineId]
}

/** Reads a layout; where it says nothing of ZeRO, that is stage 1, or the last one that the engine has. */
export function layoutFor(engine: Engine, text: string, chips: number): Layout {
  const { zeroStages } = engine.abilities
  return parseLayout(text, chips, zeroStages.includes(1) ? 1 : zeroStages.at(-1))
}

/** One line about a model. */
export function modelText({ name, family, decoder }: PlannedModel): string {
  const { total, active } = decoderParameters(decoder)
  const some = active === total ? '' : `, ${parameters(active)} of them active`
  const experts = decoder.experts === null ? '' : `, ${decoder.experts.count} experts`
  return `${name} (${family}), ${parameters(total)} parameters${some}, ${decoder.layers} layers of ${grouped(decoder.hiddenSize)}${experts}`
}

/** What is to be trained, for scripts. */
export function runJson({ name, family, decoder }: PlannedModel, workload: Workload) {
  const { total, active } = decoderParameters(decoder)
  return {
    model: { name, family, parameters: total, activeParameters: active },
    sequenceLength: workload.sequenceLength,
    globalBatch: workload.globalBatch,
    precision: workload.precision,
  }
}

/** What was taken for granted of links whose source does not say which way it counts, each kind of chip once. */
export function linkNotes(machines: readonly Machine[]): string[] {
  const notes = machines.flatMap(({ chip, links: [link] }) =>
    link?.direction === 'unstated'
      ? [
          `link of ${chip.name}: ${si(chip.scaleUp.bytesPerSecond, 'B/s')}, direction unstated by its source, taken as the sum of both ways: ${si(link.bytesPerSecond, 'B/s')} each way`,
        ]
      : [],
  )
  return [...new Set(notes)]
}

/** A machine for scripts: infinity, which JSON does not have, is null. */
export function machineJson({ chip, links, ...rest }: Machine) {
  return {
    chip: chip.id,
    ...rest,
    links: links.map((link) => ({ ...link, size: Number.isFinite(link.size) ? link.size : null })),
  }
}

/** The stage that takes the most memory. */
export function fullestStage({ memory }: Prediction): Prediction['memory'][number] {
  return memory.reduce((most, stage) => (stage.peak > most.peak ? stage : most))
}

/** Constants in one line: how many, and the measured steps by source that those of this chip were fitted on. */
export function constantsText(constants: readonly Constant[], { architecture }: Machine): string {
  const rows = (key: string): Map<string, number> => {
    const found = new Map<string, number>()
    for (const { from } of constants) {
      const text = from.split('; ').find((part) => part.startsWith(`${key}: `))
      for (const [, source, count] of text?.matchAll(/([\w.-]+) (\d+)(?=,|$)/g) ?? []) {
        found.set(source!, Number(count))
      }
    }
    return found
  }
  const all = rows('all')
  const own = [...rows(architecture)].sort((a, b) => b[1] - a[1])
  const steps = [...all.values()].reduce((sum, count) => sum + count, 0)
  const more = own.length - SOURCES > 0 ? ` and ${own.length - SOURCES} more` : ''
  const design =
    own.length === 0
      ? "none of this chip's design"
      : `of this chip's design: ${own
          .slice(0, SOURCES)
          .map(([source, count]) => `${source} ${grouped(count)}`)
          .join(', ')}${more}`
  return `${constants.length} used, fitted on ${grouped(steps)} measurements of ${all.size} sources; ${design}; all with --json`
}
