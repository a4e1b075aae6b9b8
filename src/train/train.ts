/** @file Trains a run: from its settings to a folder with checkpoints; on a folder that has some, goes on exactly. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openBatches, openEvaluationBatches, type Tokenizer, type TokenShards } from '../data/index.ts'
import { RegaugeError } from '../errors.ts'
import { hashFile } from '../formats/index.ts'
import type { Architecture } from '../model/index.ts'
import { measureMatmul, openRuntime, type Runtime } from '../runtime/index.ts'
import { VERSION } from '../version.ts'
import { exactSettings, requireSameSettings } from './checkpoint/exactness.ts'
import {
  type Checkpoint,
  damagedCheckpoints,
  type ExactSettings,
  CHECKPOINT_FILES as FILES,
  listCheckpoints,
  newestGoodCheckpoint,
  noneGood,
  removePartial,
} from './checkpoint/files.ts'
import { checkSpace, writeCheckpoint } from './checkpoint/write.ts'
import { estimateWithin, tensorPlace } from './estimate/estimate.ts'
import { makePlan, type RunPlan } from './estimate/preview.ts'
import { requireKernels, requirePrecision } from './kernels.ts'
import { lockRunFolder } from './lock.ts'
import type { RunEvent } from './log/events.ts'
import { type RunHistory, readHistory } from './log/history.ts'
import { describeMachine } from './log/machine.ts'
import { openMetrics } from './log/metrics.ts'
import { type LoopEnd, type Progress, trainLoop } from './loop.ts'
import { openPlace, type PlaceOptions, placeOf } from './place.ts'
import { prepareShards, prepareTokenizer, writeWhole } from './prepare-data.ts'
import { resolveArchitecture } from './resolve-model.ts'
import { formatRun, type PlannedSteps, plannedSteps, type ResolvedRun } from './run/index.ts'
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
  const prepared = await prepare(job)
  const { checkpoint, planned } = prepared
  const done = await finishedBefore(job, prepared)
  if (done !== undefined) return done

  const resources: { dispose(): void }[] = []
  const held = <T extends { dispose(): void }>(resource: T): T => {
    resources.unshift(resource)
    return resource
  }
  const { batches, heldout } = await openData(run, prepared.shards)
  try {
    const { reason, ...chosen } = await openPlace(options, checkpoint?.state.runtime)
    const runtime = held(chosen.runtime)
    const limits = trainerOptions(run)
    const tensors = tensorPlace(runtime)
    const { estimate, programs } = estimateWithin(prepared.architecture, limits, tensors)
    await checkSpace(folder, estimate.checkpointBytes)
    await writeWhole(join(folder, 'run.yaml'), formatRun(run))
    const taken = requireKernels(programs(), runtime.name, run.train.precision, options.allowHost)
    await requirePrecision(runtime, run.train.precision)
    const state = held(allocateState(runtime, prepared.architecture, { moments: true }))
    await fillState(state, run, prepared.architecture, checkpoint)
    const limit = await measureMatmul(runtime)
    const { architecture, notes } = prepared
    const { steps } = planned
    const startStep = checkpoint?.state.step ?? 0
    options.onPlan?.(
      makePlan({
        run,
        folder,
        architecture,
        estimate,
        startStep,
        steps,
        matmulFlopsPerSecond: limit.best,
        notes,
        place: `${runtime.description} (${reason})`,
        memoryOn: tensors.on,
        availableBytes: tensors.bytes,
      }),
    )
    const from: Progress = checkpoint?.state ?? { step: 0, tokens: 0, seconds: 0 }
    emit({
      type: 'start',
      startStep,
      steps,
      parameters: estimate.parameters,
      tokensPerStep: estimate.tokensPerStep,
      version: VERSION,
      pid: process.pid,
      machine: describeMachine(runtime.description, limit.best),
    })
    const { runtime: before = runtime.description } = checkpoint?.state ?? {}
    if (placeOf(before) !== placeOf(runtime.description))
      emit({ type: 'move', step: startStep, from: before, to: runtime.description })
    emit({ type: 'state', state: 'compiling' })
    const { lossScale } = checkpoint?.state ?? {}
    const trainer = held(
      await createTrainer(
        runtime,
        prepared.architecture,
        state,
        { ...limits, ...(lossScale !== undefined && { lossScale }) },
        taken,
      ),
    )
    const end = await trainLoop({
      trainer,
      batches,
      heldout,
      schedule: { ...run.schedule, ...planned, peak: run.optimizer.learningRate },
      tokensPerStep: estimate.tokensPerStep,
      from,
      evaluate: run.evaluate,
      checkpointEverySteps: run.checkpoint.everySteps,
      flops: { perStep: estimate.flopsPerStep, limitPerSecond: limit.best },
      emit,
      save: (progress) => save(job, prepared, state, runtime, progress, trainer.lossScale),
      sample: async (step, signal) =>
        run.evaluate.samples.length === 0 || options.generateSamples === undefined
          ? []
          : options.generateSamples({ ...prepared, runtime, state, run, step, signal }),
      stop: options.stop ?? new AbortController().signal,
      abort: options.abort ?? new AbortController().signal,
    })
    return result(folder, planned.steps, end)
  } finally {
    for (const resource of resources) resource.dispose()
    await batches.close()
    await heldout.close()
  }
}

/** What is settled before anything is allocated. */
interface Prepared {
  readonly checkpoint: Checkpoint | undefined
  readonly tokenizer: Tokenizer
  readonly architecture: Architecture
  readonly shards: TokenShards
  readonly notes: readonly string[]
  readonly planned: PlannedSteps
  readonly settings: ExactSettings
}

