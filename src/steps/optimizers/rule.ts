/** @file What an optimizer is, as data: its options, what it keeps, its scalars, its update; and the parts that updates share. */
import type { z } from 'zod'
import { add, mul, sub, type Tensor, where } from '../../graph/index.ts'
import type { Parameter } from '../../model/index.ts'

/** Options of every optimizer. The learning rate is an input of the program, not a part of it. */
export interface CommonOptions {
  /** Decoupled; applied to tensors of two or more axes only. */
  readonly weightDecay: number
  /** Largest global norm of the gradients; left out or null for no clipping. */
  readonly clipNorm?: number | null
}

/** A parameter with its gradient, and what is kept for it by name. */
export interface Trained<State extends string = string> {
  readonly value: Tensor
  /** Not clipped yet; in an update of a rule all zeros where norm or loss is not finite. */
  readonly gradient: Tensor
  readonly state: Readonly<Record<State, Tensor>>
}

/** The same after one update. */
export type Updated<State extends string = string> = Omit<Trained<State>, 'gradient'>

/** What the updates of one step share. */
export interface UpdateStep<Options, Scalar extends string = string> {
  readonly options: Options & CommonOptions
  readonly learningRate: Tensor
  readonly scalars: Readonly<Record<Scalar, Tensor>>
  /** Whether norm and loss are finite. */
  readonly finite: Tensor
  /** What gradients are multiplied by to be clipped; 0 where not finite. */
  readonly clip: Tensor
}

/** How some parameters are updated. */
export interface Part<Options, Scalar extends string = string, State extends string = string> {
  /** Names of the tensors that are kept for each parameter, of its shape, zero at first; and what they are in words. */
  readonly state: Readonly<Record<State, string>>
  /**
   * The update as graph: nodes that all parameters share are made first, those of one parameter by what is returned.
   * Where `finite` is false, value and state must come out as they went in, bit for bit: `average`, `decayed` and
   * `gated` see to it. To be written over the old one, what comes next must depend on all that reads the old one.
   */
  update(step: UpdateStep<Options, Scalar>): (trained: Trained<State>) => Updated<State>
}

/** Keys of `optimizer` in a run file, each with its bounds, default and meaning. */
export type OptionShape = Readonly<Record<string, z.ZodType>>

/** Values of those keys. */
export type OptionsOf<Shape extends OptionShape> = {
  readonly [Key in keyof Shape]: Readonly<z.output<Shape[Key]>>
}

/** An optimizer: a row of `OPTIMIZERS`. */
export interface OptimizerRule<
  Options,
  Scalar extends string = string,
  Shape extends OptionShape = OptionShape,
> {
  /** Its name as the field writes it. */
  readonly title: string
  /** Keys of its options beside the common ones. */
  readonly options: Shape
  /** Of the common options, what a run has that says nothing. */
  readonly defaults: { readonly learningRate: number; readonly weightDecay: number }
  /** Inputs of the program beside the learning rate, one number each: from the options, the step (from 1) and the learning rate. */
  readonly scalars: Readonly<Record<Scalar, (options: Options, step: number, learningRate: number) => number>>
  /** How a parameter is updated: by the part that is for it. */
  partOf(parameter: Pick<Parameter, 'kind' | 'shape'>): Part<Options, Scalar>
}

/** Checks a rule against its own options and scalars, and gives it back. */
export function optimizerRule<Shape extends OptionShape, Scalar extends string>(
  rule: OptimizerRule<OptionsOf<Shape>, Scalar, Shape>,
): OptimizerRule<OptionsOf<Shape>, Scalar, Shape> {
  return rule
}

/** Checks a part against its own state, and gives it back. The tensors that it is called with are made from its names. */
export function optimizerPart<Options, Scalar extends string, State extends string>(
  part: Part<Options, Scalar, State>,
): Part<Options, Scalar> {
  return part as unknown as Part<Options, Scalar>
}

/** `value`, or `otherwise` where norm or loss is not finite. */
export function gated(
  { finite }: Pick<UpdateStep<unknown>, 'finite'>,
  value: Tensor | number,
  otherwise: number,
): Tensor {
  return where(finite, value, otherwise)
}

/**
 * An exponential moving average, beta mean + (1 - beta) scale x; the mean as it is where not finite. `scale` is 0 there
 * and the clipping of x elsewhere.
 */
export function average(
  step: Pick<UpdateStep<unknown>, 'finite' | 'clip'>,
  beta: number,
  scale: Tensor = step.clip,
): (mean: Tensor, x: Tensor) => Tensor {
  const keep = gated(step, beta, 1)
  const take = mul(scale, 1 - beta)
  return (mean, x) => add(mul(mean, keep), mul(x, take))
}

/** A parameter after decoupled weight decay: p (1 - learning rate x decay) of a tensor with two or more axes. */
export function decayed(step: Omit<UpdateStep<unknown>, 'scalars'>): (value: Tensor) => Tensor {
  const { weightDecay } = step.options
  if (weightDecay === 0) return (value) => value
  const shrink = gated(step, sub(1, mul(step.learningRate, weightDecay)), 1)
  return (value) => (value.shape.length >= 2 ? mul(value, shrink) : value)
}
