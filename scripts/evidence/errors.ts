/** @file How far predictions are from measurements: by source, by chip, with a source left out, and in their bands. */

import { bandOf, gradeOf, lesserGrade } from '../../src/simulate/evidence.ts'
import { type Constants, EVIDENCE_GRADES, type EvidenceGrade } from '../../src/simulate/index.ts'
import type { Case } from './cases.ts'
import { fitConstants } from './fit.ts'
import type { KernelCase } from './kernels.ts'

/** A step as it was predicted and as it was measured. */
export interface Judged {
  readonly case: Case
  readonly predicted: number
  readonly measured: number
  /** (predicted - measured) / measured. */
  readonly error: number
  readonly grade: EvidenceGrade
  readonly inBand: boolean
}

export function judge(cases: readonly Case[], constants: Constants): Judged[] {
  return cases.map((one) => {
    const predicted = one.seconds(constants)
    const measured = one.row.measured.stepSeconds
    const grade = gradeOfCase(one, constants)
    const { low, high } = bandOf(constants, predicted, grade)
    return {
      case: one,
      predicted,
      measured,
      error: (predicted - measured) / measured,
      grade,
      inBand: measured >= low && measured <= high,
    }
  })
}

/** The grade of a step; on several kinds of chip, that of the one of which least is known. */
function gradeOfCase({ machine, row }: Case, constants: Constants): EvidenceGrade {
  const grade = gradeOf(constants, machine, row.behaviour)
  // chips of other kinds were measured with these or not at all
  return row.placement === null ? grade : lesserGrade(grade, 'chip')
}

/** Judges the rows of each source by constants that were fitted without it. */
export function leaveOneOut(
  cases: readonly Case[],
  constants: Constants,
  kernels: readonly KernelCase[],
  log: (source: string) => void = () => {},
): Judged[] {
  const sources = [...new Set(cases.map(({ row }) => row.source))].sort()
  return sources.flatMap((source) => {
    log(source)
    const others = cases.filter(({ row }) => row.source !== source)
    const without = {
      ...fitConstants(others, { from: constants, rounds: 12, kernels }),
      bands: constants.bands,
    }
    return judge(
      cases.filter(({ row }) => row.source === source),
      without,
    )
  })
}

/** Judges the rows on each design of cores by constants that were fitted without any, as those of a chip that nobody has. */
export function leaveCoresOut(
  cases: readonly Case[],
  constants: Constants,
  kernels: readonly KernelCase[],
  log: (architecture: string) => void = () => {},
): Judged[] {
  const all = [...new Set(cases.flatMap(({ architectures }) => architectures))].sort()
  return all.flatMap((architecture) => {
    const has = ({ architectures }: Case) => architectures.includes(architecture)
    const own = cases.filter(has)
    const others = cases.filter((one) => !has(one))
    if (others.length === 0) return []
    log(architecture)
    const rest = kernels.filter(({ machine }) => machine.architecture !== architecture)
    const without = fitConstants(others, { from: constants, rounds: 12, kernels: rest })
    // several kinds of chip are judged with each of them, once
    const judged = own.filter(({ architectures }) => architectures[0] === architecture)
    return judge(judged, { ...without, bands: constants.bands })
  })
}

/** Share of cases that a band is to hold. */
const BAND_SHARE = 0.8

/**
 * The band of each grade: the factor within which four of five rows lie that no fit has seen, each source with the root
 * of its rows as its weight. A grade with fewer than 5 rows takes that of all, and none promises more than a better one.
 */
export function bandsOf(unseen: readonly Judged[]): Record<EvidenceGrade, number> {
  const all = factorOf(unseen)
  let least = 1
  return Object.fromEntries(
    EVIDENCE_GRADES.map((grade) => {
      const own = unseen.filter((one) => one.grade === grade)
      least = Math.max(least, own.length < 5 ? all : factorOf(own))
      return [grade, least]
    }),
  ) as Record<EvidenceGrade, number>
}

function factorOf(judged: readonly Judged[]): number {
  const rows = new Map<string, number>()
  for (const { case: one } of judged) rows.set(one.row.source, (rows.get(one.row.source) ?? 0) + 1)
  const weighted = judged
    .map(({ predicted, measured, case: one }) => ({
      factor: Math.exp(Math.abs(Math.log(predicted / measured))),
      weight: 1 / Math.sqrt(rows.get(one.row.source)!),
    }))
    .sort((a, b) => a.factor - b.factor)
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0)
  let below = 0
  for (const { factor, weight } of weighted) {
    below += weight
    if (below >= BAND_SHARE * total) return factor
  }
  return weighted.at(-1)?.factor ?? 1
}

/** Mean of absolute errors; NaN for none. */
export function meanError(judged: readonly Judged[]): number {
  return judged.reduce((sum, { error }) => sum + Math.abs(error), 0) / judged.length
}
