/** @file What a run is going to be, before it starts: model, steps, memory, FLOPs, time. For `check` and for `train`. */
import type { Architecture } from '../../model/index.ts'
import type { PreparedPlace, PreparedRun } from '../prepare.ts'
import type { Vocabulary } from '../resolve-model.ts'
import type { ResolvedRun } from '../run/index.ts'
import type { Estimate, TensorPlace } from './estimate.ts'

export interface RunPlan {
  readonly run: ResolvedRun
  readonly folder: string
  readonly architecture: Architecture
  readonly estimate: Estimate
  /** Step that the run goes on from. */
  readonly startStep: number
  /** Undefined where it depends on text that is not tokenized yet. */
  readonly steps: number | undefined
  readonly tokens: number | undefined
  /** FLOPs of the matrix products of all steps. */
  readonly flops: number | undefined
  /** Measured limit of the machine, FLOPs per second. */
  readonly matmulFlopsPerSecond: number
  /** Time in the steps that are left: what the limit allows at best, and at the share of it that is usual. */
  readonly seconds: { readonly best: number; readonly expected: number } | undefined
  /** Where the tensors lie: whose memory the estimate is of. */
  readonly memoryOn: TensorPlace['on']
  /** Of the host what is free, of a device its size; null where nobody tells. */
  readonly availableBytes: number | null
  /** Where it runs, and why there: library, device. */
  readonly place: string
  /** What a person is to know before it starts, in sentences: text that is little, for instance. */
  readonly notes: readonly string[]
}

/** Share of the matrix product limit that steps reach: nano 0.59, tiny 0.72, small 0.73, measured on one Zen 4 core. */
const USUAL_SHARE = 0.7

/** Puts a plan together; `matmulFlopsPerSecond` was measured at the place. */
export function makePlan(
  {
    run,
    folder,
    architecture,
    checkpoint,
    planned,
  }: Pick<PreparedRun<Vocabulary, undefined>, 'run' | 'folder' | 'checkpoint' | 'planned'> &
    Pick<RunPlan, 'architecture'>,
  { runtime, reason, tensors, estimate }: PreparedPlace,
  notes: readonly string[],
  matmulFlopsPerSecond: number,
): RunPlan {
  const startStep = checkpoint?.state.step ?? 0
  const steps = planned?.steps
  const best = steps && (Math.max(0, steps - startStep) * estimate.flopsPerStep) / matmulFlopsPerSecond
  return {
    run,
    folder,
    architecture,
    estimate,
    startStep,
    steps,
    tokens: steps && steps * estimate.tokensPerStep,
    flops: steps && steps * estimate.flopsPerStep,
    matmulFlopsPerSecond,
    seconds: best === undefined ? undefined : { best, expected: best / USUAL_SHARE },
    memoryOn: tensors.on,
    availableBytes: tensors.bytes,
    place: `${runtime.description} (${reason})`,
    notes,
  }
}
