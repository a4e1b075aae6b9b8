/** @file The program that reads new tokens of a sequence against a cache of keys and values: prefill and decode. */
import {
  add,
  concat,
  constant,
  Graph,
  gather,
  greater,
  less,
  matmul,
  mul,
  optimize,
  reshape,
  scalar,
  softmax,
  split,
  sub,
  type Tensor,
  transpose,
  where,
} from '../graph/index.ts'
import { type Architecture, parametersOf, ropeTables } from '../model/index.ts'
import { attentionHeads, attentionOutput, mlp, outputMatrix, parameter, parameterInputs } from './decoder.ts'
import { causalMask, grouped, HIDDEN, linear, rmsNorm } from './layers.ts'
import { IDS, type Program } from './train-step.ts'

/** Sizes that a decode program is made for. */
export interface DecodeShape {
  /** New tokens of one run: 1 to decode, more to read a prompt. */
  readonly tokens: number
  /** Positions that the cache holds. */
  readonly cacheLength: number
}

/** Names of a layer's cache, (1, key-value heads, cacheLength, headSize), and of the new rows for it. */
export const cacheNames = {
  keys: (layer: number) => `cache/keys/${layer}`,
  values: (layer: number) => `cache/values/${layer}`,
  newKeys: (layer: number) => `new/keys/${layer}`,
  newValues: (layer: number) => `new/values/${layer}`,
} as const

/**
 * Reads `tokens` new tokens of one sequence. Inputs: the parameters, `ids` (1, tokens) int32, `position` int32
 * scalar (that of the first new token: so many rows of the cache count), `last` int32 (1) (which of the
 * new tokens the logits are wanted of), and the caches. Outputs: `logits` (1, V), and the new tokens' keys
 * and values (1, key-value heads, tokens, headSize), which the caller puts into the cache from `position` on.
 * Tokens after `last` may be padding: nothing before them depends on them. position + tokens must not exceed
 * cacheLength.
 */
export function decodeStep(a: Architecture, { tokens, cacheLength }: DecodeShape): Program {
  const graph = new Graph()
  const tensors = parameterInputs(graph, parametersOf(a))
  const ids = graph.input('ids', { dtype: IDS, shape: [1, tokens] })
  const position = graph.input('position', { dtype: IDS, shape: [] })
  const last = graph.input('last', { dtype: IDS, shape: [1] })
  const tables = ropeTables(a.rope, a.headSize, cacheLength, Math.min(cacheLength, a.maxPositions))
  const counting = (length: number) =>
    constant(
      graph,
      IDS,
      [length],
      Int32Array.from({ length }, (_, i) => i),
    )
  const positions = add(counting(tokens), position) // (tokens)

  const table = (data: Float32Array) =>
    gather(constant(graph, 'float32', [cacheLength, a.headSize], data), positions)
  const signed = tables.sin.map((value, i) => (i % a.headSize < a.headSize / 2 ? -value : value))
  const key = { cos: table(tables.cos), sin: table(signed) }
  const scale = a.headSize ** -0.5
  const rotations = { query: { cos: mul(key.cos, scale), sin: mul(key.sin, scale) }, key }

  const masks = new Map<number | undefined, Masks>()
  const masksOf = (window: number | undefined): Masks => {
    const known = masks.get(window)
    if (known !== undefined) return known
    const row = reshape(counting(cacheLength), [1, cacheLength])
    const near =
      window === undefined
        ? scalar(graph, 0)
        : where(greater(row, sub(reshape(positions, [tokens, 1]), window)), 0, HIDDEN)
    const made = {
      cached: where(less(row, position), near, HIDDEN),
      fresh: causalMask(graph, { start: 0, end: tokens, keys: tokens }, window),
    }
    masks.set(window, made)
    return made
  }

  let x = gather(parameter(tensors, 'model.embed_tokens.weight'), reshape(ids, [tokens])) // (tokens, D)
  for (let layer = 0; layer < a.layers; layer++) {
    const of = (name: string) => tensors.get(`model.layers.${layer}.${name}`)
    x = graph.within(`layers.${layer}`, () => {
      const { q, k, v } = attentionHeads(a, of, x, 1, rotations)
      graph.output(cacheNames.newKeys(layer), k)
      graph.output(cacheNames.newValues(layer), v)
      const cache = (name: string) =>
        graph.input(name, { dtype: 'float32', shape: [1, a.keyValueHeads, cacheLength, a.headSize] })
      const { cached, fresh } = masksOf(a.slidingWindows[layer])
      const mixed = cachedAttention(
        q,
        { keys: cache(cacheNames.keys(layer)), values: cache(cacheNames.values(layer)), mask: cached },
        { keys: k, values: v, mask: fresh },
      )
      const y = add(x, attentionOutput(a, of, transpose(mixed, [0, 2, 1, 3])))
      return add(y, mlp(a, of, y))
    })
  }
  const hidden = rmsNorm(gather(x, last), parameter(tensors, 'model.norm.weight'), a.normEpsilon)
  graph.output('logits', linear(hidden, outputMatrix(a, tensors)))
  return { name: 'decode', graph: optimize(graph), state: [] }
}

/** What is added to the scores of cached and of new keys. */
interface Masks {
  readonly cached: Tensor
  readonly fresh: Tensor
}

interface Part extends Record<'keys' | 'values' | 'mask', Tensor> {}

/** Attention of q (1, H, t, d) over the cached keys and the new ones in one softmax; (1, H, t, d). */
function cachedAttention(q: Tensor, cache: Part, fresh: Part): Tensor {
  const groups = cache.keys.shape[1]!
  const scores = [cache, fresh].map(({ keys, mask }) =>
    add(
      grouped(q, groups, (part) => matmul(part, keys, { transB: true })),
      mask,
    ),
  )
  const sizes = scores.map((part) => part.shape[3]!)
  const [old, recent] = split(softmax(concat(scores, -1)), sizes, -1)
  return add(
    grouped(old!, groups, (part) => matmul(part, cache.values)),
    grouped(recent!, groups, (part) => matmul(part, fresh.values)),
  )
}
