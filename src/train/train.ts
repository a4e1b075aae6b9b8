/** @file Trains a run: from its settings to a folder with checkpoints; on a folder that has some, goes on exactly. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Tokenizer } from '../data/index.ts'
import { RegaugeError } from '../errors.ts'
import type { Architecture } from '../model/index.ts'
import { measureMatmul, openRuntime, type Runtime } from '../runtime/index.ts'
import { VERSION } from '../version.ts'
import {
  CHECKPOINT_FILES as FILES,
  listCheckpoints,
  newestCheckpoint,
  removePartial,
} from './checkpoint/files.ts'
import { type WrittenCheckpoint, writeCheckpoint } from './checkpoint/write.ts'
import { makePlan, type RunPlan } from './estimate/run-plan.ts'
import { createHeld } from './held.ts'
import { lockRunFolder } from './lock.ts'
import type { RunEvent } from './log/events.ts'
import { type RunHistory, readHistory } from './log/history.ts'
import { describeMachine } from './log/machine.ts'
import { openMetrics } from './log/metrics.ts'
import { type LoopEnd, type Progress, trainLoop } from './loop.ts'
import { type PlaceOptions, placeOf } from './place.ts'
import {
  type Attempt,
  type PreparedPlace,
  type PreparedRun,
  preparePlace,
  prepareRun,
  type Sources,
} from './prepare.ts'
import { openRunData, prepareShards, prepareTokenizer, writeWhole } from './prepare-data.ts'
import { formatRun, type ResolvedRun } from './run/index.ts'
import { makeRunFolder, requireWritableFolder } from './run-folder.ts'
import { allocateState, fillState, type TrainingState } from './state.ts'
import { type LossScale, trainerOptions } from './step-programs.ts'
import { createTrainer } from './trainer.ts'

/** What a function that writes samples works with. */
export interface SampleContext {
  readonly runtime: Runtime
  readonly architecture: Architecture
  readonly tokenizer: Tokenizer
  /** Holds the weights as they are now, by `current(name)`. */
  readonly state: TrainingState
  readonly run: ResolvedRun
  readonly step: number
  /** The run is to stop: give back the samples that are whole, and soon. */
  readonly signal: AbortSignal
}

/** Continues the prompts of `run.evaluate`. */
export type GenerateSamples = (
  context: SampleContext,
) => Promise<readonly { readonly prompt: string; readonly text: string }[]>

export interface TrainOptions extends PlaceOptions {
  /** Folder of the run; by default `<run.output>/<run.name>`. */
  readonly folder?: string
  /** Receives every event of the run as it happens. */
  readonly onEvent?: (event: RunEvent) => void
  /** Receives what the run is going to be, once, before it starts. */
  readonly onPlan?: (plan: RunPlan) => void
  /** Save and stop. */
  readonly stop?: AbortSignal
  /** Stop now: steps after the last checkpoint are lost, and `train` rejects with kind `interrupted`. */
  readonly abort?: AbortSignal
  readonly generateSamples?: GenerateSamples
}

export interface TrainResult extends LoopEnd {
  readonly folder: string
  readonly steps: number
  /** Folder of the newest checkpoint; undefined when the run was stopped before its first step. */
  readonly checkpoint: string | undefined
}

/**
 * Trains a run to its end, or until it is told to stop. Called again on the same folder it goes on from the newest
 * good checkpoint, bit for bit as if it had never stopped; settings that would change the numbers are refused.
 *
 * Throws RegaugeError: `usage` for settings that do not fit, `data` for text, tokenizer or weights, `environment` for
 * disk, lock and runtime, `memory` when the run needs more than there is, `diverged` when loss or gradient is not
 * finite, `interrupted` after `abort`. Checkpoints that were written before stay.
 *
 * @example
 * ```ts
 * import { loadRun, train } from 'regauge'
 *
 * const { run } = await loadRun('run.yaml')
 * const { folder, heldoutLoss } = await train(run, {
 *   onEvent(event) {
 *     if (event.type === 'step') console.log(event.step, event.loss)
 *   },
 * })
 * console.log(folder, heldoutLoss)
 * ```
 */
