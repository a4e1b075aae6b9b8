/** @file What is thought of the constants before any measurement, and how far measurements may move each. */

import { RATE_NAMES } from '../../src/simulate/evidence.ts'
import type { Constants, RateName } from '../../src/simulate/index.ts'

/** Values from before any measurement: data sheets' usual yields, and orders of magnitude of launches and messages. */
export const PRIORS: Readonly<Record<RateName, { value: number; spread: number }>> = {
  matmul: { value: 0.8, spread: 1 },
  matmul8: { value: 0.65, spread: 1 },
  // H100s hold about 0.7 of their peak at 700 W
  perWatt: { value: 1.1e12, spread: 0.5 },
  perWatt8: { value: 2.5e12, spread: 0.5 },
  grouped: { value: 0.7, spread: 0.7 },
  attention: { value: 0.45, spread: 1 },
  // FlashAttention-3's paper: FlashAttention-2 reaches 35 to 40 % of an H100, it 60 to 75 % (Shah et al. 2024)
  attentionEarlier: { value: 0.57, spread: 0.3 },
  attentionStart: { value: 500, spread: 0.5 },
  operands: { value: 0.35, spread: 0.7 },
  bandwidth: { value: 0.8, spread: 0.5 },
  kernel: { value: 5e-6, spread: 0.7 },
  host: { value: 2.5e-5, spread: 0.7 },
  // of software that nobody has measured, beside kernels that were measured alone
  software: { value: 1.08, spread: 0.1 },
  linkShare: { value: 0.75, spread: 0.7 },
  networkShare: { value: 0.65, spread: 0.7 },
  linkLatency: { value: 5e-6, spread: 0.7 },
  networkLatency: { value: 1.5e-5, spread: 0.7 },
  exposed: { value: 0.2, spread: 0.7 },
  exposedTensor: { value: 0.5, spread: 0.7 },
  step: { value: 5e-3, spread: 0.7 },
  straggling: { value: 0.005, spread: 0.7 },
}

/** What may differ by the design of cores, and how far from the general value. */
export const BY_ARCHITECTURE: Readonly<Partial<Record<RateName, number>>> = {
  matmul: 0.6,
  matmul8: 0.6,
  grouped: 0.6,
  attention: 1,
  attentionStart: 0.5,
  operands: 0.5,
  linkShare: 0.6,
  kernel: 0.5,
}

/** The same by engine. */
export const BY_ENGINE: Readonly<Partial<Record<RateName, number>>> = {
  software: 0.15,
  host: 0.4,
  networkShare: 0.4,
  grouped: 0.6,
}

/** Software that is built on the same shares more than chips do. */
export const BY_LINEAGE: Readonly<Partial<Record<RateName, number>>> = { software: 0.15, host: 0.4 }

/** The constants before any measurement. */
export const PRIOR: Constants = {
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
