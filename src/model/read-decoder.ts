/** @file The sizes of any public decoder from the keys of its Hugging Face `config.json`: one reading for all commands. */
import { type Issue, nearest, RegaugeError } from '../errors.ts'
import type { HfConfig } from '../formats/index.ts'
import { activationOf } from './activation.ts'
import { type ConfigReader, configReader, LAYER_LIMIT, show, valueAt } from './config-reader.ts'
import type { Attention, Decoder, Experts } from './decoder.ts'
import { decoderParameters } from './decoder-counts.ts'
import { DECODER_FAMILY_NAMES, familyOf } from './families.ts'
import { type Family, UNKNOWN_FAMILY } from './family.ts'
import { KEYS } from './keys.ts'
import { untrainedReason } from './untrained.ts'

/** Keys of parts that no decoder here has; to leave them out would give wrong counts in silence. */
const FOREIGN_KEYS: Readonly<Record<string, string>> = {
  audio_vocab_size: 'embeddings of sound',
  conv_L_cache: 'convolutions',
  cross_attention_layers: 'attention over images',
  hidden_size_per_layer_input: 'embeddings of each layer',
  is_encoder_decoder: 'an encoder',
  keep_window_size: 'attention by a learned mask',
  linear_attn_config: 'linear attention',
  linear_num_key_heads: 'linear attention',
  lru_width: 'recurrence',
  mamba_d_state: 'state-space layers',
  ssm_cfg: 'state-space layers',
  state_size: 'state-space layers',
  ssm_state_size: 'state-space layers',
  index_n_heads: 'an indexer of sparse attention',
  per_layer_config: 'layers of different sizes',
  type_vocab_size: 'an encoder',
  zero_expert_num: 'experts that do nothing',
}

/** Activations that come with a gate in all families that have them under `hidden_act`. */
const GATED_ACTIVATIONS: readonly string[] = ['silu', 'swish', 'swiglu', 'gelu', 'gelu_pytorch_tanh']

const ATTENTION_TYPES = ['full_attention', 'sliding_attention', 'chunked_attention']

/** A configuration that is read by the rules of a family. */
export interface FamilyReader extends ConfigReader {
  readonly family: Family
}

/** A configuration whose decoder was read. */
export interface ReadModel {
  readonly decoder: Decoder
  readonly reader: FamilyReader
  /** Undefined for a `model_type` that is not in the table. */
  readonly family: Family | undefined
  /** `model_type` as messages have it. */
  readonly typeText: string
  readonly issues: Issue[]
}

/**
 * Reads the sizes of a decoder from the keys of a `config.json`. A `model_type` that is not known is read by the rules
 * of a Llama when all sizes are there, with experts where keys say so; `note` is told so, what else was assumed, and
 * why a decoder that can be planned for does not train here. Of a model with `text_config`, that part alone is read.
 * Throws RegaugeError with every problem at once.
 */
export function readDecoder(
  config: HfConfig,
  file = 'config.json',
  note: (text: string) => void = () => {},
): Decoder {
  const read = readModel(config, file, note)
  if (read.issues.length > 0) throw new RegaugeError('usage', read.issues)
  const reason = untrainedReason(read.decoder, read.family)
  if (read.family !== undefined && reason !== undefined)
    note(`${read.typeText} plans, does not train: ${reason}`)
  return read.decoder
}

