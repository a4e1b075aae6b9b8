/** @file The forward pass of a decoder: one body for whole sequences and for new tokens against a cache. */
import { add, type Graph, mul, reshape, slice, split, type Tensor, transpose } from '../graph/index.ts'
import { type Architecture, type Rope, ropeTables } from '../model/index.ts'
import { activate, gated } from './activations.ts'
import {
  causalAttention,
  embedding,
  layerNorm,
  linear,
  type Rotation,
  rmsNorm,
  rotate,
  rotation,
} from './layers.ts'
import { type Modules, type ModuleTensors, moduleTensors, type ParameterTensors } from './modules.ts'

/** Queries, keys and values of one layer, positions in them: each (B, heads, T, d). */
export interface Heads {
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
}

/** What differs between passes of a decoder. */
export interface Pass {
  /** Positions of a text that rotations are made for, and the length that scalings of them follow. */
  readonly positions: { readonly count: number; readonly textLength: number }
  /** The rows of a table (positions, ...) that belong to the new tokens: (T, ...). */
  readonly rowsOf: (table: Tensor) => Tensor
  /** Mixes values by how queries meet keys, scaled already: (B, T, H, d). */
  readonly attend: (heads: Heads, layer: number) => Tensor
  /** Is given the running sum that enters each layer's attention and its mlp. */
  readonly onSum?: (x: Tensor, layer: number) => void
}

/** Hidden states (N, D) after the last norm, of ids (B, T): positions 0 to T - 1 of each sequence. */
export function decoderHidden(
  a: Architecture,
  parameters: ParameterTensors,
  ids: Tensor,
  onSum: (x: Tensor, layer: number) => void = () => {},
): Tensor {
  const count = ids.shape[1]!
  const x = decoderLayers(a, parameters, ids, {
    positions: { count, textLength: count },
    rowsOf: (table) => (table.shape[0] === count ? table : slice(table, 0, 0, count)),
    attend: ({ q, k, v }, layer) => causalAttention(q, k, v, a.windows[layer], a.scoreCap),
    onSum,
  })
  return finalNorm(a, parameters, x)
}

/**
 * The running sum (N, D) after all layers, of ids (B, T). Scopes are `layers.i`, so that a caller can recompute by
 * layer.
 */
export function decoderLayers(
  a: Architecture,
  parameters: ParameterTensors,
  ids: Tensor,
  pass: Pass,
): Tensor {
  const { graph } = ids.node
  const [batch] = ids.shape as [number, number]
  const modules = moduleTensors(a, parameters)
  const rotations = rotationsOf(a, graph, pass)
  const onSum = pass.onSum ?? (() => {})

  let x = graph.within('embed', () => embedded(a, modules, ids, pass)) // (N, D)
  for (let layer = 0; layer < a.layers; layer++) {
    const find = (module: Parameters<Modules['find']>[0]) => modules.find(module, layer)
    onSum(x, layer)
    x = graph.within(`layers.${layer}`, () => {
      const attended = graph.within('attention', () => {
        const heads = attentionHeads(a, find, x, batch, rotations(layer))
        return attentionOutput(a, find, pass.attend(heads, layer))
      })
      const y = add(x, attended)
      onSum(y, layer)
      return add(
        y,
        graph.within('mlp', () => mlp(a, find, y)),
      )
    })
  }
  return x
}

/** The last norm of hidden states (N, D). */
export function finalNorm(a: Architecture, parameters: ParameterTensors, x: Tensor): Tensor {
  const { graph } = x.node
  return graph.within('norm', () => norm(a, x, moduleTensors(a, parameters).need('finalNorm')))
}

/** A layer's module; undefined for one that the decoder does not have. */
type Find = (module: Parameters<Modules['find']>[0]) => ModuleTensors | undefined

/** Rows of the embedding, scaled, with those of learned positions where there are any: (N, D). */
function embedded(a: Architecture, modules: Modules, ids: Tensor, { rowsOf }: Pass): Tensor {
  const [batch, length] = ids.shape as [number, number]
  const rows = embedding(modules.need('embedding').weight, reshape(ids, [batch * length]))
  const scaled = times(rows, a.embeddingScale)
  const positions = modules.find('positions')
  if (positions === undefined) return scaled
  const sum = add(reshape(scaled, [batch, length, a.hiddenSize]), rowsOf(positions.weight))
  return reshape(sum, [batch * length, a.hiddenSize])
}

/** Rotations of queries and of keys. */
interface Rotations {
  readonly query: Rotation
  readonly key: Rotation
}

