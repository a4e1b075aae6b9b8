/** @file The layers of a decoder, as graphs. Legend: B batch, T positions, N = B T, D hidden, H heads, d head size. */
import {
  add,
  after,
  cast,
  concat,
  constant,
  div,
  elements,
  equal,
  expand,
  type Graph,
  gather,
  identity,
  matmul,
  mul,
  pow,
  reduceMean,
  reduceSum,
  reshape,
  scalar,
  scatterElements,
  slice,
  softmax,
  split,
  sqrt,
  sub,
  type Tensor,
  tanh,
  transpose,
  zeros,
} from '../graph/index.ts'

/**
 * x / sqrt(mean(x^2) + epsilon) * weight over the last axis (Zhang and Sennrich 2019).
 * With n = x / root: dx = (g w - n mean(g w n)) / root, dw = sum(g n) over all rows. Both sums are
 * products with a vector, which runtimes do at the speed of memory where their reductions do not.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  // in these very steps runtimes that have a fused RMS norm find it, where nothing else reads them
  const root = sqrt(add(reduceMean(pow(x, 2), [-1], true), epsilon))
  const normed = div(x, root)
  const y = again(x.node.graph, () => mul(normed, weight))
  const size = x.shape.at(-1)!
  const rows = elements(x.shape) / size
  return x.node.graph.overrideGradient(y, [x, weight], [normed, root], (g, [, w], [n, r]) => {
    const gn = mul(g, n!)
    const flat = reshape(gn, [rows, size])
    const mean = reshape(matmul(flat, reshape(mul(w!, 1 / size), [size, 1])), r!.shape)
    const ones = constant(x.node.graph, 'float32', [1, rows], new Float32Array(rows).fill(1))
    return [div(sub(mul(g, w!), mul(n!, mean)), r!), reshape(matmul(ones, flat), [size])]
  })
}

/**
 * (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias over the last axis (Ba et al. 2016).
 * With n the normed x: dx = (g w - mean(g w) - n mean(g w n)) / root, dw = sum(g n), db = sum(g) over all rows.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  const { graph } = x.node
  // in these very steps runtimes that have a fused layer norm find it, where nothing else reads them
  const centered = sub(x, reduceMean(x, [-1], true))
  const root = sqrt(add(reduceMean(pow(centered, 2), [-1], true), epsilon))
  const normed = div(centered, root)
  const y = again(graph, () => add(mul(normed, weight), bias))
  const size = x.shape.at(-1)!
  const rows = elements(x.shape) / size
  return graph.overrideGradient(y, [x, weight, bias], [normed, root], (g, [, w], [n, r]) => {
    const flat = (t: Tensor) => reshape(t, [rows, size])
    const gn = flat(mul(g, n!))
    const share = reshape(mul(w!, 1 / size), [size, 1])
    const mean = (t: Tensor) => reshape(matmul(t, share), r!.shape)
    const ones = constant(graph, 'float32', [1, rows], new Float32Array(rows).fill(1))
    const sum = (t: Tensor) => reshape(matmul(ones, t), [size])
    const dx = div(sub(sub(mul(g, w!), mean(flat(g))), mul(n!, mean(gn))), r!)
    return [dx, sum(gn), sum(flat(g))]
  })
}

/** Rows whose equal ids are summed by one product; the product's work grows with it, the number of passes shrinks. */
const EMBEDDING_GROUP = 512