/** Reads a decoder as `readDecoder` does; throws for a `model_type` that cannot be read, gives other issues back. */
export function readModel(config: HfConfig, file: string, note: (text: string) => void): ReadModel {
  const keys = textPart(config)
  if (keys !== config) note('read from text_config; what else the model has is not counted')
  const issues: Issue[] = []
  const type = keys.model_type
  const family = familyOf(type)
  const rules = family ?? UNKNOWN_FAMILY
  const reader = { ...configReader(keys, rules, file, issues), family: rules }
  const typeText = type === undefined ? 'model_type is missing' : `model_type ${show(type)}`
  refuseForeignParts(reader, typeText, issues)

  const decoder = decoderOf(reader)
  const embedding = valueAt(keys, 'word_embed_proj_dim')
  if (embedding != null && embedding !== decoder.hiddenSize) {
    const message = `word_embed_proj_dim must be hidden_size ${decoder.hiddenSize}, got ${show(embedding)}`
    reader.report('CONFIG_SHAPE', message)
  }
  if (family === undefined) {
    refuseOtherThanLlama(reader, decoder)
    const close = typeof type === 'string' ? nearest(type, DECODER_FAMILY_NAMES) : undefined
    const unknown = type === undefined ? typeText : `${typeText} is not known`
    const hint = close === undefined ? undefined : `did you mean ${close}?`
    if (issues.length > 0) {
      issues.unshift({
        code: 'CONFIG_FAMILY',
        file,
        message: `${unknown}, and its keys are not those of a Llama`,
        hint: hint ?? 'a decoder is read by keys such as hidden_size, num_hidden_layers, num_attention_heads',
      })
    } else note(`${unknown}: read by the rules of a Llama${hint === undefined ? '' : `; ${hint}`}`)
  }
  if (issues.length === 0) {
    const { total } = decoderParameters(decoder)
    if (total > Number.MAX_SAFE_INTEGER)
      reader.report('CONFIG_SIZE', `${total} parameters are more than 2^53`)
  }
  return { decoder, reader, family, typeText, issues }
}

function decoderOf(r: FamilyReader): Decoder {
  const { family, flag, size } = r
  const hiddenSize = size('hiddenSize')
  const layers = size('layers', undefined, 1, LAYER_LIMIT)
  const heads = size('heads')
  const intermediateSize = readIntermediateSize(r, hiddenSize)
  const experts = readExperts(r, intermediateSize)
  const learned = family.positionsBeyond
  const maxPositions = learned !== undefined || r.has('positions') ? size('positions') : undefined
  return {
    hiddenSize,
    layers,
    vocabularySize: size('vocabularySize'),
    attention: readAttention(r, hiddenSize, heads),
    intermediateSize,
    gated: flag(family.gated),
    activation: activationOf(r.find(ACTIVATION_KEYS)[1] ?? family.activation),
    experts,
    expertLayers: readExpertLayers(r, layers, experts),
    windows: readWindows(r, layers),
    norm: family.norm,
    normVectors: typeof family.normVectors === 'function' ? family.normVectors(flag) : family.normVectors,
    normsPerLayer:
      typeof family.normsPerLayer === 'function'
        ? family.normsPerLayer(flag, (key) => r.find([key])[1])
        : family.normsPerLayer,
    embeddingNorm: family.embeddingNorm,
    biases: {
      queryKeyValue: flag(family.queryKeyValueBias),
      output: flag(family.outputBias),
      mlp: flag(family.mlpBias),
      router: flag(family.routerBias),
      head: flag(family.headBias),
    },
    queryKeyNorm: flag(family.queriesNormed) ? family.queryKeyNorm : false,
    attentionSinks: family.attentionSinks,
    positions: learned === undefined ? 0 : maxPositions! + learned,
    maxPositions,
    tiedEmbeddings: flag('tie_word_embeddings'),
    predictionLayers: size('predictionLayers', 0, 0, LAYER_LIMIT),
  }
}

/** Keys that name the activation of an MLP. */
export const ACTIVATION_KEYS = ['hidden_act', 'hidden_activation', 'activation_function']

function readIntermediateSize(r: FamilyReader, hiddenSize: number): number {
  const expansion = valueAt(r.keys, 'expansion_ratio') ?? r.family.expansion
  if (typeof expansion === 'number') return r.size('intermediateSize', expansion * hiddenSize)
  // where all layers have experts, the width of an MLP need not be there
  const [, expert] = r.find(KEYS.expertSize)
  const everywhere = typeof expert === 'number' && (r.find(KEYS.firstExpertLayer)[1] ?? 0) === 0
  return r.size('intermediateSize', everywhere ? expert : undefined)
}