export async function train(run: ResolvedRun, options: TrainOptions = {}): Promise<TrainResult> {
  const folder = options.folder ?? join(run.output, run.name)
  await makeRunFolder(folder)
  await requireWritableFolder(folder)
  const lock = await lockRunFolder(folder)
  try {
    const log = join(folder, 'events.jsonl')
    const before = existsSync(log) ? await readHistory(log) : undefined
    const metrics = openMetrics(
      { log, tensorboard: join(folder, 'tensorboard') },
      options.onEvent ?? (() => {}),
    )
    try {
      return await trainInFolder({ run, folder, options, before, emit: metrics.emit })
    } catch (error) {
      throw await failed(error, folder, (event) => {
        if (before === undefined) metrics.flush()
        metrics.emit(event)
      })
    } finally {
      metrics.close()
    }
  } finally {
    lock.release()
  }
}

interface Job {
  readonly run: ResolvedRun
  readonly folder: string
  readonly options: TrainOptions
  readonly before: RunHistory | undefined
  emit(event: RunEvent): void
}

async function trainInFolder(job: Job): Promise<TrainResult> {
  const { run, folder, options, emit } = job
  emit({ type: 'state', state: 'queued' })
  // a runtime that cannot be had is told before hours go into the text
  if (options.on !== undefined) openRuntime(options.on).dispose()
  const prepared = await prepareRun(run, folder, makingSources(job), letPass)
  const { architecture, checkpoint, planned, text, modelNotes } = prepared
  for (const message of modelNotes) emit({ type: 'note', message })
  const finished = await finishedBefore(job, prepared)
  if (finished !== undefined) return finished

  const held = createHeld()
  try {
    // the text, the place, and the state that the run goes on from
    const data = held.add(await openRunData(run, text.shards))
    const place = await preparePlace(prepared, options, (within) => within.programs(), letPass)
    const { runtime, estimate, programs } = place
    held.add(runtime)
    await writeWhole(join(folder, 'run.yaml'), formatRun(run))
    const state = held.add(allocateState(runtime, architecture, run.optimizer.kind))
    await fillState(state, run, architecture, checkpoint)

    // what it is going to be
    const limit = await measureMatmul(runtime)
    options.onPlan?.(makePlan(prepared, place, [...modelNotes, ...text.notes], limit.best))
    tellStart(job, prepared, place, limit.best)

    // its programs, and the steps
    emit({ type: 'state', state: 'compiling' })
    const limits = { ...trainerOptions(run), ...lossScaleOf(checkpoint?.state) }
    const trainer = held.add(await createTrainer(runtime, architecture, state, limits, programs))
    const { stop = NEVER, abort = NEVER } = options
    const end = await trainLoop({
      trainer,
      batches: data.batches,
      heldout: data.heldout,
      schedule: { ...run.schedule, ...planned, peak: run.optimizer.learningRate },
      tokensPerStep: estimate.tokensPerStep,
      from: checkpoint?.state ?? { step: 0, tokens: 0, seconds: 0 },
      evaluate: run.evaluate,
      checkpointEverySteps: run.checkpoint.everySteps,
      flops: { perStep: estimate.flopsPerStep, limitPerSecond: limit.best },
      emit,
      save: (progress) => save(prepared, state, runtime, { ...progress, ...lossScaleOf(trainer) }),
      sample: (step, signal) => sample(job, prepared, { state, runtime, step, signal }),
      stop,
      abort,
    })
    return result(folder, planned.steps, end)
  } finally {
    await held.dispose()
  }
}

/** The signal of one who never stops a run. */
const NEVER = new AbortController().signal

/** Every problem ends the run that is begun. */
const letPass: Attempt<never> = async (work) => work()

type Prepared = PreparedRun<Tokenizer, never>

/** The parts of a run, made in its folder where they are missing. */
function makingSources({ run, folder, options, emit }: Job): Sources<Tokenizer, never> {
  const note = (message: string) => emit({ type: 'note', message })
  // before the first step there is nothing to save, so both ways to stop are the same
  const check = (): void => {
    if (!options.stop?.aborted && !options.abort?.aborted) return
    const message = 'stopped while the text was made ready, before a step was done'
    throw new RegaugeError('interrupted', { code: 'TRAIN_INTERRUPTED', message })
  }
  return {
    async checkpoint() {
      const checkpoints = join(folder, 'checkpoints')
      await removePartial(checkpoints)
      return newestCheckpoint(checkpoints, note, 'set aside')
    },
    async tokenizer(checkpoint) {
      const vocabulary = await prepareTokenizer(run, folder, checkpoint?.folder, note, check)
      return { vocabulary, file: join(folder, FILES.tokenizer) }
    },
    text: (tokenizer, checkpoint) =>
      prepareShards(run, folder, tokenizer, checkpoint !== undefined, note, check),
  }
}

