/** @file Fits the constants of the simulation to measured steps. */
import type { Chip } from '../../src/chips/index.ts'
import { RegaugeError } from '../../src/errors.ts'
import { HALF } from '../../src/simulate/bytes.ts'
import {
  type Constants,
  fromScale,
  RATE_NAMES,
  type RateName,
  ratesOf,
  type Shifts,
  toScale,
} from '../../src/simulate/constants.ts'
import { CostModel } from '../../src/simulate/costs.ts'
import { ENGINES } from '../../src/simulate/engines.ts'
import { machineOf } from '../../src/simulate/machine.ts'
import { mixedStepSeconds } from '../../src/simulate/mixed.ts'
import { deviceSeconds } from '../../src/simulate/rates.ts'
import { layoutIssues, workloadIssues } from '../../src/simulate/sound.ts'
import { stepSeconds } from '../../src/simulate/step.ts'
import type { Engine, Machine } from '../../src/simulate/types.ts'
import type { readKernels } from './aiconfigurator.ts'
import type { MeasuredRow, PlacedStage, Refusal } from './row.ts'

type Scope = 'general' | 'architecture' | 'lineage' | 'engine'

/** What is fitted: a rate in general, by the design of cores, by what an engine is built on, or by engine. */
interface Parameter {
  readonly scope: Scope
  readonly key: string
  readonly rate: RateName
  /** Where it starts and is drawn to, in the scale that it is fitted in. */
  readonly prior: number
  /** How far it is let from there: one standard deviation in that scale. */
  readonly spread: number
}

/** Values from before any measurement: data sheets' usual yields, and orders of magnitude of launches and messages. */
export const PRIORS: Readonly<Record<RateName, { value: number; spread: number }>> = {
  matmul: { value: 0.8, spread: 1 },
  matmul8: { value: 0.65, spread: 1 },
  sustained: { value: 0.92, spread: 0.5 },
  grouped: { value: 0.7, spread: 0.7 },
  attention: { value: 0.45, spread: 1 },
  attentionStart: { value: 500, spread: 0.5 },
  operands: { value: 0.35, spread: 0.7 },
  bandwidth: { value: 0.75, spread: 0.7 },
  kernel: { value: 5e-6, spread: 0.7 },
  host: { value: 2.5e-5, spread: 0.7 },
  software: { value: 1, spread: 0.001 },
  linkShare: { value: 0.75, spread: 0.7 },
  networkShare: { value: 0.65, spread: 0.7 },
  linkLatency: { value: 5e-6, spread: 0.7 },
  networkLatency: { value: 1.5e-5, spread: 0.7 },
  exposed: { value: 0.2, spread: 0.7 },
  exposedTensor: { value: 0.5, spread: 0.7 },
  step: { value: 5e-3, spread: 0.7 },
  straggling: { value: 0.005, spread: 0.7 },
}

/** What may differ by the design of cores, and by engine, and how far from the general value. */
const BY_ARCHITECTURE: Readonly<Partial<Record<RateName, number>>> = {
  matmul: 0.6,
  matmul8: 0.6,
  grouped: 0.6,
  attention: 1,
  attentionStart: 0.5,
  operands: 0.5,
  linkShare: 0.6,
  bandwidth: 0.5,
  kernel: 0.5,
}
const BY_ENGINE: Readonly<Partial<Record<RateName, number>>> = {
  software: 0.15,
  host: 0.4,
  networkShare: 0.4,
  grouped: 0.6,
}
/** Software that is built on the same shares more than chips do. */
const BY_LINEAGE: Readonly<Partial<Record<RateName, number>>> = { software: 0.15, host: 0.4 }

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
  // gradients of 4 bytes over bandwidths that were halved for all other values
  const engine: Engine = row.arithmetic === null ? row.engine : { ...row.engine, gradientBytes: 2 }
  return new CostModel(row.workload, machine, engine, ratesOf(constants, machine, engine), like)
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
  if (row.arithmetic === null) return machine
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
    links: machine.links.map((link) => ({ ...link, bytesPerSecond: link.bytesPerSecond / 2 })),
  }
}

