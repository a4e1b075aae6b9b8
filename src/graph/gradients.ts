/** @file Reverse-mode differentiation: a walk back over the nodes, one gradient rule at a time. */
import { add, mul, reshape, slice } from './build.ts'
import { elements } from './dtype.ts'
import { type GradientRule, gradientRules, ones } from './gradient-rules.ts'
import { describe, type Graph, type Node, type Tensor } from './graph.ts'
import type { Op } from './ops.ts'

/** How much of the forward pass is kept for the backward pass. */
export interface GradientOptions {
  /**
   * Recompute activations by segment: nodes of one segment are computed again when the backward pass first
   * reads one of them, instead of being kept. Gives the segment of a scope, undefined for what is kept.
   */
  readonly segmentOf?: (scope: string) => string | undefined
  /** Points of the backward pass that wait for something else: see `Barrier`. */
  readonly barriers?: readonly Barrier[]
}

/**
 * Holds the backward pass at a tensor until a token is computed. Runtimes order nodes by data alone; without
 * a barrier one may walk the whole way back before it computes any weight gradient, and keep every
 * activation until then.
 */
export interface Barrier {
  /** The tensor whose cotangent waits. */
  readonly at: Tensor
  /** The scalar that it waits for, given the cotangents that are complete by then. */
  readonly token: (cotangentOf: (tensor: Tensor) => Tensor | undefined) => Tensor | undefined
}

/**
 * Gradients of a scalar with respect to tensors of the same graph, added to the graph as nodes.
 * A tensor that the scalar does not depend on is an error: it would never be trained.
 *
 * @example
 * ```ts
 * import { Graph, gradients, matmul, mul, reduceMean } from 'regauge/graph'
 *
 * const graph = new Graph()
 * const x = graph.input('x', { dtype: 'float32', shape: [4, 3] })
 * const w = graph.input('w', { dtype: 'float32', shape: [3, 2] })
 * const y = matmul(x, w)
 * const [slope] = gradients(reduceMean(mul(y, y)), [w])
 * console.log(slope?.shape) // [3, 2]
 * ```
 */
export function gradients(
  loss: Tensor,
  wrt: readonly Tensor[],
  options: GradientOptions = {},
): readonly Tensor[] {
  if (loss.shape.length > 0 || loss.dtype !== 'float32') {
    throw new TypeError(`gradients: ${describe(loss)} is not a float32 scalar`)
  }
  const { graph } = loss.node
  const needed = dependents(graph, wrt)
  const cotangents = new Map<Tensor, Tensor>([[loss, ones(graph, [])]])
  const accumulate = (tensor: Tensor, g: Tensor | undefined) => {
    if (g === undefined || !needed.has(tensor.node)) return
    const sum = cotangents.get(tensor)
    cotangents.set(tensor, sum === undefined ? g : add(sum, g))
  }
  const recompute = recomputation(graph, options.segmentOf)
  const barriers = new Map((options.barriers ?? []).map((barrier) => [barrier.at, barrier]))
  const scope = graph.scope

  for (const node of graph.nodes.slice(0, loss.node.id + 1).reverse()) {
    if (!needed.has(node)) continue
    graph.scope = node.scope === '' ? 'backward' : `backward.${node.scope}`
    for (const output of node.outputs) {
      const g = cotangents.get(output)
      const token = g && barriers.get(output)?.token((tensor) => cotangents.get(tensor))
      if (token !== undefined) cotangents.set(output, after(g!, token))
    }
    const outs = node.outputs.map((output) => cotangents.get(output))
    const first = outs.find((g) => g !== undefined)
    if (first === undefined) continue
    const at = recompute(node, first)
    const override = graph.overrides.get(node.outputs[0]!)
    if (override !== undefined) {
      const grads = override.rule(first, override.inputs.map(at), override.residuals.map(at))
      override.inputs.forEach((input, i) => void accumulate(input, grads[i]))
    } else {
      const rule = gradientRules[node.op] as GradientRule<Op>
      const grads = rule(sameNode(node, at), outs)
      node.inputs.forEach((input, i) => void accumulate(input, grads[i]))
    }
  }
  graph.scope = scope

  return wrt.map((tensor) => {
    const g = cotangents.get(tensor)
    if (g === undefined) throw new TypeError(`gradients: the loss does not depend on ${describe(tensor)}`)
    return g
  })
}

