/** @file Makespans without a simulation: formulas where one is exact, and a bound from below everywhere else. */
import { shapeOf, simulatedSeconds } from './simulate.ts'
import type { PassTimes, Pipeline, TransferTimes } from './types.ts'

/** The makespan in seconds, exactly: by formula where there is one, by simulation otherwise. */
export function pipelineSeconds(pipeline: Pipeline): number {
  return closedFormSeconds(pipeline) ?? simulatedSeconds(pipeline)
}

/**
 * The makespan in seconds of a pipeline whose stages are all alike; undefined where no formula is exact.
 * With F and B the seconds of a whole forward and backward of a chunk, p stages, v chunks and m micro-batches:
 * '1f1b' and 'gpipe' (m + p - 1)(F + B); 'interleaved' with m a multiple of p (v m + p - 1)(F + B)
 * (Narayanan et al. 2021). With links that are all alike and overlap, see `exposedTransfers`.
 */
export function closedFormSeconds(pipeline: Pipeline): number | undefined {
  const { schedule, microBatches, passes, overlapsTransfers } = pipeline
  const { stages, chunks, group } = shapeOf(pipeline)
  const first = passes[0]![0]!
  if (!passes.every((chunksOf) => chunksOf.every((times) => alike(times, first)))) return undefined
  const link = uniformLink(pipeline)
  if (link === undefined) return undefined
  const transfer = link.forward + link.backward
  if (transfer > 0 && !overlapsTransfers) return undefined
  const chunk = first.forward + first.backward + first.weight
  switch (schedule) {
    case 'gpipe':
      return (microBatches + stages - 1) * chunk + (stages - 1) * transfer
    case 'interleaved':
      if (chunks > 1) {
        if (transfer > 0 || group !== stages) return undefined
        return (microBatches * chunks + stages - 1) * chunk
      }
      break
    case '1f1b':
      break
    default:
      return undefined
  }
  return (microBatches + stages - 1) * chunk + exposedTransfers(stages, microBatches) * transfer
}

/**
 * Messages there and back that 1F1B with stages all alike waits for. A forward reaches the last stage over p - 1 links;
 * from then on, what a stage hands down comes back to it p - 1 links later, in time for p micro-batches on.
 */
function exposedTransfers(stages: number, microBatches: number): number {
  const later = microBatches - 1
  return (stages - 1) * (1 + Math.floor(later / stages)) + Math.max(0, (later % stages) - 1)
}

function alike(a: PassTimes, b: PassTimes): boolean {
  return a === b || (a.forward === b.forward && a.backward === b.backward && a.weight === b.weight)
}

const FREE: TransferTimes = { forward: 0, backward: 0 }

/** What every link between neighbors takes; undefined where they differ. */
function uniformLink({ links, passes }: Pipeline): TransferTimes | undefined {
  const first = links?.[0] ?? FREE
  const count = passes[0]!.length > 1 ? passes.length : passes.length - 1
  for (let i = 1; i < count; i++) {
    const link = links?.[i] ?? FREE
    if (link.forward !== first.forward || link.backward !== first.backward) return undefined
  }
  return passes.length === 1 ? FREE : first
}
