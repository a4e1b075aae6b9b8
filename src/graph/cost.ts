/** @file Floating-point operations and bytes of each operation. */
import { byteLength, elements } from './dtype.ts'
import type { Graph, Node } from './graph.ts'
import type { Op } from './ops.ts'

/** Work of one node: an operation of arithmetic counts one, a fused multiply-add two; bytes are read and written. */
export interface Cost {
  readonly flops: number
  readonly bytes: number
}

type FlopRule<K extends Op> = (node: Node<K>) => number

const flopRules: { readonly [K in Op]: FlopRule<K> } = {
  input: nothing,
  constant: nothing,
  neg: perOutput(1),
  abs: perOutput(1),
  exp: perOutput(1),
  log: perOutput(1),
  sqrt: perOutput(1),
  reciprocal: perOutput(1),
  // e^-x, add, divide
  sigmoid: perOutput(3),
  tanh: perOutput(1),
  erf: perOutput(1),
  relu: perOutput(1),
  identity: nothing,
  cast: nothing,
  add: perOutput(1),
  sub: perOutput(1),
  mul: perOutput(1),
  div: perOutput(1),
  pow: perOutput(1),
  min: perOutput(1),
  max: perOutput(1),
  equal: perOutput(1),
  less: perOutput(1),
  greater: perOutput(1),
  where: nothing,
  matmul: ({ inputs: [a], outputs: [y], attributes: { transA } }) =>
    2 * elements(y!.shape) * a!.shape.at(transA ? -2 : -1)!,
  // subtract the maximum, exponential, sum, divide; and the maximum
  softmax: perOutput(5),
  reduceSum: perInput(1),
  reduceMean: perInput(1),
  reduceMax: perInput(1),
  reduceSumSquare: perInput(2),
  reshape: nothing,
  transpose: nothing,
  expand: nothing,
  concat: nothing,
  split: nothing,
  slice: nothing,
  gather: nothing,
  gatherElements: nothing,
  scatterElements: ({ inputs, attributes: { reduction } }) =>
    reduction === 'add' ? elements(inputs[2]!.shape) : 0,
}

/** Operations that only rename memory: no runtime moves their bytes. */
const FREE: ReadonlySet<Op> = new Set(['input', 'constant', 'reshape', 'identity'])

/** Work of one node. */
export function costOf(node: Node): Cost {
  const flops = (flopRules[node.op] as FlopRule<Op>)(node)
  if (FREE.has(node.op)) return { flops, bytes: 0 }
  // of what a lookup indexes, it reads no more than it gives back
  const gathers = node.op === 'gather' || node.op === 'gatherElements'
  const read = gathers ? [node.outputs[0]!, node.inputs[1]!] : node.inputs
  return { flops, bytes: [...read, ...node.outputs].reduce((sum, tensor) => sum + byteLength(tensor), 0) }
}

/** Work of a whole graph, and the part of the FLOPs that matrix products do. */
export function graphCost(graph: Graph): Cost & { readonly matmulFlops: number } {
  let flops = 0
  let bytes = 0
  let matmulFlops = 0
  for (const node of graph.nodes) {
    const cost = costOf(node)
    flops += cost.flops
    bytes += cost.bytes
    if (node.op === 'matmul') matmulFlops += cost.flops
  }
  return { flops, bytes, matmulFlops }
}

function nothing(): number {
  return 0
}

function perOutput(flops: number) {
  return (node: Node) => flops * elements(node.outputs[0]!.shape)
}

function perInput(flops: number) {
  return (node: Node) => flops * elements(node.inputs[0]!.shape)
}
