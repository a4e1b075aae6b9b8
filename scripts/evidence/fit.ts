/** @file Fits the constants of the simulation to measured steps. */
import { type Chip, catalogChips } from '../../src/chips/index.ts'
import {
  type Constants,
  type FittedValue,
  RATE_NAMES,
  RATES,
  type RateName,
  ratesOf,
} from '../../src/simulate/constants.ts'
import { CostModel } from '../../src/simulate/costs.ts'
import { machineOf } from '../../src/simulate/machine.ts'
import { stepSeconds } from '../../src/simulate/step.ts'
import type { Machine } from '../../src/simulate/types.ts'
import type { MeasuredRow } from './index.ts'

/** What is fitted: a rate in general, by the design of cores, or by engine. */
interface Parameter {
  readonly scope: 'general' | 'architecture' | 'engine'
  readonly key: string
  readonly rate: RateName
  /** Where it starts and is drawn to, in the scale that it is fitted in. */
  readonly prior: number
  /** How far it is let from there: one standard deviation in that scale. */
  readonly spread: number
}

/** Values from before any measurement: data sheets' usual yields, and orders of magnitude of launches and messages. */
export const PRIORS: Readonly<Record<RateName, { value: number; spread: number }>> = {
  matmul: { value: 0.75, spread: 1 },
  matmul8: { value: 0.6, spread: 1 },
  grouped: { value: 0.7, spread: 0.7 },
  attention: { value: 0.45, spread: 1 },
  attentionStart: { value: 256, spread: 1 },
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
  attention: 0.6,
  attentionStart: 0.7,
  linkShare: 0.6,
  networkShare: 0.6,
  bandwidth: 0.5,
  kernel: 0.5,
}
const BY_ENGINE: Readonly<Partial<Record<RateName, number>>> = {
  software: 0.15,
  host: 0.4,
  networkShare: 0.8,
}

const toScale = (rate: RateName, value: number) =>
  RATES[rate].share ? Math.log(value / (1 - value)) : Math.log(value)
const fromScale = (rate: RateName, x: number) => (RATES[rate].share ? 1 / (1 + Math.exp(-x)) : Math.exp(x))

/** A row with what does not change while constants do. */
export interface Case {
  readonly row: MeasuredRow
  readonly machine: Machine
  readonly model: CostModel
}

export function casesOf(
  rows: readonly MeasuredRow[],
  chips: readonly Chip[] = catalogChips(),
): { cases: Case[]; failed: { row: MeasuredRow; reason: string }[] } {
  const cases: Case[] = []
  const failed: { row: MeasuredRow; reason: string }[] = []
  for (const row of rows) {
    const chip = chips.find(({ id }) => id === row.chip)
    if (chip === undefined) {
      failed.push({ row, reason: `the chip ${row.chip} is not known` })
      continue
    }
    try {
      let machine = machineOf(chip, row.chips, row.workload.precision, {
        serverChips: row.chipsPerNode,
        // where nobody says: 200 Gb/s a chip, as such servers mostly have
        networkBytesPerSecond: row.networkBytesPerSecond ?? chip.scaleOut.bytesPerSecond ?? 25e9,
      })
      if (row.arithmetic !== null) {
        const rate = chip.peak[row.arithmetic] ?? chip.peak.fp32
        if (rate === null) throw new Error(`nobody published the rate of ${chip.id} in ${row.arithmetic}`)
        machine = inSingles(machine, rate)
      }
      const rates = ratesOf(priorConstants(), machine, row.engine)
      cases.push({ row, machine, model: new CostModel(row.workload, machine, row.engine, rates) })
    } catch (error) {
      failed.push({ row, reason: (error as Error).message })
    }
  }
  return { cases, failed }
}

/** The machine with values of 4 bytes where the simulation counts 2: at another rate, over half the bandwidths. */
function inSingles(machine: Machine, rate: number): Machine {
  return {
    ...machine,
    flops: rate,
    halfFlops: rate,
    memoryBytesPerSecond: machine.memoryBytesPerSecond / 2,
    links: machine.links.map((link) => ({ ...link, bytesPerSecond: link.bytesPerSecond / 2 })),
  }
}

