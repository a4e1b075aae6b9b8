/** @file What a run is going to be, before it starts: model, steps, memory, FLOPs, time. For `check` and for `train`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CorpusSplit,
  loadTokenizer,
  openTokenShards,
  requireEndOfText,
  splitCorpus,
  type Tokenizer,
  type TokenShards,
} from '../../data/index.ts'
import { RegaugeError } from '../../errors.ts'
import { hashFile, openSafetensorsFolder } from '../../formats/index.ts'
import type { Graph } from '../../graph/index.ts'
import type { Architecture } from '../../model/index.ts'
import { measureMatmul } from '../../runtime/index.ts'
import { decodeStep, evaluateStep } from '../../steps/index.ts'
import { exactSettings, requireSameSettings } from '../checkpoint/exactness.ts'
import {
  type Checkpoint,
  damagedCheckpoints,
  CHECKPOINT_FILES as FILES,
  listCheckpoints,
  noneGood,
  wholeCheckpoints,
} from '../checkpoint/files.ts'
import { checkpointBytes, checkSpace } from '../checkpoint/write.ts'
import { requireKernels, requirePrecision } from '../kernels.ts'
import { openPlace, type PlaceOptions } from '../place.ts'
import { corpusOf, trainTokenizer } from '../prepare-data.ts'
import { resolveArchitecture, type Vocabulary } from '../resolve-model.ts'
import { plannedSteps, type ResolvedRun } from '../run/index.ts'
import { requireWritableFolder } from '../run-folder.ts'
import { checkWeights } from '../state.ts'
import { stepPrograms, trainerOptions } from '../step-programs.ts'
import { type Estimate, estimateWithin, type TensorPlace, tensorPlace } from './estimate.ts'
import { requireSequence, textNotes } from './text-size.ts'

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

/** Puts a plan together. */
export function makePlan(
  known: Pick<
    RunPlan,
    | 'run'
    | 'folder'
    | 'architecture'
    | 'estimate'
    | 'startStep'
    | 'steps'
    | 'matmulFlopsPerSecond'
    | 'notes'
    | 'place'
    | 'memoryOn'
    | 'availableBytes'
  >,
): RunPlan {
  const { steps, estimate, startStep, matmulFlopsPerSecond } = known
  const best = steps && (Math.max(0, steps - startStep) * estimate.flopsPerStep) / matmulFlopsPerSecond
  return {
    ...known,
    tokens: steps && steps * estimate.tokensPerStep,
    flops: steps && steps * estimate.flopsPerStep,
    seconds: best === undefined ? undefined : { best, expected: best / USUAL_SHARE },
  }
}

export interface CheckOptions extends PlaceOptions {
  /** Folder of the run; by default `<run.output>/<run.name>`. */
  readonly folder?: string
}

/**
 * Checks all of a run that can be checked without training it, as `train` would begin it or go on with it: text,
 * tokenizer, model, weights, checkpoint, memory, disk, output folder. Writes nothing. Throws one RegaugeError with
 * every problem found.
 */
export async function checkRun(run: ResolvedRun, options: CheckOptions = {}): Promise<RunPlan> {
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
  const notes: string[] = []
  const checkpoint = await attempt(() => newestWhole(folder, (message) => notes.push(message)))
  // a run that goes on needs its text no more
  const shards = checkpoint && (await shardsIn(folder))
  const split = shards === undefined ? await attempt(() => openText(run)) : undefined
  const vocabulary = await attempt(() => vocabularyOf(run, folder, checkpoint))
  const tokens =
    shards?.train.tokens ??
    (split && vocabulary && (await attempt(() => countTokens(run, split, vocabulary))))
  // a tokenizer that is broken hides no problem of the model
  const architecture = await attempt(() => resolveArchitecture(run, vocabulary ?? { vocabSize: 1 }))
  const { from } = run.model
  if (from !== undefined && existsSync(from)) {
    await attempt(async () => {
      if (architecture === undefined) await openSafetensorsFolder(from)
      else await checkWeights(architecture, from)
    })
  }
  if (architecture !== undefined && checkpoint !== undefined && shards !== undefined)
    await attempt(() => requireSameRun(run, folder, architecture, checkpoint, shards))
  const place = await attempt(() => openPlace(options, checkpoint?.state.runtime))
  const tensors = place && tensorPlace(place.runtime)
  const within =
    architecture &&
    tensors &&
    (await attempt(() => estimateWithin(architecture, trainerOptions(run), tensors)))
  const estimate = within?.estimate
  if (within !== undefined && place !== undefined) {
    const { runtime } = place
    await attempt(() => requireKernels(within.sample, runtime.name, run.train.precision, options.allowHost))
    await attempt(() => requirePrecision(runtime, run.train.precision))
  }
  await attempt(() => requireWritableFolder(folder))
  if (architecture !== undefined) await attempt(() => checkSpace(folder, checkpointBytes(architecture)))
  if (
    problems.length > 0 ||
    architecture === undefined ||
    estimate === undefined ||
    place === undefined ||
    tensors === undefined
  ) {
    place?.runtime.dispose()
    const issues = problems.flatMap((problem) => problem.issues)
    throw new RegaugeError(problems[0]!.kind, issues, { cause: problems[0] })
  }
  const { runtime, reason } = place
  try {
    const { best } = await measureMatmul(runtime)
    return makePlan({
      run,
      folder,
      architecture,
      estimate,
      startStep: checkpoint?.state.step ?? 0,
      steps: await stepsOf(run, folder, tokens),
      notes: split === undefined ? notes : [...notes, ...textNotes(run, split, tokens)],
      matmulFlopsPerSecond: best,
      place: `${runtime.description} (${reason})`,
      memoryOn: tensors.on,
      availableBytes: tensors.bytes,
    })
  } finally {
    runtime.dispose()
  }
}