/**
 * Rows of table (V, D) by ids (N): (N, D). The gradient adds row n of the cotangent to row ids[n]. Element by
 * element that takes a runtime a hundred times as long as moving rows, and on devices with atomic additions
 * it rounds differently in each run. So equal ids are summed by a product with [id = id'], group by group; the
 * sums meet at one row for each id, or of the table where that has fewer; and each row of the table takes its own,
 * or zero.
 */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  const { graph } = table.node
  const [vocabulary, size] = table.shape as [number, number]
  const count = ids.shape[0]!
  const meetInTable = vocabulary < count
  const y = gather(table, ids)
  return graph.overrideGradient(y, [table], [], (g) => {
    let sums: Tensor | undefined
    for (let start = 0; start < count; start += EMBEDDING_GROUP) {
      const end = Math.min(start + EMBEDDING_GROUP, count)
      const group = slice(ids, 0, start, end)
      const from = meetInTable ? rowOf(group) : end - start < count && gather(rowOf(group), ids)
      const same = cast(equal(reshape(group, [end - start, 1]), reshape(group, [1, end - start])), 'float32')
      const part = slice(g, 0, start, end)
      // a group waits until the one before it is added: else a runtime holds the sums of all of them
      const rows = matmul(same, sums === undefined ? part : after(part, sums))
      const found = from ? gather(withZeroRow(rows), from) : rows
      sums = sums === undefined ? found : add(sums, found)
    }
    return [meetInTable ? sums! : gather(withZeroRow(sums!), rowOf(ids))]
  })

  function withZeroRow(rows: Tensor): Tensor {
    return concat([rows, zeros(graph, [1, size])], 0)
  }

  /** For each id of the vocabulary a position where it stands in `among`, or the one after the last. (V) */
  function rowOf(among: Tensor): Tensor {
    const length = among.shape[0]!
    const absent = expand(scalar(graph, length, 'int32'), [vocabulary])
    const positions = constant(
      graph,
      'int32',
      [length],
      Int32Array.from({ length }, (_, i) => i),
    )
    return scatterElements(absent, among, positions, 0)
  }
}

/** x (N, in) by weight (out, in), as torch.nn.Linear, or (in, out) where it is `transposed`. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor, transposed = false): Tensor {
  const y = matmul(x, weight, { transB: !transposed })
  return bias === undefined ? y : add(y, bias)
}

/**
 * Runs `build` in a scope whose nodes are cheap to compute and large to keep: where recomputation is
 * `selective`, the backward pass makes them again.
 */
export function again<T>(graph: Graph, build: () => T): T {
  return graph.within(AGAIN, build)
}

const AGAIN = 'again'

/** Which activations are computed again in the backward pass instead of being kept. */
export type StepRecompute = 'none' | 'selective' | 'layer'

/** The recomputed segment of a scope, for `gradients`. */
export function segmentOf(recompute: StepRecompute): ((scope: string) => string | undefined) | undefined {
  switch (recompute) {
    case 'none':
      return undefined
    case 'selective':
      return (scope) => (scope.endsWith(AGAIN) && !scope.startsWith('backward') ? scope : undefined)
    case 'layer':
      return (scope) => /^layers\.\d+/.exec(scope)?.[0]
  }
}

/** cap tanh(x / cap), or x itself without a cap. */
export function softCap(x: Tensor, cap: number | undefined): Tensor {
  return cap === undefined ? x : mul(tanh(mul(x, 1 / cap)), cap)
}

/** The cotangent of what went into `softCap`, from that of what came out, y: g (1 - (y / cap)^2). */
export function softCapGradient(g: Tensor, y: Tensor, cap: number | undefined): Tensor {
  return cap === undefined ? g : mul(g, sub(1, mul(mul(y, y), cap ** -2)))
}

/** Cosines and sines of a range of positions, (T, d) each, ready to be applied. */
export interface Rotation {
  readonly cos: Tensor
  /** Sines, negated in the first half of what rotates: the sign of the rotation. */
  readonly sin: Tensor
  /** Elements of a head that rotate, the first ones. */
  readonly rotarySize: number
}

/**
 * Rotation tables of `rotarySize` columns as constants, for heads of `headSize`; `scale` multiplies both, which scales
 * what they rotate, and what is beside it.
 */