export function priorConstants(): Constants {
  return {
    general: Object.fromEntries(
      RATE_NAMES.map((name) => [name, { value: PRIORS[name].value, from: 'prior' }]),
    ) as Record<RateName, FittedValue>,
    architectures: {},
    engines: {},
    coverage: {},
    bands: { 'chip and engine': 1.1, chip: 1.2, family: 1.3, 'data sheet': 1.5 },
  }
}

export function predictSeconds({ row, machine, model }: Case, constants: Constants): number {
  const rates = ratesOf(constants, machine, row.engine)
  return stepSeconds(new CostModel(row.workload, machine, row.engine, rates, model), row.layout).seconds
}

/** The constants that fit the cases best, each source with a weight that grows with the root of its rows. */
export function fit(cases: readonly Case[], log: (text: string) => void = () => {}): Constants {
  const parameters: Parameter[] = RATE_NAMES.filter((rate) => rate !== 'software').map((rate) => ({
    scope: 'general',
    key: '',
    rate,
    prior: toScale(rate, PRIORS[rate].value),
    spread: PRIORS[rate].spread,
  }))
  const add = (scope: 'architecture' | 'engine', keys: Iterable<string>, table: typeof BY_ENGINE) => {
    for (const key of new Set(keys))
      for (const [rate, spread] of Object.entries(table))
        parameters.push({ scope, key, rate: rate as RateName, prior: 0, spread: spread! })
  }
  add(
    'architecture',
    cases.map(({ machine }) => machine.architecture),
    BY_ARCHITECTURE,
  )
  add(
    'engine',
    cases.map(({ row }) => row.engine.id),
    BY_ENGINE,
  )

  const count = new Map<string, number>()
  for (const { row } of cases) count.set(row.source, (count.get(row.source) ?? 0) + 1)
  const weights = cases.map(({ row }) => 1 / Math.sqrt(count.get(row.source)!))

  const toConstants = (x: readonly number[]): Constants => assemble(parameters, x, cases)
  // only rows of its scope depend on a parameter
  const touches = parameters.map(({ scope, key }) =>
    cases.flatMap(({ machine, row }, i) =>
      scope === 'general' || (scope === 'architecture' ? machine.architecture : row.engine.id) === key
        ? [i]
        : [],
    ),
  )
  const residual = (i: number, constants: Constants) =>
    Math.log(predictSeconds(cases[i]!, constants) / cases[i]!.row.measured.stepSeconds)
  const EPSILON = 0.02
  const loss = (r: number) => Math.sqrt(r * r + EPSILON * EPSILON)
  const cost = (residuals: readonly number[], x: readonly number[]) =>
    residuals.reduce((sum, r, i) => sum + weights[i]! * loss(r), 0) +
    PRIOR_WEIGHT * x.reduce((sum, v, i) => sum + ((v - parameters[i]!.prior) / parameters[i]!.spread) ** 2, 0)

  let x = parameters.map(({ prior }) => prior)
  let constants = toConstants(x)
  let residuals = cases.map((_, i) => residual(i, constants))
  let best = cost(residuals, x)
  let damping = 1e-2
  for (let round = 0; round < 80; round++) {
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
      const nextResiduals = cases.map((_, i) => residual(i, nextConstants))
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

const PRIOR_WEIGHT = 0.02

function assemble(parameters: readonly Parameter[], x: readonly number[], cases: readonly Case[]): Constants {
  const general = new Map<RateName, number>([['software', 0]])
  const architectures: Record<string, Partial<Record<RateName, FittedValue>>> = {}
  const engines: Record<string, Partial<Record<RateName, FittedValue>>> = {}
  for (const [i, { scope, key, rate }] of parameters.entries()) {
    if (scope === 'general') general.set(rate, x[i]!)
    else {
      const table = scope === 'architecture' ? architectures : engines
      table[key] ??= {}
      table[key][rate] = { value: fromScale(rate, general.get(rate)! + x[i]!), from: '' }
    }
  }
  const coverage: Record<string, number> = {}
  for (const { row } of cases) {
    const key = `${row.chip} ${row.engine.id}`
    coverage[key] = (coverage[key] ?? 0) + 1
  }
  return {
    ...priorConstants(),
    general: Object.fromEntries(
      RATE_NAMES.map((rate) => [rate, { value: fromScale(rate, general.get(rate)!), from: '' }]),
    ) as Record<RateName, FittedValue>,
    architectures,
    engines,
    coverage,
  }
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
