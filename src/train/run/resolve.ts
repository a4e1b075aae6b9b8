/** @file A checked run made complete: absolute paths, derived values, and back to YAML. */
import { isAbsolute, join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { DEFAULT_DECAY, inSteps } from './check.ts'
import type { ResolvedRun, runSchema } from './schema.ts'

type Parsed = ReturnType<typeof runSchema.parse>

/** Fills in what follows from other values and makes paths absolute; they start at `folder`. */
export function resolveRun(run: Parsed, folder: string): ResolvedRun {
  const at = (path: string): string => (isAbsolute(path) ? path : resolve(folder, path))
  const each = <T>(paths: string | string[] | T): string | string[] | T =>
    typeof paths === 'string' ? at(paths) : Array.isArray(paths) ? paths.map(at) : paths
  const { $schema: _, ...rest } = run
  const { model, tokenizer, data, train, schedule } = run
  const file =
    tokenizer?.file ??
    (tokenizer === undefined && model.from ? join(model.from, 'tokenizer.json') : undefined)
  return {
    ...rest,
    model: {
      ...model,
      ...(model.config !== undefined && { config: at(model.config) }),
      ...(model.from !== undefined && { from: at(model.from) }),
    },
    tokenizer: file === undefined ? tokenizer : { file: at(file) },
    data: { ...data, train: each(data.train) as string | string[], heldout: each(data.heldout) },
    train: { ...train, microBatchSize: train.microBatchSize ?? train.batchSize },
    schedule: {
      ...schedule,
      ...(schedule.kind === 'wsd' && { decaySteps: schedule.decaySteps ?? DEFAULT_DECAY }),
    },
    output: at(run.output),
  }
}

/** How many optimizer steps a run takes, and how its learning rate moves over them. */
export interface PlannedSteps {
  readonly steps: number
  readonly warmupSteps: number
  /** Steps of the decay at the end; 0 unless the schedule is wsd. */
  readonly decaySteps: number
}

/** Counts steps, rounding tokens and epochs up to whole steps. `tokensPerEpoch` is the training text's size. */
export function plannedSteps(run: ResolvedRun, tokensPerEpoch: number): PlannedSteps {
  const perStep = run.train.batchSize * run.data.sequenceLength
  const tokens = run.train.tokens ?? (run.train.epochs ?? 0) * tokensPerEpoch
  const steps = run.train.steps ?? Math.max(1, Math.ceil(tokens / perStep))
  return {
    steps,
    warmupSteps: Math.min(inSteps(run.schedule.warmupSteps, steps), steps - 1),
    decaySteps: run.schedule.kind === 'wsd' ? inSteps(run.schedule.decaySteps ?? DEFAULT_DECAY, steps) : 0,
  }
}

/** The run as YAML that loads again to the same run. */
export function formatRun(run: ResolvedRun): string {
  return `# Every value of this run, defaults included.\n${stringify(run, { lineWidth: 0, aliasDuplicateObjects: false })}`
}
