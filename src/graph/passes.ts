/** @file Rewrites of a graph that leave its meaning: dead code, common subexpressions, constants, algebra. */
import { createHash } from 'node:crypto'
import { toHalf } from '../formats/index.ts'
import { constant, mul, reshape, scatterElements, transpose } from './build.ts'
import { elements, isTame } from './dtype.ts'
import { Graph, isOp, type Node, type Tensor } from './graph.ts'
import type { ConstantData, Op } from './ops.ts'
import { evaluateNode } from './reference.ts'
import { sameShape } from './shape.ts'
import { verifyGraph } from './verify.ts'

/**
 * A rewrite: gives a new graph with the same inputs and outputs. Gradient overrides are left behind: differentiate
 * before rewriting.
 */
export type Pass = (graph: Graph) => Graph

/** Constants with more elements than this are left to the runtime: the file would grow. */
const FOLD_LIMIT = 4096

/** Runs the passes until nothing changes the node count, checking the graph against the specification between them. */
export function optimize(graph: Graph): Graph {
  let current = verified(graph, 'building')
  for (;;) {
    const before = current.nodes.length
    for (const [name, pass] of Object.entries(PASSES)) current = verified(pass(current), name)
    if (current.nodes.length === before) return current
  }
}

/** Drops what no output depends on. Inputs stay: they are the program's interface. */
export function deadCode(graph: Graph): Graph {
  const live = new Set<Node>([...graph.outputs.values()].map((tensor) => tensor.node))
  for (const node of [...graph.nodes].reverse()) {
    if (live.has(node)) for (const input of node.inputs) live.add(input.node)
  }
  return rebuild(graph, (node, inputs, target) =>
    live.has(node) ? copyNode(node, inputs, target) : undefined,
  )
}

/** Computes once what is computed twice in the same way. */
export function commonSubexpressions(graph: Graph): Graph {
  const seen = new Map<string, readonly Tensor[]>()
  return rebuild(graph, (node, inputs, target) => {
    const attributes = isOp(node, 'constant')
      ? { ...node.attributes, data: constantKey(node.attributes.data) }
      : node.attributes
    const key = `${node.op} ${JSON.stringify(attributes)} ${inputs.map((x) => `${x.node.id}:${x.index}`).join(' ')}`
    const known = seen.get(key)
    if (known !== undefined) return known
    const made = copyNode(node, inputs, target)
    seen.set(key, made)
    return made
  })
}

/** Evaluates what depends on constants alone. */
export function foldConstants(graph: Graph): Graph {
  return rebuild(graph, (node, inputs, target) => {
    const small = node.outputs.every((output) => elements(output.shape) <= FOLD_LIMIT)
    return (small ? foldNode(node, inputs, target) : undefined) ?? copyNode(node, inputs, target)
  })
}

/** The outputs of a node as constants of the target graph; undefined when not all of its inputs are constants. */
export function foldNode(
  node: Node,
  inputs: readonly Tensor[],
  target: Graph,
): readonly Tensor[] | undefined {
  if (node.op === 'input' || node.op === 'constant') return undefined
  if (!inputs.every((input) => input.node.op === 'constant')) return undefined
  const values = evaluateNode(
    node,
    inputs.map((input) => evaluateNode(input.node, [])[0]!),
  )
  // a number that its integer type cannot hold means what the runtime makes of it
  if (!node.outputs.every(({ dtype }, i) => fits(values[i]!, dtype))) return undefined
  return node.outputs.map(({ dtype, shape }, i) => constant(target, dtype, shape, typed(values[i]!, dtype)))
}

/** Identities of algebra, each of which saves a pass over memory and rounds no worse. */
export function simplify(graph: Graph): Graph {
  return rebuild(graph, (node, inputs, target) => {
    const simpler = simplified(node, inputs)
    return simpler === undefined ? copyNode(node, inputs, target) : [simpler]
  })
}

const PASSES: Readonly<Record<string, Pass>> = { simplify, foldConstants, commonSubexpressions, deadCode }

