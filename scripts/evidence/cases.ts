/** @file Measured steps, made ready to be compared with what is predicted. */
import type { Chip } from '../../src/chips/index.ts'
import { RegaugeError } from '../../src/errors.ts'
import {
  CostModel,
  layoutIssues,
  mixedStepSeconds,
  ratesOf,
  stepSeconds,
  workloadIssues,
} from '../../src/simulate/evidence.ts'
import { type Behaviour, type Constants, type Machine, machineOf } from '../../src/simulate/index.ts'
import { PRIOR } from './priors.ts'
import type { MeasuredRow, PlacedStage, Refusal } from './row.ts'

/** A row with what does not change while constants do. */
export interface Case {
  readonly row: MeasuredRow
  /** Chips of the first stage, where there are several kinds. */
  readonly machine: Machine
  readonly architectures: readonly string[]
  readonly seconds: (constants: Constants) => number
}

export interface Cases {
  readonly cases: readonly Case[]
  readonly refusals: readonly Refusal[]
}

/** Rows made ready; what the simulation refuses is kept with the reason. */
export function casesOf(rows: readonly MeasuredRow[], chips: readonly Chip[]): Cases {
  const cases: Case[] = []
  const refusals: Refusal[] = []
  for (const row of rows) {
    try {
      requireSound(row)
      cases.push(row.placement === null ? plainCase(row, chips) : mixedCase(row, row.placement, chips))
    } catch (error) {
      if (!(error instanceof RegaugeError)) throw error
      refusals.push({ id: row.id, source: row.source, reason: error.message.split('\n')[0]! })
    }
  }
  return { cases, refusals }
}

/** Throws a `data` error for numbers that no step can have. */
function requireSound({ id, workload, layout, measured }: MeasuredRow): void {
  const issues = [...workloadIssues(workload), ...layoutIssues(layout, workload.decoder.layers)]
  const need = (right: boolean, message: string) => {
    if (!right) issues.push({ code: 'EVIDENCE_ROW', message })
  }
  const { microBatch, dataParallel, virtualPipeline } = layout
  need(virtualPipeline <= workload.decoder.layers, `${virtualPipeline} chunks a stage`)
  need(
    workload.globalBatch % (microBatch * dataParallel) === 0,
    `micro-batches of ${microBatch} on ${dataParallel} replicas do not divide a batch of ${workload.globalBatch}`,
  )
  const { stepSeconds } = measured
  need(stepSeconds >= 1e-4 && stepSeconds <= 1e5, `a step of ${stepSeconds} s`)
  if (issues.length === 0) return
  // the row is named here: where reasons are counted, it would be lost
  const message = `row ${id}: ${issues.map((issue) => issue.message).join(', ')}`
  throw new RegaugeError('data', { code: 'EVIDENCE_ROW', message })
}

function plainCase(row: MeasuredRow, chips: readonly Chip[]): Case {
  const machine = machineFor(row, row.chip, chips)
  const like = costsOf(row, machine, PRIOR)
  return {
    row,
    machine,
    architectures: [machine.architecture],
    seconds: (constants) => stepSeconds(costsOf(row, machine, constants, like), row.layout).seconds,
  }
}

function mixedCase(row: MeasuredRow, placement: readonly PlacedStage[], chips: readonly Chip[]): Case {
  const names = new Set(placement.flatMap(({ replicas }) => replicas.map(({ chip }) => chip)))
  const machines = new Map([...names].map((name) => [name, machineFor(row, name, chips)]))
  const like = new Map([...machines].map(([name, machine]) => [name, costsOf(row, machine, PRIOR)]))
  const each = row.workload.globalBatch / row.layout.microBatch / row.layout.dataParallel
  return {
    row,
    machine: machines.get(row.chip)!,
    architectures: [...new Set([...machines.values()].map(({ architecture }) => architecture))],
    seconds: (constants) => {
      const models = new Map(
        [...machines].map(([name, machine]) => [name, costsOf(row, machine, constants, like.get(name))]),
      )
      const stages = placement.map(({ layers, replicas }) => ({
        layers,
        replicas: replicas.map(({ chip, tensorParallel }) => ({
          model: models.get(chip)!,
          layout: { ...row.layout, tensorParallel },
        })),
      }))
      return mixedStepSeconds(
        stages,
        stages[0]!.replicas.map(() => each),
      )
    },
  }
}

function costsOf(row: MeasuredRow, machine: Machine, constants: Constants, like?: CostModel): CostModel {
  // gradients and logits of 4 bytes over bandwidths that were halved for all other values
  const behaviour: Behaviour =
    row.arithmetic === null ? row.behaviour : { ...row.behaviour, gradientBytes: 2, wideBytes: 2 }
  const rates = ratesOf(constants, machine, behaviour)
  const Costs = row.headless ? HeadlessCosts : CostModel
  return new Costs(
    row.workload,
    machine,
    behaviour,
    // what links were measured to reach is no peak that they reach a share of
    row.reached === null ? rates : { ...rates, linkShare: 1, networkShare: 1 },
    like,
  )
}

/** Costs of a model that ends with its last layer. */
class HeadlessCosts extends CostModel {
  override stage(...args: Parameters<CostModel['stage']>): ReturnType<CostModel['stage']> {
    const [layout, from, size, recomputed, isFirst] = args
    return super.stage(layout, from, size, recomputed, isFirst, false)
  }

  override elements(...args: Parameters<CostModel['elements']>): ReturnType<CostModel['elements']> {
    const [layout, from, size, isFirst, , ...rest] = args
    return super.elements(layout, from, size, isFirst, false, ...rest)
  }
}

function machineFor(row: MeasuredRow, name: string, chips: readonly Chip[]): Machine {
  const chip = chips.find(({ id }) => id === name)
  if (chip === undefined) {
    throw new RegaugeError('data', { code: 'EVIDENCE_CHIP', message: `the chip ${name} is not known` })
  }
  const machine = machineOf(chip, row.chips, row.workload.precision, {
    serverChips: row.chipsPerNode,
    // where nobody says: 200 Gb/s a chip, as such servers mostly have
    networkBytesPerSecond: row.networkBytesPerSecond ?? chip.scaleOut.bytesPerSecond ?? 25e9,
  })
  const measured = row.reached?.[name]
  const links =
    measured === undefined
      ? machine.links
      : machine.links.map((link, level) => ({
          ...link,
          bytesPerSecond: level === 0 ? measured.link : measured.network,
        }))
  if (row.arithmetic === null) return { ...machine, links }
  const rate = chip.peak[row.arithmetic] ?? chip.peak.fp32
  if (rate === null) {
    const message = `nobody published the rate of ${name} in ${row.arithmetic}`
    throw new RegaugeError('data', { code: 'EVIDENCE_RATE', message })
  }
  // values of 4 bytes where the simulation counts 2: half the bandwidths
  return {
    ...machine,
    flops: rate,
    halfFlops: rate,
    memoryBytesPerSecond: machine.memoryBytesPerSecond / 2,
    effectiveWatts: machine.effectiveWatts === null ? null : machine.effectiveWatts / 2,
    links: links.map((link) => ({ ...link, bytesPerSecond: link.bytesPerSecond / 2 })),
  }
}
