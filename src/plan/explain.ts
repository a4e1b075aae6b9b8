/** @file One layout compared to the best: rules that it breaks, where it does not fit, and where its time goes. */

import { violations } from '../engines/index.ts'
import { createSimulator, type Layout, largestTerm, layoutIssues, MOST } from '../simulate/index.ts'
import { bestLayout } from './plan.ts'
import { differences } from './reasons.ts'
import { chipsOf } from './space.ts'
import type { Explanation, MemoryShortage, PlannedLayout, PlanRequest } from './types.ts'
import { secondsText, shortageText, termText } from './words.ts'

/** Differences below this share of a step are not told in words. */
const LEAST_SHARE = 1e-3

/**
 * Says how a layout compares to the best one on the chips of a request, and what keeps it from being launched.
 * @param known The best, where it was found before; without it, it is searched.
 *
 * @example
 * ```ts
 * import { catalogChips, findChip } from 'regauge/chips'
 * import config from 'regauge/models/llama-3-70b' with { type: 'json' }
 * import { ENGINES, explainLayout, machineOf, parseLayout, readDecoder } from 'regauge/planner'
 *
 * const { chip } = findChip(catalogChips(), 'h100-sxm')
 * const request = {
 *   workload: { decoder: readDecoder(config), sequenceLength: 8192, globalBatch: 512, precision: 'bf16' },
 *   machine: machineOf(chip, 256, 'bf16'),
 *   engine: ENGINES['megatron-lm'],
 * } as const
 * console.log(explainLayout(request, parseLayout('tp8 pp8', 256)).lines.join('\n'))
 * ```
 */
export function explainLayout(request: PlanRequest, layout: Layout, known?: PlannedLayout): Explanation {
  const { workload, machine, engine, constants } = request
  const chips = chipsOf(layout)
  const rules = [
    ...violations(layout, workload, chips, engine),
    ...(chips > machine.count ? [`${chips} chips are needed, there are ${machine.count}`] : []),
  ]
  const unsound = layoutIssues(layout, workload.decoder.layers)
  // rules say the same at more length, but do not cover all numbers
  const broken = rules.length > 0 ? rules : unsound.map(({ message }) => message)
  const best = known ?? bestLayout(request)
  const found = best === undefined ? {} : { best }
  const sane = unsound.length === 0 && chips <= MOST.chips
  if (!sane) return { layout, chips, violations: broken, shortages: [], lost: [], lines: broken, ...found }

  const simulator = createSimulator(workload, { ...machine, count: chips }, engine.behaviour, constants)
  const prediction = simulator.predict(layout)
  const shortages = prediction.memory.flatMap((stage): MemoryShortage[] => {
    const over = stage.peak - machine.memoryBytes
    if (over <= 0) return []
    const term = largestTerm(stage.terms)
    return [{ layout, stage: stage.stage, over, term, termBytes: stage.terms[term] }]
  })
  const lost = best === undefined ? [] : differences(best.prediction.terms, prediction.terms)
  const ratio = best === undefined ? undefined : prediction.seconds / best.seconds
  return {
    layout,
    chips,
    violations: broken,
    shortages,
    prediction,
    ...found,
    ...(ratio === undefined ? {} : { ratio }),
    lost,
    lines: [
      ...broken,
      ...shortages.slice(0, 3).map(shortageText),
      ...(ratio === undefined
        ? []
        : [
            `${secondsText(prediction.seconds)} a step, ${(Math.abs(ratio - 1) * 100).toFixed(1)} % ${ratio >= 1 ? 'more' : 'less'} than the best that fits, ${secondsText(best!.seconds)}`,
          ]),
      ...lost
        .filter((one) => Math.abs(one.seconds) > LEAST_SHARE * prediction.seconds)
        .toSorted((a, b) => Math.abs(b.seconds) - Math.abs(a.seconds))
        .map(termText),
    ],
  }
}
