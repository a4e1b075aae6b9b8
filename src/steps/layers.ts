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
  sigmoid,
  slice,
  softmax,
  split,
  sqrt,
  sub,
  type Tensor,
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

/** x (N, in) by weight (out, in), as torch.nn.Linear. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const y = matmul(x, weight, { transB: true })
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

/** gate sigmoid(gate) up (Shazeer 2020), with d gate in terms of s and y = gate s: s + y (1 - s). */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  const { graph } = gate.node
  return again(graph, () => {
    const s = sigmoid(gate)
    const y = mul(gate, s)
    return graph.overrideGradient(mul(y, up), [gate, up], [s, y], (g, [, u], [sig, out]) => [
      mul(mul(g, u!), add(sig!, sub(out!, mul(out!, sig!)))),
      mul(g, out!),
    ])
  })
}

/** Cosines and sines of a range of positions, (T, d) each, ready to be applied. */
export interface Rotation {
  readonly cos: Tensor
  /** Sines, negated in the first half: the sign of the rotation. */
  readonly sin: Tensor
}

/** Rotation tables as constants; `scale` multiplies both, which scales what they rotate. */
export function rotation(
  graph: Graph,
  tables: { cos: Float32Array; sin: Float32Array },
  headSize: number,
  scale = 1,
): Rotation {
  const shape = [tables.cos.length / headSize, headSize]
  const signed = tables.sin.map((value, i) => (i % headSize < headSize / 2 ? -value : value) * scale)
  return {
    cos: constant(
      graph,
      'float32',
      shape,
      tables.cos.map((value) => value * scale),
    ),
    sin: constant(graph, 'float32', shape, signed),
  }
}

/** Rotary position embedding of x (..., T, d): the halves of a head turn as pairs (Su et al. 2021). */
export function rotate(x: Tensor, { cos, sin }: Rotation): Tensor {
  const half = x.shape.at(-1)! / 2
  const [first, second] = split(x, [half, half], -1)
  return add(mul(x, cos), mul(concat([second!, first!], -1), sin))
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
 * a position sees itself and, with a window, the window - 1 positions before it. Gives (B, T, H, d).
 *
 * Queries are taken in blocks, each against the keys up to its end only, which saves up to half of the
 * products. The gradient of the softmax uses sum(P dP) = sum(O dO) (Dao et al. 2022, section 3.1), which
 * is a sum over d instead of one over the keys.
 */
export function causalAttention(q: Tensor, k: Tensor, v: Tensor, window?: number): Tensor {
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
    const [queries, keys, values, p] = graph.within(`block${start}`, () =>
      again(graph, () => {
        const [queries, keys, values] = [rows(q, start, end), rows(k, 0, end), rows(v, 0, end)]
        const scores = grouped(queries, groups, (part) => matmul(part, keys, { transB: true }))
        return [queries, keys, values, softmax(add(scores, causalMask(graph, block, window)))] as const
      }),
    )
    outputs.push(grouped(p, groups, (part) => matmul(part, values)))
    residuals.push(queries, keys, values, p)
  }
  const output = transpose(concat(outputs, 2), [0, 2, 1, 3])

  return graph.overrideGradient(output, [q, k, v], [output, ...residuals], (gradient, _, [o, ...kept]) => {
    const delta = transpose(reduceSum(mul(gradient, o!), [-1], true), [0, 2, 1, 3]) // (B, H, T, 1)
    const g = transpose(gradient, [0, 2, 1, 3])
    const dq: Tensor[] = []
    const dk: Tensor[] = []
    const dv: Tensor[] = []
    for (const [i, { start, end }] of blocks.entries()) {
      const [queries, keys, values, p] = kept.slice(4 * i, 4 * i + 4) as [Tensor, Tensor, Tensor, Tensor]
      const dO = rows(g, start, end)
      const dP = grouped(dO, groups, (part) => matmul(part, values, { transB: true }))
      const dS = mul(p, sub(dP, rows(delta, start, end)))
      dq.push(grouped(dS, groups, (part) => matmul(part, keys)))
      dk.push(overGroup(dS, queries, groups))
      dv.push(overGroup(p, dO, groups))
    }
    return [concat(dq, 2), sumPrefixes(dk), sumPrefixes(dv)]
  })
}

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