/**
 * A tensor equal to `x` that cannot be computed before `token`: 0 * token is added, which no runtime may
 * drop since 0 times infinity is not 0. Runtimes order nodes by data alone, so this is how the backward
 * pass says "free these activations before you go on".
 */
export function after(x: Tensor, token: Tensor): Tensor {
  return add(x, mul(oneElement(token), 0))
}

/** The first element, as a scalar: a token of the tensor that costs nothing. */
export function oneElement(x: Tensor): Tensor {
  const first = x.shape.reduce((cut, size, axis) => (size > 1 ? slice(cut, axis, 0, 1) : cut), x)
  return reshape(first, [])
}

/** Nodes on a path from any of the tensors. */
function dependents(graph: Graph, tensors: readonly Tensor[]): Set<Node> {
  const found = new Set<Node>(tensors.map((tensor) => tensor.node))
  for (const node of graph.nodes) {
    const override = graph.overrides.get(node.outputs[0]!)
    const inputs = override === undefined ? node.inputs : [...node.inputs, ...override.inputs]
    if (inputs.some((input) => found.has(input.node))) found.add(node)
  }
  return found
}

/** The node as the gradient rule shall see it: with recomputed inputs and outputs where there are any. */
function sameNode(node: Node, at: (tensor: Tensor) => Tensor): Node {
  const outputs = node.outputs.map(at)
  const inputs = node.inputs.map(at)
  if (
    outputs.every((output, i) => output === node.outputs[i]) &&
    inputs.every((x, i) => x === node.inputs[i])
  ) {
    return node
  }
  return { ...node, inputs, outputs }
}

/**
 * Gives, for a node that the walk has reached, the map from forward tensors to the ones that its rule reads:
 * those of a segment are computed again, the whole segment when the first of them is asked for, held back
 * until the cotangent at hand is there. What one segment reads of another is kept.
 */
function recomputation(
  graph: Graph,
  segmentOf: GradientOptions['segmentOf'],
): (node: Node, cotangent: Tensor) => (tensor: Tensor) => Tensor {
  if (segmentOf === undefined) return () => (tensor) => tensor
  const members = new Map<string, Node[]>()
  for (const node of graph.nodes) {
    const segment = segmentOf(node.scope)
    if (segment === undefined || node.op === 'input' || node.op === 'constant') continue
    const list = members.get(segment)
    if (list === undefined) members.set(segment, [node])
    else list.push(node)
  }
  const copies = new Map<string, ReadonlyMap<Tensor, Tensor>>()
  return (node, cotangent) => (tensor) => {
    const segment = segmentOf(tensor.node.scope)
    const own = segmentOf(node.scope)
    if (segment === undefined || (own !== undefined && own !== segment)) return tensor
    let copy = copies.get(segment)
    if (copy === undefined) {
      copy = copySegment(members.get(segment) ?? [], cotangent)
      copies.set(segment, copy)
    }
    return copy.get(tensor) ?? tensor
  }
}

/** Makes nodes again. Those that read none of the copies wait for the token, through their smallest input. */
function copySegment(members: readonly Node[], token: Tensor): ReadonlyMap<Tensor, Tensor> {
  const copy = new Map<Tensor, Tensor>()
  for (const node of members) {
    const inputs = node.inputs.map((input) => copy.get(input) ?? input)
    if (!node.inputs.some((input) => copy.has(input))) {
      const floats = node.inputs.filter((input) => input.dtype === 'float32')
      if (floats.length > 0) {
        const smallest = floats.reduce((a, b) => (elements(b.shape) < elements(a.shape) ? b : a))
        inputs[node.inputs.indexOf(smallest)] = after(smallest, token)
      }
    }
    const outputs = node.graph.node(node.op as Op, node.attributes as never, inputs)
    node.outputs.forEach((output, i) => void copy.set(output, outputs[i]!))
  }
  return copy
}
