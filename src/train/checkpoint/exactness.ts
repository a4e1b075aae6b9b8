/** @file Which settings decide a run's numbers, and what a resumed run must not change. */
import { isAbsolute, join, relative } from 'node:path'
import { type Issue, RegaugeError } from '../../errors.ts'
import type { Architecture } from '../../model/index.ts'
import type { PlannedSteps, ResolvedRun } from '../run/index.ts'
import type { ExactSettings } from './files.ts'

/** Hashes of what the run reads. */
export interface Contents {
  /** SHA-256 of tokenizer.json. */
  readonly tokenizer: string
  /** SHA-256 of the training tokens. */
  readonly trainingTokens: string
}

/** The settings that decide a run's numbers, under their names in the run file where they have one. */
export function exactSettings(
  run: ResolvedRun,
  a: Architecture,
  planned: PlannedSteps,
  contents: Contents,
): ExactSettings {
  const { config: _, ...architecture } = a
  const { learningRate, betas, epsilon, weightDecay, clipNorm } = run.optimizer
  const { kind, finalFraction } = run.schedule
  // with a constant rate a longer run is the same run
  const course =
    kind === 'constant' ? {} : { 'train.steps': planned.steps, 'schedule.finalFraction': finalFraction }
  // Paths as seen from where the run file puts the run. A project that was moved with its run folders has them as
  // before, and so has a run folder that was moved alone: its own run file still names the old place.
  const home = join(run.output, run.name)
  return {
    seed: run.seed,
    ...Object.fromEntries(
      Object.entries(architecture).map(([key, value]) => [
        `model ${key}`,
        typeof value === 'object' ? JSON.stringify(value) : value,
      ]),
    ),
    tokenizer: pathsIn(run.tokenizer, home),
    'data.train': pathsIn(run.data.train, home),
    'data.heldout': pathsIn(run.data.heldout, home),
    'data.field': run.data.field,
    'tokenizer (SHA-256)': contents.tokenizer,
    'training tokens (SHA-256)': contents.trainingTokens,
    'data.sequenceLength': run.data.sequenceLength,
    'train.batchSize': run.train.batchSize,
    'train.microBatchSize': run.train.microBatchSize,
    'train.recompute': run.train.recompute,
    // left out of older checkpoints, which were all float32
    ...(run.train.precision !== 'float32' && { 'train.precision': run.train.precision }),
    'optimizer.learningRate': learningRate,
    'optimizer.betas': JSON.stringify(betas),
    'optimizer.epsilon': epsilon,
    'optimizer.weightDecay': weightDecay,
    'optimizer.clipNorm': clipNorm,
    'schedule.kind': kind,
    'schedule.warmupSteps': planned.warmupSteps,
    'schedule.decaySteps': planned.decaySteps,
    ...course,
  }
}

/** Throws `RegaugeError('usage')` that names each setting that differs from those of the checkpoint. */
export function requireSameSettings(saved: ExactSettings, now: ExactSettings, folder: string): void {
  const keys = [...new Set([...Object.keys(saved), ...Object.keys(now)])]
  const issues: Issue[] = keys
    .filter((key) => saved[key] !== now[key])
    .map((key) => ({
      code: 'RESUME_CHANGED',
      message: `${key} was ${show(saved[key])} when this run began and is ${show(now[key])} now`,
      file: folder,
      hint: 'change it back to resume, or give the run another name to start anew',
    }))
  if (issues.length > 0) throw new RegaugeError('usage', issues)
}

/** The value as JSON, absolute paths in it as they are seen from a folder. */
function pathsIn(value: unknown, folder: string): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'string' && isAbsolute(part) ? relative(folder, part) : part,
  )
}

function show(value: ExactSettings[string] | undefined): string {
  if (value === undefined) return 'not set'
  const text = String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