export function rotation(
  graph: Graph,
  tables: { cos: Float32Array; sin: Float32Array },
  rotarySize: number,
  scale = 1,
  headSize = rotarySize,
): Rotation {
  const rows = tables.cos.length / rotarySize
  const cos = new Float32Array(rows * headSize).fill(scale)
  const sin = new Float32Array(rows * headSize)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rotarySize; i++) {
      const sine = tables.sin[row * rotarySize + i]!
      cos[row * headSize + i] = tables.cos[row * rotarySize + i]! * scale
      sin[row * headSize + i] = (i < rotarySize / 2 ? -sine : sine) * scale
    }
  }
  const shape = [rows, headSize]
  return {
    cos: constant(graph, 'float32', shape, cos),
    sin: constant(graph, 'float32', shape, sin),
    rotarySize,
  }
}

/** Rotary position embedding of x (..., T, d): the halves of what rotates turn as pairs (Su et al. 2021). */
export function rotate(x: Tensor, { cos, sin, rotarySize }: Rotation): Tensor {
  const half = rotarySize / 2
  const rest = x.shape.at(-1)! - rotarySize
  const [first, second, ...others] = split(x, rest === 0 ? [half, half] : [half, half, rest], -1)
  return add(mul(x, cos), mul(concat([second!, first!, ...others], -1), sin))
}

/** Which keys a block of queries sees. */
interface Block {
  readonly start: number
  readonly end: number
  readonly keys: number
}

/** Queries of a block of causal attention: small enough that its scores stay in the cache. */
const BLOCK_QUERIES = 128

/**
 * Causal attention of q (B, H, T, d), already scaled, over k and v (B, K, T, d) where H is a multiple of K;
 * a position sees itself and, with a window, the window - 1 positions before it. With a cap, scores are capped before
 * the mask. Gives (B, T, H, d).
 *
 * Queries are taken in blocks, each against the keys up to its end only, which saves up to half of the
 * products. The gradient of the softmax uses sum(P dP) = sum(O dO) (Dao et al. 2022, section 3.1), which
 * is a sum over d instead of one over the keys.
 */
export function causalAttention(q: Tensor, k: Tensor, v: Tensor, window?: number, cap?: number): Tensor {
  const { graph } = q.node
  const groups = k.shape[1]!
  const length = q.shape[2]!
  const outputs: Tensor[] = []
  const residuals: Tensor[] = []
  const blocks: Block[] = []
  for (let start = 0; start < length; start += BLOCK_QUERIES) {
    const end = Math.min(start + BLOCK_QUERIES, length)
    const block = { start, end, keys: end }
    blocks.push(block)
    const [queries, keys, values, p, scores] = graph.within(`block${start}`, () =>
      again(graph, () => {
        const [queries, keys, values] = [rows(q, start, end), rows(k, 0, end), rows(v, 0, end)]
        const products = grouped(queries, groups, (part) => matmul(part, keys, { transB: true }))
        const scores = softCap(products, cap)
        const p = softmax(add(scores, causalMask(graph, block, window)))
        // scores are needed once more for the slope of the cap alone
        return [queries, keys, values, p, cap === undefined ? p : scores] as const
      }),
    )
    outputs.push(grouped(p, groups, (part) => matmul(part, values)))
    residuals.push(queries, keys, values, p, scores)
  }
  const output = transpose(concat(outputs, 2), [0, 2, 1, 3])

  return graph.overrideGradient(output, [q, k, v], [output, ...residuals], (gradient, _, [o, ...kept]) => {
    const delta = transpose(reduceSum(mul(gradient, o!), [-1], true), [0, 2, 1, 3]) // (B, H, T, 1)
    const g = transpose(gradient, [0, 2, 1, 3])
    const dq: Tensor[] = []
    const dk: Tensor[] = []
    const dv: Tensor[] = []
    for (const [i, { start, end }] of blocks.entries()) {
      const [queries, keys, values, p, scores] = kept.slice(5 * i, 5 * i + 5) as FiveTensors
      const dO = rows(g, start, end)
      const dP = grouped(dO, groups, (part) => matmul(part, values, { transB: true }))
      const dS = softCapGradient(mul(p, sub(dP, rows(delta, start, end))), scores, cap)
      dq.push(grouped(dS, groups, (part) => matmul(part, keys)))
      dk.push(overGroup(dS, queries, groups))
      dv.push(overGroup(p, dO, groups))
    }
    return [concat(dq, 2), sumPrefixes(dk), sumPrefixes(dv)]
  })
}

