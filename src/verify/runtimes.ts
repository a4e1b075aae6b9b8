/** @file Verifies that a run is the same on other runtimes: same weights, same data, step by step side by side. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBatches, openTokenShards, type Tokenizer, type TokenShards } from '../data/index.ts'
import { RegaugeError } from '../errors.ts'
import { hashFile } from '../formats/index.ts'
import type { Architecture } from '../model/index.ts'
import { defaultThreads, formatTarget, openRuntime, type Runtime, type Target } from '../runtime/index.ts'
import {
  type Checkpoint,
  describeMachine,
  estimateWithin,
  exactSettings,
  CHECKPOINT_FILES as FILES,
  fillState,
  learningRateAt,
  type PlannedSteps,
  plannedSteps,
  prepareShards,
  prepareTokenizer,
  type ResolvedRun,
  requireKernels,
  requireSameSettings,
  resolveArchitecture,
  type TrainingState,
  trainerOptions,
  wholeCheckpoints,
} from '../train/index.ts'
import { VERSION } from '../version.ts'
import { conclude, worstVerdict } from './comparison.ts'
import { lockstep } from './lockstep.ts'
import { openSubject, type Subject, subjectPrograms } from './subject.ts'
import type { Verification } from './verification.ts'

export interface VerifyRuntimesOptions {
  /** The reference, then those that are compared with it; with one alone, only its own spread is found. */
  readonly on: readonly Target[]
  /** Steps to do on each; 50 unless given. */
  readonly steps?: number
  /** Gradients and state are compared at each so many steps; 1 unless given. */
  readonly gradientsEvery?: number
  /** Folder of the run, whose newest checkpoint is begun from when there is one; `<run.output>/<run.name>`. */
  readonly folder?: string
  readonly threads?: number
  /** Lets nodes that a device has no kernel for run on the host. */
  readonly allowHost?: boolean
  /** Is told of each step that all have done, of `steps`, with their losses, the reference's first. */
  readonly onStep?: (step: number, steps: number, losses: readonly number[]) => void
  readonly onNote?: (message: string) => void
  readonly signal?: AbortSignal
}

/**
 * Trains a run for some steps on each runtime, in lockstep, from the run's newest checkpoint or else its first weights,
 * and compares with the first one. The run's folder is only read: what must be made is made in a temporary folder.
 *
 * Throws RegaugeError as `train` does; a runtime that diverges where the reference does not is a finding, not an error.
 */