function simplified(node: Node, inputs: readonly Tensor[]): Tensor | undefined {
  const [a, b] = inputs
  const shape = node.outputs[0]!.shape
  if (node.op === 'identity') return a
  if (node.op === 'slice' && sameShape(a!.shape, shape)) return a
  if (node.op === 'reshape' || node.op === 'expand') {
    if (sameShape(a!.shape, shape)) return a
    // reshape(reshape(x)) = reshape(x)
    if (node.op === 'reshape' && a!.node.op === 'reshape') return reshape(a!.node.inputs[0]!, shape)
  }
  // x * 1 = x, x + 0 = x
  if (node.op === 'mul' || node.op === 'add') {
    const neutral = node.op === 'mul' ? 1 : 0
    if (isConstant(a!, neutral) && sameShape(b!.shape, shape)) return b
    if (isConstant(b!, neutral) && sameShape(a!.shape, shape)) return a
  }
  // (x c) d = x (c d) for scalars c and d
  if (node.op === 'mul' && a!.node.op === 'mul' && isScalarConstant(b!)) {
    const [x, c] = a!.node.inputs
    if (isScalarConstant(c!) && isTame(scalarValue(c!) * scalarValue(b!), b!.dtype))
      return mul(x!, mul(c!, b!))
  }
  // transpose(transpose(x))
  if (isOp(node, 'transpose')) {
    const { permutation } = node.attributes
    if (permutation.every((axis, i) => axis === i)) return a
    // moving axes of size 1 moves no element
    const moved = permutation.filter((axis) => a!.shape[axis] !== 1)
    if (moved.every((axis, i) => i === 0 || axis > moved[i - 1]!)) return reshape(a!, shape)
    if (isOp(a!.node, 'transpose')) {
      const inner = a!.node.attributes.permutation
      return transpose(
        a!.node.inputs[0]!,
        permutation.map((axis) => inner[axis]!),
      )
    }
  }
  // x + scatter-add(0, i, u) = scatter-add(x, i, u)
  if (node.op === 'add') return scattered(a!, b!) ?? scattered(b!, a!)
  return undefined
}

function scattered(x: Tensor, sum: Tensor): Tensor | undefined {
  const { node } = sum
  if (!isOp(node, 'scatterElements') || node.attributes.reduction !== 'add') return undefined
  const [data, indices, updates] = node.inputs
  if (!isZero(data!) || !sameShape(x.shape, data!.shape)) return undefined
  return scatterElements(x, indices!, updates!, node.attributes.axis, 'add')
}

function isZero(tensor: Tensor): boolean {
  return tensor.node.op === 'expand' ? isZero(tensor.node.inputs[0]!) : isConstant(tensor, 0)
}

function isScalarConstant(tensor: Tensor): boolean {
  return tensor.node.op === 'constant' && tensor.shape.length === 0
}

function scalarValue(tensor: Tensor): number {
  return evaluateNode(tensor.node, [])[0]![0]!
}

function isConstant(tensor: Tensor, value: number): boolean {
  if (!isOp(tensor.node, 'constant')) return false
  const { length } = tensor.node.attributes.data
  if (length === 0 || length > FOLD_LIMIT) return false
  return evaluateNode(tensor.node, [])[0]!.every((x) => x === value)
}

/** Makes a new graph node by node; `make` gives the outputs that take the node's place, or undefined to drop it. */
export function rebuild(
  graph: Graph,
  make: (node: Node, inputs: readonly Tensor[], target: Graph) => readonly Tensor[] | undefined,
): Graph {
  const target = new Graph()
  const renamed = new Map<Tensor, Tensor>()
  for (const node of graph.nodes) {
    target.scope = node.scope
    const made = isOp(node, 'input')
      ? [target.input(node.attributes.name, node.attributes)]
      : make(
          node,
          node.inputs.map((input) => renamed.get(input)!),
          target,
        )
    if (made !== undefined) node.outputs.forEach((output, i) => void renamed.set(output, made[i]!))
  }
  for (const [name, tensor] of graph.outputs) target.output(name, renamed.get(tensor)!)
  target.scope = ''
  return target
}

/** The node over other inputs, in the target graph. */
export function copyNode(node: Node, inputs: readonly Tensor[], target: Graph): readonly Tensor[] {
  return target.node(node.op as Op, node.attributes as never, inputs)
}

function verified(graph: Graph, after: string): Graph {
  verifyGraph(graph, after)
  return graph
}

/** A hash of a constant's bytes; masks of long sequences are large, and several layers and passes share them. */
function constantKey(data: ConstantData): string {
  const known = constantKeys.get(data)
  if (known !== undefined) return known
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const key = createHash('sha256').update(bytes).digest('base64')
  constantKeys.set(data, key)
  return key
}

const constantKeys = new WeakMap<ConstantData, string>()

function fits(values: Float64Array, dtype: Tensor['dtype']): boolean {
  if (dtype !== 'int32' && dtype !== 'int64') return true
  const limit = dtype === 'int32' ? 2 ** 31 : Number.MAX_SAFE_INTEGER
  return values.every((x) => Number.isInteger(x) && x >= -limit && x < limit)
}

function typed(values: Float64Array, dtype: Tensor['dtype']): ConstantData {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values)
    case 'int32':
      return Int32Array.from(values)
    case 'int64':
      return BigInt64Array.from(Array.from(values, BigInt))
    case 'bool':
      return Uint8Array.from(values)
    case 'float16':
    case 'bfloat16':
      return toHalf(Float32Array.from(values), dtype)
  }
}
