/** @file Layouts drawn from the space of a plan, for a rate at which each is worked out by itself. */
import { uniform } from '../src/model/index.ts'
import { gridOf, layoutOf, type Space, scheduleGoes, widthOf } from '../src/plan/space.ts'
import type { Layout } from '../src/simulate/index.ts'

/** So many layouts that an engine runs, fitting or not; each value of those that go with the ones before is as likely. */
export function sampleOf(space: Space, count: number): Layout[] {
  const next = uniform(1, 'layouts')
  const pick = <Value>(values: readonly Value[]) => values[Math.floor(next() * values.length)]
  const globalBatch = space.request.workload.globalBatch
  const layouts: Layout[] = []
  while (layouts.length < count) {
    const share = pick(space.shares)!
    const p = pick(space.pipelines)!
    const microBatch = pick(space.microBatches)!
    const n = pick(
      space
        .replicas(microBatch)
        .filter((n) => n * widthOf(share) * p <= space.chips && (n * widthOf(share)) % gridOf(share) === 0),
    )
    if (n === undefined) continue
    const split = pick(
      space
        .splits(p)
        .filter(({ schedule }) =>
          scheduleGoes(schedule, p, share.contextParallel, globalBatch / (microBatch * n)),
        ),
    )
    if (split === undefined) continue
    const again = pick([...split.recomputes, ...split.selective])!
    layouts.push(layoutOf(share, microBatch, p, n, split, again, pick(space.sharings(p))!))
  }
  return layouts
}
