/** @file What a run will take, before it starts: parameters, memory by term, FLOPs, time. */

import { RegaugeError } from '../../errors.ts'
import { byteLength, graphCost } from '../../graph/index.ts'
import { type Architecture, parameterCount, parametersOf } from '../../model/index.ts'
import type { Capacity, Runtime } from '../../runtime/index.ts'
import {
  causalMaskBytes,
  kindOf,
  optimizerStateBytes,
  type StepProgram,
  stateNames,
} from '../../steps/index.ts'
import { gibibytes } from '../../words.ts'
import { checkpointBytes } from '../checkpoint/write.ts'
import { type StepPrograms, stepPrograms, type TrainerOptions } from '../step-programs.ts'
import { bytesOf, peakOf, peakOfMore, type StepPeak } from './peak.ts'

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
export interface TrainingMemory extends StepPeak {
  readonly weights: number
  /** What the optimizer keeps. */
  readonly moments: number
  /**
   * Node, ONNX Runtime's library and compiled programs: measured on small runs, about the same for all. They are the
   * host's, so 0 where tensors lie on a device.
   */
  readonly process: number
}

export interface Estimate {
  readonly parameters: number
  readonly memory: TrainingMemory
  readonly memoryBytes: number
  readonly checkpointBytes: number
  readonly tokensPerStep: number
  /** FLOPs of the matrix products of one optimizer step, recomputed ones included. */
  readonly flopsPerStep: number
}

/** Measured resident memory of a process that trains a model of next to no size. */
const PROCESS_BYTES = 160 * 2 ** 20

/** Tensors on the host, written in place. */
const HOST: Pick<TensorPlace, 'on' | 'inPlace'> = { on: 'host', inPlace: true }

/** Counts on the very graphs that the run executes; by default for tensors on the host that are written in place. */
export function estimateTraining(
  a: Architecture,
  options: TrainerOptions,
  { train, accumulate }: StepPrograms = stepPrograms(a, options),
  place: Pick<TensorPlace, 'on' | 'inPlace'> = HOST,
): Estimate {
  const of = (program: StepProgram) => ({ ...countOf(a, program, place), peak: peakOf(program) })
  return estimateOf(a, options, place, of(train), accumulate && of(accumulate))
}

/** Layers of the models that tell of one with more: even numbers, and as small as shows every kind of layer. */
const SAMPLE_LAYERS = [4, 6] as const

/** From here on a model is estimated by a sample of its layers, which are alike; below, its own graph is as cheap. */
const MANY_LAYERS = 24

/** Counts as `estimateTraining` does, on the graphs of two models with fewer layers; gives the larger one's programs. */
export function estimateBySample(
  a: Architecture,
  options: TrainerOptions,
  place: Pick<TensorPlace, 'on' | 'inPlace'> = HOST,
): { readonly estimate: Estimate; readonly programs: StepPrograms } {
  const sample = (layers: number): Sample => {
    const [windows, expertLayers] = [a.windows.slice(0, layers), a.expertLayers.slice(0, layers)]
    const architecture = { ...a, layers, windows, expertLayers }
    return { layers, architecture, programs: stepPrograms(architecture, options) }
  }
  const [few, more] = SAMPLE_LAYERS.map(sample) as [Sample, Sample]
  const of = (role: keyof StepPrograms): Count | undefined => {
    const [small, large] = [few.programs[role], more.programs[role]]
    if (small === undefined || large === undefined) return undefined
    const [one, other] = [countOf(few.architecture, small, place), countOf(more.architecture, large, place)]
    const grown = (from: number, to: number) =>
      from + ((a.layers - few.layers) / (more.layers - few.layers)) * (to - from)
    return {
      matmulFlops: grown(one.matmulFlops, other.matmulFlops),
      second: {
        weights: grown(one.second.weights, other.second.weights),
        moments: grown(one.second.moments, other.second.moments),
        gradients: grown(one.second.gradients, other.second.gradients),
      },
      peak: peakOfMore(
        { program: small, layers: few.layers },
        { program: large, layers: more.layers },
        a.layers,
      ),
    }
  }
  return { estimate: estimateOf(a, options, place, of('train')!, of('accumulate')), programs: more.programs }
}

interface Sample {
  readonly layers: number
  readonly architecture: Architecture
  readonly programs: StepPrograms
}

/** What is counted on one program. */
interface Count {
  readonly matmulFlops: number
  readonly second: Pick<TrainingMemory, 'weights' | 'moments' | 'gradients'>
  readonly peak: StepPeak
}

function countOf(
  a: Architecture,
  program: StepProgram,
  { inPlace }: Pick<TensorPlace, 'inPlace'>,
): Omit<Count, 'peak'> {
  return { matmulFlops: graphCost(program.graph).matmulFlops, second: secondSets(a, program, inPlace) }
}