type FiveTensors = [Tensor, Tensor, Tensor, Tensor, Tensor]

/** All rows are a value of their own too: else a runtime that transposes them keeps that for the backward pass. */
function rows(x: Tensor, start: number, end: number): Tensor {
  return start === 0 && end === x.shape[2] ? identity(x) : slice(x, 2, start, end)
}

/** a^T b of (B, H, queries, m) and (B, H, queries, n), summed over the heads that share keys: (B, K, m, n). */
function overGroup(a: Tensor, b: Tensor, groups: number): Tensor {
  return matmul(merge(a, groups), merge(b, groups), { transA: true })
}

/** Sum of gradients of the first 1, 2, ... blocks of keys: each is added to the front of those of the later ones. */
function sumPrefixes(parts: readonly Tensor[]): Tensor {
  const tails: Tensor[] = []
  let sum = parts.at(-1)!
  for (let i = parts.length - 2; i >= 0; i--) {
    const known = parts[i]!.shape[2]!
    const [front, tail] = split(sum, [known, sum.shape[2]! - known], 2)
    tails.unshift(tail!)
    sum = add(front!, parts[i]!)
  }
  return concat([sum, ...tails], 2)
}

/** Applies a product with heads that share keys folded into the rows: (B, H, t, x) as (B, K, H/K t, x). */
export function grouped(x: Tensor, groups: number, product: (x: Tensor) => Tensor): Tensor {
  const [batch, heads, rows] = x.shape as [number, number, number, number]
  const y = product(merge(x, groups))
  return reshape(y, [batch, heads, rows, y.shape[3]!])
}

function merge(x: Tensor, groups: number): Tensor {
  const [batch, heads, rows, columns] = x.shape as [number, number, number, number]
  return reshape(x, [batch, groups, (heads / groups) * rows, columns])
}

/** Added to a score that must not count: its exponential is 0, and no runtime makes NaN of it as of infinity. */
export const HIDDEN = -1e30

/** 0 where a query sees a key, else HIDDEN; (queries, keys). */
export function causalMask(graph: Graph, { start, end, keys }: Block, window: number | undefined): Tensor {
  const key = [start, end, keys, window].join()
  const known = maskValues.get(graph) ?? new Map<string, Float32Array>()
  maskValues.set(graph, known)
  const values = known.get(key) ?? maskOf({ start, end, keys }, window)
  known.set(key, values)
  return constant(graph, 'float32', [end - start, keys], values)
}

/** Values of a graph's masks: those of its layers are the same, and large where sequences are long. */
const maskValues = new WeakMap<Graph, Map<string, Float32Array>>()

function maskOf({ start, end, keys }: Block, window: number | undefined): Float32Array {
  const data = new Float32Array((end - start) * keys)
  for (let query = start; query < end; query++) {
    for (let key = 0; key < keys; key++) {
      const seen = key <= query && (window === undefined || key > query - window)
      data[(query - start) * keys + key] = seen ? 0 : HIDDEN
    }
  }
  return data
}

/** Bytes of the masks of `causalAttention` over so many positions, for layers with one window. */
export function causalMaskBytes(length: number): number {
  const blocks = Math.floor(length / BLOCK_QUERIES)
  const whole = (BLOCK_QUERIES ** 2 * blocks * (blocks + 1)) / 2
  return 4 * (whole + (length % BLOCK_QUERIES) * length)
}
