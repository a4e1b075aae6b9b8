/** @file The parameters of an architecture: names and shapes as in transformers, counts, first values. */
import type { Architecture } from './architecture.ts'
import { normals } from './random.ts'

/** What a parameter is, which decides its first values and whether weight decay applies. */
export type ParameterKind = 'embedding' | 'matrix' | 'residual' | 'norm' | 'bias'

/** One parameter tensor. Matrices are (out, in), as in torch.nn.Linear. */
export interface Parameter {
  /** The name that transformers gives it. */
  readonly name: string
  readonly shape: readonly number[]
  readonly kind: ParameterKind
}

/** All parameters, embeddings first, in the order of the forward pass. */
export function parametersOf(a: Architecture): readonly Parameter[] {
  const list: Parameter[] = []
  const push = (name: string, kind: ParameterKind, ...shape: number[]) =>
    void list.push({ name, kind, shape })
  const linear = (name: string, kind: ParameterKind, out: number, from: number, bias: boolean) => {
    push(`${name}.weight`, kind, out, from)
    if (bias) push(`${name}.bias`, 'bias', out)
  }
  const queries = a.heads * a.headSize
  const keys = a.keyValueHeads * a.headSize

  push('model.embed_tokens.weight', 'embedding', a.vocabularySize, a.hiddenSize)
  for (let layer = 0; layer < a.layers; layer++) {
    const at = `model.layers.${layer}`
    push(`${at}.input_layernorm.weight`, 'norm', a.hiddenSize)
    linear(`${at}.self_attn.q_proj`, 'matrix', queries, a.hiddenSize, a.attentionBias.qkv)
    linear(`${at}.self_attn.k_proj`, 'matrix', keys, a.hiddenSize, a.attentionBias.qkv)
    linear(`${at}.self_attn.v_proj`, 'matrix', keys, a.hiddenSize, a.attentionBias.qkv)
    if (a.queryKeyNorm) {
      push(`${at}.self_attn.q_norm.weight`, 'norm', a.headSize)
      push(`${at}.self_attn.k_norm.weight`, 'norm', a.headSize)
    }
    linear(`${at}.self_attn.o_proj`, 'residual', a.hiddenSize, queries, a.attentionBias.output)
    push(`${at}.post_attention_layernorm.weight`, 'norm', a.hiddenSize)
    linear(`${at}.mlp.gate_proj`, 'matrix', a.intermediateSize, a.hiddenSize, a.mlpBias)
    linear(`${at}.mlp.up_proj`, 'matrix', a.intermediateSize, a.hiddenSize, a.mlpBias)
    linear(`${at}.mlp.down_proj`, 'residual', a.hiddenSize, a.intermediateSize, a.mlpBias)
  }
  push('model.norm.weight', 'norm', a.hiddenSize)
  if (!a.tiedEmbeddings) push('lm_head.weight', 'embedding', a.vocabularySize, a.hiddenSize)
  return list
}

/** Number of trained values, tied embeddings counted once. */
export function parameterCount(a: Architecture): number {
  return parametersOf(a).reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0)
}

/**
 * First values of a parameter, depending on the seed and the parameter's name alone. Normal with the
 * architecture's standard deviation; matrices that write to the residual stream are divided by
 * sqrt(2 layers), so that the stream's variance does not grow with depth (Radford et al. 2019).
 */
export function initialValues(a: Architecture, parameter: Parameter, seed: number): Float32Array {
  const values = new Float32Array(parameter.shape.reduce((n, size) => n * size, 1))
  switch (parameter.kind) {
    case 'norm':
      return values.fill(1)
    case 'bias':
      return values
    case 'residual':
      return normals(values, a.initializerRange / Math.sqrt(2 * a.layers), seed, parameter.name)
    case 'embedding':
    case 'matrix':
      return normals(values, a.initializerRange, seed, parameter.name)
  }
}
