/** @file Rewrites of what a runtime lacks into what it has, as tables: one rule an operation, with its reason. */
import {
  add,
  after,
  cast,
  constant,
  copyNode,
  deadCode,
  equal,
  foldNode,
  type Graph,
  gather,
  isHalf,
  matmul,
  type Node,
  type Op,
  optimize,
  rebuild,
  reduceSum,
  reduceSumSquare,
  reshape,
  scatterElements,
  type Tensor,
  transpose,
  where,
} from '../graph/index.ts'
import type { ProviderName } from './names.ts'

/** The tensors that take the place of a node's outputs; undefined to leave it as it is. */
type Rule<K extends Op = Op> = (
  node: Node<K>,
  inputs: readonly Tensor[],
  target: Graph,
) => readonly Tensor[] | undefined

interface Rules {
  readonly byOp: { readonly [K in Op]?: Rule<K> }
  /** For nodes of any operation. */
  readonly any?: Rule
}

/** Adds 16-bit floats in float32. */
const addInFloat32: Rule<'scatterElements'> = (
  { attributes: { axis, reduction } },
  [data, indices, updates],
) => {
  if (reduction === 'none' || !isHalf(data!.dtype)) return undefined
  const [wide, wideUpdates] = [cast(data!, 'float32'), cast(updates!, 'float32')]
  return [cast(scatterElements(wide, indices!, wideUpdates, axis, reduction), data!.dtype)]
}

/** From so many rows on a product gains what transposing its second factor costs: about 50 by the rates below. */
const TRANSPOSED_FROM_ROWS = 64

/**
 * a b^T as a c, with c = b^T made before. With ONNX Runtime 1.30 on an H100, products of 4096 x 4096 matrices in float32
 * run at 20.5 TFLOP/s as they are, at 21.2 with the first transposed, and at 6.4 with the second transposed. An axis of 1
 * in between keeps the library from putting it back as it was, which it does where a sum follows the product.
 */
const transposeBefore: Rule<'matmul'> = ({ attributes: { transA, transB }, scope }, [a, b]) => {
  if (!transB || a!.shape.length !== 2 || b!.shape.length !== 2) return undefined
  const [columns, inner] = b!.shape as [number, number]
  const rows = a!.shape[transA ? 1 : 0]!
  // the fast kernels take four columns at a time
  if (rows < TRANSPOSED_FROM_ROWS || columns % 4 !== 0) return undefined
  // what is computed again has a c of its own, made then: one for both passes would be kept between them
  const factor = /^backward\b/.test(scope) ? after(b!, a!) : b!
  const turned = reshape(transpose(reshape(factor, [columns, 1, inner]), [2, 1, 0]), [inner, columns])
  return [matmul(a!, turned, { transA })]
}

/** A sum of squares down to one number, rows first: else 256 threads do it all, 5 ms for 12.6M numbers on an H100. */
const squaresByRow: Rule<'reduceSumSquare'> = ({ attributes: { axes, keepDims } }, [x]) => {
  const rank = x!.shape.length
  if (rank < 2 || axes.length !== rank) return undefined
  return [reduceSum(reduceSumSquare(x!, [-1], true), axes, keepDims)]
}

const RULES: { readonly [R in ProviderName]: Rules } = {
  cpu: {
    byOp: {
      // adding 16-bit floats is registered, and fails when it runs
      scatterElements: addInFloat32,
    },
  },
  webgpu: {
    byOp: {
      // slices are taken of floating-point numbers only, gathers of whatever there is
      slice: ({ attributes: { axis, start, end } }, [x], target) => {
        if (x!.dtype !== 'int32' && x!.dtype !== 'bool') return undefined
        const positions = Int32Array.from({ length: end - start }, (_, i) => start + i)
        return [gather(x!, constant(target, 'int32', [end - start], positions), axis)]
      },
      // without atomic additions of 16-bit floats
      scatterElements: addInFloat32,
      matmul: transposeBefore,
      reduceSumSquare: squaresByRow,
    },
  },
  cuda: { byOp: {} },
  cann: {
    byOp: {
      // one update in each line cannot meet another, so the line's place for it can be found by comparing
      scatterElements: ({ attributes: { axis, reduction } }, [data, indices, updates], target) => {
        if (reduction !== 'add' || indices!.shape[axis] !== 1) return undefined
        const { shape } = data!
        if (!shape.every((size, i) => i === axis || size === indices!.shape[i])) return undefined
        const count = shape[axis]!
        const line = shape.map((_, i) => (i === axis ? count : 1))
        const positions = Int32Array.from({ length: count }, (_, i) => i)
        const all = reshape(constant(target, 'int32', [count], positions), line)
        const here = equal(cast(indices!, 'int32'), all)
        return [
          add(
            data!,
            where(here, updates!, cast(constant(target, 'float32', [], new Float32Array(1)), data!.dtype)),
          ),
        ]
      },
    },
    // the provider leaves what depends on constants alone to the host, whatever its size
    any: foldNode,
  },
}

/**
 * The graph as a runtime takes it; the graph itself where nothing needs to be rewritten. Same inputs, outputs and
 * meaning; the results may differ in how they are rounded, never in type.
 */
export function legalize(graph: Graph, runtime: ProviderName): Graph {
  const { byOp, any } = RULES[runtime]
  let changed = false
  const rewrite = (from: Graph): Graph =>
    rebuild(from, (node, inputs, target) => {
      const rule = byOp[node.op] as Rule | undefined
      const made = rule?.(node, inputs, target) ?? any?.(node, inputs, target)
      if (made !== undefined) changed = true
      return made ?? copyNode(node, inputs, target)
    })
  const rewritten = rewrite(graph)
  if (!changed) return graph
  // other passes may fold what a rule has made, and a rule of constants comes last
  const optimized = optimize(rewritten)
  return any === undefined ? optimized : deadCode(rewrite(optimized))
}
