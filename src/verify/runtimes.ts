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
  requirePrecision,
  requireSameSettings,
  resolveArchitecture,
  type StepPrograms,
  type TrainingState,
  tensorPlace,
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
  const runtimes: Runtime[] = []
  const subjects: Subject[] = []
  let batches: Awaited<ReturnType<typeof openBatches>> | undefined
  try {
    const begin = await prepare(run, options.folder ?? join(run.output, run.name), temporary, note, check)
    const { architecture, checkpoint, planned, shards } = begin
    const { lossScale } = checkpoint?.state ?? {}
    const limits = { ...trainerOptions(run), ...(lossScale !== undefined && { lossScale }) }
    const name = formatTarget(first)
    const opened = (label: string, target: Target, count = threads): Placed => {
      const settings = { threads: count, allowHost: options.allowHost ?? false }
      const placed = { label, target, runtime: openRuntime(target, settings) }
      runtimes.push(placed.runtime)
      return placed
    }
    const reference = opened(name, first)
    const spreading = [opened(`${name}, again`, first)]
    // a runtime that computes with threads tells their number: there it may move the last bits
    const otherThreads = threads > 1 ? 1 : 2
    const threaded = opened(`${name}, threads: ${otherThreads}`, first, otherThreads)
    if (threaded.runtime.description === reference.runtime.description) threaded.runtime.dispose()
    else spreading.push(threaded)
    const others = rest.map((target) => opened(formatTarget(target), target))
    const programs = subjectPrograms(
      architecture,
      limits,
      programsWithin(architecture, limits, [reference, ...spreading, ...others]),
    )
    const { sequenceLength } = run.data
    const { batchSize } = run.train
    const data = await openBatches({
      prefix: shards.train.prefix,
      sequenceLength,
      batchSize,
      seed: run.seed,
    })
    batches = data

    const taken = new Map(
      on.map(({ name }) => [name, requireKernels(programs, name, run.train.precision, options.allowHost)]),
    )
    for (const { label, runtime } of [reference, ...spreading, ...others]) {
      await requirePrecision(runtime, run.train.precision)
      const fill = (state: TrainingState) => fillState(state, run, architecture, checkpoint)
      const batch = (step: number) => data.batch(step - 1)
      const kernels = taken.get(runtime.name)!
      subjects.push(await openSubject(label, runtime, architecture, limits, fill, batch, kernels))
    }
    const [base, ...compared] = subjects as [Subject, ...Subject[]]

    const from = checkpoint?.state.step ?? 0
    const schedule = { ...run.schedule, ...planned, peak: run.optimizer.learningRate }
    const found = await lockstep(base, compared, {
      from,
      steps,
      gradientsEvery,
      learningRate: (step) => learningRateAt(schedule, step),
      onStep: (step, losses) =>
        options.onStep?.(step - from, steps, [losses[0]!, ...losses.slice(1 + spreading.length)]),
      check,
    })
    const spread = spreading.map(({ label }, i) => ({ name: label, ...found[i]!.evidence }))
    const comparisons = others.map(({ label, runtime }, i) => {
      const { evidence, stopped } = found[spreading.length + i]!
      const side = {
        name: label,
        description: runtime.description,
        ...(stopped !== undefined && { stopped }),
      }
      return conclude(side, evidence, spread, run.train.precision !== 'float32')
    })
    return {
      mode: 'runtimes',
      title: run.name,
      verdict: worstVerdict(comparisons.map(({ verdict }) => verdict)),
      reference: { name, description: base.description },
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
      machine: describeMachine(base.description),
      version: VERSION,
    }
  } finally {
    for (const subject of subjects) subject.dispose()
    for (const runtime of runtimes) runtime.dispose()
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
    requireSameSettings(checkpoint.state, settings, folder)
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

/** A runtime that the run is trained on here. */
interface Placed {
  readonly label: string
  readonly target: Target
  readonly runtime: Runtime
}

/**
 * The programs of the run, when each memory has room for all that are trained in it at a time. What is compared comes
 * to the host a tensor at a time.
 */
function programsWithin(
  a: Architecture,
  limits: ReturnType<typeof trainerOptions>,
  all: readonly Placed[],
): StepPrograms {
  const places = all.map(({ target, runtime }) => {
    const place = tensorPlace(runtime)
    return { place, memory: place.on === 'host' ? place.on : formatTarget(target) }
  })
  let programs: (() => StepPrograms) | undefined
  for (const memory of new Set(places.map(({ memory }) => memory))) {
    const sharing = places.filter((other) => other.memory === memory)
    const { place } = sharing[0]!
    const copies = sharing.length
    try {
      const bytes = place.bytes && place.bytes / copies
      programs = estimateWithin(a, limits, { ...place, bytes }).programs
    } catch (error) {
      if (!(error instanceof RegaugeError) || error.kind !== 'memory' || copies === 1) throw error
      const message = `${copies} of it are compared side by side on ${memory === 'host' ? 'the host' : memory}, each with its share of the memory`
      throw new RegaugeError('memory', [...error.issues, { code: 'VERIFY_MEMORY', message }], {
        cause: error,
      })
    }
  }
  return programs!()
}