function estimateOf(
  a: Architecture,
  options: TrainerOptions,
  { on }: Pick<TensorPlace, 'on'>,
  train: Count,
  accumulate: Count | undefined,
): Estimate {
  const micro = options.batchSize / options.microBatchSize
  const parameters = parameterCount(a)
  const kind = kindOf(options.optimizer)
  const counts = accumulate === undefined ? [train] : [train, accumulate]
  // the programs take turns in one arena
  const most = counts.map(({ peak }) => peak).reduce((a, b) => (bytesOf(b) > bytesOf(a) ? b : a))
  const second = (kind: keyof Count['second']) => counts.reduce((sum, { second }) => sum + second[kind], 0)
  const memory: TrainingMemory = {
    weights: 4 * parameters + second('weights'),
    moments: optimizerStateBytes(kind, parametersOf(a)) + second('moments'),
    gradients: most.gradients + (accumulate === undefined ? 0 : 4 * parameters) + second('gradients'),
    activations: most.activations + counts.length * maskBytes(a, options.sequenceLength),
    logits: most.logits,
    process: on === 'host' ? PROCESS_BYTES : 0,
  }
  return {
    parameters,
    memory,
    memoryBytes: sum(memory),
    checkpointBytes: checkpointBytes(a, kind),
    tokensPerStep: options.batchSize * options.sequenceLength,
    flopsPerStep: train.matmulFlops + (micro - 1) * (accumulate?.matmulFlops ?? 0),
  }
}

/**
 * A bound that takes no graph: state, and what stands between forward and backward pass at the least. With every
 * recomputation that is what enters each layer; where layers are not made again, also their norms, queries, keys,
 * values and what the mlp has between its matrices, in 16 bits at the least. The loss makes its logits in small parts.
 */
export function leastMemory(
  a: Architecture,
  options: TrainerOptions,
  { on, inPlace }: Pick<TensorPlace, 'on' | 'inPlace'> = HOST,
): Partial<TrainingMemory> {
  const { batchSize, microBatchSize, sequenceLength, recompute, precision = 'float32' } = options
  const parameters = parameterCount(a)
  const sets = inPlace ? 1 : 2
  const accumulates = batchSize > microBatchSize
  const { heads, keyValueHeads, headSize } = a.attention
  const inner = (a.gated ? 2 : 1) * a.intermediateSize
  const made = (precision === 'float32' ? 4 : 2) * ((heads + 2 * keyValueHeads) * headSize + inner)
  const perToken = recompute === 'layer' ? 4 * a.hiddenSize : 8 * a.hiddenSize + made
  const masks = (accumulates ? 2 : 1) * maskBytes(a, sequenceLength)
  return {
    weights: 4 * sets * parameters,
    moments: sets * optimizerStateBytes(kindOf(options.optimizer), parametersOf(a)),
    ...(accumulates && { gradients: 4 * parameters }),
    activations: microBatchSize * sequenceLength * a.layers * perToken + masks,
    ...(on === 'host' && { process: PROCESS_BYTES }),
  }
}

/** Bytes of the masks of a program: layers with one window share theirs. */
function maskBytes(a: Architecture, sequenceLength: number): number {
  return new Set(a.windows).size * causalMaskBytes(sequenceLength)
}

/** What is known of a run before it is compiled. */
export interface Within {
  readonly estimate: Estimate
  /** Programs with every kind of node that the run's have: its own, or of a model with fewer of its layers. */
  readonly sample: StepPrograms
  /** The programs of the run. */
  programs(): StepPrograms
}

/**
 * Counts as `estimateTraining` does. Throws `RegaugeError('memory')` that names the largest term when there is less
 * than is needed and that is known: before a graph is built where a bound tells, and before the whole one is.
 */
export function estimateWithin(a: Architecture, options: TrainerOptions, place: TensorPlace): Within {
  requireMemory(leastMemory(a, options, place), place)
  if (a.layers >= MANY_LAYERS) {
    const { estimate, programs: sample } = estimateBySample(a, options, place)
    requireMemory(estimate.memory, place)
    return { estimate, sample, programs: () => stepPrograms(a, options) }
  }
  const programs = stepPrograms(a, options)
  const estimate = estimateTraining(a, options, programs, place)
  requireMemory(estimate.memory, place)
  return { estimate, sample: programs, programs: () => programs }
}

/** Bytes of the second set of what is state and not written in place. */
function secondSets(
  a: Architecture,
  { graph, state }: StepProgram,
  inPlace: boolean,
): Pick<TrainingMemory, 'weights' | 'moments' | 'gradients'> {
  const names = parametersOf(a).map(({ name }) => name)
  const [weights, accumulated] = [new Set(names), new Set(names.map(stateNames.accumulated))]
  const bytes = { weights: 0, moments: 0, gradients: 0 }
  for (const { input, inPlace: safe } of state) {
    if (inPlace && safe) continue
    const kind = weights.has(input) ? 'weights' : accumulated.has(input) ? 'gradients' : 'moments'
    bytes[kind] += byteLength(graph.inputs.get(input)!)
  }
  return bytes
}

function requireMemory(memory: Partial<TrainingMemory>, { on, bytes }: TensorPlace): void {
  const needed = sum(memory)
  if (bytes === null || needed <= bytes) return
  const terms = Object.entries(memory).sort(([, a], [, b]) => b - a)
  const list = terms.map(([name, bytes]) => `${name} ${gibibytes(bytes, 2)} GiB`).join(', ')
  const remedies: Record<string, string> = {
    activations:
      'lower train.microBatchSize or data.sequenceLength, have fewer layers, or set train.recompute to layer',
    logits: 'lower train.microBatchSize, data.sequenceLength or the vocabulary',
  }
  throw new RegaugeError('memory', {
    code: 'TRAIN_MEMORY',
    message: `training needs ${gibibytes(needed, 2)} GiB of the ${on}'s memory or more, there is ${gibibytes(bytes, 2)} GiB; the most is for ${list}`,
    hint: remedies[terms[0]![0]] ?? 'choose a smaller model',
  })
}

function sum(memory: Partial<TrainingMemory>): number {
  return Object.values(memory).reduce((bytes, term) => bytes + term, 0)
}
