/** @file What the parameters of a family are called, and how they lie, in a Hugging Face folder. */

/** A part of a decoder that has a weight, and may have a bias. A fused one stands for those that it is made of. */
export type Module =
  | 'embedding'
  | 'positions'
  | 'attentionNorm'
  | 'query'
  | 'key'
  | 'value'
  | 'queryKeyValue'
  | 'queryNorm'
  | 'keyNorm'
  | 'attentionOutput'
  | 'afterAttentionNorm'
  | 'mlpNorm'
  | 'gate'
  | 'up'
  | 'gateUp'
  | 'down'
  | 'afterMlpNorm'
  | 'finalNorm'
  | 'head'

/** How a family names its parameters. */
export interface Names {
  /** Before the names of all modules but the head. */
  readonly prefix: string
  /** The list of layers. */
  readonly layers: string
  /** A fused module that has a name takes the place of its parts. */
  readonly modules: { readonly [M in Module]?: string }
  /** Matrices of layers are (in, out), as Conv1D of transformers keeps them. */
  readonly transposed: boolean
  /** What other folders have in the place of `prefix`. */
  readonly otherPrefixes: readonly string[]
  /** Tensors that folders hold beside the parameters: tables of old versions, parts that see. */
  readonly passedOver: RegExp
}

export const LLAMA_NAMES: Names = {
  prefix: 'model.',
  layers: 'layers',
  modules: {
    embedding: 'embed_tokens',
    attentionNorm: 'input_layernorm',
    query: 'self_attn.q_proj',
    key: 'self_attn.k_proj',
    value: 'self_attn.v_proj',
    queryNorm: 'self_attn.q_norm',
    keyNorm: 'self_attn.k_norm',
    attentionOutput: 'self_attn.o_proj',
    mlpNorm: 'post_attention_layernorm',
    gate: 'mlp.gate_proj',
    up: 'mlp.up_proj',
    down: 'mlp.down_proj',
    finalNorm: 'norm',
    head: 'lm_head',
  },
  transposed: false,
  otherPrefixes: [],
  passedOver: /\.rotary_emb\.inv_freq$/,
}

/** The name of a module, that of a layer with its number. A family without the module is a bug. */
export function moduleName(names: Names, module: Module, layer: number | undefined): string {
  const name = names.modules[module]
  if (name === undefined) throw new TypeError(`no name for the module ${module}`)
  if (module === 'head') return name
  return layer === undefined ? `${names.prefix}${name}` : `${names.prefix}${names.layers}.${layer}.${name}`
}

/**
 * The parameter that a tensor of a folder holds, by the name that it is trained under; undefined for what is passed
 * over. `known` tells the names of the parameters.
 */
export function parameterNameOf(
  names: Names,
  tensor: string,
  known: (name: string) => boolean,
): string | undefined {
  if (names.passedOver.test(tensor)) return undefined
  if (known(tensor)) return tensor
  for (const prefix of names.otherPrefixes) {
    const name = `${names.prefix}${tensor.slice(prefix.length)}`
    if (tensor.startsWith(prefix) && known(name)) return name
  }
  return tensor
}
