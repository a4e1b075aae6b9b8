/** @file Reverse-mode differentiation: a walk back over the nodes, one gradient rule at a time. */
import { add, mul, reshape, slice } from './build.ts'
import { type GradientRule, gradientRules, ones } from './gradient-rules.ts'
import { describe, type Graph, type Node, type Tensor } from './graph.ts'
import type { Op } from './ops.ts'

/** How much of the forward pass is kept for the backward pass. */
export interface GradientOptions {
  /**
   * Recompute activations by segment: a node whose scope lies in segment `s` is computed again from the
   * segment's inputs when the backward pass reaches it, instead of being kept. Gives the segment of a
   * scope, or undefined for nodes that are kept.
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
  if (outputs.every((output, i) => output === node.outputs[i]) && inputs.every((x, i) => x === node.inputs[i])) {
    return node
  }
  return { ...node, inputs, outputs }
}

/**
 * Gives, for a node, the map from forward tensors to the ones that the backward pass reads. A segment is
 * computed again, whole, when the walk enters it from behind: from the values that enter the segment,
 * held back until the cotangent that enters from behind is there.
 */
function recomputation(
  graph: Graph,
  segmentOf: GradientOptions['segmentOf'],
): (node: Node, cotangent: Tensor) => (tensor: Tensor) => Tensor {
  if (segmentOf === undefined) return () => (tensor) => tensor
  const forward = [...graph.nodes]
  const copies = new Map<string, Map<Tensor, Tensor>>()
  const leaf = (node: Node) => node.op === 'input' || node.op === 'constant'

  const copySegment = (segment: string, cotangent: Tensor): Map<Tensor, Tensor> => {
    const copy = new Map<Tensor, Tensor>()
    const members = forward.filter((node) => segmentOf(node.scope) === segment && !leaf(node))
    const inside = new Set(members)
    for (const node of members) {
      const inputs = node.inputs.map((input) => {
        const known = copy.get(input)
        if (known !== undefined) return known
        if (inside.has(input.node) || leaf(input.node) || input.dtype !== 'float32') return input
        const held = after(input, cotangent)
        copy.set(input, held)
        return held
      })
      const outputs = graph.node(node.op as Op, node.attributes as never, inputs)
      node.outputs.forEach((output, i) => void copy.set(output, outputs[i]!))
    }
    return copy
  }

  return (node, cotangent) => {
    const segment = segmentOf(node.scope)
    if (segment === undefined) return (tensor) => tensor
    let copy = copies.get(segment)
    if (copy === undefined) {
      copy = copySegment(segment, cotangent)
      copies.set(segment, copy)
    }
    const known = copy
    return (tensor) => known.get(tensor) ?? tensor
  }
}
