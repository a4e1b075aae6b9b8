/** @file What comes before the first step, in the order of `train` and of `check`: checkpoint, text, model, place. */
import { existsSync } from 'node:fs'
import type { TokenShards } from '../data/index.ts'
import { hashFile, openSafetensorsFolder } from '../formats/index.ts'
import type { Architecture } from '../model/index.ts'
import type { Runtime } from '../runtime/index.ts'
import { exactSettings, requireSameSettings } from './checkpoint/exactness.ts'
import type { Checkpoint, ExactSettings } from './checkpoint/files.ts'
import { checkpointBytes, checkSpace } from './checkpoint/write.ts'
import { estimateWithin, type TensorPlace, tensorPlace, type Within } from './estimate/estimate.ts'
import { requireKernels, requirePrecision } from './kernels.ts'
import { openPlace, type PlaceOptions } from './place.ts'
import { resolveArchitecture, type Vocabulary } from './resolve-model.ts'
import { type PlannedSteps, plannedSteps, type ResolvedRun } from './run/index.ts'
import { checkWeights } from './state.ts'
import { type StepPrograms, trainerOptions } from './step-programs.ts'

/**
 * Does a part of the preparation. `train` lets its error pass, so nothing is missing afterwards (never); `check` keeps
 * the error for its report and goes on with what does not depend on the part (undefined).
 */
export type Attempt<Missing extends undefined> = <T>(work: () => Promise<T> | T) => Promise<T | Missing>

/** Where the parts of a run are from: `train` makes what is missing, `check` only looks. */
export interface Sources<V extends Vocabulary, Missing extends undefined> {
  /** The newest good checkpoint; undefined for a run that has none yet. */
  checkpoint(): Promise<Checkpoint | undefined>
  tokenizer(checkpoint: Checkpoint | undefined): Promise<RunTokenizer<V, Missing>>
  text(vocabulary: V | Missing, checkpoint: Checkpoint | undefined): Promise<RunText<Missing>>
}

export interface RunTokenizer<V extends Vocabulary, Missing extends undefined> {
  readonly vocabulary: V
  /** Its tokenizer.json; missing where that is still to be trained. */
  readonly file: string | Missing
}

export interface RunText<Missing extends undefined> {
  /** Missing where they are still to be made. */
  readonly shards: TokenShards | Missing
  /** Tokens to train on; missing where nobody has counted them. */
  readonly tokens: number | Missing
  /** What a person is to know of the text. */
  readonly notes: readonly string[]
}

/** What is settled before anything is allocated. */
export interface PreparedRun<V extends Vocabulary, Missing extends undefined> {
  readonly run: ResolvedRun
  readonly folder: string
  readonly checkpoint: Checkpoint | undefined
  readonly vocabulary: V | Missing
  readonly architecture: Architecture | Missing
  /** What a person is to know of the model: what of it is left out. */
  readonly modelNotes: readonly string[]
  readonly text: RunText<Missing> | Missing
  readonly planned: PlannedSteps | Missing
  readonly settings: ExactSettings | Missing
}

/**
 * Finds what a run goes on from and what it is trained with, and refuses settings other than those of its checkpoint.
 * `folder` is the run's, for messages.
 */
export async function prepareRun<V extends Vocabulary, Missing extends undefined>(
  run: ResolvedRun,
  folder: string,
  sources: Sources<V, Missing>,
  attempt: Attempt<Missing>,
): Promise<PreparedRun<V, Missing>> {
  const checkpoint = await attempt(() => sources.checkpoint())
  const tokenizer = await attempt(() => sources.tokenizer(checkpoint))
  // a tokenizer that is broken hides no problem of the model
  const modelNotes: string[] = []
  const architecture = await attempt(() =>
    resolveArchitecture(run, tokenizer?.vocabulary ?? { vocabSize: 1 }, (text) => void modelNotes.push(text)),
  )
  // weights that do not fit are told before hours go into the text
  if (checkpoint === undefined) await attempt(() => checkFirstWeights(run, architecture))
  const vocabulary = tokenizer?.vocabulary as V | Missing
  const text = await attempt(() => sources.text(vocabulary, checkpoint))

  const tokens = text?.tokens ?? (run.train.epochs === undefined ? 0 : undefined)
  const planned = (tokens === undefined ? undefined : plannedSteps(run, tokens)) as PlannedSteps | Missing
  const settings = await attempt(async () => {
    const [file, shards] = [tokenizer?.file, text?.shards]
    if (!architecture || !planned || !file || !shards) return undefined as Missing
    const contents = {
      tokenizer: await hashFile(file),
      trainingTokens: await hashFile(`${shards.train.prefix}.bin`),
    }
    const settings = exactSettings(run, architecture, planned, contents)
    if (checkpoint !== undefined) requireSameSettings(checkpoint.state, settings, folder)
    return settings
  })
  return { run, folder, checkpoint, vocabulary, architecture, modelNotes, text, planned, settings }
}

/** Looks at the weights that a new run begins from, where it names some; what is in them, where the model is not known. */
async function checkFirstWeights({ model }: ResolvedRun, a: Architecture | undefined): Promise<void> {
  if (model.from === undefined || !existsSync(model.from)) return
  if (a === undefined) await openSafetensorsFolder(model.from)
  else await checkWeights(a, model.from)
}

/** Where a run is trained, with room and kernels for it. */
export interface PreparedPlace {
  /** The caller's to dispose of. */
  readonly runtime: Runtime
  /** Why there. */
  readonly reason: string
  readonly tensors: TensorPlace
  readonly estimate: Within['estimate']
  /** Those of `programsOf`, as the runtime takes them. */
  readonly programs: StepPrograms
}

/**
 * Opens where a run shall go on, and refuses a place that has no room, no disk, or no kernels for `programsOf` it: all
 * of its programs, or a sample that has every kind of node.
 */
export async function preparePlace<Missing extends undefined>(
  { run, folder, architecture, checkpoint }: PreparedRun<Vocabulary, Missing>,
  options: PlaceOptions,
  programsOf: (within: Within) => StepPrograms,
  attempt: Attempt<Missing>,
): Promise<PreparedPlace | Missing> {
  const { precision } = run.train
  const place = await attempt(() => openPlace(options, checkpoint?.state.runtime))
  const runtime = place?.runtime
  const tensors = runtime && tensorPlace(runtime)
  let whole = false
  try {
    const within =
      architecture &&
      tensors &&
      (await attempt(() => estimateWithin(architecture, trainerOptions(run), tensors)))
    if (architecture)
      await attempt(() => checkSpace(folder, checkpointBytes(architecture, run.optimizer.kind)))
    const programs =
      runtime &&
      within &&
      (await attempt(() => requireKernels(programsOf(within), runtime.name, precision, options.allowHost)))
    if (runtime && programs) await attempt(() => requirePrecision(runtime, precision))
    whole = programs !== undefined
    if (!place || !tensors || !within || !programs) return undefined as Missing
    return { ...place, tensors, estimate: within.estimate, programs }
  } finally {
    if (!whole) runtime?.dispose()
  }
}
