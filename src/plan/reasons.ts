/** @file Why other layouts lost: the best of each family (layouts with one value of one parameter) against the best of all. */

import { violations } from '../engines/index.ts'
import { type Layout, SCHEDULES, type Simulator, stepSeconds, type TimeTerms } from '../simulate/index.ts'
import type { Candidate } from './incumbents.ts'
import { leastMemory } from './no-room.ts'
import { searchBest } from './search.ts'
import { chipsOf, type Space, spaceOf } from './space.ts'
import type { Aspect, PlanRequest, Rejection, TermDifference } from './types.ts'
import { aspectText, lostText, secondsText, shortageText } from './words.ts'

/** Values of each parameter that a person asks about. */
function valuesOf(request: PlanRequest, space: Space): readonly (readonly [Aspect, Layout[Aspect]])[] {
  const { machine, workload } = request
  const { abilities, pipelines, microBatches } = space
  const { decoder } = workload
  const most = Math.min(machine.count, decoder.attention.heads, 2 * Math.min(machine.links[0]!.size, 64))
  const values: Partial<Record<Aspect, readonly Layout[Aspect][]>> = {
    recompute: ['none', 'selective', 'full'],
    offloadOptimizer: abilities.offloadFrom === undefined ? [] : [false, true],
    zeroStage: abilities.zeroStages,
    schedule: abilities.schedules,
    microBatch: microBatches.filter((n) => n <= 8),
    tensorParallel: abilities.tensorParallel ? powersOfTwo(most) : [],
    sequenceParallel: abilities.tensorParallel ? [false, true] : [],
    contextParallel: abilities.contextMethods.length > 0 ? powersOfTwo(Math.min(machine.count, 8)) : [],
    pipelineParallel: pipelines.filter((p) => p <= 64),
    expertParallel:
      decoder.experts === null || !abilities.expertParallel
        ? []
        : powersOfTwo(Math.min(machine.count, decoder.experts.count)),
    expertTensorParallel:
      decoder.experts === null || !abilities.expertTensorParallel ? [] : powersOfTwo(most),
  }
  return Object.entries(values).flatMap(([aspect, all]) =>
    all
      .filter((value) => (request.fixed?.[aspect as Aspect] ?? value) === value)
      .map((value) => [aspect as Aspect, value] as const),
  )
}

/**
 * Families without the best layout, each with its own best in the coarse space. So a family said to be slower is slower by
 * that much or a little less, and one said not to fit might, in few cases, with uneven stages.
 */
export function rejectionsOf(request: PlanRequest, simulator: Simulator, best: Candidate): Rejection[] {
  const coarse = spaceOf(request, true)
  const terms = stepSeconds(simulator.costs, best.layout)
  const rejections: Rejection[] = []
  // families overlap: the best of one may be of others
  const known: Candidate[] = []
  for (const [aspect, value] of valuesOf(request, coarse)) {
    if (best.layout[aspect] === value) continue
    const name = aspectText(aspect, value)
    const narrowed = { ...request, fixed: { ...request.fixed, [aspect]: value } }
    const space = spaceOf(narrowed, true)
    const members = known.filter(({ layout }) => layout[aspect] === value)
    const found = searchBest(space, simulator, members)
    if (found !== undefined) {
      known.push(found)
      const lost = differences(terms, stepSeconds(simulator.costs, found.layout)).filter(
        ({ seconds }) => seconds > 0,
      )
      const ratio = found.score / best.score
      // the space of families is coarser than that of the best, whose refinements theirs would share
      if (ratio <= 1) continue
      const percent = `${((ratio - 1) * 100).toFixed(1)} %`
      const chips = chipsOf(found.layout)
      const used = chips === chipsOf(best.layout) ? '' : ` on ${chips} chips`
      const what = request.objective === 'chip-time' ? 'more chip-time' : 'slower'
      rejections.push({
        aspect,
        value,
        kind: 'slower',
        reason: `${name}: ${percent} ${what} (${secondsText(found.seconds)} a step${used}): ${lostText(lost)}`,
        nearest: found.layout,
        seconds: found.seconds,
        ratio,
        lost,
      })
      continue
    }
    const shortage = leastMemory(space, simulator)
    if (shortage !== undefined) {
      const reason =
        shortage.over > 0
          ? `${name}: ${shortageText(shortage)}, with all that saves memory`
          : `${name}: fits with all that saves memory alone, and then takes too long`
      const kind = shortage.over > 0 ? 'does not fit' : 'too slow'
      rejections.push({ aspect, value, kind, reason, nearest: shortage.layout, shortage })
      continue
    }
    const changed = { ...best.layout, [aspect]: value }
    // several chunks are what makes a schedule interleaved
    if (aspect === 'schedule')
      changed.virtualPipeline = SCHEDULES[changed.schedule].chunks === 'virtual' ? 2 : 1
    const [rule] = violations(changed, request.workload, chipsOf(changed), request.engine)
    const reason = `${name}: ${rule ?? `not on ${request.machine.count} chips with this batch and model`}`
    rejections.push({ aspect, value, kind: 'not possible', reason })
  }
  return rejections
}

/** Terms of one step less those of another, largest first. */
export function differences(of: TimeTerms, other: TimeTerms): TermDifference[] {
  const terms = (Object.keys(of) as (keyof TimeTerms | 'seconds')[]).filter((term) => term !== 'seconds')
  return terms
    .map((term) => ({ term, seconds: other[term] - of[term] }))
    .filter(({ seconds }) => seconds !== 0)
    .sort((a, b) => b.seconds - a.seconds)
}

function powersOfTwo(most: number): number[] {
  const powers: number[] = []
  for (let n = 1; n <= most; n *= 2) powers.push(n)
  return powers
}