async function prepare({ run, folder, options, emit }: Job): Promise<Prepared> {
  const note = (message: string) => emit({ type: 'note', message })
  // before the first step there is nothing to save, so both ways to stop are the same
  const check = (): void => {
    if (!options.stop?.aborted && !options.abort?.aborted) return
    const message = 'stopped while the text was made ready, before a step was done'
    throw new RegaugeError('interrupted', { code: 'TRAIN_INTERRUPTED', message })
  }
  const checkpoints = join(folder, 'checkpoints')
  await removePartial(checkpoints)
  const checkpoint = await newestGoodCheckpoint(checkpoints, note)
  if (checkpoint === undefined) {
    const { length } = await damagedCheckpoints(checkpoints)
    if (length > 0) throw noneGood(checkpoints, length)
  }
  const tokenizer = await prepareTokenizer(run, folder, checkpoint?.folder, note, check)
  const architecture = await resolveArchitecture(run, tokenizer)
  const { shards, notes } = await prepareShards(run, folder, tokenizer, checkpoint !== undefined, note, check)
  const planned = plannedSteps(run, shards.train.tokens)
  const settings = exactSettings(run, architecture, planned, {
    tokenizer: await hashFile(join(folder, FILES.tokenizer)),
    trainingTokens: await hashFile(`${shards.train.prefix}.bin`),
  })
  if (checkpoint !== undefined) requireSameSettings(checkpoint.state, settings, folder)
  return { checkpoint, tokenizer, architecture, shards, notes, planned, settings }
}

async function openData(run: ResolvedRun, shards: TokenShards) {
  const { sequenceLength } = run.data
  const { batchSize, microBatchSize } = run.train
  const batches = await openBatches({
    prefix: shards.train.prefix,
    sequenceLength,
    batchSize,
    seed: run.seed,
  })
  try {
    const { prefix, bytes } = shards.heldout
    const heldout = await openEvaluationBatches({ prefix, sequenceLength, batchSize: microBatchSize })
    return { batches, heldout: { ...heldout, bytesPerLabel: bytes / heldout.labelCount } }
  } catch (error) {
    await batches.close()
    throw error
  }
}

function save(
  job: Job,
  prepared: Prepared,
  state: TrainingState,
  runtime: Runtime,
  progress: Progress,
  lossScale: LossScale | undefined,
) {
  const { run, folder } = job
  const copies = Object.fromEntries(
    [FILES.tokenizer, FILES.tokenizerConfig].map((name) => [name, join(folder, name)]),
  )
  const content = {
    ...progress,
    architecture: prepared.architecture,
    state,
    copies,
    eosId: prepared.tokenizer.eosId,
    version: VERSION,
    runtime: runtime.description,
    seed: run.seed,
    ...(lossScale !== undefined && { lossScale }),
    settings: prepared.settings,
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
