/** @file The sizes of any public decoder from the keys of its Hugging Face `config.json`, for planning alone. */
import { type Issue, nearest, RegaugeError } from '../errors.ts'
import type { HfConfig } from '../formats/index.ts'
import type { Attention, Decoder, Experts } from './decoder.ts'
import { decoderParameters } from './decoder-counts.ts'
import {
  DECODER_FAMILY_NAMES,
  FAMILIES,
  type Flag,
  KEYS,
  type SizeName,
  UNKNOWN_FAMILY,
} from './decoder-families.ts'

/** Larger sizes are mistakes or attacks. Wider than any plan, and products of two stay exact. */
const SIZE_LIMIT = 2 ** 26
/** Lists have an entry for each layer. */
const LAYER_LIMIT = 2 ** 14

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

/**
 * Reads the sizes of a decoder from the keys of a `config.json`. A `model_type` that is not known is read by the rules
 * of a Llama when all sizes are there, with experts where keys say so; `note` is told so, and what else was assumed.
 * Of a model with `text_config`, that part alone is read. Throws RegaugeError with every problem at once.
 */
export function readDecoder(
  config: HfConfig,
  file = 'config.json',
  note: (text: string) => void = () => {},
): Decoder {
  const issues: Issue[] = []
  const report = (code: string, message: string, hint?: string) =>
    void issues.push({ code, file, message, ...(hint === undefined ? {} : { hint }) })

  const text = textPart(config)
  if (text !== config) note('read from text_config; what else the model has is not counted')
  const keys = text
  const type = keys.model_type
  const known = typeof type === 'string' ? FAMILIES.get(type) : undefined
  const family = known ?? UNKNOWN_FAMILY
  const close =
    known === undefined && typeof type === 'string' ? nearest(type, DECODER_FAMILY_NAMES) : undefined
  const typeText = type === undefined ? 'model_type is missing' : `model_type ${show(type)} is not known`
  const typeHint = close === undefined ? undefined : `did you mean ${close}?`

  /** The first key of some that the configuration has, or that the family has a default for. */
  const find = (names: readonly string[]): readonly [key: string, value: unknown] => {
    for (const source of [keys, family.defaults]) {
      for (const name of names) {
        const value = at(source, name)
        if (value !== undefined) return [name, value]
      }
    }
    return [names[0]!, undefined]
  }
  const faulty = new Set<SizeName>()
  /** An integer within limits; null and missing count as `missing`, which is an issue when undefined. */
  const size = (name: SizeName, missing?: number, least = 1, most = SIZE_LIMIT): number => {
    const [key, found] = find(family.keys[name] ?? KEYS[name])
    const value = found ?? missing
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
    faulty.add(name)
    if (value === undefined) {
      const similar = nearest(
        key,
        Object.keys(keys).filter((other) => other !== key),
      )
      report(
        'CONFIG_VALUE',
        `${key} is missing`,
        similar === undefined ? undefined : `did you mean ${similar}?`,
      )
    } else {
      report('CONFIG_VALUE', `${key} must be an integer from ${least} to ${most}, got ${show(value)}`)
    }
    return least
  }
  const sound = (...names: readonly SizeName[]) => !names.some((name) => faulty.has(name))
  const flagged = new Set<string>()
  const flag = (rule: Flag): boolean => {
    if (typeof rule === 'boolean') return rule
    if (rule.startsWith('!')) return !flag(rule.slice(1))
    const [key, found] = find(rule.split('|'))
    const value = found ?? false
    if (typeof value === 'boolean') return value
    if (!flagged.has(key)) report('CONFIG_VALUE', `${key} must be true or false, got ${show(value)}`)
    flagged.add(key)
    return false
  }

  const hiddenSize = size('hiddenSize')
  const layers = size('layers', undefined, 1, LAYER_LIMIT)
  const heads = size('heads')
  const intermediateSize = readIntermediateSize()
  const experts = readExperts()
  const positionsBeyond = family.positionsBeyond
  const decoder: Decoder = {
    hiddenSize,
    layers,
    vocabularySize: size('vocabularySize'),
    attention: readAttention(),
    intermediateSize,
    gated: flag(family.gated),
    experts,
    expertLayers: readExpertLayers(),
    windows: readWindows(),
    norm: family.norm,
    normVectors: typeof family.normVectors === 'function' ? family.normVectors(flag) : family.normVectors,
    normsPerLayer:
      typeof family.normsPerLayer === 'function'
        ? family.normsPerLayer(flag, (key) => find([key])[1])
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
    positions: positionsBeyond === undefined ? 0 : size('positions') + positionsBeyond,
    tiedEmbeddings: flag('tie_word_embeddings'),
    predictionLayers: size('predictionLayers', 0, 0, LAYER_LIMIT),
  }
  refuseForeignParts()

  if (issues.length > 0 && known === undefined) {
    issues.unshift({
      code: 'CONFIG_FAMILY',
      file,
      message: `${typeText}, and its keys are not those of a Llama`,
      hint:
        typeHint ?? 'a decoder is read by keys such as hidden_size, num_hidden_layers, num_attention_heads',
    })
  }
  if (issues.length === 0) {
    const { total } = decoderParameters(decoder)
    if (total > Number.MAX_SAFE_INTEGER) report('CONFIG_SIZE', `${total} parameters are more than 2^53`)
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  if (known === undefined) {
    note(`${typeText}: read by the rules of a Llama${typeHint === undefined ? '' : `; ${typeHint}`}`)
  }
  return decoder

  function readIntermediateSize(): number {
    const expansion = at(keys, 'expansion_ratio') ?? family.expansion
    if (typeof expansion === 'number') return size('intermediateSize', expansion * hiddenSize)
    // where all layers have experts, the width of an MLP need not be there
    const [, expert] = find(KEYS.expertSize)
    const everywhere = typeof expert === 'number' && (find(KEYS.firstExpertLayer)[1] ?? 0) === 0
    return size('intermediateSize', everywhere ? expert : undefined)
  }

  function readAttention(): Attention {
    if (find(KEYS.keyValueRank)[1] != null) {
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
    const one = family.oneKeyValueHead?.(flag)
    const keyValueHeads = one === undefined ? size('keyValueHeads', heads) : one ? 1 : heads
    const headSize = size('headSize', Math.max(1, Math.floor(hiddenSize / heads)))
    if (find(KEYS.headSize)[1] == null && hiddenSize % heads !== 0 && sound('hiddenSize', 'heads')) {
      const [hiddenKey] = find(KEYS.hiddenSize)
      const [headsKey] = find(KEYS.heads)
      report(
        'CONFIG_SHAPE',
        `${hiddenKey} ${hiddenSize} is not a multiple of ${headsKey} ${heads}`,
        'set head_dim',
      )
    }
    if (heads % keyValueHeads !== 0 && sound('heads', 'keyValueHeads')) {
      const [headsKey] = find(KEYS.heads)
      const [sharedKey] = find(KEYS.keyValueHeads)
      report('CONFIG_SHAPE', `${headsKey} ${heads} is not a multiple of ${sharedKey} ${keyValueHeads}`)
    }
    return { kind: 'heads', heads, keyValueHeads, headSize }
  }

  function readExperts(): Experts | null {
    const count = size('experts', 0, 0)
    // a dense sibling of a model with experts may say 1 (Hunyuan)
    if (count < 2) return null
    const active = size('activeExperts')
    if (active > count && sound('experts', 'activeExperts')) {
      const [activeKey] = find(KEYS.activeExperts)
      report('CONFIG_SHAPE', `${activeKey} is ${active}, of ${count} experts`)
    }
    // DeepSeek-V2 says how it chooses; 0 stands for no groups as well
    const limited = find(['topk_method'])[1] !== 'greedy'
    const groups = limited ? Math.max(size('expertGroups', 1, 0), 1) : 1
    const activeGroups = groups > 1 ? size('activeGroups', groups) : 1
    if (groups > 1 && sound('experts', 'activeExperts', 'expertGroups', 'activeGroups')) {
      const [groupsKey] = find(KEYS.expertGroups)
      if (count % groups !== 0)
        report(
          'CONFIG_SHAPE',
          `${groupsKey} is ${groups}, of ${count} experts`,
          `set ${groupsKey} to a divisor, or to 1 for no groups`,
        )
      else if (activeGroups > groups || activeGroups * (count / groups) < active)
        report(
          'CONFIG_SHAPE',
          `${find(KEYS.activeGroups)[0]} is ${activeGroups}, of ${groups} groups of ${count / groups}, for ${active} experts`,
          `give from ${Math.ceil((active * groups) / count)} to ${groups}`,
        )
    }
    const width = size('expertSize', intermediateSize)
    const shared = size('sharedSize', size('sharedExperts', 0, 0) * width, 0)
    return {
      count,
      active,
      groups,
      activeGroups,
      intermediateSize: width,
      sharedIntermediateSize: shared,
      sharedGate: family.sharedGate && shared > 0,
    }
  }

  function readExpertLayers(): boolean[] {
    if (experts === null) return Array.from({ length: layers }, () => false)
    const first = size('firstExpertLayer', 0, 0)
    const [, lastFound] = find(KEYS.lastExpertLayer)
    // -1 stands for the last
    const last = lastFound === -1 ? layers - 1 : size('lastExpertLayer', layers - 1, 0)
    const every = size('expertLayerEvery', 1)
    const step = size('expertLayerStep', 1)
    const dense = layerList('mlp_only_layers')
    const types = typeList('mlp_layer_types', ['dense', 'sparse'])
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

  function readWindows(): (number | undefined)[] {
    const types = typeList('layer_types', ATTENTION_TYPES)
    const pattern = family.windows === 'pattern' && types === undefined ? size('windowPattern', 1) : 1
    const from = family.windows === 'upper' ? size('windowsFrom', 0, 0) : 0
    const use = find(['use_sliding_window'])[1]
    const windowed = (layer: number): boolean => {
      if (family.windows === 'upper' && use !== true) return false
      if (use === false) return false
      if (types !== undefined) return types[layer] !== 'full_attention'
      switch (family.windows) {
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
    if (!some.includes(true) || find(KEYS.window)[1] == null) return some.map(() => undefined)
    const window = size('window')
    return some.map((has) => (has ? window : undefined))
  }

  /** A list with a name for each layer; undefined when the configuration has none. */
  function typeList(key: string, allowed: readonly string[]): readonly unknown[] | undefined {
    const list = at(keys, key)
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

  function layerList(key: string): ReadonlySet<unknown> {
    const list = at(keys, key) ?? []
    if (Array.isArray(list) && list.every(Number.isInteger)) return new Set(list)
    report('CONFIG_VALUE', `${key} must be a list of layers, got ${show(list)}`)
    return new Set()
  }

  /** Activations without a gate and norms with means: what an unknown family says when it is not like a Llama. */
  function refuseOtherThanLlama(): void {
    const [activationKey, activation] = find(['hidden_act', 'hidden_activation', 'activation_function'])
    if (activation != null && !GATED_ACTIVATIONS.includes(activation as string)) {
      const allowed = GATED_ACTIVATIONS.join(', ')
      report('CONFIG_VALUE', `${activationKey} must be one of ${allowed}, got ${show(activation)}`)
    }
    const [epsilonKey, epsilon] = find(['layer_norm_eps', 'layer_norm_epsilon', 'norm_epsilon'])
    if (epsilon != null && find(['rms_norm_eps'])[1] == null) {
      report('CONFIG_FAMILY', `${epsilonKey} stands for layer norms, where a Llama has rms_norm_eps`)
    }
    const [, headSize] = find(KEYS.headSize)
    const [valueKey, valueSize] = find(KEYS.valueHeadSize)
    if (decoder.attention.kind === 'heads' && valueSize != null && headSize !== valueSize) {
      report('CONFIG_SHAPE', `${valueKey} must be head_dim ${show(headSize)}, got ${show(valueSize)}`)
    }
  }

  function refuseForeignParts(): void {
    for (const [key, part] of Object.entries(FOREIGN_KEYS)) {
      const value = at(keys, key)
      if (value == null || value === false || value === 0) continue
      report('CONFIG_FAMILY', `${key} stands for ${part}, which cannot be planned for`)
    }
    if (known === undefined) refuseOtherThanLlama()
    const embedding = at(keys, 'word_embed_proj_dim')
    if (embedding != null && embedding !== hiddenSize) {
      report('CONFIG_SHAPE', `word_embed_proj_dim must be hidden_size ${hiddenSize}, got ${show(embedding)}`)
    }
  }
}

/** The keys of the decoder of a model that sees or hears as well. */
function textPart(config: HfConfig): HfConfig {
  const text = at(config, 'text_config')
  if (
    typeof text !== 'object' ||
    text === null ||
    Array.isArray(text) ||
    at(config, 'hidden_size') !== undefined
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

/** What stands at a key, or at a path of keys with dots; undefined where nothing does. */
function at(config: HfConfig, path: string): unknown {
  let value: unknown = config
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as HfConfig)[key]
  }
  return value
}

function show(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 60) ?? String(value)
}
