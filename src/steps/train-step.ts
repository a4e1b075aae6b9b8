/** @file The programs of training: a whole step, and the gradients of one micro-batch on the way to it. */
import {
  add,
  type Barrier,
  type DType,
  Graph,
  gradients,
  type HalfType,
  inPlaceSafety,
  mixedPrecision,
  mul,
  optimize,
  reduceSumSquare,
  reshape,
  sqrt,
  type Tensor,
} from '../graph/index.ts'
import { type Architecture, type Parameter, parametersOf } from '../model/index.ts'
import { decoderHidden } from './decoder.ts'
import { headOf } from './head.ts'
import { type StepRecompute, segmentOf } from './layers.ts'
import { linearCrossEntropy } from './loss.ts'
import { type ParameterTensors, parameterInputs } from './modules.ts'
import { kindOf, type Optimizer, stateOf, stepScalarNames, updateParameters } from './optimizers/index.ts'

/** Shape of what one program sees. */
export interface BatchShape {
  /** Sequences. */
  readonly microBatch: number
  /** Positions of a sequence. */
  readonly sequenceLength: number
}

/** What a training program is made for. */
export interface TrainStepOptions extends BatchShape {
  readonly optimizer: Optimizer
  /** Whether the gradients of earlier micro-batches come in and are added. */
  readonly accumulates: boolean
  /** Which activations the backward pass computes again instead of keeping them. */
  readonly recompute: StepRecompute
  /** Type of matrix products, forward and backward; state, sums and the update are float32 always. Default `float32`. */
  readonly precision?: ProductPrecision
}

/** Number types to train in. */
export type ProductPrecision = 'float32' | HalfType

/** State that a program reads as `input` and writes as `output`. */
export interface StatePair {
  readonly input: string
  readonly output: string
  readonly shape: readonly number[]
  /** Proven: the output may be written over the input's memory. */
  readonly inPlace: boolean
}

/** A graph with the state that it carries from run to run. */
export interface StepProgram {
  readonly name: string
  readonly graph: Graph
  readonly state: readonly StatePair[]
}

/** Names in programs beside those of parameters and of what an optimizer keeps for them. */
export const stateNames = {
  accumulated: (parameter: string) => `grad/${parameter}`,
  next: (state: string) => `next/${state}`,
} as const

/** Element type of token ids in every program. */
export const IDS: DType = 'int32'

/**
 * One training step: forward, cross-entropy, backward, clipping, the optimizer's update.
 *
 * Inputs: the parameters by name, what the optimizer keeps for them, `ids` and `labels` (microBatch, sequenceLength)
 * int32 with negative labels ignored, and the scalars `loss_scale` (1 / labels of the whole batch), `learning_rate`
 * and those of the optimizer's rule; with `accumulates` also the gradients and `keep` (1, or 0 to drop them). Outputs:
 * the state after the step,
 * `loss` (this micro-batch's share of the mean) and `gradient_norm` before clipping. When norm or loss is not
 * finite, the state comes out as it went in.
 *
 * In float16 `loss_scale` is S times as large, so that small gradients are not lost (Micikevicius et al. 2018), and
 * the scalar `unscale` is 1/S: norm, update and `loss` are of what it brings back; accumulated gradients stay scaled.
 */
export function trainStep(a: Architecture, options: TrainStepOptions): StepProgram {
  const { graph, parameters, tensors, ...scaled } = backward(a, options)
  const { loss, combined, norm } = options.precision === 'float16' ? unscaled(graph, scaled) : scaled
  const float = (name: string, shape: readonly number[] = []) =>
    graph.input(name, { dtype: 'float32', shape })
  const kind = kindOf(options.optimizer)
  const learningRate = float('learning_rate')
  const scalars = Object.fromEntries(stepScalarNames(kind).map((name) => [name, float(name)]))
  const trained = parameters.map((parameter) => ({
    kind: parameter.kind,
    value: tensors.get(parameter.name)!,
    gradient: combined.get(parameter.name)!,
    state: Object.fromEntries(
      stateOf(kind, parameter).map(({ state, name, shape }) => [state, float(name, shape)]),
    ),
  }))
  const updated = graph.within('optimizer', () =>
    updateParameters(options.optimizer, trained, { norm, loss, learningRate, scalars }),
  )
  const pairs: [string, string][] = []
  const keep = (name: string, next: Tensor) => {
    graph.output(stateNames.next(name), next)
    pairs.push([name, stateNames.next(name)])
  }
  parameters.forEach((parameter, i) => {
    const { value, state } = updated[i]!
    keep(parameter.name, value)
    for (const kept of stateOf(kind, parameter)) keep(kept.name, state[kept.state]!)
  })
  graph.output('loss', loss)
  graph.output('gradient_norm', norm)
  return programOf('train_step', graph, pairs, options.precision)
}

type Result = Pick<Backward, 'loss' | 'combined' | 'norm'>

function unscaled(graph: Graph, { loss, combined, norm }: Result): Result {
  const factor = graph.input('unscale', { dtype: 'float32', shape: [] })
  return graph.within('norm', () => ({
    loss: mul(loss, factor),
    combined: new Map([...combined].map(([name, g]) => [name, mul(g, factor)])),
    norm: mul(norm, factor),
  }))
}

