/** @file What a run will take, before it starts: parameters, memory by term, FLOPs, time. */
import { RegaugeError } from '../errors.ts'
import { byteLength, type Graph, graphCost, type Node, type Tensor } from '../graph/index.ts'
import { type Architecture, parameterCount, parametersOf } from '../model/index.ts'
import type { Capacity, Runtime } from '../runtime/index.ts'
import { type Program, stateNames } from '../steps/index.ts'
import { checkpointBytes } from './checkpoint.ts'
import { type StepPrograms, stepPrograms, type TrainerOptions } from './trainer.ts'

/** Where the tensors of a run lie: on the host, or in the memory of a device. */
export interface TensorPlace extends Capacity {
  /** Whether state is written over itself where that is safe; else there are two sets of it, which take turns. */
  readonly inPlace: boolean
}

/** Where a runtime has its tensors. */
export function tensorPlace(runtime: Runtime): TensorPlace {
  return { ...runtime.capacity(), inPlace: runtime.inPlace }
}

/** Bytes, in the memory where the tensors lie, by what they are for. */
export interface MemoryTerms {
  readonly weights: number
  readonly moments: number
  readonly gradients: number
  /** Values of the forward pass that the backward pass needs, and what both work with. */
  readonly activations: number
  /** Logits and what is computed from them. */
  readonly logits: number
  /**
   * Node, ONNX Runtime's library and compiled programs: measured on small runs, about the same for all. They are the
   * host's, so 0 where tensors lie on a device.
   */
  readonly process: number
}

export interface Estimate {
  readonly parameters: number
  readonly memory: MemoryTerms
  readonly memoryBytes: number
  readonly checkpointBytes: number
  readonly tokensPerStep: number
  /** FLOPs of the matrix products of one optimizer step, recomputed ones included. */
  readonly flopsPerStep: number
}

/** Measured resident memory of a process that trains a model of next to no size. */
const PROCESS_BYTES = 160 * 2 ** 20

/** Counts on the very graphs that the run executes; by default for tensors on the host that are written in place. */
export function estimateTraining(
  a: Architecture,
  options: TrainerOptions,
  { accumulate, train }: StepPrograms = stepPrograms(a, options),
  { on, inPlace }: Pick<TensorPlace, 'on' | 'inPlace'> = { on: 'host', inPlace: true },
): Estimate {
  const micro = options.batchSize / options.microBatchSize
  const parameters = parameterCount(a)
  // the programs take turns in one arena
  const programs = [train, ...(accumulate === undefined ? [] : [accumulate])]
  const peaks = programs.map(peakMemory)
  const most = peaks.reduce((one, other) => (bytesOf(other) > bytesOf(one) ? other : one))
  const second = secondSets(a, programs, inPlace)
  const memory: MemoryTerms = {
    weights: 4 * parameters + second.weights,
    moments: 8 * parameters + second.moments,
    gradients: most.gradients + (accumulate === undefined ? 0 : 4 * parameters) + second.gradients,
    activations: most.activations,
    logits: most.logits,
    process: on === 'host' ? PROCESS_BYTES : 0,
  }
  const flops = (program: Program | undefined) =>
    program === undefined ? 0 : graphCost(program.graph).matmulFlops
  return {
    parameters,
    memory,
    memoryBytes: Object.values(memory).reduce((bytes, term) => bytes + term, 0),
    checkpointBytes: checkpointBytes(a),
    tokensPerStep: options.batchSize * options.sequenceLength,
    flopsPerStep: flops(train) + (micro - 1) * flops(accumulate),
  }
}

/**
 * Counts as `estimateTraining` does. Throws `RegaugeError('memory')` that names the largest term when there is less
 * than is needed and that is known; for the state alone it is so before the graphs are built.
 */
