/** @file The fitted constants: the rates of a chip under an engine, and the error of predictions by them. */

import { type Behaviour, type Constant, EVIDENCE_GRADES, type EvidenceGrade, type Machine } from '../types.ts'
import type { Rates } from './rates.ts'

/** Every constant with its unit, its meaning, and whether it is a share from 0 to 1. */
export const RATES: Readonly<Record<keyof Rates, { unit: string; share: boolean; meaning: string }>> = {
  matmul: { unit: 'of peak', share: true, meaning: 'rate of large products of matrices alone, 16 bits' },
  matmul8: { unit: 'of peak', share: true, meaning: 'rate of large products of matrices alone, 8 bits' },
  perWatt: { unit: 'FLOP/s/W', share: false, meaning: 'products in 16 bits that a watt lasts for, at 5 nm' },
  perWatt8: { unit: 'FLOP/s/W', share: false, meaning: 'products in 8 bits that a watt lasts for, at 5 nm' },
  grouped: { unit: 'of matmul', share: true, meaning: "rate of experts' products" },
  attention: { unit: 'of peak', share: true, meaning: 'rate of the core of attention in 16 bits' },
  attentionEarlier: {
    unit: 'of attention',
    share: true,
    meaning: 'rate of kernels of attention written for the cores before Hopper, on Hopper and later',
  },
  attentionStart: {
    unit: 'keys',
    share: false,
    meaning: 'time of a query in attention before its first key, in keys',
  },
  operands: {
    unit: 'of bytes',
    share: true,
    meaning: 'operands of products that are waited for, at full memory bandwidth, besides computing',
  },
  bandwidth: { unit: 'of peak', share: true, meaning: 'memory bandwidth of everything but products' },
  kernel: { unit: 's', share: false, meaning: 'time of a kernel besides its work' },
  host: { unit: 's', share: false, meaning: 'time in which the host starts a kernel' },
  software: { unit: 'x', share: false, meaning: "time of an engine's kernels over what these rates give" },
  linkShare: { unit: 'of peak', share: true, meaning: 'bandwidth of links within a domain' },
  networkShare: { unit: 'of peak', share: true, meaning: 'bandwidth of the network beyond it' },
  linkLatency: { unit: 's', share: false, meaning: 'step of a collective within a domain' },
  networkLatency: { unit: 's', share: false, meaning: 'step of a collective beyond it' },
  exposed: { unit: 'of time', share: true, meaning: 'communication beside computation that is not hidden' },
  exposedTensor: {
    unit: 'of time',
    share: true,
    meaning: 'communication of tensor parallelism that products do not hide, where they overlap',
  },
  step: { unit: 's', share: false, meaning: 'a step besides its passes: data, log, synchronization' },
  straggling: { unit: 'of a step', share: false, meaning: 'lost for each doubling of the domains' },
}

export type RateName = keyof Rates
export const RATE_NAMES = Object.keys(RATES) as readonly RateName[]

/** The scale that rates are fitted and moved in: logarithms, and for shares those of odds, which keep them in bounds. */
export function toScale(rate: RateName, value: number): number {
  return RATES[rate].share ? Math.log(value / (1 - value)) : Math.log(value)
}

export function fromScale(rate: RateName, x: number): number {
  return RATES[rate].share ? 1 / (1 + Math.exp(-x)) : Math.exp(x)
}

/** Differences from the general rates, as shifts in the scale of each rate. */
export type Shifts = Readonly<Record<string, Readonly<Partial<Record<RateName, number>>>>>

/** The constants as one fit gives them. */
export interface Constants {
  readonly general: Readonly<Record<RateName, number>>
  /** By the design of a chip's cores. */
  readonly architectures: Shifts
  /** By what an engine is built on, on top of that. */
  readonly lineages: Shifts
  /** By measured software, on top of that. */
  readonly engines: Shifts
  /** What each was fitted on, rows by source; '' for those in general. */
  readonly sources: Readonly<Record<string, string>>
  /** Rows for each chip and engine, as `chip software`. */
  readonly coverage: Readonly<Record<string, number>>
  /** By what factor predictions of each grade are off, at most, in four of five cases that no fit has seen. */
  readonly bands: Readonly<Record<EvidenceGrade, number>>
}

/** Designs of cores that kernels written for earlier ones do not get the full rate of: groups of warps issue their products. */
const NEWER_CORES: ReadonlySet<string> = new Set(['hopper', 'blackwell'])

/** The rates of an engine on a machine. */
export function ratesOf(constants: Constants, machine: Machine, engine: Behaviour): Rates {
  const rates: Partial<Record<RateName, number>> = {}
  for (const name of RATE_NAMES) rates[name] = rateOf(constants, machine, engine, name)
  if (engine.earlierAttention && NEWER_CORES.has(machine.architecture)) {
    rates.attention! *= rates.attentionEarlier!
  }
  return rates as Rates
}

function rateOf(constants: Constants, machine: Machine, engine: Behaviour, name: RateName): number {
  const general = constants.general[name]
  const shift =
    (constants.architectures[machine.architecture]?.[name] ?? 0) +
    (constants.lineages[engine.lineage ?? '']?.[name] ?? 0) +
    (constants.engines[engine.measuredAs ?? '']?.[name] ?? 0)
  return shift === 0 ? general : fromScale(name, toScale(name, general) + shift)
}

/** The same rates, each with its unit, its meaning and the rows that it was fitted on. */
export function constantsOf(constants: Constants, machine: Machine, engine: Behaviour): Constant[] {
  const { sources } = constants
  return RATE_NAMES.map((name) => {
    const shifted = [
      constants.engines[engine.measuredAs ?? '']?.[name] === undefined ? null : engine.measuredAs,
      constants.lineages[engine.lineage ?? '']?.[name] === undefined ? null : engine.lineage,
      constants.architectures[machine.architecture]?.[name] === undefined ? null : machine.architecture,
    ].filter((key) => key !== null)
    return {
      name,
      unit: RATES[name].unit,
      meaning: RATES[name].meaning,
      value: rateOf(constants, machine, engine, name),
      from: [...shifted.map((key) => `${key}: ${sources[key]}`), `all: ${sources['']}`].join('; '),
    }
  })
}

/** The grade of evidence for a chip under an engine: how near the measured runs are to it. */
export function gradeOf(constants: Constants, machine: Machine, engine: Behaviour): EvidenceGrade {
  const { id } = machine.chip
  if (constants.coverage[`${id} ${engine.measuredAs}`] !== undefined) return 'chip and engine'
  if (Object.keys(constants.coverage).some((key) => key.startsWith(`${id} `))) return 'chip'
  return constants.architectures[machine.architecture] !== undefined ? 'family' : 'data sheet'
}

/** Range that holds what is measured in about four of five cases. */
export function bandOf(
  constants: Constants,
  seconds: number,
  grade: EvidenceGrade,
): { readonly low: number; readonly high: number; readonly grade: EvidenceGrade } {
  const factor = constants.bands[grade]
  return { low: seconds / factor, high: seconds * factor, grade }
}

/** Of two grades, the one that promises less. */
export function lesserGrade(a: EvidenceGrade, b: EvidenceGrade): EvidenceGrade {
  return EVIDENCE_GRADES[Math.max(EVIDENCE_GRADES.indexOf(a), EVIDENCE_GRADES.indexOf(b))]!
}
