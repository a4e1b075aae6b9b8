/** @file A trained model, opened to be used: weights on a runtime, tokenizer, text generation. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createTextStream, loadTokenizer, type Tokenizer } from '../../data/index.ts'
import { RegaugeError } from '../../errors.ts'
import { readHfConfig } from '../../formats/index.ts'
import { type Architecture, readArchitecture } from '../../model/index.ts'
import { openRuntime, parseTarget, type Runtime, type Target } from '../../runtime/index.ts'
import { wholeCheckpoints } from '../checkpoint/files.ts'
import { allocateState, loadWeights, type TrainingState } from '../state.ts'
import type { GenerateSamples } from '../train.ts'
import { createGenerator, type Generator, type SamplingOptions } from './generate.ts'

/** A model that can evaluate and generate. */
export interface Model {
  /** The folder with its config.json. */
  readonly folder: string
  readonly architecture: Architecture
  readonly tokenizer: Tokenizer
  readonly runtime: Runtime
  readonly state: TrainingState
  dispose(): void
}

/** Options of `continueText`. */
export interface ContinueOptions extends Partial<SamplingOptions> {
  /** Tokens to make at most; 200 unless given. */
  readonly tokens?: number
}

/**
 * The folder of a model: `path` itself when it holds a config.json, else the newest good checkpoint of the run in it.
 * `note` is told of damaged checkpoints that were passed over. Throws RegaugeError when there is neither.
 */
export async function findModelFolder(
  path: string,
  note: (message: string) => void = () => {},
): Promise<string> {
  if (existsSync(join(path, 'config.json'))) return path
  const checkpoints = join(path, 'checkpoints')
  if (existsSync(checkpoints))
    for await (const { folder } of wholeCheckpoints(checkpoints, note)) return folder
  throw new RegaugeError('usage', {
    code: 'MODEL_MISSING',
    file: path,
    message: existsSync(path) ? 'holds neither a config.json nor checkpoints' : 'there is no such folder',
    hint: 'give the folder of a run, of a checkpoint, or of a Hugging Face model',
  })
}

/**
 * Opens the model in a folder: a run (its newest good checkpoint), a checkpoint, or a Hugging Face folder.
 *
 * @example
 * ```ts
 * import { continueText, openModel } from 'regauge'
 *
 * const model = await openModel('runs/books')
 * for await (const { text } of continueText(model, 'Once upon a time', { tokens: 50 })) console.log(text)
 * model.dispose()
 * ```
 */
export async function openModel(
  path: string,
  options: {
    readonly threads?: number
    /** Where it runs; by default on the host. */
    readonly on?: Target
    readonly note?: (message: string) => void
  } = {},
): Promise<Model> {
  const folder = await findModelFolder(path, options.note)
  const file = join(folder, 'config.json')
  const architecture = readArchitecture(await readHfConfig(file), file)
  const tokenizer = await loadTokenizer(folder)
  if (tokenizer.vocabSize > architecture.vocabularySize) {
    throw new RegaugeError('data', {
      code: 'TOKENIZER_TOO_LARGE',
      file: join(folder, 'tokenizer.json'),
      message: `the tokenizer has ids up to ${tokenizer.vocabSize - 1}, the model knows ${architecture.vocabularySize}`,
      hint: 'use the tokenizer that the model was trained with',
    })
  }
  const runtime = openRuntime(options.on ?? parseTarget('cpu'), {
    ...(options.threads !== undefined && { threads: options.threads }),
  })
  try {
    const state = allocateState(runtime, architecture)
    const dispose = () => {
      state.dispose()
      runtime.dispose()
    }
    await loadWeights(state, architecture, folder)
    return { folder, architecture, tokenizer, runtime, state, dispose }
  } catch (error) {
    runtime.dispose()
    throw error
  }
}

/**
 * Continues a text, piece by piece as whole characters come. Ends at the end-of-text token, which is not given out.
 *
 * @example
 * ```ts
 * import { continueText, openModel } from 'regauge'
 *
 * const model = await openModel('runs/books')
 * let answer = ''
 * for await (const { text } of continueText(model, 'The', { temperature: 0, tokens: 20 })) answer += text
 * model.dispose()
 * ```
 */
export async function* continueText(
  model: Model,
  prompt: string,
  options: ContinueOptions = {},
): AsyncGenerator<{ readonly text: string; readonly token: number }, void, void> {
  const { tokenizer, architecture } = model
  const ids = promptIds(tokenizer, prompt)
  const tokens = options.tokens ?? 200
  const positions = ids.length + tokens
  if (positions > architecture.maxPositions) {
    throw new RegaugeError('usage', {
      code: 'SAMPLE_TOO_LONG',
      message: `${ids.length} tokens of prompt and ${tokens} new ones are more than the model's ${architecture.maxPositions} positions`,
      hint: 'shorten the prompt or ask for fewer tokens',
    })
  }
  const generator = createGenerator(model.runtime, architecture, model.state, positions)
  try {
    yield* textOf(generator, tokenizer, ids, tokens, sampling(options))
  } finally {
    generator.dispose()
  }
}

/**
 * Writes the samples of a run while it trains; when it is to stop, no token more. The generator stays compiled from one
 * time to the next.
 */
export function createSampler(): GenerateSamples {
  let kept: { readonly state: TrainingState; readonly generator: Generator } | undefined
  return async ({ runtime, architecture, tokenizer, state, run, signal }) => {
    const { samples, sampleTokens, temperature, topK, topP } = run.evaluate
    const prompts = samples.map((prompt) => {
      // a prompt that leaves no room is cut from the front: what was said last counts
      const room = Math.max(1, architecture.maxPositions - sampleTokens)
      return promptIds(tokenizer, prompt).slice(-room)
    })
    const longest = Math.max(...prompts.map((ids) => ids.length)) + sampleTokens
    if (kept?.state !== state || kept.generator.maxLength < longest) {
      kept?.generator.dispose()
      kept = {
        state,
        generator: createGenerator(runtime, architecture, state, longest),
      }
    }
    const options = sampling({
      temperature,
      seed: run.seed,
      ...(topK !== undefined && { topK }),
      ...(topP !== undefined && { topP }),
    })
    const made: { prompt: string; text: string }[] = []
    for (const [i, ids] of prompts.entries()) {
      let text = ''
      for await (const piece of textOf(kept.generator, tokenizer, ids, sampleTokens, options)) {
        if (signal.aborted) return made
        text += piece.text
      }
      made.push({ prompt: samples[i]!, text })
    }
    return made
  }
}

async function* textOf(
  generator: Generator,
  tokenizer: Tokenizer,
  ids: Int32Array,
  tokens: number,
  options: SamplingOptions,
): AsyncGenerator<{ text: string; token: number }, void, void> {
  const stream = createTextStream(tokenizer)
  const stop = new Set(tokenizer.eosId === undefined ? [] : [tokenizer.eosId])
  let last = -1
  for await (const token of generator.generate(ids, tokens, options, stop)) {
    last = token
    if (!stop.has(token)) yield { text: stream.push(token), token }
  }
  const rest = stream.end()
  if (rest !== '') yield { text: rest, token: last }
}

/** The prompt's ids; a text begins after the end of another, so an empty prompt is the end-of-text token. */
function promptIds(tokenizer: Tokenizer, prompt: string): Int32Array {
  const ids = tokenizer.encode(prompt)
  return ids.length > 0 ? ids : Int32Array.of(tokenizer.eosId ?? 0)
}

function sampling(options: Partial<SamplingOptions>): SamplingOptions {
  return { temperature: 0.8, seed: 1, ...options }
}
