/** @file The architecture of a run: a preset, a config.json or a Hugging Face folder, with the run's overrides. */
import { join } from 'node:path'
import { type Issue, RegaugeError } from '../errors.ts'
import { type HfConfig, readHfConfig } from '../formats/index.ts'
import {
  type Architecture,
  FAMILY_NAMES,
  presetConfig,
  readArchitecture,
  spelledKey,
} from '../model/index.ts'
import type { ResolvedRun } from './run/index.ts'

/** What an architecture must know of the tokenizer. */
export interface Vocabulary {
  /** One more than the largest id. */
  readonly vocabSize: number
  readonly eosId?: number
}

/** Rows of an embedding that follows the tokenizer are rounded up to a multiple of this, for the kernels. */
const VOCABULARY_MULTIPLE = 64

/** Positions of a preset, or more where a sequence is longer. */
const PRESET_POSITIONS = 2048

/** The preset of a run, as a model of the family that its overrides name, a Llama where they name none that trains. */
function presetOf({ model, data }: ResolvedRun, { vocabSize }: Vocabulary): HfConfig {
  const family = FAMILY_NAMES.find((name) => name === model.overrides?.model_type)
  return presetConfig(model.preset!, family, {
    vocabularySize: Math.ceil(vocabSize / VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE,
    positions: Math.max(PRESET_POSITIONS, data.sequenceLength),
  })
}

/**
 * The architecture that a run trains. A preset takes its vocabulary size from the tokenizer, rounded up to a multiple
 * of 64, unless the run gives one; a config.json keeps its own. Throws `RegaugeError('usage')` with every problem of
 * the config, a vocabulary smaller than the tokenizer's, or too few positions; tells `note` what of it is left out.
 */
export async function resolveArchitecture(
  run: ResolvedRun,
  vocabulary: Vocabulary,
  note: (text: string) => void = () => {},
): Promise<Architecture> {
  const { model, data } = run
  const file = model.config ?? (model.from === undefined ? undefined : join(model.from, 'config.json'))
  const config: Record<string, unknown> = {
    ...(file === undefined ? presetOf(run, vocabulary) : await readHfConfig(file)),
  }
  if (model.from === undefined) {
    // ids of the tokenizer at hand, not of the one that the config was written for
    config.pad_token_id = null
    config.bos_token_id = vocabulary.eosId ?? null
    config.eos_token_id = vocabulary.eosId ?? null
  }
  for (const [key, value] of Object.entries(model.overrides ?? {}))
    if (value !== undefined) config[spelledKey(config.model_type, key)] = value

  const place = file ?? `preset ${model.preset}`
  const architecture = readArchitecture(config, place, (text) => note(`${place}: ${text}`))
  const issues: Issue[] = []
  const report = (code: string, message: string, hint: string) => {
    issues.push({ code, message, hint, ...(file === undefined ? {} : { file }) })
  }
  if (architecture.vocabularySize < vocabulary.vocabSize) {
    const message = `the model has ${architecture.vocabularySize} tokens, the tokenizer ${vocabulary.vocabSize}`
    const hint =
      model.from === undefined ? 'set model.overrides.vocab_size' : 'use the tokenizer of the model'
    report('RUN_VOCABULARY', message, hint)
  }
  if (architecture.maxPositions < data.sequenceLength) {
    const message = `data.sequenceLength ${data.sequenceLength} is more than the model's ${architecture.maxPositions} positions`
    report('RUN_POSITIONS', message, 'shorten it or set model.overrides.max_position_embeddings')
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  return architecture
}