/**
 * Gradients of one micro-batch, added to what `grad/...` holds times `keep` (0 for the first micro-batch).
 * Outputs: the sums and `loss`, this micro-batch's share of the mean.
 */
export function accumulateStep(
  a: Architecture,
  options: Omit<TrainStepOptions, 'optimizer' | 'accumulates'>,
): StepProgram {
  const { graph, loss, parameters, combined } = backward(a, { ...options, accumulates: true })
  const pairs: [string, string][] = []
  for (const { name } of parameters) {
    const state = stateNames.accumulated(name)
    graph.output(stateNames.next(state), combined.get(name)!)
    pairs.push([state, stateNames.next(state)])
  }
  graph.output('loss', loss)
  return programOf('accumulate', graph, pairs, options.precision)
}

/**
 * Loss and gradients alone, for checking: outputs `loss` and `grad/<parameter>`, both S times as large where
 * `loss_scale` is.
 */
export function gradientStep(
  a: Architecture,
  shape: BatchShape,
  recompute: StepRecompute = 'none',
  precision: ProductPrecision = 'float32',
): StepProgram {
  const { graph, loss, combined } = backward(a, { ...shape, accumulates: false, recompute })
  for (const [name, tensor] of combined) graph.output(stateNames.accumulated(name), tensor)
  graph.output('loss', loss)
  return programOf('gradients', graph, [], precision)
}

interface Backward {
  readonly graph: Graph
  readonly parameters: readonly Parameter[]
  readonly tensors: ParameterTensors
  readonly loss: Tensor
  /** Gradient of each parameter, earlier micro-batches included. */
  readonly combined: ReadonlyMap<string, Tensor>
  readonly norm: Tensor
}

function backward(a: Architecture, options: Omit<TrainStepOptions, 'optimizer'>): Backward {
  const graph = new Graph()
  const parameters = parametersOf(a)
  const tensors = parameterInputs(graph, parameters)
  const shape = [options.microBatch, options.sequenceLength]
  const ids = graph.input('ids', { dtype: IDS, shape })
  const labels = graph.input('labels', { dtype: IDS, shape })
  const scale = graph.input('loss_scale', { dtype: 'float32', shape: [] })
  const keep = options.accumulates ? graph.input('keep', { dtype: 'float32', shape: [] }) : undefined

  const sums: { at: Tensor; layer: number }[] = []
  const hidden = decoderHidden(a, tensors, ids, (at, layer) => void sums.push({ at, layer }))
  const { weight, cap } = headOf(a, tensors)
  const loss = graph.within('loss', () =>
    linearCrossEntropy(hidden, weight, flat(labels), scale, { gradient: true, cap }),
  )

  const accumulated = new Map<string, Tensor>()
  const combine = (name: string, g: Tensor): Tensor => {
    if (keep === undefined) return g
    const known = accumulated.get(name)
    if (known !== undefined) return known
    const state = graph.input(stateNames.accumulated(name), { dtype: 'float32', shape: g.shape })
    const sum = add(mul(state, keep), g)
    accumulated.set(name, sum)
    return sum
  }
  // the weight gradients of an mlp are made, and its activations freed, before the attention below it is entered, and
  // those of the attention before the layer below
  const barriers = sums.map(
    ({ at, layer }): Barrier => ({
      at,
      token: (cotangentOf) => {
        const squares = parameters.flatMap(({ name, ...of }) => {
          const g = of.layer === layer ? cotangentOf(tensors.get(name)!) : undefined
          return g === undefined ? [] : [reduceSumSquare(combine(name, g))]
        })
        return squares.length === 0 ? undefined : squares.reduce((sum, square) => add(sum, square))
      },
    }),
  )
  const segments = segmentOf(options.recompute)
  const grads = gradients(
    loss,
    parameters.map(({ name }) => tensors.get(name)!),
    segments === undefined ? { barriers } : { barriers, segmentOf: segments },
  )
  const combined = new Map(parameters.map(({ name }, i) => [name, combine(name, grads[i]!)]))
  const norm = graph.within('norm', () =>
    sqrt([...combined.values()].map((g) => reduceSumSquare(g)).reduce((sum, square) => add(sum, square))),
  )
  return { graph, parameters, tensors, loss, combined, norm }
}

/** Scopes in which nothing is rounded to 16 bits, whatever the precision. */
function isExact(scope: string): boolean {
  return /^(optimizer|norm)\b/.test(scope)
}

/** A graph as a program, optimized; `pairs` are the inputs and outputs that hold its state. */
export function programOf(
  name: string,
  graph: Graph,
  pairs: readonly (readonly [string, string])[],
  precision: ProductPrecision = 'float32',
): StepProgram {
  const optimized = optimize(precision === 'float32' ? graph : mixedPrecision(graph, precision, isExact))
  const safe = inPlaceSafety(optimized, pairs)
  const state = pairs.map(([input, output], i) => ({
    input,
    output,
    shape: optimized.inputs.get(input)!.shape,
    inPlace: safe[i]!,
  }))
  return { name, graph: optimized, state }
}

function flat(x: Tensor): Tensor {
  const [batch, length] = x.shape as [number, number]
  return reshape(x, [batch * length])
}
