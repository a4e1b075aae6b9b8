/** @file Verifies that a run is the same on other runtimes: same weights, same data, step by step side by side. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBatches, openTokenShards, type Tokenizer } from '../data/index.ts'
import { RegaugeError } from '../errors.ts'
import type { Architecture } from '../model/index.ts'
import { defaultThreads, formatTarget, openRuntime, type Runtime, type Target } from '../runtime/index.ts'
import {
  createHeld,
  describeMachine,
  estimateWithin,
  CHECKPOINT_FILES as FILES,
  fillState,
  type Held,
  learningRateAt,
  type PreparedRun,
  prepareRun,
  prepareShards,
  prepareTokenizer,
  type ResolvedRun,
  requireKernels,
  requirePrecision,
  type Sources,
  type StepPrograms,
  tensorPlace,
  trainerOptions,
  wholeCheckpoints,
} from '../train/index.ts'
import { VERSION } from '../version.ts'
import { conclude, worstVerdict } from './comparison.ts'
import { type Found, lockstep } from './lockstep.ts'
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
 *
 * @example
 * ```ts
 * import { loadRun, parseTarget } from 'regauge'
 * import { verifyRuntimes } from 'regauge/verify'
 *
 * const { run } = await loadRun('run.yaml')
 * const { verdict, spread } = await verifyRuntimes(run, { on: [parseTarget('cpu')], steps: 20 })
 * console.log(verdict, spread.length)
 * ```
 */
export async function verifyRuntimes(
  run: ResolvedRun,
  options: VerifyRuntimesOptions,
): Promise<Verification> {
  const [first, ...rest] = options.on
  if (first === undefined) {
    const message = 'no runtime to verify on'
    throw new RegaugeError('usage', { code: 'VERIFY_RUNTIME', message, hint: 'name one or more' })
  }
  const notes: string[] = []
  const note = (message: string): void => {
    notes.push(message)
    options.onNote?.(message)
  }
  const temporary = await mkdtemp(join(tmpdir(), 'regauge-verify-'))
  const held = createHeld()
  try {
    const folder = options.folder ?? join(run.output, run.name)
    const sources = sourcesBeside(run, folder, temporary, note, () => throwIfAborted(options))
    const prepared = await prepareRun(run, folder, sources, async (work) => work())
    const sides = openSides(first, rest, options, held)
    const subjects = await openSubjects(run, prepared, sides, options, held)
    const found = await compareSides(run, prepared, sides, subjects, options)

    const spread = sides.spreading.map(({ label }, i) => ({ name: label, ...found[i]!.evidence }))
    const comparisons = sides.others.map(({ label, runtime }, i) => {
      const { evidence, stopped } = found[spread.length + i]!
      const { description } = runtime
      const side = { name: label, description, ...(stopped !== undefined && { stopped }) }
      return conclude(side, evidence, spread, run.train.precision !== 'float32')
    })
    const { label: name, runtime } = sides.reference
    return {
      mode: 'runtimes',
      title: run.name,
      verdict: worstVerdict(comparisons.map(({ verdict }) => verdict)),
      reference: { name, description: runtime.description },
      comparisons,
      spread,
      begun: beginning(run, prepared),
      settings: [],
      notes,
      machine: describeMachine(runtime.description),
      version: VERSION,
    }
  } finally {
    await held.dispose()
    await rm(temporary, { recursive: true, force: true })
  }
}

type Prepared = PreparedRun<Tokenizer, never>