/** The loss scale to go on with, in precisions that need one. */
function lossScaleOf(from: { readonly lossScale?: LossScale | undefined } | undefined) {
  return from?.lossScale === undefined ? {} : { lossScale: from.lossScale }
}

/** Tells the log where and as what the run starts, and whether it has moved. */
function tellStart(
  { emit }: Job,
  { checkpoint, planned }: Prepared,
  { runtime, estimate }: PreparedPlace,
  matmulFlopsPerSecond: number,
): void {
  const { step: startStep = 0, runtime: before = runtime.description } = checkpoint?.state ?? {}
  emit({
    type: 'start',
    startStep,
    steps: planned.steps,
    parameters: estimate.parameters,
    tokensPerStep: estimate.tokensPerStep,
    version: VERSION,
    pid: process.pid,
    machine: describeMachine(runtime.description, matmulFlopsPerSecond),
  })
  if (placeOf(before) !== placeOf(runtime.description))
    emit({ type: 'move', step: startStep, from: before, to: runtime.description })
}

/** The samples that the run asks for, where there is one who writes them. */
async function sample(
  { run, options }: Job,
  { architecture, vocabulary: tokenizer }: Prepared,
  now: Pick<SampleContext, 'runtime' | 'state' | 'step' | 'signal'>,
) {
  if (run.evaluate.samples.length === 0 || options.generateSamples === undefined) return []
  return options.generateSamples({ ...now, architecture, tokenizer, run })
}

function save(
  { run, folder, architecture, vocabulary: tokenizer, settings }: Prepared,
  state: TrainingState,
  runtime: Runtime,
  progress: Progress & { readonly lossScale?: LossScale },
): Promise<WrittenCheckpoint> {
  const copies = Object.fromEntries(
    [FILES.tokenizer, FILES.tokenizerConfig].map((name) => [name, join(folder, name)]),
  )
  const content = {
    ...progress,
    architecture,
    state,
    copies,
    eosId: tokenizer.eosId,
    version: VERSION,
    runtime: runtime.description,
    seed: run.seed,
    settings,
  }
  return writeCheckpoint(join(folder, 'checkpoints'), content, run.checkpoint)
}

/** The end of a run that was trained to its end before. */
async function finishedBefore(job: Job, { checkpoint, planned }: Prepared): Promise<TrainResult | undefined> {
  const summary = job.before?.summary
  if (checkpoint === undefined || summary === undefined || summary.step !== planned.steps) return undefined
  if (checkpoint.state.step !== planned.steps) return undefined
  job.emit({ type: 'note', message: `this run is finished: all ${planned.steps} steps are done` })
  job.emit({ type: 'state', state: 'finished' })
  const { step, tokens, seconds, heldoutLoss, bitsPerByte } = summary
  const figures = {
    ...(heldoutLoss !== undefined && { heldoutLoss }),
    ...(bitsPerByte !== undefined && { bitsPerByte }),
  }
  return result(job.folder, planned.steps, { state: 'finished', step, tokens, seconds, ...figures })
}

async function result(folder: string, steps: number, end: LoopEnd): Promise<TrainResult> {
  const [newest] = await listCheckpoints(join(folder, 'checkpoints'))
  return { ...end, folder, steps, checkpoint: newest?.folder }
}

/** Tells the log how the run ended; a run that diverged is told which checkpoint to go back to. */
async function failed(error: unknown, folder: string, emit: (event: RunEvent) => void): Promise<unknown> {
  const told =
    error instanceof RegaugeError && error.kind === 'diverged' ? await withLastGood(error, folder) : error
  const state = told instanceof RegaugeError && told.kind === 'interrupted' ? 'stopped' : 'failed'
  const message = told instanceof Error ? told.message : String(told)
  try {
    emit({ type: 'state', state, message })
  } catch {
    // a full disk is why it failed, and takes no more events
  }
  return told
}

async function withLastGood(error: RegaugeError, folder: string): Promise<RegaugeError> {
  const [newest] = await listCheckpoints(join(folder, 'checkpoints'))
  const message =
    newest === undefined
      ? 'there is no checkpoint yet'
      : `the last good checkpoint is that of step ${newest.step} and is kept`
  const issue = { code: 'TRAIN_LAST_GOOD', message, ...(newest !== undefined && { file: newest.folder }) }
  return new RegaugeError('diverged', [...error.issues, issue], { cause: error })
}