export function estimateWithin(
  a: Architecture,
  options: TrainerOptions,
  place: TensorPlace,
): { readonly estimate: Estimate; readonly programs: StepPrograms } {
  const parameters = parameterCount(a)
  const sets = place.inPlace ? 1 : 2
  const state = { weights: 4 * sets * parameters, moments: 8 * sets * parameters }
  requireMemory(place.on === 'host' ? { ...state, process: PROCESS_BYTES } : state, place)
  const programs = stepPrograms(a, options)
  const estimate = estimateTraining(a, options, programs, place)
  requireMemory(estimate.memory, place)
  return { estimate, programs }
}

/** Bytes of the second set of what is state and not written in place. */
function secondSets(
  a: Architecture,
  programs: readonly Program[],
  inPlace: boolean,
): Pick<MemoryTerms, 'weights' | 'moments' | 'gradients'> {
  const names = parametersOf(a).map(({ name }) => name)
  const [weights, accumulated] = [new Set(names), new Set(names.map(stateNames.accumulated))]
  const bytes = { weights: 0, moments: 0, gradients: 0 }
  for (const { graph, state } of programs) {
    for (const { input, inPlace: safe } of state) {
      if (inPlace && safe) continue
      const kind = weights.has(input) ? 'weights' : accumulated.has(input) ? 'gradients' : 'moments'
      bytes[kind] += byteLength(graph.inputs.get(input)!)
    }
  }
  return bytes
}

function requireMemory(memory: Partial<MemoryTerms>, { on, bytes }: TensorPlace): void {
  const needed = Object.values(memory).reduce((bytes, term) => bytes + term, 0)
  if (bytes === null || needed <= bytes) return
  const terms = Object.entries(memory).sort(([, a], [, b]) => b - a)
  const list = terms.map(([name, bytes]) => `${name} ${gibibytes(bytes)}`).join(', ')
  const remedies: Record<string, string> = {
    activations: 'lower train.microBatchSize or data.sequenceLength, or set train.recompute to layer',
    logits: 'lower train.microBatchSize, data.sequenceLength or the vocabulary',
  }
  throw new RegaugeError('memory', {
    code: 'TRAIN_MEMORY',
    message: `training needs ${gibibytes(needed)} of the ${on}'s memory or more, there is ${gibibytes(bytes)}; the most is for ${list}`,
    hint: remedies[terms[0]![0]] ?? 'choose a smaller model',
  })
}

type Peak = Pick<MemoryTerms, 'gradients' | 'activations' | 'logits'>

/**
 * What is live at the fullest moment of a graph: each value from the node that makes it to the last that reads it.
 * A runtime fuses and copies where this cannot see it; `WORK_FACTOR` stands for that.
 */
function peakMemory({ graph }: Program): Peak {
  const bound = new Set<Tensor>(graph.outputs.values())
  const gradients = new Set<Tensor>()
  for (const node of graph.nodes) if (node.op === 'reduceSumSquare') gradients.add(rootOf(node.inputs[0]!))
  const order = executionOrder(graph)
  const freed = new Map<Node, Tensor[]>()
  for (const [tensor, reader] of lastReaders(order)) freed.set(reader, [...(freed.get(reader) ?? []), tensor])
  const live: Record<keyof Peak, number> = { gradients: 0, activations: 0, logits: 0 }
  let peak: Peak = { ...live }
  const kindOf = (tensor: Tensor): keyof Peak =>
    gradients.has(tensor) ? 'gradients' : tensor.node.scope.startsWith('loss') ? 'logits' : 'activations'
  const count = (tensors: readonly Tensor[], sign: 1 | -1): void => {
    for (const tensor of tensors) if (!bound.has(tensor)) live[kindOf(tensor)] += sign * byteLength(tensor)
  }
  for (const node of order) {
    if (!ALLOCATES_NOTHING.has(node.op)) count(node.outputs, 1)
    if (bytesOf(live) > bytesOf(peak)) peak = { ...live }
    count(freed.get(node) ?? [], -1)
  }
  const scaled = (bytes: number) => Math.round(bytes * WORK_FACTOR)
  return {
    gradients: scaled(peak.gradients),
    activations: scaled(peak.activations),
    logits: scaled(peak.logits),
  }
}

function bytesOf({ gradients, activations, logits }: Peak): number {
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

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`
}