/** The parts of a run as they lie in its folder; what is missing is made in a temporary one. */
function sourcesBeside(
  run: ResolvedRun,
  folder: string,
  temporary: string,
  note: (message: string) => void,
  check: () => void,
): Sources<Tokenizer, never> {
  const silent = () => {}
  return {
    async checkpoint() {
      return (await wholeCheckpoints(join(folder, 'checkpoints'), note).next()).value ?? undefined
    },
    async tokenizer(checkpoint) {
      const vocabulary = await prepareTokenizer(run, temporary, checkpoint?.folder, silent, check)
      return { vocabulary, file: join(temporary, FILES.tokenizer) }
    },
    async text(tokenizer, checkpoint) {
      const shards = checkpoint && (await openTokenShards(join(folder, 'data')).catch(dataProblem(note)))
      if (shards !== undefined) return { shards, tokens: shards.train.tokens, notes: [] }
      return prepareShards(run, temporary, tokenizer, false, silent, check)
    },
  }
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

interface Sides {
  readonly reference: Placed
  /** The reference once more, and with another number of threads where that may move the last bits. */
  readonly spreading: readonly Placed[]
  readonly others: readonly Placed[]
}

const allOf = ({ reference, spreading, others }: Sides) => [reference, ...spreading, ...others]

function openSides(
  first: Target,
  rest: readonly Target[],
  { threads = defaultThreads(), allowHost = false }: VerifyRuntimesOptions,
  held: Held,
): Sides {
  const open = (label: string, target: Target, count = threads): Placed => ({
    label,
    target,
    runtime: held.add(openRuntime(target, { threads: count, allowHost })),
  })
  const name = formatTarget(first)
  const reference = open(name, first)
  const again = open(`${name}, again`, first)
  const otherThreads = threads > 1 ? 1 : 2
  const threaded = open(`${name}, threads: ${otherThreads}`, first, otherThreads)
  // a runtime that computes with threads tells their number
  const isOther = threaded.runtime.description !== reference.runtime.description
  if (!isOther) threaded.runtime.dispose()
  return {
    reference,
    spreading: isOther ? [again, threaded] : [again],
    others: rest.map((target) => open(formatTarget(target), target)),
  }
}

/** Compiles the run on each side, the reference first, with the state that it goes on from. */
async function openSubjects(
  run: ResolvedRun,
  { architecture, checkpoint, text }: Prepared,
  sides: Sides,
  { on, allowHost }: VerifyRuntimesOptions,
  held: Held,
): Promise<Subject[]> {
  const { batchSize, precision } = run.train
  const { lossScale } = checkpoint?.state ?? {}
  const limits = { ...trainerOptions(run), ...(lossScale !== undefined && { lossScale }) }
  const within = programsWithin(architecture, limits, allOf(sides))
  const programs = subjectPrograms(architecture, limits, within)
  const taken = new Map(on.map(({ name }) => [name, requireKernels(programs, name, precision, allowHost)]))

  const { prefix } = text.shards.train
  const { sequenceLength } = run.data
  const batches = await openBatches({ prefix, sequenceLength, batchSize, seed: run.seed })
  held.add({ dispose: () => batches.close() })
  const subjects: Subject[] = []
  for (const { label, runtime } of allOf(sides)) {
    await requirePrecision(runtime, precision)
    const subject = await openSubject({
      name: label,
      runtime,
      architecture,
      options: limits,
      fill: (state) => fillState(state, run, architecture, checkpoint),
      batch: (step) => batches.batch(step - 1),
      programs: taken.get(runtime.name)!,
    })
    subjects.push(held.add(subject))
  }
  return subjects
}

/** What is found of each side but the reference, in their order. */
function compareSides(
  run: ResolvedRun,
  { checkpoint, planned }: Prepared,
  { spreading }: Sides,
  [base, ...compared]: readonly Subject[],
  options: VerifyRuntimesOptions,
): Promise<Found[]> {
  const { steps = 50, gradientsEvery = 1 } = options
  const from = checkpoint?.state.step ?? 0
  const schedule = { ...run.schedule, ...planned, peak: run.optimizer.learningRate }
  return lockstep(base!, compared, {
    from,
    steps,
    gradientsEvery,
    learningRate: (step) => learningRateAt(schedule, step),
    onStep: (step, losses) =>
      options.onStep?.(step - from, steps, [losses[0]!, ...losses.slice(1 + spreading.length)]),
    check: () => throwIfAborted(options),
  })
}

/** What all sides begin from, in words. */
function beginning({ model, seed }: ResolvedRun, { checkpoint }: Prepared): string {
  if (checkpoint !== undefined) return `checkpoint of step ${checkpoint.state.step}`
  return model.from === undefined ? `first weights of seed ${seed}` : `weights of ${model.from}`
}

function throwIfAborted({ signal }: VerifyRuntimesOptions): void {
  if (!signal?.aborted) return
  const message = 'the comparison was stopped'
  throw new RegaugeError('interrupted', { code: 'VERIFY_INTERRUPTED', message })
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