export async function verifyRuntimes(
  run: ResolvedRun,
  options: VerifyRuntimesOptions,
): Promise<Verification> {
  const { on, steps = 50, gradientsEvery = 1, threads = defaultThreads() } = options
  const [first, ...rest] = on
  if (first === undefined) {
    const message = 'no runtime to verify on'
    throw new RegaugeError('usage', { code: 'VERIFY_RUNTIME', message, hint: 'name one or more' })
  }
  const notes: string[] = []
  const note = (message: string): void => {
    notes.push(message)
    options.onNote?.(message)
  }
  const check = (): void => {
    if (!options.signal?.aborted) return
    throw new RegaugeError('interrupted', {
      code: 'VERIFY_INTERRUPTED',
      message: 'the comparison was stopped',
    })
  }
  const temporary = await mkdtemp(join(tmpdir(), 'regauge-verify-'))
  const subjects: Subject[] = []
  let batches: Awaited<ReturnType<typeof openBatches>> | undefined
  try {
    const begin = await prepare(run, options.folder ?? join(run.output, run.name), temporary, note, check)
    const { architecture, checkpoint, planned, shards } = begin
    const { lossScale } = checkpoint?.state ?? {}
    const limits = { ...trainerOptions(run), ...(lossScale !== undefined && { lossScale }) }
    const programs = subjectPrograms(
      architecture,
      limits,
      programsWithin(architecture, limits, rest.length + 3),
    )
    const { sequenceLength } = run.data
    const { batchSize } = run.train
    const opened = await openBatches({
      prefix: shards.train.prefix,
      sequenceLength,
      batchSize,
      seed: run.seed,
    })
    batches = opened

    const runtimeOf = (target: Target, count: number): Runtime =>
      openRuntime(target, { threads: count, allowHost: options.allowHost ?? false })
    const taken = new Map(
      on.map(({ name }) => [name, requireKernels(programs, name, run.train.precision, options.allowHost)]),
    )
    const open = async (label: string, runtime: Runtime): Promise<Subject> => {
      const fill = (state: TrainingState) => fillState(state, run, architecture, checkpoint)
      const batch = (step: number) => opened.batch(step - 1)
      const subject = await openSubject(
        label,
        runtime,
        architecture,
        limits,
        fill,
        batch,
        taken.get(runtime.name)!,
      )
      subjects.push(subject)
      return subject
    }
    const name = formatTarget(first)
    const reference = await open(name, runtimeOf(first, threads))
    const spreading = [await open(`${name}, again`, runtimeOf(first, threads))]
    // a runtime that computes with threads tells their number: there it may move the last bits
    const otherThreads = threads > 1 ? 1 : 2
    const threaded = runtimeOf(first, otherThreads)
    if (threaded.description === reference.description) threaded.dispose()
    else spreading.push(await open(`${name}, threads: ${otherThreads}`, threaded))
    const others: Subject[] = []
    for (const target of rest) others.push(await open(formatTarget(target), runtimeOf(target, threads)))

    const from = checkpoint?.state.step ?? 0
    const schedule = { ...run.schedule, ...planned, peak: run.optimizer.learningRate }
    const found = await lockstep(reference, [...spreading, ...others], {
      from,
      steps,
      gradientsEvery,
      learningRate: (step) => learningRateAt(schedule, step),
      onStep: (step, losses) =>
        options.onStep?.(step - from, steps, [losses[0]!, ...losses.slice(1 + spreading.length)]),
      check,
    })
    const spread = spreading.map((subject, i) => ({ name: subject.name, ...found[i]!.evidence }))
    const comparisons = others.map(({ name, description }, i) => {
      const { evidence, stopped } = found[spreading.length + i]!
      const side = { name, description, ...(stopped !== undefined && { stopped }) }
      return conclude(side, evidence, spread, run.train.precision !== 'float32')
    })
    return {
      mode: 'runtimes',
      title: run.name,
      verdict: worstVerdict(comparisons.map(({ verdict }) => verdict)),
      reference: { name, description: reference.description },
      comparisons,
      spread,
      begun:
        checkpoint === undefined
          ? run.model.from === undefined
            ? `first weights of seed ${run.seed}`
            : `weights of ${run.model.from}`
          : `checkpoint of step ${from}`,
      settings: [],
      notes,
      machine: describeMachine(reference.description),
      version: VERSION,
    }
  } finally {
    for (const subject of subjects) subject.dispose()
    await batches?.close()
    await rm(temporary, { recursive: true, force: true })
  }
}

interface Beginning {
  readonly checkpoint: Checkpoint | undefined
  readonly architecture: Architecture
  readonly shards: TokenShards
  readonly planned: PlannedSteps
}

async function prepare(
  run: ResolvedRun,
  folder: string,
  temporary: string,
  note: (message: string) => void,
  check: () => void,
): Promise<Beginning> {
  const checkpoint = (await wholeCheckpoints(join(folder, 'checkpoints'), note).next()).value
  const tokenizer: Tokenizer = await prepareTokenizer(run, temporary, checkpoint?.folder, () => {}, check)
  const architecture = await resolveArchitecture(run, tokenizer)
  const kept = checkpoint && (await openTokenShards(join(folder, 'data')).catch(dataProblem(note)))
  const shards = kept ?? (await prepareShards(run, temporary, tokenizer, false, () => {}, check)).shards
  const planned = plannedSteps(run, shards.train.tokens)
  if (checkpoint !== undefined) {
    const settings = exactSettings(run, architecture, planned, {
      tokenizer: await hashFile(join(temporary, FILES.tokenizer)),
      trainingTokens: await hashFile(`${shards.train.prefix}.bin`),
    })
    requireSameSettings(checkpoint.state.settings, settings, folder)
  }
  return { checkpoint, architecture, shards, planned }
}

/** Told to `note` and passed over; other errors pass through. */
function dataProblem(note: (message: string) => void) {
  return (error: unknown): undefined => {
    if (!(error instanceof RegaugeError) || error.kind !== 'data') throw error
    note(`the run's token shards are made again: ${error.message.replaceAll('\n', '; ')}`)
  }
}

/** The programs of the run, when there is memory for `copies` of it at a time. */
function programsWithin(a: Architecture, limits: ReturnType<typeof trainerOptions>, copies: number) {
  try {
    // what is compared comes to the host, wherever it was computed
    const bytes = process.availableMemory() / copies
    return estimateWithin(a, limits, { on: 'host', inPlace: true, bytes }).programs
  } catch (error) {
    if (!(error instanceof RegaugeError) || error.kind !== 'memory') throw error
    const message = `${copies} of it are compared side by side, each with its share of the memory`
    throw new RegaugeError('memory', [...error.issues, { code: 'VERIFY_MEMORY', message }], { cause: error })
  }
}