function readAttention(r: FamilyReader, hiddenSize: number, heads: number): Attention {
  const { size, sound, keyOf, report } = r
  if (r.has('keyValueRank')) {
    return {
      kind: 'latent',
      heads,
      queryRank: size('queryRank', 0, 0),
      keyValueRank: size('keyValueRank'),
      plainHeadSize: size('plainHeadSize'),
      rotaryHeadSize: size('rotaryHeadSize'),
      valueHeadSize: size('valueHeadSize'),
    }
  }
  const one = r.family.oneKeyValueHead?.(r.flag)
  const keyValueHeads = one === undefined ? size('keyValueHeads', heads) : one ? 1 : heads
  const headSize = size('headSize', Math.max(1, Math.floor(hiddenSize / heads)))
  if (!r.has('headSize') && hiddenSize % heads !== 0 && sound('hiddenSize', 'heads')) {
    const message = `${keyOf('hiddenSize')} ${hiddenSize} is not a multiple of ${keyOf('heads')} ${heads}`
    report('CONFIG_SHAPE', message, 'set head_dim')
  }
  if (heads % keyValueHeads !== 0 && sound('heads', 'keyValueHeads')) {
    const message = `${keyOf('heads')} ${heads} is not a multiple of ${keyOf('keyValueHeads')} ${keyValueHeads}`
    report('CONFIG_SHAPE', message)
  }
  return { kind: 'heads', heads, keyValueHeads, headSize }
}

function readExperts(r: FamilyReader, mlpSize: number): Experts | null {
  const { size } = r
  const count = size('experts', 0, 0)
  // a dense sibling of a model with experts may say 1 (Hunyuan)
  if (count < 2) return null
  const active = size('activeExperts')
  if (active > count && r.sound('experts', 'activeExperts'))
    r.report('CONFIG_SHAPE', `${r.keyOf('activeExperts')} is ${active}, of ${count} experts`)
  const groups = readExpertGroups(r, count, active)
  const width = size('expertSize', mlpSize)
  const shared = size('sharedSize', size('sharedExperts', 0, 0) * width, 0)
  return {
    count,
    active,
    ...groups,
    intermediateSize: width,
    sharedIntermediateSize: shared,
    sharedGate: r.family.sharedGate && shared > 0,
  }
}

function readExpertGroups(
  r: ConfigReader,
  count: number,
  active: number,
): Pick<Experts, 'groups' | 'activeGroups'> {
  // DeepSeek-V2 says how it chooses; 0 stands for no groups as well
  const limited = r.find(['topk_method'])[1] !== 'greedy'
  const groups = limited ? Math.max(r.size('expertGroups', 1, 0), 1) : 1
  const activeGroups = groups > 1 ? r.size('activeGroups', groups) : 1
  if (groups > 1 && r.sound('experts', 'activeExperts', 'expertGroups', 'activeGroups')) {
    const groupsKey = r.keyOf('expertGroups')
    if (count % groups !== 0) {
      const hint = `set ${groupsKey} to a divisor, or to 1 for no groups`
      r.report('CONFIG_SHAPE', `${groupsKey} is ${groups}, of ${count} experts`, hint)
    } else if (activeGroups > groups || activeGroups * (count / groups) < active) {
      const message = `${r.keyOf('activeGroups')} is ${activeGroups}, of ${groups} groups of ${count / groups}, for ${active} experts`
      r.report('CONFIG_SHAPE', message, `give from ${Math.ceil((active * groups) / count)} to ${groups}`)
    }
  }
  return { groups, activeGroups }
}

function readExpertLayers(r: ConfigReader, layers: number, experts: Experts | null): boolean[] {
  if (experts === null) return Array.from({ length: layers }, () => false)
  const { size } = r
  const first = size('firstExpertLayer', 0, 0)
  const [, lastFound] = r.find(KEYS.lastExpertLayer)
  // -1 stands for the last
  const last = lastFound === -1 ? layers - 1 : size('lastExpertLayer', layers - 1, 0)
  const every = size('expertLayerEvery', 1)
  const step = size('expertLayerStep', 1)
  const dense = layerList(r, 'mlp_only_layers')
  const types = typeList(r, 'mlp_layer_types', ['dense', 'sparse'], layers)
  return Array.from({ length: layers }, (_, layer) =>
    types !== undefined
      ? types[layer] === 'sparse'
      : layer >= first &&
        layer <= last &&
        layer % every === 0 &&
        (layer + 1) % step === 0 &&
        !dense.has(layer),
  )
}

