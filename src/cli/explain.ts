/** @file Why a layout is not the best: what forbids it, what does not fit, where it takes longer. */
import {
  type Explanation,
  type MemoryShortage,
  type PlannedLayout,
  type PlanRequest,
  violations,
} from '../plan/index.ts'
import { createSimulator, type Layout, layoutText, type Prediction } from '../simulate/index.ts'
import {
  gibibytes,
  grouped,
  largestTerm,
  MEMORY_TERMS,
  percent,
  seconds,
  TIME_TERMS,
} from '../watch/index.ts'

/** Terms in which a layout differs from the best that are told. */
const SHOWN = 3

/** A layout beside the best of a plan. */
export function explained(
  { workload, machine, engine, constants }: PlanRequest,
  layout: Layout,
  best: PlannedLayout | undefined,
): Explanation {
  const chips = layout.tensorParallel * layout.contextParallel * layout.pipelineParallel * layout.dataParallel
  const forbidden = violations(layout, workload, chips, engine)
  if (chips > machine.count) forbidden.push(`it takes ${chips} chips, there are ${machine.count}`)
  const base = { layout, chips, violations: forbidden, ...(best !== undefined && { best }) }
  const title = `${layoutText(layout)}, on ${grouped(chips)} chips`
  if (forbidden.length > 0) {
    return { ...base, shortages: [], lost: [], lines: [`${title}: cannot be launched`, ...forbidden] }
  }
  const simulator = createSimulator(workload, { ...machine, count: chips }, engine, constants)
  const prediction = simulator.predict(layout)
  const shortages = shortagesOf(layout, prediction, machine.memoryBytes)
  const lost =
    best === undefined
      ? []
      : TIME_TERMS.map(({ key }) => ({
          term: key,
          seconds: prediction.terms[key] - best.prediction.terms[key],
        })).sort((a, b) => Math.abs(b.seconds) - Math.abs(a.seconds))
  const ratio = best === undefined ? undefined : prediction.seconds / best.prediction.seconds
  const worst = shortages[0]
  return {
    ...base,
    shortages,
    prediction,
    ...(ratio !== undefined && { ratio }),
    lost,
    lines: [
      `${title}: ${seconds(prediction.seconds)} a step${ratio === undefined ? '' : `, ${comparedText(ratio)}`}`,
      ...(worst === undefined
        ? []
        : [
            `does not fit: ${gibibytes(worst.over)} GiB over on stage ${worst.stage}, most of it ${nameOf(MEMORY_TERMS, worst.term)}, ${gibibytes(worst.termBytes)} GiB${shortages.length > 1 ? `; ${shortages.length} stages are over` : ''}`,
          ]),
      ...lost
        .filter((one) => Math.abs(one.seconds) > 1e-3 * prediction.seconds)
        .slice(0, SHOWN)
        .map(
          (one) =>
            `${nameOf(TIME_TERMS, one.term)}: ${seconds(Math.abs(one.seconds))} ${one.seconds > 0 ? 'more' : 'less'} than the best`,
        ),
    ],
  }
}

/** Stages that do not fit, the fullest first. */
function shortagesOf(layout: Layout, { memory }: Prediction, bytes: number): MemoryShortage[] {
  return memory
    .filter(({ peak }) => peak > bytes)
    .toSorted((a, b) => b.peak - a.peak)
    .map(({ stage, peak, terms }) => {
      const { key } = largestTerm(terms, MEMORY_TERMS)
      return { layout, stage, over: peak - bytes, term: key, termBytes: terms[key] }
    })
}

function comparedText(ratio: number): string {
  if (Math.abs(ratio - 1) < 5e-4) return 'as fast as the best'
  return ratio > 1
    ? `${percent(ratio - 1)} slower than the best`
    : `${percent(1 - ratio)} faster than the best`
}

function nameOf<Key extends string>(terms: readonly { key: Key; name: string }[], key: Key): string {
  return terms.find((term) => term.key === key)!.name
}
