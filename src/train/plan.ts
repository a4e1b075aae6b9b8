/** @file What a run is going to be, before it starts: model, steps, memory, FLOPs, time. For `check` and for `train`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadTokenizer, openCorpus, openTokenShards } from '../data/index.ts'
import { RegaugeError } from '../errors.ts'
import type { Architecture } from '../model/index.ts'
import { createRuntime, measureMatmul } from '../runtime/index.ts'
import { checkSpace } from './checkpoint.ts'
import { type Estimate, estimateWithin } from './estimate.ts'
import { resolveArchitecture, type Vocabulary } from './resolve-model.ts'
import { plannedSteps, type ResolvedRun } from './run/index.ts'
import type { TrainerOptions } from './trainer.ts'

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
  readonly availableBytes: number
}

/** Share of the matrix product limit that steps reach: nano 0.59, tiny 0.72, small 0.73, measured on one Zen 4 core. */
const USUAL_SHARE = 0.7

/** Puts a plan together. */
export function makePlan(
  known: Pick<
    RunPlan,
    'run' | 'folder' | 'architecture' | 'estimate' | 'startStep' | 'steps' | 'matmulFlopsPerSecond'
  >,
): RunPlan {
  const { steps, estimate, startStep, matmulFlopsPerSecond } = known
  const best = steps && (Math.max(0, steps - startStep) * estimate.flopsPerStep) / matmulFlopsPerSecond
  return {
    ...known,
    tokens: steps && steps * estimate.tokensPerStep,
    flops: steps && steps * estimate.flopsPerStep,
    seconds: best === undefined ? undefined : { best, expected: best / USUAL_SHARE },
    availableBytes: process.availableMemory(),
  }
}

/** The programs that a run trains with. */
export function trainerOptions(run: ResolvedRun): TrainerOptions {
  const { batchSize, microBatchSize, recompute } = run.train
  const { betas, epsilon, weightDecay, clipNorm } = run.optimizer
  const optimizer = { betas, epsilon, weightDecay, ...(clipNorm !== null && { clipNorm }) }
  return { batchSize, microBatchSize, sequenceLength: run.data.sequenceLength, recompute, optimizer }
}

/**
 * Checks all of a run that can be checked without training it: model, text, tokenizer, memory, disk. Throws one
 * RegaugeError with every problem found.
 */
export async function checkRun(
  run: ResolvedRun,
  options: { readonly folder?: string; readonly threads?: number } = {},
): Promise<RunPlan> {
  const folder = options.folder ?? join(run.output, run.name)
  const problems: RegaugeError[] = []
  const attempt = async <T>(work: () => Promise<T> | T): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof RegaugeError)) throw error
      problems.push(error)
      return undefined
    }
  }
  await attempt(() => requireText(run))
  const vocabulary = await attempt(() => vocabularyOf(run, folder))
  const architecture = vocabulary && (await attempt(() => resolveArchitecture(run, vocabulary)))
  const estimate =
    architecture &&
    (await attempt(() => estimateWithin(architecture, trainerOptions(run), process.availableMemory())))
      ?.estimate
  if (estimate !== undefined) await attempt(() => checkSpace(folder, estimate.checkpointBytes))
  if (architecture === undefined || estimate === undefined || problems.length > 0) {
    const issues = problems.flatMap((problem) => problem.issues)
    throw new RegaugeError(problems[0]!.kind, issues, { cause: problems[0] })
  }
  const runtime = createRuntime({
    name: 'cpu',
    ...(options.threads !== undefined && { threads: options.threads }),
  })
  try {
    const { best } = await measureMatmul(runtime)
    const steps = await stepsOf(run, folder)
    return makePlan({ run, folder, architecture, estimate, startStep: 0, steps, matmulFlopsPerSecond: best })
  } finally {
    runtime.dispose()
  }
}

/** Reads the first document of the training text, and of the held-out text where it is named. */
async function requireText({ data }: ResolvedRun): Promise<void> {
  const { heldout, field } = data
  const named = typeof heldout === 'object' && 'fraction' in heldout ? [] : [heldout]
  for (const paths of [data.train, ...named]) {
    for await (const _ of openCorpus(typeof paths === 'string' ? [paths] : paths, { field })) break
  }
}

/** The vocabulary of the run's tokenizer; of one that is yet to be trained, the largest that it may have. */
async function vocabularyOf(run: ResolvedRun, folder: string): Promise<Vocabulary> {
  const made = join(folder, 'tokenizer.json')
  const file = run.tokenizer?.file ?? (existsSync(made) ? made : undefined)
  return file === undefined ? { vocabSize: run.tokenizer!.train!.vocabSize } : loadTokenizer(file)
}

/** Steps of the run; epochs can be counted in steps only once the text is tokenized. */
async function stepsOf(run: ResolvedRun, folder: string): Promise<number | undefined> {
  if (run.train.epochs === undefined) return plannedSteps(run, 0).steps
  try {
    return plannedSteps(run, (await openTokenShards(join(folder, 'data'))).train.tokens).steps
  } catch (error) {
    if (error instanceof RegaugeError) return undefined
    throw error
  }
}