/** The rotations of each layer; undefined where positions are learned. */
function rotationsOf(a: Architecture, graph: Graph, { positions, rowsOf }: Pass) {
  const { headSize } = a.attention
  const make = (rope: Rope | undefined): Rotations | undefined => {
    if (rope === undefined) return undefined
    const tables = ropeTables(rope, a.rotarySize, positions.count, positions.textLength)
    const rows = (scale: number): Rotation => {
      const { cos, sin, ...rest } = rotation(graph, tables, a.rotarySize, scale, headSize)
      return { cos: rowsOf(cos), sin: rowsOf(sin), ...rest }
    }
    // the scale of the scores goes into the queries' rotation, where it costs nothing
    return { query: rows(a.queryScale), key: rows(1) }
  }
  const [usual, windowed] = [make(a.rope), make(a.windowRope)]
  return (layer: number): Rotations | undefined =>
    a.windows[layer] === undefined ? usual : (windowed ?? usual)
}

/** Queries, scaled, keys and values of one layer's input x (N, D), positions in them where they rotate. */
function attentionHeads(
  a: Architecture,
  find: Find,
  x: Tensor,
  batch: number,
  rotations: Rotations | undefined,
): Heads {
  const { heads, keyValueHeads, headSize } = a.attention
  const length = x.shape[0]! / batch
  const projected = projections(a, find, norm(a, x, find('attentionNorm')))
  const headsOf = (module: Projected, count: number, over?: ModuleTensors) => {
    const y = projected(module)
    const whole = a.queryKeyNorm === 'all' ? norm(a, y, over) : y
    const parts = reshape(whole, [batch, length, count, headSize])
    return transpose(a.queryKeyNorm === 'head' ? norm(a, parts, over) : parts, [0, 2, 1, 3]) // (B, H, T, d)
  }
  const queries = headsOf('query', heads, find('queryNorm'))
  const q = rotations === undefined ? times(queries, a.queryScale) : rotate(queries, rotations.query)
  const keys = headsOf('key', keyValueHeads, find('keyNorm'))
  const k = rotations === undefined ? keys : rotate(keys, rotations.key)
  return { q, k, v: headsOf('value', keyValueHeads) }
}

type Projected = 'query' | 'key' | 'value'

/** Projections of h (N, D) to all heads of a kind, (N, heads d), by one matrix each or by one for all. */
function projections(a: Architecture, find: Find, h: Tensor): (module: Projected) => Tensor {
  const fused = find('queryKeyValue')
  if (fused === undefined) return (module) => project(h, find(module)!)
  const { heads, keyValueHeads, headSize } = a.attention
  const keys = keyValueHeads * headSize
  const [query, key, value] = split(project(h, fused), [heads * headSize, keys, keys], -1)
  const parts = { query: query!, key: key!, value: value! }
  return (module) => parts[module]
}

/** The output projection of attention: mixed (B, T, H, d) to (N, D). */
function attentionOutput(a: Architecture, find: Find, mixed: Tensor): Tensor {
  const [batch, length, heads, size] = mixed.shape as [number, number, number, number]
  const joined = reshape(mixed, [batch * length, heads * size])
  return norm(a, project(joined, find('attentionOutput')!), find('afterAttentionNorm'))
}

/** The feed-forward part of a layer, x (N, D) to (N, D). */
function mlp(a: Architecture, find: Find, x: Tensor): Tensor {
  const h = norm(a, x, find('mlpNorm'))
  const inner = a.gated ? gatedMlp(a, find, h) : activate(a.activation, project(h, find('up')!))
  return norm(a, project(inner, find('down')!), find('afterMlpNorm'))
}

function gatedMlp(a: Architecture, find: Find, h: Tensor): Tensor {
  const fused = find('gateUp')
  const [gate, up] =
    fused === undefined
      ? [project(h, find('gate')!), project(h, find('up')!)]
      : split(project(h, fused), [a.intermediateSize, a.intermediateSize], -1)
  return gated(a.activation, gate!, up!)
}

/** The norm of an architecture over the last axis; x itself where the decoder has none there. */
function norm(a: Architecture, x: Tensor, module: ModuleTensors | undefined): Tensor {
  if (module === undefined) return x
  const weight = a.normOffset === 0 ? module.weight : add(module.weight, a.normOffset)
  return a.norm === 'rms'
    ? rmsNorm(x, weight, a.normEpsilon)
    : layerNorm(x, weight, module.bias!, a.normEpsilon)
}

function project(x: Tensor, { weight, bias, transposed }: ModuleTensors): Tensor {
  return linear(x, weight, bias, transposed)
}

function times(x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : mul(x, factor)
}