/** The constants before any measurement. */
const PRIOR: Constants = {
  general: Object.fromEntries(RATE_NAMES.map((name) => [name, PRIORS[name].value])) as Record<
    RateName,
    number
  >,
  sources: {},
  architectures: {},
  lineages: {},
  engines: {},
  coverage: {},
  bands: { 'chip and engine': 1.1, chip: 1.2, family: 1.3, 'data sheet': 1.5 },
}

export interface FitOptions {
  readonly log?: (text: string) => void
  /** Constants to begin with, such as those of nearly the same rows. */
  readonly from?: Constants
  readonly rounds?: number
  /** Products of matrices that were measured alone. */
  readonly products?: readonly ProductCase[]
}

/** What a fit compares with: a step, or a product. */
interface Observation {
  readonly source: string
  readonly architecture: readonly string[]
  readonly lineage: readonly string[]
  readonly engine: readonly string[]
  /** For the coverage: chip and engine. */
  readonly key: string | null
  readonly weight: number
  /** Logarithm of what is predicted over what was measured. */
  readonly residual: (constants: Constants) => number
}

/** Each source weighs as the root of its rows. */
function observationsOf(cases: readonly Case[], products: readonly ProductCase[]): Observation[] {
  const count = new Map<string, number>()
  for (const { row } of cases) count.set(row.source, (count.get(row.source) ?? 0) + 1)
  return [
    ...cases.map(({ row, architectures, seconds }) => ({
      source: row.source,
      architecture: architectures,
      lineage: [row.engine.lineage],
      engine: [row.engine.id],
      key: `${row.chip} ${row.engine.id}`,
      weight: 1 / Math.sqrt(count.get(row.source)!),
      residual: (constants: Constants) => Math.log(seconds(constants) / row.measured.stepSeconds),
    })),
    ...products.map(({ machine, m, n, k, seconds }) => {
      const work = {
        ...NO_WORK,
        flops: 2 * m * n * k,
        operandBytes: HALF * (m * k + k * n + m * n),
        kernels: 1,
      }
      return {
        source: 'products',
        architecture: [machine.architecture],
        lineage: [],
        engine: [],
        key: null,
        weight: 1 / Math.sqrt(products.length),
        residual: (constants: Constants) => {
          const rates = ratesOf(constants, machine, ALONE)
          return Math.log(deviceSeconds(work, machine, { ...rates, sustained: 1 }, false) / seconds)
        },
      }
    }),
  ]
}

/** No engine: a kernel alone. */
const ALONE = { ...ENGINES['megatron-lm'], id: '', lineage: '' }
const NO_WORK = {
  flops: 0,
  groupedFlops: 0,
  attentionFlops: 0,
  attentionFlopsPerKey: 0,
  operandBytes: 0,
  elementwiseBytes: 0,
  kernels: 0,
}

/** A product of matrices (m, k) x (k, n) in 16 bits, measured alone. */
export interface ProductCase {
  readonly machine: Machine
  readonly m: number
  readonly n: number
  readonly k: number
  readonly seconds: number
}

/** Products of one table that a fit takes. */
const PRODUCTS = 60

/** Products of sizes that training has, spread over each table. */
export function productCases(
  tables: ReturnType<typeof readKernels>['products'],
  chips: readonly Chip[],
): ProductCase[] {
  return tables.flatMap(({ chip: name, rows }) => {
    const chip = chips.find(({ id }) => id === name)
    if (chip === undefined) return []
    const machine = machineOf(chip, 1, 'bf16')
    const large = rows.filter(
      ({ dtype, m, n, k }) => dtype === 'bfloat16' && Math.min(m, n, k) >= 512 && m * n * k >= 2 ** 33,
    )
    const step = Math.max(1, large.length / PRODUCTS)
    return Array.from({ length: Math.min(PRODUCTS, large.length) }, (_, i) => ({
      machine,
      ...large[Math.floor(i * step)]!,
    }))
  })
}

