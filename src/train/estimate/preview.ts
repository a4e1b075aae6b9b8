/** @file A run as `train` would begin it or go on with it, looked at without training: for `check`. */
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
import type { Graph } from '../../graph/index.ts'
import { measureMatmul } from '../../runtime/index.ts'
import { decodeStep, evaluateStep } from '../../steps/index.ts'
import { type Checkpoint, CHECKPOINT_FILES as FILES, newestCheckpoint } from '../checkpoint/files.ts'
import type { PlaceOptions } from '../place.ts'
import { type Attempt, preparePlace, prepareRun, type RunTokenizer, type Sources } from '../prepare.ts'
import { corpusOf, trainTokenizer } from '../prepare-data.ts'
import { resolveArchitecture, type Vocabulary } from '../resolve-model.ts'
import type { ResolvedRun } from '../run/index.ts'
import { requireWritableFolder } from '../run-folder.ts'
import { stepPrograms, trainerOptions } from '../step-programs.ts'
import { makePlan, type RunPlan } from './run-plan.ts'
import { requireSequence, textNotes } from './text-size.ts'

export interface CheckOptions extends PlaceOptions {
  /** Folder of the run; by default `<run.output>/<run.name>`. */
  readonly folder?: string
}

/**
 * Checks all of a run that can be checked without training it, as `train` would begin it or go on with it: text,
 * tokenizer, model, weights, checkpoint, memory, disk, output folder. Writes nothing. Throws one RegaugeError with
 * every problem found.
 *
 * @example
 * ```ts
 * import { checkRun, loadRun } from 'regauge'
 *
 * const { run } = await loadRun('run.yaml', { set: ['train.steps=1000'] })
 * const { steps, tokens, seconds } = await checkRun(run)
 * console.log(steps, tokens, seconds?.expected)
 * ```
 */
export async function checkRun(run: ResolvedRun, options: CheckOptions = {}): Promise<RunPlan> {
  const folder = options.folder ?? join(run.output, run.name)
  const problems: RegaugeError[] = []
  const attempt: Attempt<undefined> = async (work) => {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof RegaugeError)) throw error
      problems.push(error)
      return undefined
    }
  }
  const notes: string[] = []
  const sources = whatIsThere(run, folder, (message) => notes.push(message))
  const prepared = await prepareRun(run, folder, sources, attempt)
  // the kernels of a sample are those of the whole
  const place = await preparePlace(prepared, options, ({ sample }) => sample, attempt)
  try {
    await attempt(() => requireWritableFolder(folder))
    const { architecture, modelNotes, text } = prepared
    if (problems.length > 0 || architecture === undefined || place === undefined) {
      const issues = problems.flatMap((problem) => problem.issues)
      throw new RegaugeError(problems[0]!.kind, issues, { cause: problems[0] })
    }
    const { best } = await measureMatmul(place.runtime)
    const known = [...notes, ...modelNotes, ...(text?.notes ?? [])]
    return makePlan({ ...prepared, architecture }, place, known, best)
  } finally {
    place?.runtime.dispose()
  }
}

/** What a run has so far; nothing is made. */
function whatIsThere(
  run: ResolvedRun,
  folder: string,
  note: (message: string) => void,
): Sources<Tokenizer | Vocabulary, undefined> {
  return {
    checkpoint: () => newestCheckpoint(join(folder, 'checkpoints'), note, 'passed over'),
    tokenizer: (checkpoint) => tokenizerOf(run, folder, checkpoint),
    async text(vocabulary, checkpoint) {
      const shards = await shardsIn(folder)
      // a run that goes on needs its text no more
      if (checkpoint !== undefined && shards !== undefined)
        return { shards, tokens: shards.train.tokens, notes: [] }
      const split = await openText(run)
      const tokens = vocabulary && (await countTokens(run, split, vocabulary))
      // shards of a run that was stopped before its first checkpoint are not used again unseen, but tell how many
      return {
        shards: undefined,
        tokens: tokens ?? shards?.train.tokens,
        notes: textNotes(run, split, tokens),
      }
    },
  }
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
  const { vocabulary } = await tokenizerOf(run, join(run.output, run.name))
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
async function tokenizerOf(
  run: ResolvedRun,
  folder: string,
  checkpoint?: Checkpoint,
): Promise<RunTokenizer<Tokenizer | Vocabulary, undefined>> {
  const made = join(checkpoint?.folder ?? folder, FILES.tokenizer)
  const given = checkpoint === undefined ? run.tokenizer?.file : undefined
  const file = given ?? (existsSync(made) ? made : undefined)
  if (file === undefined) return { file, vocabulary: { vocabSize: run.tokenizer!.train!.vocabSize } }
  const tokenizer = await loadTokenizer(file)
  requireEndOfText(tokenizer)
  return { file, vocabulary: tokenizer }
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
