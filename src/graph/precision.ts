/** @file Mixed precision as a rewrite of a whole graph: products in 16 bits, what must be exact in float32. */
import { cast } from './build.ts'
import { elements, type HalfType, isFloat, isHalf, isTame } from './dtype.ts'
import { Graph, isOp, type Node, type Tensor } from './graph.ts'
import type { Op } from './ops.ts'
import { evaluateNode } from './reference.ts'
import { verifyGraph } from './verify.ts'

/**
 * How an operation takes 16-bit numbers. `half`: always, its inputs are rounded. `follows`: where all of its
 * floating-point inputs are of 16 bits, so that nothing is rounded for it. `full`: never.
 */
type Policy = 'half' | 'follows' | 'full'

/**
 * The split is that of torch.autocast: products gain most and bear it; exponentials, logarithms, powers, quotients and
 * reductions lose too much, and so do sums here: what is small beside what is large. All that only moves or scales
 * elements follows.
 */
const POLICIES: { readonly [K in Op]: Policy } = {
  input: 'full',
  constant: 'full',
  neg: 'follows',
  abs: 'follows',
  exp: 'full',
  log: 'full',
  sqrt: 'full',
  reciprocal: 'full',
  sigmoid: 'full',
  tanh: 'full',
  erf: 'full',
  relu: 'follows',
  identity: 'follows',
  cast: 'full',
  add: 'full',
  sub: 'full',
  mul: 'follows',
  div: 'full',
  pow: 'full',
  min: 'follows',
  max: 'follows',
  equal: 'full',
  less: 'full',
  greater: 'full',
  where: 'follows',
  matmul: 'half',
  softmax: 'full',
  reduceSum: 'full',
  reduceMean: 'full',
  reduceMax: 'full',
  reduceSumSquare: 'full',
  reshape: 'follows',
  transpose: 'follows',
  expand: 'follows',
  concat: 'follows',
  split: 'follows',
  slice: 'follows',
  gather: 'follows',
  gatherElements: 'full',
  scatterElements: 'full',
}

/**
 * The graph with its products in `half`, after differentiation and before other passes. Inputs and outputs keep their
 * types: parameters, moments and the loss stay float32, and a parameter is rounded anew in each run. `exact` names the
 * scopes in which nothing is rounded, such as the optimizer's.
 */
export function mixedPrecision(
  graph: Graph,
  half: HalfType,
  exact: (scope: string) => boolean = () => false,
): Graph {
  const target = new Graph()
  const renamed = new Map<Tensor, Tensor>()
  const as = new Map<string, Tensor>()
  const to = (tensor: Tensor, dtype: 'float32' | HalfType): Tensor => {
    if (tensor.dtype === dtype || !isFloat(tensor.dtype)) return tensor
    // back from 16 bits to float32 and the same 16 bits again is where it came from
    if (isOp(tensor.node, 'cast') && tensor.node.inputs[0]!.dtype === dtype && dtype === half)
      return tensor.node.inputs[0]!
    const key = `${tensor.node.id}:${tensor.index}:${dtype}`
    const made = as.get(key) ?? cast(tensor, dtype)
    as.set(key, made)
    return made
  }
  for (const node of graph.nodes) {
    target.scope = node.scope
    const inputs = node.inputs.map((input) => renamed.get(input)!)
    const made = isOp(node, 'input')
      ? [target.input(node.attributes.name, node.attributes)]
      : target.node(node.op as Op, node.attributes as never, typed(node, inputs))
    node.outputs.forEach((output, i) => void renamed.set(output, made[i]!))
  }
  target.scope = ''
  for (const [name, tensor] of graph.outputs) {
    const made = renamed.get(tensor)!
    target.output(name, isFloat(tensor.dtype) ? to(made, 'float32') : made)
  }
  verifyGraph(target, 'mixed precision')
  return target

  function typed(node: Node, inputs: readonly Tensor[]): readonly Tensor[] {
    const floats = inputs.filter(({ dtype }) => isFloat(dtype))
    const policy = exact(node.scope) ? 'full' : POLICIES[node.op]
    const rounds =
      policy === 'half' ||
      (policy === 'follows' && floats.some(({ dtype }) => isHalf(dtype)) && floats.every(mayRound))
    return inputs.map((input) => to(input, rounds ? half : 'float32'))
  }

  /** Of 16 bits already; a constant factor that 16 bits can hold does not keep the others back. */
  function mayRound({ dtype, node, shape }: Tensor): boolean {
    if (isHalf(dtype)) return true
    if (node.op !== 'constant' || elements(shape) !== 1) return false
    const value = evaluateNode(node, [])[0]![0]!
    return value === 0 || isTame(value, half)
  }
}