/** The constants that fit the cases best, each source with a weight that grows with the root of its rows. */
export function fitConstants(cases: readonly Case[], options: FitOptions = {}): Constants {
  const { log = () => {}, from, rounds = 60, products = [] } = options
  const parameters: Parameter[] = RATE_NAMES.filter((rate) => rate !== 'software').map((rate) => ({
    scope: 'general',
    key: '',
    rate,
    prior: toScale(rate, PRIORS[rate].value),
    spread: PRIORS[rate].spread,
  }))
  const add = (scope: Scope, keys: Iterable<string>, table: typeof BY_ENGINE) => {
    for (const key of new Set(keys))
      for (const [rate, spread] of Object.entries(table))
        parameters.push({ scope, key, rate: rate as RateName, prior: 0, spread: spread! })
  }
  const seen = observationsOf(cases, products)
  add(
    'architecture',
    seen.flatMap(({ architecture }) => architecture),
    BY_ARCHITECTURE,
  )
  add(
    'lineage',
    seen.flatMap(({ lineage }) => lineage),
    BY_LINEAGE,
  )
  add(
    'engine',
    seen.flatMap(({ engine }) => engine),
    BY_ENGINE,
  )
  const toConstants = (x: readonly number[]): Constants => assemble(parameters, x, seen)
  // only observations of its scope depend on a parameter
  const touches = parameters.map(({ scope, key }) =>
    seen.flatMap((one, i) => (scope === 'general' || one[scope].includes(key) ? [i] : [])),
  )
  const weights = seen.map(({ weight }) => weight)
  const residual = (i: number, constants: Constants) => seen[i]!.residual(constants)
  const EPSILON = 0.02
  const loss = (r: number) => Math.sqrt(r * r + EPSILON * EPSILON)
  const cost = (residuals: readonly number[], x: readonly number[]) =>
    residuals.reduce((sum, r, i) => sum + weights[i]! * loss(r), 0) +
    PRIOR_WEIGHT * x.reduce((sum, v, i) => sum + ((v - parameters[i]!.prior) / parameters[i]!.spread) ** 2, 0)

  let x = parameters.map((parameter) => startOf(parameter, from))
  let constants = toConstants(x)
  let residuals = seen.map((_, i) => residual(i, constants))
  let best = cost(residuals, x)
  let damping = 1e-2
  for (let round = 0; round < rounds; round++) {
    const columns = parameters.map((_, j) => {
      const moved = [...x]
      moved[j]! += 1e-3
      const other = toConstants(moved)
      const column = new Map<number, number>()
      for (const i of touches[j]!) {
        const slope = (residual(i, other) - residuals[i]!) / 1e-3
        if (slope !== 0) column.set(i, slope)
      }
      return column
    })
    const scale = residuals.map((r, i) => weights[i]! / loss(r))
    const matrix = parameters.map((p, j) =>
      parameters.map((_, k) => {
        let sum = j === k ? (2 * PRIOR_WEIGHT) / p.spread ** 2 : 0
        const other = columns[k]!
        for (const [i, slope] of columns[j]!) {
          const also = other.get(i)
          if (also !== undefined) sum += scale[i]! * slope * also
        }
        return sum
      }),
    )
    const slope = parameters.map((p, j) => {
      let sum = (2 * PRIOR_WEIGHT * (x[j]! - p.prior)) / p.spread ** 2
      for (const [i, column] of columns[j]!) sum += scale[i]! * column * residuals[i]!
      return sum
    })
    let improved = false
    for (let attempt = 0; attempt < 8 && !improved; attempt++) {
      const damped = matrix.map((row, j) => row.map((v, k) => (j === k ? v * (1 + damping) + 1e-9 : v)))
      const step = solve(damped, slope)
      const next = x.map((v, j) => v - Math.max(-1, Math.min(1, step[j]!)))
      const nextConstants = toConstants(next)
      const nextResiduals = seen.map((_, i) => residual(i, nextConstants))
      const nextCost = cost(nextResiduals, next)
      if (nextCost < best - 1e-5 * Math.abs(best)) improved = true
      if (nextCost < best) {
        x = next
        constants = nextConstants
        residuals = nextResiduals
        best = nextCost
        damping = Math.max(damping / 4, 1e-6)
        if (!improved) return constants
      } else damping *= 4
    }
    log(`round ${round}: ${best.toFixed(4)}`)
    if (!improved) break
  }
  return constants
}

/** Where a parameter starts: at its prior, or at what an earlier fit found. */
function startOf({ scope, key, rate, prior }: Parameter, from: Constants | undefined): number {
  if (from === undefined) return prior
  if (scope === 'general') return toScale(rate, from.general[rate])
  const table = { architecture: from.architectures, lineage: from.lineages, engine: from.engines }[scope]
  return table[key]?.[rate] ?? prior
}

