/** @file The specification of a graph, executable: run between passes and before a graph leaves this room. */
import type { TensorSpec } from './dtype.ts'
import { describe, type Graph, isOp, type Node, type Tensor } from './graph.ts'
import { inferShapes, sameShape } from './shape.ts'

/** Throws when the graph breaks a rule; the message names the step that broke it, the node and its inputs. */
export function verifyGraph(graph: Graph, after: string): void {
  graph.nodes.forEach((node, position) => {
    const broken = brokenRule(graph, node, position)
    if (broken !== undefined) {
      throw new Error(`graph broken after ${after}: ${node.op}#${node.id} (${node.scope}) ${broken}`)
    }
  })
  for (const node of graph.nodes) {
    if (isOp(node, 'input') && graph.inputs.get(node.attributes.name)?.node !== node) {
      throw new Error(
        `graph broken after ${after}: input ${node.attributes.name} is not among the graph's inputs`,
      )
    }
  }
  const lost = [...graph.inputs].find(([, tensor]) => !owns(graph, tensor))
  if (lost !== undefined)
    throw new Error(`graph broken after ${after}: input ${lost[0]} is not of this graph`)
  const foreign = [...graph.outputs].find(([, tensor]) => !owns(graph, tensor))
  if (foreign !== undefined)
    throw new Error(`graph broken after ${after}: output ${foreign[0]} is not of this graph`)
}

function brokenRule(graph: Graph, node: Node, position: number): string | undefined {
  if (node.graph !== graph || node.id !== position) return `is not node ${position} of this graph`
  for (const input of node.inputs) {
    if (!owns(graph, input)) return `reads ${describe(input)}, which is not of this graph`
    if (input.node.id >= position) return `reads ${describe(input)}, which is made later`
  }
  let specs: readonly TensorSpec[]
  try {
    specs = inferShapes(node.op, node.attributes, node.inputs)
  } catch (error) {
    return `does not fit its inputs: ${(error as Error).message}`
  }
  if (specs.length !== node.outputs.length)
    return `has ${node.outputs.length} outputs instead of ${specs.length}`
  for (const [i, spec] of specs.entries()) {
    const output = node.outputs[i]!
    if (output.dtype !== spec.dtype || !sameShape(output.shape, spec.shape)) {
      return `gives ${describe(output)} where the shape rule says ${spec.dtype}[${spec.shape.join(',')}]`
    }
  }
  return undefined
}

function owns(graph: Graph, tensor: Tensor): boolean {
  return graph.nodes[tensor.node.id]?.outputs[tensor.index] === tensor
}

/**
 * Whether a program may write output `to` over the memory of input `from`: every node that reads the
 * input must have finished before the node that makes the output starts, whatever order a runtime picks.
 * That node itself may read the input when it works element by element.
 */
export function inPlaceSafe(graph: Graph, from: string, to: string): boolean {
  return inPlaceSafety(graph, [[from, to]])[0]!
}

/** `inPlaceSafe` of many pairs of input and output, in one walk over the graph. */
export function inPlaceSafety(
  graph: Graph,
  pairs: readonly (readonly [string, string])[],
): readonly boolean[] {
  const readers = readersOf(graph)
  const outputs = new Set(graph.outputs.values())
  const bits = new Map<Node, number>()
  const conditions = pairs.map(([from, to]) => {
    const input = graph.inputs.get(from)
    const output = graph.outputs.get(to)
    if (input === undefined || output === undefined)
      throw new TypeError(`no input ${from} or no output ${to}`)
    if (input.dtype !== output.dtype || !sameShape(input.shape, output.shape)) return undefined
    const maker = output.node
    const names = aliases(input, readers)
    // an output that is the input, renamed, may be copied out at any time
    if (names.some((name) => outputs.has(name))) return undefined
    const before = names.flatMap((name) =>
      (readers.get(name) ?? []).filter(
        (node) =>
          !RENAMING.has(node.op) &&
          !(node === maker && worksInPlace(maker, name) && !isFusable(maker, input)),
      ),
    )
    for (const node of before) if (!bits.has(node)) bits.set(node, bits.size)
    return { maker, before }
  })
  const reached = ancestorBits(graph, bits)
  return conditions.map(
    (condition) => condition?.before.every((node) => reached(condition.maker, bits.get(node)!)) ?? false,
  )
}

/** For each node, which of the numbered nodes are its ancestors, as one bit each. */
function ancestorBits(graph: Graph, bits: ReadonlyMap<Node, number>): (node: Node, bit: number) => boolean {
  const words = Math.ceil(bits.size / 32)
  const table = new Uint32Array(words * graph.nodes.length)
  for (const node of graph.nodes) {
    const own = node.id * words
    for (const parent of new Set(node.inputs.map((input) => input.node))) {
      const from = parent.id * words
      for (let word = 0; word < words; word++) table[own + word]! |= table[from + word]!
      const bit = bits.get(parent)
      if (bit !== undefined) table[own + (bit >> 5)]! |= 1 << (bit & 31)
    }
  }
  return (node, bit) => ((table[node.id * words + (bit >> 5)]! >>> (bit & 31)) & 1) === 1
}

/** Operations whose result a runtime may keep in the memory of their input. */
const RENAMING: ReadonlySet<string> = new Set(['reshape', 'identity'])

/** Operations that read element i of an input of the output's shape only to make element i of the output. */
const ELEMENTWISE: ReadonlySet<string> = new Set(['add', 'sub', 'mul', 'div', 'where'])

/**
 * Whether a runtime may fuse a product that reads the input into the node that adds the input to it: the
 * fused kernel then reads as a factor what it has written as a sum.
 */
function isFusable(maker: Node, input: Tensor): boolean {
  return maker.inputs
    .map((tensor) => origin(tensor, RENAMING).node)
    .some(({ op, inputs }) => op === 'matmul' && inputs.some((factor) => origin(factor, MOVING) === input))
}

/** Operations that runtimes fold into a product that reads their result. */
const MOVING: ReadonlySet<string> = new Set([...RENAMING, 'transpose'])

function origin(tensor: Tensor, through: ReadonlySet<string>): Tensor {
  return through.has(tensor.node.op) ? origin(tensor.node.inputs[0]!, through) : tensor
}

function worksInPlace(maker: Node, input: Tensor): boolean {
  if (ELEMENTWISE.has(maker.op)) return true
  return (
    maker.op === 'scatterElements' &&
    maker.inputs.indexOf(input) === 0 &&
    maker.inputs.lastIndexOf(input) === 0
  )
}

/** The tensor and what only renames it. */
function aliases(tensor: Tensor, readers: ReadonlyMap<Tensor, readonly Node[]>): Tensor[] {
  const found = [tensor]
  for (const name of found) {
    for (const node of readers.get(name) ?? []) if (RENAMING.has(node.op)) found.push(node.outputs[0]!)
  }
  return found
}

function readersOf(graph: Graph): ReadonlyMap<Tensor, readonly Node[]> {
  const readers = new Map<Tensor, Node[]>()
  for (const node of graph.nodes) {
    for (const input of new Set(node.inputs)) {
      const list = readers.get(input)
      if (list === undefined) readers.set(input, [node])
      else list.push(node)
    }
  }
  return readers
}
