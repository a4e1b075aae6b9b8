/** @file The forward pass of a decoder over whole sequences. */

import { add, type Graph, reshape, type Tensor, transpose } from '../graph/index.ts'
import { type Architecture, type Parameter, ropeTables } from '../model/index.ts'
import {
  causalAttention,
  embedding,
  linear,
  type Rotation,
  rmsNorm,
  rotate,
  rotation,
  swiglu,
} from './layers.ts'

/** Parameters of a decoder as tensors of a graph, by their transformers names. */
export type ParameterTensors = ReadonlyMap<string, Tensor>

/** Adds an input for each parameter. */
export function parameterInputs(
  graph: Graph,
  parameters: readonly Parameter[],
  prefix = '',
): ParameterTensors {
  return new Map(
    parameters.map(({ name, shape }) => [name, graph.input(`${prefix}${name}`, { dtype: 'float32', shape })]),
  )
}

/** Looks a parameter up; a missing one is a bug of the caller. */
export function parameter(parameters: ParameterTensors, name: string): Tensor {
  const tensor = parameters.get(name)
  if (tensor === undefined) throw new TypeError(`no parameter ${name}`)
  return tensor
}

/**
 * Hidden states (N, D) after the last norm, of ids (B, T): positions 0 to T - 1 of each sequence.
 * Scopes are `layers.i`, so that a caller can recompute by layer; `onSum` is given the running sum that enters each
 * layer's attention and its mlp.
 */
export function decoderHidden(
  a: Architecture,
  parameters: ParameterTensors,
  ids: Tensor,
  onSum: (x: Tensor, layer: number) => void = () => {},
): Tensor {
  const { graph } = ids.node
  const [batch, length] = ids.shape as [number, number]
  const at = (name: string) => parameter(parameters, name)
  const tables = ropeTables(a.rope, a.headSize, length)
  // the scale of the scores goes into the queries' rotation, where it costs nothing
  const rotations = {
    query: rotation(graph, tables, a.headSize, a.headSize ** -0.5),
    key: rotation(graph, tables, a.headSize),
  }

  let x = graph.within('embed', () =>
    embedding(at('model.embed_tokens.weight'), reshape(ids, [batch * length])),
  ) // (N, D)
  for (let layer = 0; layer < a.layers; layer++) {
    onSum(x, layer)
    const of = (name: string) => parameters.get(`model.layers.${layer}.${name}`)
    x = graph.within(`layers.${layer}`, () => {
      const attended = graph.within('attention', () => {
        const { q, k, v } = attentionHeads(a, of, x, batch, rotations)
        return attentionOutput(a, of, causalAttention(q, k, v, a.slidingWindows[layer]))
      })
      const y = add(x, attended)
      onSum(y, layer)
      return add(
        y,
        graph.within('mlp', () => mlp(a, of, y)),
      )
    })
  }
  return graph.within('norm', () => rmsNorm(x, at('model.norm.weight'), a.normEpsilon))
}

/** The matrix that turns hidden states into logits: the embeddings themselves where they are tied. */
export function outputMatrix(a: Architecture, parameters: ParameterTensors): Tensor {
  return parameter(parameters, a.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight')
}

/** A layer's parameter by the part of its name after the layer; undefined for a bias or norm that is not there. */
export type Lookup = (name: string) => Tensor | undefined

/** Queries and keys, rotated, and values of one layer's input x (N, D): each (B, heads, T, d). */
export function attentionHeads(
  a: Architecture,
  of: Lookup,
  x: Tensor,
  batch: number,
  rotations: { readonly query: Rotation; readonly key: Rotation },
): { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor } {
  const length = x.shape[0]! / batch
  const h = rmsNorm(x, of('input_layernorm.weight')!, a.normEpsilon)
  const heads = (name: string, count: number, norm?: Tensor) => {
    const y = linear(h, of(`self_attn.${name}.weight`)!, of(`self_attn.${name}.bias`))
    const split = reshape(y, [batch, length, count, a.headSize])
    const normed = norm === undefined ? split : rmsNorm(split, norm, a.normEpsilon)
    return transpose(normed, [0, 2, 1, 3]) // (B, H, T, d)
  }
  return {
    q: rotate(heads('q_proj', a.heads, of('self_attn.q_norm.weight')), rotations.query),
    k: rotate(heads('k_proj', a.keyValueHeads, of('self_attn.k_norm.weight')), rotations.key),
    v: heads('v_proj', a.keyValueHeads),
  }
}

/** The output projection of attention: mixed (B, T, H, d) to (N, D). */
export function attentionOutput(a: Architecture, of: Lookup, mixed: Tensor): Tensor {
  const [batch, length] = mixed.shape as [number, number]
  const joined = reshape(mixed, [batch * length, a.heads * a.headSize])
  return linear(joined, of('self_attn.o_proj.weight')!, of('self_attn.o_proj.bias'))
}

/** The feed-forward part of a layer, x (N, D) to (N, D). */
export function mlp(a: Architecture, of: Lookup, x: Tensor): Tensor {
  const h = rmsNorm(x, of('post_attention_layernorm.weight')!, a.normEpsilon)
  const gate = linear(h, of('mlp.gate_proj.weight')!, of('mlp.gate_proj.bias'))
  const up = linear(h, of('mlp.up_proj.weight')!, of('mlp.up_proj.bias'))
  return linear(swiglu(gate, up), of('mlp.down_proj.weight')!, of('mlp.down_proj.bias'))
}
