/** @file What seconds and bytes of a prediction are called and coloured, in the terminal and on pages. */
import type { EvidenceGrade, MemoryTerms, TimeTerms } from '../../simulate/index.ts'

/** A part of a sum, as people see it. */
export interface Term<Key extends string> {
  readonly key: Key
  readonly name: string
  /** Class of its colour. */
  readonly colour: string
}

const named = <Key extends string>(names: Readonly<Record<Key, readonly [string, string]>>): Term<Key>[] =>
  (Object.keys(names) as Key[]).map((key) => ({ key, name: names[key][0], colour: names[key][1] }))

export const TIME_TERMS: readonly Term<keyof TimeTerms>[] = named({
  compute: ['compute', 'k1'],
  recompute: ['recomputation', 'k2'],
  tensorCommunication: ['tensor parallelism', 'k3'],
  contextCommunication: ['context parallelism', 'k4'],
  expertCommunication: ['experts', 'k5'],
  pipelineCommunication: ['pipeline sends', 'k6'],
  pipelineBubble: ['pipeline bubble', 'k7'],
  dataCommunication: ['data parallelism', 'k8'],
  optimizer: ['optimizer', 'k9'],
  overhead: ['overhead', 'k10'],
})

export const MEMORY_TERMS: readonly Term<keyof MemoryTerms>[] = named({
  weights: ['weights', 'k1'],
  gradients: ['gradients', 'k6'],
  optimizer: ['optimizer', 'k9'],
  activations: ['activations', 'k3'],
  logits: ['logits', 'k8'],
  transient: ['transient', 'k5'],
  communication: ['communication', 'k4'],
  reserve: ['reserve', 'k7'],
})

/** What constants were fitted on, in words. */
export const GRADES: Readonly<Record<EvidenceGrade, string>> = {
  'chip and engine': 'fitted on runs of this chip under this engine',
  chip: 'fitted on runs of this chip under other engines',
  family: 'fitted on runs of chips of its design',
  'data sheet': 'from the data sheet, by what other designs reach of theirs',
}

/** The term that takes the most. */
export function largestTerm<Key extends string>(
  terms: Readonly<Record<Key, number>>,
  among: readonly Term<Key>[],
): Term<Key> {
  return among.reduce((most, term) => (terms[term.key] > terms[most.key] ? term : most))
}

/** A number of parameters or tokens in four digits: 8.03B, 405.9B. */
export function parameters(count: number): string {
  const [unit, size] = (
    [
      ['T', 1e12],
      ['B', 1e9],
      ['M', 1e6],
    ] as const
  ).find(([, least]) => count >= least * 0.99995) ?? ['', 1]
  return `${Number((count / size).toPrecision(4))}${unit}`
}

/** Seconds in three digits: 31.2 s, 412 ms. */
export function seconds(value: number): string {
  if (value === 0) return '0 s'
  if (value >= 999.5) return `${Math.round(value).toLocaleString('en-US')} s`
  if (value >= 0.9995) return `${value.toPrecision(3)} s`
  return value >= 0.9995e-3 ? `${(value * 1e3).toPrecision(3)} ms` : `${(value * 1e6).toPrecision(3)} us`
}

/** Writes seconds of a table without their unit, all with so many decimals that the most have four digits. */
export function secondsFormat(values: readonly number[]): (value: number) => string {
  const most = Math.max(...values)
  const decimals = most > 0 ? Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(most)))) : 0
  return (value) => value.toFixed(decimals)
}

/** Three digits, of which zeros stay, so that 4.00 stands beside 4.03; whole from a hundred on. */
export function threeDigits(value: number): string {
  return value >= 99.95 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3)
}
