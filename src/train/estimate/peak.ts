/** @file What is live at the fullest moment of a training program, and in one of the same layers but more. */
import { byteLength, type Graph, type Node, type Tensor } from '../../graph/index.ts'
import type { StepProgram } from '../../steps/index.ts'

/** Bytes of intermediate values, by what they are for. */
export interface StepPeak {
  readonly gradients: number
  /** Values of the forward pass that the backward pass needs, and what both work with. */
  readonly activations: number
  /** Logits and what is computed from them. */
  readonly logits: number
}

/** What is live while a node runs. */
interface Moment {
  readonly scope: string
  readonly live: StepPeak
}

/** What is live at the fullest moment of a program. */
export function peakOf(program: StepProgram): StepPeak {
  return fullest(momentsOf(program).map(({ live }) => live))
}

/** A program of a model with so many layers. */
export interface ProgramOfLayers {
  readonly program: StepProgram
  readonly layers: number
}

/**
 * The peak of a program with `layers` layers, from two of the same model with fewer, an even number each. A moment in
 * one of the first or last layers, or outside of them, holds what grows by the same bytes with each layer that is added
 * in the middle; a moment in the middle holds no more than that of an end does.
 */
export function peakOfMore(few: ProgramOfLayers, more: ProgramOfLayers, layers: number): StepPeak {
  const known = momentsByPlace(more, few.layers / 2)
  const factor = (layers - few.layers) / (more.layers - few.layers)
  const peaks: StepPeak[] = []
  for (const [place, moments] of momentsByPlace(few, few.layers / 2)) {
    const others = known.get(place)!
    for (const [i, { live }] of moments.entries()) {
      // the places that all layers share grow in the middle too
      const other = others[i < moments.length / 2 ? i : others.length - moments.length + i]!.live
      const at = (kind: keyof StepPeak) => live[kind] + factor * (other[kind] - live[kind])
      peaks.push({ gradients: at('gradients'), activations: at('activations'), logits: at('logits') })
    }
  }
  return fullest(peaks)
}

/** Moments in order by their scopes, in which the `ends` first and last layers are told by the end that they are near. */
function momentsByPlace({ program, layers }: ProgramOfLayers, ends: number): Map<string, Moment[]> {
  const placeOf = (scope: string) =>
    scope.replace(/\blayers\.(\d+)/, (_, layer) =>
      Number(layer) < ends ? `first.${layer}` : `last.${layers - Number(layer)}`,
    )
  const places = new Map<string, Moment[]>()
  for (const moment of momentsOf(program)) {
    const place = placeOf(moment.scope)
    const moments = places.get(place)
    if (moments === undefined) places.set(place, [moment])
    else moments.push(moment)
  }
  return places
}

function fullest(peaks: readonly StepPeak[]): StepPeak {
  const none = { gradients: 0, activations: 0, logits: 0 }
  const most = peaks.reduce((one, other) => (bytesOf(other) > bytesOf(one) ? other : one), none)
  const scaled = (bytes: number) => Math.round(bytes * WORK_FACTOR)
  return {
    gradients: scaled(most.gradients),
    activations: scaled(most.activations),
    logits: scaled(most.logits),
  }
}

/**
 * What is live at each node of a program, in order: each value from the node that makes it to the last that reads it.
 * A runtime fuses and copies where this cannot see it; `WORK_FACTOR` stands for that.
 */
function momentsOf({ graph }: StepProgram): Moment[] {
  const bound = new Set<Tensor>(graph.outputs.values())
  const gradients = new Set<Tensor>()
  for (const node of graph.nodes) if (node.op === 'reduceSumSquare') gradients.add(rootOf(node.inputs[0]!))
  const order = executionOrder(graph)
  const freed = new Map<Node, Tensor[]>()
  for (const [tensor, reader] of lastReaders(order)) freed.set(reader, [...(freed.get(reader) ?? []), tensor])
  const live: Record<keyof StepPeak, number> = { gradients: 0, activations: 0, logits: 0 }
  const kindOf = (tensor: Tensor): keyof StepPeak =>
    gradients.has(tensor) ? 'gradients' : tensor.node.scope.startsWith('loss') ? 'logits' : 'activations'
  const count = (tensors: readonly Tensor[], sign: 1 | -1): void => {
    for (const tensor of tensors) if (!bound.has(tensor)) live[kindOf(tensor)] += sign * byteLength(tensor)
  }
  return order.map((node) => {
    if (!ALLOCATES_NOTHING.has(node.op)) count(node.outputs, 1)
    const moment = { scope: node.scope, live: { ...live } }
    count(freed.get(node) ?? [], -1)
    return moment
  })
}

/** Bytes of a peak, all together. */
export function bytesOf({ gradients, activations, logits }: StepPeak): number {
  return gradients + activations + logits
}

/** What steps take over what is counted. With it the estimate is 0.85 to 1.25 of the peak measured on nano, tiny and small. */
const WORK_FACTOR = 1.3

/** The order in which ONNX Runtime executes nodes: depth first from the outputs, later nodes first. */
function executionOrder(graph: Graph): Node[] {
  const runs = (node: Node) => node.op !== 'input' && node.op !== 'constant'
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs.map(({ node }) => node)))
  const stack = graph.nodes
    .filter((node) => runs(node) && !read.has(node))
    .map((node) => ({ node, leave: false }))
  const seen = new Set<Node>()
  const order: Node[] = []
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, leave } = top
    if (leave) order.push(node)
    else if (!seen.has(node)) {
      seen.add(node)
      stack.push({ node, leave: true })
      const sources = new Set(node.inputs.map((input) => input.node))
      for (const source of [...sources].sort((a, b) => a.id - b.id)) {
        if (runs(source) && !seen.has(source)) stack.push({ node: source, leave: false })
      }
    }
  }
  return order
}

/** Operations whose results lie in memory that is there already. */
const ALLOCATES_NOTHING: ReadonlySet<string> = new Set(['input', 'constant', 'reshape', 'identity'])

/** The tensor whose memory another name stands for. */
function rootOf(tensor: Tensor): Tensor {
  let root = tensor
  while (root.node.op === 'reshape' || root.node.op === 'identity') root = root.node.inputs[0]!
  return root
}

/** The last node that reads each allocated tensor, by any name; a tensor that nobody reads is freed at once. */
function lastReaders(order: readonly Node[]): Map<Tensor, Node> {
  const last = new Map<Tensor, Node>()
  for (const node of order) {
    if (!ALLOCATES_NOTHING.has(node.op)) for (const tensor of node.outputs) last.set(tensor, node)
    for (const input of node.inputs) {
      const root = rootOf(input)
      if (last.has(root)) last.set(root, node)
    }
  }
  return last
}