/** The checkpoint that `train` would go on from; it refuses a run of which none is whole. */
async function newestWhole(folder: string, note: (message: string) => void): Promise<Checkpoint | undefined> {
  const checkpoints = join(folder, 'checkpoints')
  const { value } = await wholeCheckpoints(checkpoints, note).next()
  if (value !== undefined) return value
  const damaged = [...(await listCheckpoints(checkpoints)), ...(await damagedCheckpoints(checkpoints))]
  if (damaged.length > 0) throw noneGood(checkpoints, damaged.length)
  return undefined
}

/** Refuses settings other than the checkpoint's, as `train` does. */
async function requireSameRun(
  run: ResolvedRun,
  folder: string,
  architecture: Architecture,
  checkpoint: Checkpoint,
  shards: TokenShards,
): Promise<void> {
  const settings = exactSettings(run, architecture, plannedSteps(run, shards.train.tokens), {
    tokenizer: await hashFile(join(checkpoint.folder, FILES.tokenizer)),
    trainingTokens: await hashFile(`${shards.train.prefix}.bin`),
  })
  requireSameSettings(checkpoint.state, settings, folder)
}

/** The token shards of a run folder; undefined where `train` has to make them. */
async function shardsIn(folder: string): Promise<TokenShards | undefined> {
  try {
    return await openTokenShards(join(folder, 'data'))
  } catch (error) {
    if (error instanceof RegaugeError) return undefined
    throw error
  }
}

/** The programs of a run by name: those that train, evaluate and generate. Nothing is compiled. */
export async function programsOf(run: ResolvedRun): Promise<Map<string, Graph>> {
  const vocabulary = await vocabularyOf(run, join(run.output, run.name))
  const architecture = await resolveArchitecture(run, vocabulary)
  const { microBatchSize: microBatch, sequenceLength, ...options } = trainerOptions(run)
  const { train, accumulate } = stepPrograms(architecture, {
    ...options,
    microBatchSize: microBatch,
    sequenceLength,
  })
  const programs = [
    train,
    ...(accumulate === undefined ? [] : [accumulate]),
    evaluateStep(architecture, { microBatch, sequenceLength }),
    decodeStep(architecture, { tokens: 1, cacheLength: Math.min(sequenceLength, architecture.maxPositions) }),
  ]
  return new Map(programs.map(({ name, graph }) => [name, graph]))
}

/** The text, of which the first document of each part was read. */
async function openText(run: ResolvedRun): Promise<CorpusSplit> {
  const split = await splitCorpus(corpusOf(run))
  for (const part of ['train', 'heldout'] as const) for await (const _ of split.documents(part)) break
  return split
}

/** The tokenizer of the checkpoint, or else of the run; of one that is yet to be trained, the largest vocabulary that it may have. */
async function vocabularyOf(
  run: ResolvedRun,
  folder: string,
  checkpoint?: Checkpoint,
): Promise<Tokenizer | Vocabulary> {
  const made = join(checkpoint?.folder ?? folder, FILES.tokenizer)
  const given = checkpoint === undefined ? run.tokenizer?.file : undefined
  const file = given ?? (existsSync(made) ? made : undefined)
  if (file === undefined) return { vocabSize: run.tokenizer!.train!.vocabSize }
  const tokenizer = await loadTokenizer(file)
  requireEndOfText(tokenizer)
  return tokenizer
}

/** No text is taken to have more bytes than this for a token. */
const MOST_BYTES_A_TOKEN = 8

/**
 * Tokens of the training text where that may be less than a batch, counted with the run's tokenizer or with one trained
 * on it, as `train` will; undefined where there is more. Throws when there is not one sequence.
 */
async function countTokens(
  run: ResolvedRun,
  split: CorpusSplit,
  vocabulary: Tokenizer | Vocabulary,
): Promise<number | undefined> {
  const most = run.train.batchSize * run.data.sequenceLength * MOST_BYTES_A_TOKEN
  const texts: string[] = []
  let bytes = 0
  for await (const { text } of split.documents('train')) {
    bytes += Buffer.byteLength(text)
    if (bytes > most) return undefined
    texts.push(text)
  }
  const tokenizer =
    'encode' in vocabulary ? vocabulary : await loadTokenizer(await trainTokenizer(run, texts))
  const tokens = texts.reduce((sum, text) => sum + tokenizer.encode(text).length + 1, 0)
  requireSequence(run, tokens)
  return tokens
}

/** Steps of the run; epochs can be counted in steps only where the tokens are. */
async function stepsOf(
  run: ResolvedRun,
  folder: string,
  tokens: number | undefined,
): Promise<number | undefined> {
  if (run.train.epochs === undefined || tokens !== undefined) return plannedSteps(run, tokens ?? 0).steps
  const shards = await shardsIn(folder)
  return shards && plannedSteps(run, shards.train.tokens).steps
}
