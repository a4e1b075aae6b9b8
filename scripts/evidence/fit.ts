/** @file Fits the constants of the simulation to measured steps. */

import { fromScale, RATE_NAMES, toScale } from '../../src/simulate/evidence.ts'
import type { Constants, RateName, Shifts } from '../../src/simulate/index.ts'
import type { Case } from './cases.ts'
import type { KernelCase } from './kernels.ts'
import { BY_ARCHITECTURE, BY_ENGINE, BY_LINEAGE, PRIOR, PRIORS } from './priors.ts'

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

interface FitOptions {
  readonly log?: (text: string) => void
  /** Constants to begin with, such as those of nearly the same rows. */
  readonly from?: Constants
  readonly rounds?: number
  /** Kernels that were measured alone. */
  readonly kernels?: readonly KernelCase[]
}

/** What a fit compares with: a step, or a kernel. */
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
function observationsOf(cases: readonly Case[], kernels: readonly KernelCase[]): Observation[] {
  const count = new Map<string, number>()
  for (const source of [...cases.map(({ row }) => row.source), ...kernels.map((one) => one.source)])
    count.set(source, (count.get(source) ?? 0) + 1)
  return [
    ...cases.map(({ row, architectures, seconds }) => ({
      source: row.source,
      architecture: architectures,
      lineage: [row.behaviour.lineage],
      engine: [row.behaviour.measuredAs],
      key: `${row.chip} ${row.behaviour.measuredAs}`,
      weight: 1 / Math.sqrt(count.get(row.source)!),
      residual: (constants: Constants) => Math.log(seconds(constants) / row.measured.stepSeconds),
    })),
    ...kernels.map(({ source, machine, seconds, predicted }) => ({
      source,
      architecture: [machine.architecture],
      lineage: [],
      engine: [],
      key: null,
      weight: 1 / Math.sqrt(count.get(source)!),
      residual: (constants: Constants) => Math.log(predicted(constants) / seconds),
    })),
  ]
}

/** The constants that fit the cases best, each source with a weight that grows with the root of its rows. */
export function fitConstants(cases: readonly Case[], options: FitOptions = {}): Constants {
  const { log = () => {}, from, rounds = 60, kernels = [] } = options
  const parameters: Parameter[] = RATE_NAMES.map((rate) => ({
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
  const seen = observationsOf(cases, kernels)
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
    PRIOR_WEIGHT * x.reduce((sum, v, i) => sum + priorOf(parameters[i]!, v).cost, 0)

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
    const priors = parameters.map((parameter, j) => priorOf(parameter, x[j]!))
    const scale = residuals.map((r, i) => weights[i]! / loss(r))
    const matrix = parameters.map((_, j) =>
      parameters.map((_, k) => {
        let sum = j === k ? PRIOR_WEIGHT * priors[j]!.bend : 0
        const other = columns[k]!
        for (const [i, slope] of columns[j]!) {
          const also = other.get(i)
          if (also !== undefined) sum += scale[i]! * slope * also
        }
        return sum
      }),
    )
    const slope = parameters.map((p, j) => {
      let sum = PRIOR_WEIGHT * priors[j]!.bend * (x[j]! - p.prior)
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
/** Deviations of a shift, in spreads, beyond which its cost grows in proportion alone. */
const BEND = 1

/**
 * What a value costs by how far it is from where it is drawn to, and the cost's slope over that distance. For shifts of
 * chips and engines the cost is a square nearby and straight further out (pseudo-Huber): what is common to most of them
 * goes to the general value, and the few that stand apart do not pull it to themselves.
 */
function priorOf({ scope, prior, spread }: Parameter, x: number): { cost: number; bend: number } {
  const z = (x - prior) / spread
  if (scope === 'general' || scope === 'lineage') return { cost: z * z, bend: 2 / spread ** 2 }
  const root = Math.sqrt(1 + (z / BEND) ** 2)
  return { cost: 2 * BEND ** 2 * (root - 1), bend: 2 / spread ** 2 / root }
}

function assemble(
  parameters: readonly Parameter[],
  x: readonly number[],
  seen: readonly Observation[],
): Constants {
  const general = new Map<RateName, number>()
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

/** Numbers that are fitted. */
export function constantsIn({ general, architectures, lineages, engines }: Constants): number {
  const shifts = [architectures, lineages, engines].flatMap((table) =>
    Object.values(table).flatMap((rates) => Object.keys(rates)),
  )
  return Object.keys(general).length + shifts.length
}

/** The constants as they are shipped: rounded, without shifts that shift nothing, with what they are from. */
export function shipped(
  constants: Constants,
  cases: readonly Case[],
  kernels: readonly KernelCase[],
  bands: Constants['bands'],
): Constants {
  const seen = observationsOf(cases, kernels)
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
