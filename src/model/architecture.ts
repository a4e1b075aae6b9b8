/** @file A decoder that trains: its sizes, and all that its parameters and its graph follow from. */
import { nearest, RegaugeError } from '../errors.ts'
import type { HfConfig } from '../formats/index.ts'
import { ACTIVATION_NAMES } from './activation.ts'
import { show } from './config-reader.ts'
import type { Decoder } from './decoder.ts'
import { DECODER_FAMILY_NAMES, FAMILY_NAMES, type FamilyName, trainingOf } from './families.ts'
import { ACTIVATION_KEYS, type FamilyReader, type ReadModel, readModel } from './read-decoder.ts'
import type { TrainedDecoder, Traits } from './training.ts'
import { untrainedReason } from './untrained.ts'

/** A decoder with everything that its parameters and its graph follow from. Sizes in elements. */
export interface Architecture extends TrainedDecoder, Traits {
  readonly family: FamilyName
  readonly initializerRange: number
  /** The `config.json` that this was read from, or the text part of it, unknown keys included. */
  readonly config: HfConfig
}

/** Keys of shares of values that are dropped in training, which is not done here; heads that classify are not built. */
const DROPOUT = /^(?!summary_|classifier_)(\w+_)?(dropout|pdrop)$/

/**
 * Reads an architecture from the keys of a `config.json`. Missing keys take the default of the family's transformers
 * class, but sizes of the model must be there. `note` is told what is left out. Throws RegaugeError with every problem
 * at once, and for a decoder that can be planned for alone with the reason.
 */
export function readArchitecture(
  config: HfConfig,
  file = 'config.json',
  note: (text: string) => void = () => {},
): Architecture {
  const read = readModel(config, file, () => {})
  const { reader, issues } = read
  const family = trainedFamily(read, file)
  const training = trainingOf(family)
  if (reader.keys !== config) note('read from text_config; what else the model has is not trained')
  readDropout(reader, note)
  const decoder = trainedDecoder(reader, read.decoder)
  const traits = training.traits(reader, decoder)
  if (
    reader.sound('heads', 'hiddenSize', 'headSize') &&
    traits.rope !== undefined &&
    traits.rotarySize % 2 !== 0
  ) {
    reader.report('CONFIG_SHAPE', `head_dim must be even for rotary embeddings, got ${traits.rotarySize}`)
  }
  const architecture: Architecture = {
    ...decoder,
    ...traits,
    family: (training.writtenAs as FamilyName | undefined) ?? family,
    initializerRange: reader.number('initializer_range', 0.02),
    config: reader.keys,
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  return architecture
}

/** Name of the transformers class of a family, for `architectures` in a config.json. */
export function className(family: FamilyName): string {
  return trainingOf(family).className
}

/** The family of a decoder that trains; throws with the reason for any other. */
function trainedFamily({ decoder, reader, family, typeText }: ReadModel, file: string): FamilyName {
  const type = reader.keys.model_type
  const trained = `trained are ${FAMILY_NAMES.join(', ')}`
  const refusal = (message: string, hint: string) =>
    new RegaugeError('usage', { code: 'CONFIG_FAMILY', file, message, hint })
  if (family === undefined) {
    // the rules of a Llama would be a guess, and no ground to train on
    const close = typeof type === 'string' ? nearest(type, DECODER_FAMILY_NAMES) : undefined
    const guess = close === undefined ? '' : `; did you mean ${close}?`
    throw refusal(type === undefined ? typeText : `${typeText} is not known`, `${trained}${guess}`)
  }
  const reason = untrainedReason(decoder, family)
  if (reason !== undefined) throw refusal(`${typeText} plans, does not train: ${reason}`, trained)
  return type as FamilyName
}

/** Tells which shares would be dropped in transformers: there they are for training alone, and here they are left out. */
function readDropout(r: FamilyReader, note: (text: string) => void): void {
  const told: string[] = []
  for (const key of Object.keys({ ...r.family.defaults, ...r.keys })) {
    if (!DROPOUT.test(key)) continue
    const [, share] = r.find([key])
    if (share == null || share === 0) continue
    if (typeof share === 'number' && share > 0 && share < 1) told.push(`${key} ${share}`)
    else r.report('CONFIG_VALUE', `${key} must be a number from 0 to below 1, got ${show(share)}`)
  }
  if (told.length > 0) note(`trains without dropout, where the model has ${told.join(', ')}`)
}

/** A decoder with the parts that a graph needs to know; what is none of them is reported. */
function trainedDecoder(r: FamilyReader, decoder: Decoder): TrainedDecoder {
  const { attention, activation } = decoder
  if (attention.kind !== 'heads') throw new TypeError(`attention of kind ${attention.kind} does not train`)
  if (activation === undefined) {
    const [key, value] = r.find(ACTIVATION_KEYS)
    r.report('CONFIG_VALUE', `${key} must be one of ${ACTIVATION_NAMES.join(', ')}, got ${show(value)}`)
  }
  // transformers reads layer_types of some families alone
  const kinds = new Set(decoder.windows)
  const { windows } = r.family
  if ((windows === 'all' && kinds.size > 1) || (windows === 'none' && decoder.windows.some(Boolean)))
    r.report('CONFIG_VALUE', `layer_types must name one kind of attention: layers of this family are alike`)
  return {
    ...decoder,
    attention,
    activation: activation ?? 'silu',
    maxPositions: decoder.maxPositions ?? r.size('positions'),
  }
}
