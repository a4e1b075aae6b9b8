/** @file The program that reads new tokens of a sequence against a cache of keys and values: prefill and decode. */
import {
  add,
  constant,
  expand,
  Graph,
  gather,
  greater,
  matmul,
  mul,
  reshape,
  scalar,
  scatterElements,
  softmax,
  sub,
  type Tensor,
  transpose,
  where,
} from '../graph/index.ts'
import { type Architecture, parametersOf, ropeTables } from '../model/index.ts'
import { attentionHeads, attentionOutput, mlp, outputMatrix, parameter, parameterInputs } from './decoder.ts'
import { grouped, HIDDEN, linear, rmsNorm } from './layers.ts'
import { IDS, programOf, type StepProgram, stateNames } from './train-step.ts'

/** Sizes that a decode program is made for. */
export interface DecodeShape {
  /** New tokens of one run: 1 to decode, more to read a prompt. */
  readonly tokens: number
  /** Positions that the cache holds. */
  readonly cacheLength: number
}

/** Names of a layer's cache, (1, key-value heads, cacheLength, headSize). */
export const cacheNames = {
  keys: (layer: number) => `cache/keys/${layer}`,
  values: (layer: number) => `cache/values/${layer}`,
} as const

/**
 * Reads `tokens` new tokens of one sequence. Inputs: the parameters, `ids` (1, tokens) int32, `position` int32
 * scalar (that of the first new token: so many rows of the cache count), where there are several tokens `last` int32 (1)
 * (which of them the logits are wanted of), and the caches, which are state: they come out with the new rows in place.
 * Output besides: `logits` (1, V). Tokens after `last` may be padding: their rows are hidden from whatever comes before
 * them, and written over by what takes their place. position + tokens must not exceed cacheLength.
 */
export function decodeStep(a: Architecture, { tokens, cacheLength }: DecodeShape): StepProgram {
  const graph = new Graph()
  const tensors = parameterInputs(graph, parametersOf(a))
  const ids = graph.input('ids', { dtype: IDS, shape: [1, tokens] })
  const position = graph.input('position', { dtype: IDS, shape: [] })
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

  /** Which row of the cache each element of the new rows goes to. */
  const places = expand(reshape(positions, [1, 1, tokens, 1]), [1, a.keyValueHeads, tokens, a.headSize])
  const pairs: [string, string][] = []
  const placed = (name: string, rows: Tensor): Tensor => {
    const shape = [1, a.keyValueHeads, cacheLength, a.headSize]
    const next = scatterElements(graph.input(name, { dtype: 'float32', shape }), places, rows, 2)
    graph.output(stateNames.next(name), next)
    pairs.push([name, stateNames.next(name)])
    return next
  }

  const masks = new Map<number | undefined, Tensor>()
  /** What is added to the scores, (tokens, cacheLength). */
  const maskOf = (window: number | undefined): Tensor => {
    const known = masks.get(window)
    if (known !== undefined) return known
    const row = reshape(counting(cacheLength), [1, cacheLength])
    const query = reshape(positions, [tokens, 1])
    const near = window === undefined ? scalar(graph, 0) : where(greater(row, sub(query, window)), 0, HIDDEN)
    const made = where(greater(row, query), HIDDEN, near)
    masks.set(window, made)
    return made
  }

  let x = gather(parameter(tensors, 'model.embed_tokens.weight'), reshape(ids, [tokens])) // (tokens, D)
  for (let layer = 0; layer < a.layers; layer++) {
    const of = (name: string) => tensors.get(`model.layers.${layer}.${name}`)
    x = graph.within(`layers.${layer}`, () => {
      const { q, k, v } = attentionHeads(a, of, x, 1, rotations)
      const keys = placed(cacheNames.keys(layer), k)
      const values = placed(cacheNames.values(layer), v)
      const scores = grouped(q, a.keyValueHeads, (part) => matmul(part, keys, { transB: true }))
      const weights = softmax(add(scores, maskOf(a.slidingWindows[layer])))
      const mixed = grouped(weights, a.keyValueHeads, (part) => matmul(part, values)) // (1, H, tokens, d)
      const y = add(x, attentionOutput(a, of, transpose(mixed, [0, 2, 1, 3])))
      return add(y, mlp(a, of, y))
    })
  }
  if (tokens > 1) x = gather(x, graph.input('last', { dtype: IDS, shape: [1] }))
  const hidden = rmsNorm(x, parameter(tensors, 'model.norm.weight'), a.normEpsilon)
  graph.output('logits', linear(hidden, outputMatrix(a, tensors)))
  return programOf(tokens > 1 ? 'prefill' : 'decode', graph, pairs)
}
