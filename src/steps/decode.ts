/** @file The program that reads new tokens of a sequence against a cache of keys and values: prefill and decode. */
import {
  add,
  constant,
  expand,
  Graph,
  gather,
  greater,
  matmul,
  reshape,
  scalar,
  scatterElements,
  softmax,
  sub,
  type Tensor,
  transpose,
  where,
} from '../graph/index.ts'
import { type Architecture, parametersOf } from '../model/index.ts'
import { decoderLayers, finalNorm, type Heads } from './decoder.ts'
import { headOf, logitsOf } from './head.ts'
import { grouped, HIDDEN, softCap } from './layers.ts'
import { parameterInputs } from './modules.ts'
import { IDS, programOf, type StepProgram, stateNames } from './train-step.ts'

/** Sizes that a decode program is made for. */
export interface DecodeShape {
  /** New tokens of one run: 1 to decode, more to read a prompt. */
  readonly tokens: number
  /** Positions that the cache holds. */
  readonly cacheLength: number
  /** Positions that a text may reach, those beyond being padding; rotary rules that depend on a length take it. Default: all. */
  readonly textLength?: number
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
export function decodeStep(
  a: Architecture,
  { tokens, cacheLength, textLength = cacheLength }: DecodeShape,
): StepProgram {
  const graph = new Graph()
  const tensors = parameterInputs(graph, parametersOf(a))
  const ids = graph.input('ids', { dtype: IDS, shape: [1, tokens] })
  const position = graph.input('position', { dtype: IDS, shape: [] })
  const { keyValueHeads, headSize } = a.attention
  const counting = (length: number) =>
    constant(
      graph,
      IDS,
      [length],
      Int32Array.from({ length }, (_, i) => i),
    )
  const positions = add(counting(tokens), position) // (tokens)
  const atMost = (last: number) => where(greater(positions, last), last, positions)

  /** Which row of the cache each element of the new rows goes to. */
  const places = expand(reshape(positions, [1, 1, tokens, 1]), [1, keyValueHeads, tokens, headSize])
  const pairs: [string, string][] = []
  const placed = (name: string, rows: Tensor): Tensor => {
    const shape = [1, keyValueHeads, cacheLength, headSize]
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

  const attend = ({ q, k, v }: Heads, layer: number): Tensor => {
    const keys = placed(cacheNames.keys(layer), k)
    const values = placed(cacheNames.values(layer), v)
    const scores = grouped(q, keyValueHeads, (part) => matmul(part, keys, { transB: true }))
    const weights = softmax(add(softCap(scores, a.scoreCap), maskOf(a.windows[layer])))
    const mixed = grouped(weights, keyValueHeads, (part) => matmul(part, values)) // (1, H, tokens, d)
    return transpose(mixed, [0, 2, 1, 3])
  }
  const x = decoderLayers(a, tensors, ids, {
    positions: { count: cacheLength, textLength: Math.min(textLength, a.maxPositions) },
    // padding may lie beyond a table of learned positions
    rowsOf: (table) => gather(table, table.shape[0]! < cacheLength ? atMost(table.shape[0]! - 1) : positions),
    attend,
  })
  const last = tokens > 1 ? gather(x, graph.input('last', { dtype: IDS, shape: [1] })) : x
  graph.output('logits', logitsOf(finalNorm(a, tensors, last), headOf(a, tensors)))
  return programOf(tokens > 1 ? 'prefill' : 'decode', graph, pairs)
}