const PRIOR_WEIGHT = 0.02

function assemble(
  parameters: readonly Parameter[],
  x: readonly number[],
  seen: readonly Observation[],
): Constants {
  const general = new Map<RateName, number>([['software', 0]])
  const tables: Record<Exclude<Scope, 'general'>, Record<string, Partial<Record<RateName, number>>>> = {
    architecture: {},
    lineage: {},
    engine: {},
  }
  for (const [i, { scope, key, rate }] of parameters.entries()) {
    if (scope === 'general') general.set(rate, x[i]!)
    else tables[scope][key] = { ...tables[scope][key], [rate]: x[i]! }
  }
  return {
    ...PRIOR,
    general: Object.fromEntries(
      RATE_NAMES.map((rate) => [rate, fromScale(rate, general.get(rate)!)]),
    ) as Record<RateName, number>,
    architectures: tables.architecture,
    lineages: tables.lineage,
    engines: tables.engine,
    coverage: coverageOf(seen),
  }
}

/** Rows by chip and engine. */
function coverageOf(seen: readonly Observation[]): Record<string, number> {
  const coverage: Record<string, number> = {}
  for (const { key } of seen) if (key !== null) coverage[key] = (coverage[key] ?? 0) + 1
  return coverage
}

/** The constants as they are shipped: rounded, without shifts that shift nothing, with what they are from. */
export function shipped(
  constants: Constants,
  cases: readonly Case[],
  products: readonly ProductCase[],
  bands: Constants['bands'],
): Constants {
  const seen = observationsOf(cases, products)
  const sources: Record<string, string> = { '': sourcesOf(seen) }
  const kept = (scope: Exclude<Scope, 'general'>, shifts: Shifts): Shifts =>
    Object.fromEntries(
      Object.entries(shifts).map(([key, rates]) => {
        sources[key] = sourcesOf(seen.filter((one) => one[scope].includes(key)))
        const large = Object.entries(rates).filter(([, shift]) => Math.abs(shift) >= LEAST_SHIFT)
        return [key, Object.fromEntries(large.map(([rate, shift]) => [rate, rounded(shift)]))]
      }),
    )
  return {
    general: Object.fromEntries(
      Object.entries(constants.general).map(([rate, value]) => [rate, rounded(value)]),
    ) as Record<RateName, number>,
    architectures: kept('architecture', constants.architectures),
    lineages: kept('lineage', constants.lineages),
    engines: kept('engine', constants.engines),
    sources,
    coverage: constants.coverage,
    bands: Object.fromEntries(
      Object.entries(bands).map(([grade, factor]) => [grade, rounded(factor)]),
    ) as Constants['bands'],
  }
}

/** Shifts below it move a rate by less than a hundredth. */
const LEAST_SHIFT = 0.01

function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

/** Sources with their rows, such as 'bloom 10, vtrain-multi 64'. */
function sourcesOf(seen: readonly Observation[]): string {
  const count = new Map<string, number>()
  for (const { source } of seen) count.set(source, (count.get(source) ?? 0) + 1)
  return [...count].map(([source, rows]) => `${source} ${rows}`).join(', ')
}

/** Solves a x = b by elimination with pivots. */
function solve(a: readonly (readonly number[])[], b: readonly number[]): number[] {
  const n = b.length
  const m = a.map((row, i) => [...row, b[i]!])
  for (let i = 0; i < n; i++) {
    let pivot = i
    for (let k = i + 1; k < n; k++) if (Math.abs(m[k]![i]!) > Math.abs(m[pivot]![i]!)) pivot = k
    ;[m[i], m[pivot]] = [m[pivot]!, m[i]!]
    for (let k = i + 1; k < n; k++) {
      const factor = m[k]![i]! / m[i]![i]!
      if (factor === 0) continue
      for (let j = i; j <= n; j++) m[k]![j]! -= factor * m[i]![j]!
    }
  }
  const x = new Array<number>(n).fill(0)
  for (let i = n - 1; i >= 0; i--) {
    let sum = m[i]![n]!
    for (let j = i + 1; j < n; j++) sum -= m[i]![j]! * x[j]!
    x[i] = sum / m[i]![i]!
  }
  return x
}
