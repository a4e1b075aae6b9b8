/** @file What a run will take, before it starts: parameters, memory by term, FLOPs, time. */
import { RegaugeError } from '../errors.ts'
import { byteLength, type Graph, graphCost, type Node, type Tensor } from '../graph/index.ts'
import { type Architecture, parameterCount } from '../model/index.ts'
import type { Program } from '../steps/index.ts'
import { checkpointBytes } from './checkpoint.ts'
import { type StepPrograms, stepPrograms, type TrainerOptions } from './trainer.ts'

/** Bytes by what they are for. */
export interface MemoryTerms {
  readonly weights: number
  readonly moments: number
  readonly gradients: number
  /** Values of the forward pass that the backward pass needs, and what both work with. */
  readonly activations: number
  /** Logits and what is computed from them. */
  readonly logits: number
  /** Node, ONNX Runtime's library and compiled programs: measured on small runs, about the same for all. */
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

/** Counts on the very graphs that the run executes. */
export function estimateTraining(
  a: Architecture,
  options: TrainerOptions,
  { accumulate, train }: StepPrograms = stepPrograms(a, options),
): Estimate {
  const micro = options.batchSize / options.microBatchSize
  const parameters = parameterCount(a)
  // the programs take turns in one arena
  const peaks = [train, ...(accumulate === undefined ? [] : [accumulate])].map(peakMemory)
  const total = (peak: Peak) => peak.gradients + peak.activations + peak.logits
  const most = peaks.reduce((a, b) => (total(b) > total(a) ? b : a))
  const memory: MemoryTerms = {
    weights: 4 * parameters,
    moments: 8 * parameters,
    gradients: most.gradients + (accumulate === undefined ? 0 : 4 * parameters),
    activations: most.activations,
    logits: most.logits,
    process: PROCESS_BYTES,
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
 * than is needed; for the state alone that is known before the graphs are built.
 */
export function estimateWithin(
  a: Architecture,
  options: TrainerOptions,
  availableBytes: number,
): { readonly estimate: Estimate; readonly programs: StepPrograms } {
  const parameters = parameterCount(a)
  requireMemory({ weights: 4 * parameters, moments: 8 * parameters, process: PROCESS_BYTES }, availableBytes)
  const programs = stepPrograms(a, options)
  const estimate = estimateTraining(a, options, programs)
  requireMemory(estimate.memory, availableBytes)
  return { estimate, programs }
}

function requireMemory(memory: Partial<MemoryTerms>, availableBytes: number): void {
  const needed = Object.values(memory).reduce((bytes, term) => bytes + term, 0)
  if (needed <= availableBytes) return
  const terms = Object.entries(memory).sort(([, a], [, b]) => b - a)
  const list = terms.map(([name, bytes]) => `${name} ${gibibytes(bytes)}`).join(', ')
  const remedies: Record<string, string> = {
    activations: 'lower train.microBatchSize or data.sequenceLength, or set train.recompute to layer',
    logits: 'lower train.microBatchSize, data.sequenceLength or the vocabulary',
  }
  throw new RegaugeError('memory', {
    code: 'TRAIN_MEMORY',
    message: `training needs ${gibibytes(needed)} or more, there is ${gibibytes(availableBytes)}; the most is for ${list}`,
    hint: remedies[terms[0]![0]] ?? 'choose a smaller model',
  })
}

type Peak = Pick<MemoryTerms, 'gradients' | 'activations' | 'logits'>

/** What is live at the fullest moment of a graph, run in order, each value freed after its last reader. */
function peakMemory({ graph, state }: Program): Peak {
  const bound = new Set<Tensor>(state.map(({ output }) => graph.outputs.get(output)!))
  const gradients = new Set<Tensor>()
  for (const node of graph.nodes) if (node.op === 'reduceSumSquare') gradients.add(rootOf(node.inputs[0]!))
  const lastReader = lastReaders(graph)
  const live: Record<keyof Peak, number> = { gradients: 0, activations: 0, logits: 0 }
  let peak: Peak = { ...live }
  const kindOf = (tensor: Tensor): keyof Peak =>
    gradients.has(tensor) ? 'gradients' : tensor.node.scope.startsWith('loss') ? 'logits' : 'activations'
  const total = (of: Peak) => of.gradients + of.activations + of.logits
  const freed = new Map<Node, Tensor[]>()
  for (const [tensor, reader] of lastReader) freed.set(reader, [...(freed.get(reader) ?? []), tensor])
  for (const node of graph.nodes) {
    if (!ALLOCATES_NOTHING.has(node.op)) {
      for (const tensor of node.outputs) if (!bound.has(tensor)) live[kindOf(tensor)] += byteLength(tensor)
    }
    if (total(live) > total(peak)) peak = { ...live }
    for (const tensor of freed.get(node) ?? []) {
      if (!bound.has(tensor)) live[kindOf(tensor)] -= byteLength(tensor)
    }
  }
  return peak
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
function lastReaders(graph: Graph): Map<Tensor, Node> {
  const last = new Map<Tensor, Node>()
  for (const node of graph.nodes) {
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
