/** @file The layers of a decoder, as graphs. Legend: B batch, T positions, N = B T, D hidden, H heads, d head size. */
import {
  add,
  concat,
  constant,
  type Graph,
  matmul,
  mul,
  reciprocal,
  reduceMean,
  reduceSum,
  reshape,
  sigmoid,
  slice,
  softmax,
  split,
  sqrt,
  sub,
  type Tensor,
} from '../graph/index.ts'

/** x / sqrt(mean(x^2) + epsilon) * weight over the last axis (Zhang and Sennrich 2019). */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const meanSquare = reduceMean(mul(x, x), [-1], true)
  return mul(mul(x, reciprocal(sqrt(add(meanSquare, epsilon)))), weight)
}

/** x (N, in) by weight (out, in), as torch.nn.Linear. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const y = matmul(x, weight, { transB: true })
  return bias === undefined ? y : add(y, bias)
}

/** x sigmoid(x), with the gradient in terms of both: s + y (1 - s). */
export function silu(x: Tensor): Tensor {
  const s = sigmoid(x)
  const y = mul(x, s)
  return x.node.graph.overrideGradient(y, [x], [s, y], (g, _, [sig, out]) => [
    mul(g, add(sig!, sub(out!, mul(out!, sig!)))),
  ])
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
 * a position sees itself and, with a window, the window - 1 positions before it. Gives (B, H, T, d).
 *
 * Queries are taken in blocks, each against the keys up to its end only, which saves up to half of the
 * products. The gradient of the softmax uses sum(P dP) = sum(O dO) (Dao et al. 2022, section 3.1), which
 * is a sum over d instead of one over the keys.
 */
export function causalAttention(q: Tensor, k: Tensor, v: Tensor, window?: number): Tensor {
  const length = q.shape[2]!
  const blocks: Block[] = []
  for (let start = 0; start < length; start += BLOCK_QUERIES) {
    const end = Math.min(start + BLOCK_QUERIES, length)
    blocks.push({ start, end, keys: end })
  }
  const outputs: Tensor[] = []
  const probabilities: Tensor[] = []
  for (const block of blocks) {
    const queries = rows(q, block.start, block.end)
    const scores = grouped(queries, k.shape[1]!, (part) => matmul(part, rows(k, 0, block.keys), { transB: true }))
    const p = softmax(add(scores, causalMask(q.node.graph, block, window)))
    probabilities.push(p)
    outputs.push(grouped(p, v.shape[1]!, (part) => matmul(part, rows(v, 0, block.keys))))
  }
  const output = concat(outputs, 2)

  return q.node.graph.overrideGradient(output, [q, k, v], [output, ...probabilities], (g, [q, k, v], [o, ...ps]) => {
    const delta = reduceSum(mul(g, o!), [-1], true) // (B, H, T, 1)
    const dq: Tensor[] = []
    const dk: Tensor[] = []
    const dv: Tensor[] = []
    const groups = k!.shape[1]!
    for (const [i, block] of blocks.entries()) {
      const p = ps[i]!
      const dO = rows(g, block.start, block.end)
      const queries = rows(q!, block.start, block.end)
      dv.push(overGroup(p, dO, groups))
      const dP = grouped(dO, groups, (part) => matmul(part, rows(v!, 0, block.keys), { transB: true }))
      const dS = mul(p, sub(dP, rows(delta, block.start, block.end)))
      dq.push(grouped(dS, groups, (part) => matmul(part, rows(k!, 0, block.keys))))
      dk.push(overGroup(dS, queries, groups))
    }
    return [concat(dq, 2), sumPrefixes(dk), sumPrefixes(dv)]
  })

  /** a^T b of (B, H, queries, m) and (B, H, queries, n), summed over the heads that share keys: (B, K, m, n). */
  function overGroup(a: Tensor, b: Tensor, groups: number): Tensor {
    return matmul(merge(a, groups), merge(b, groups), { transA: true })
  }

  /** Gradients of a growing number of keys, added up: from the last block down, each to the front of the sum. */
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

  function rows(x: Tensor, start: number, end: number): Tensor {
    return start === 0 && end === x.shape[2] ? x : slice(x, 2, start, end)
  }
}

/** Applies a product with heads that share keys folded into the rows: (B, H, t, x) as (B, K, H/K t, x). */
function grouped(x: Tensor, groups: number, product: (x: Tensor) => Tensor): Tensor {
  const [batch, heads, rows] = x.shape as [number, number, number, number]
  const y = product(merge(x, groups))
  return reshape(y, [batch, heads, rows, y.shape[3]!])
}

function merge(x: Tensor, groups: number): Tensor {
  const [batch, heads, rows, columns] = x.shape as [number, number, number, number]
  return reshape(x, [batch, groups, (heads / groups) * rows, columns])
}

/** 0 where a query sees a key, else a number whose exponential is 0; (queries, keys). */
function causalMask(graph: Graph, { start, end, keys }: Block, window: number | undefined): Tensor {
  const data = new Float32Array((end - start) * keys)
  for (let query = start; query < end; query++) {
    for (let key = 0; key < keys; key++) {
      const seen = key <= query && (window === undefined || key > query - window)
      // finite, so that no runtime makes NaN of infinity minus infinity
      data[(query - start) * keys + key] = seen ? 0 : -1e30
    }
  }
  return constant(graph, 'float32', [end - start, keys], data)
}