function readWindows(r: FamilyReader, layers: number): (number | undefined)[] {
  const rule = r.family.windows
  const types = typeList(r, 'layer_types', ATTENTION_TYPES, layers)
  const pattern = rule === 'pattern' && types === undefined ? r.size('windowPattern', 1) : 1
  const from = rule === 'upper' ? r.size('windowsFrom', 0, 0) : 0
  const use = r.find(['use_sliding_window'])[1]
  const windowed = (layer: number): boolean => {
    if (rule === 'upper' && use !== true) return false
    if (use === false) return false
    if (types !== undefined) return types[layer] !== 'full_attention'
    switch (rule) {
      case 'none':
        return false
      case 'all':
        return true
      case 'upper':
        return layer >= from
      case 'pattern':
        return (layer + 1) % pattern !== 0
      case 'odd':
        return layer % 2 === 1
    }
  }
  const some = Array.from({ length: layers }, (_, layer) => windowed(layer))
  if (!some.includes(true) || !r.has('window')) return some.map(() => undefined)
  const window = r.size('window')
  return some.map((has) => (has ? window : undefined))
}

/** A list with a name for each layer; undefined when the configuration has none. */
function typeList(
  { keys, report }: ConfigReader,
  key: string,
  allowed: readonly string[],
  layers: number,
): readonly unknown[] | undefined {
  const list = valueAt(keys, key)
  if (list == null) return undefined
  if (!Array.isArray(list) || list.length < layers) {
    report('CONFIG_VALUE', `${key} must be a list with an entry for each of ${layers} layers`)
    return undefined
  }
  const strange = list.findIndex((name) => !allowed.includes(name))
  if (strange < 0) return list
  report(
    'CONFIG_VALUE',
    `${key}[${strange}] must be one of ${allowed.join(', ')}, got ${show(list[strange])}`,
  )
  return undefined
}

function layerList({ keys, report }: ConfigReader, key: string): ReadonlySet<unknown> {
  const list = valueAt(keys, key) ?? []
  if (Array.isArray(list) && list.every(Number.isInteger)) return new Set(list)
  report('CONFIG_VALUE', `${key} must be a list of layers, got ${show(list)}`)
  return new Set()
}

/** Throws for a model with parts that no decoder has, which is reason enough: what else is missing follows from it. */
function refuseForeignParts({ keys, report }: ConfigReader, typeText: string, issues: Issue[]): void {
  for (const [key, part] of Object.entries(FOREIGN_KEYS)) {
    const value = valueAt(keys, key)
    if (value == null || value === false || value === 0) continue
    report('CONFIG_FAMILY', `${typeText}: ${key} stands for ${part}, which cannot be planned for`)
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
}

/** Activations without a gate and norms with means: what an unknown family says when it is not like a Llama. */
function refuseOtherThanLlama(r: ConfigReader, decoder: Decoder): void {
  const { find, report } = r
  const [activationKey, activation] = find(ACTIVATION_KEYS)
  if (activation != null && !GATED_ACTIVATIONS.includes(activation as string)) {
    const allowed = GATED_ACTIVATIONS.join(', ')
    report('CONFIG_VALUE', `${activationKey} must be one of ${allowed}, got ${show(activation)}`)
  }
  const [epsilonKey, epsilon] = find(['layer_norm_eps', 'layer_norm_epsilon', 'norm_epsilon'])
  if (epsilon != null && find(['rms_norm_eps'])[1] == null)
    report('CONFIG_FAMILY', `${epsilonKey} stands for layer norms, where a Llama has rms_norm_eps`)
  const [, headSize] = find(KEYS.headSize)
  const [valueKey, valueSize] = find(KEYS.valueHeadSize)
  if (decoder.attention.kind === 'heads' && valueSize != null && headSize !== valueSize)
    report('CONFIG_SHAPE', `${valueKey} must be head_dim ${show(headSize)}, got ${show(valueSize)}`)
}

/** The keys of the decoder of a model that sees or hears as well. */
function textPart(config: HfConfig): HfConfig {
  const text = valueAt(config, 'text_config')
  if (
    typeof text !== 'object' ||
    text === null ||
    Array.isArray(text) ||
    valueAt(config, 'hidden_size') !== undefined
  ) {
    return config
  }
  const { model_type, tie_word_embeddings } = config
  return {
    ...(model_type === undefined ? {} : { model_type }),
    ...(tie_word_embeddings === undefined ? {} : { tie_word_embeddings }),
    ...(text as HfConfig),
  }
}
