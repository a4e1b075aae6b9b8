/** @file The optimizers: a row each. All that trains, stores, estimates or compares asks this table. */
import { nearest, RegaugeError } from '../../errors.ts'
import type { Parameter } from '../../model/index.ts'
import { adamw } from './adamw.ts'
import { lion } from './lion.ts'
import { muon } from './muon.ts'
import type { CommonOptions, OptimizerRule, OptionsOf } from './rule.ts'

/** One optimizer a row; its key is `optimizer.kind` of a run file. */
export const OPTIMIZERS = { adamw, lion, muon } as const

/** Name of an optimizer. */
export type OptimizerKind = keyof typeof OPTIMIZERS

/** Name of an option that some optimizer has beside the common ones. */
export type OptimizerOption = {
  [K in OptimizerKind]: keyof (typeof OPTIMIZERS)[K]['options'] & string
}[OptimizerKind]

/** What is meant where no kind is given: in runs and checkpoints of the first version. */
export const DEFAULT_OPTIMIZER = 'adamw' satisfies OptimizerKind

/** The kinds, the default one first. */
export const OPTIMIZER_KINDS = Object.keys(OPTIMIZERS) as readonly OptimizerKind[]

/** The kind of some options; only the default one may be left out. */
type KindField<K extends OptimizerKind> = K extends typeof DEFAULT_OPTIMIZER
  ? { readonly kind?: K }
  : { readonly kind: K }

/** An optimizer with its options, as a program is made for it. */
export type Optimizer<K extends OptimizerKind = OptimizerKind> = {
  [Kind in K]: KindField<Kind> & CommonOptions & OptionsOf<(typeof OPTIMIZERS)[Kind]['options']>
}[K]

/** The row of a kind. */
export function ruleOf(kind: OptimizerKind): OptimizerRule<Optimizer> {
  return OPTIMIZERS[kind] as unknown as OptimizerRule<Optimizer>
}

/** The kind of an optimizer. */
export function kindOf({ kind = DEFAULT_OPTIMIZER }: Pick<Optimizer, 'kind'>): OptimizerKind {
  return kind
}

/** A name from a file as a kind. Throws `RegaugeError('data')` for one that is none. */
export function requireKind(name: unknown, file: string): OptimizerKind {
  if (OPTIMIZER_KINDS.includes(name as OptimizerKind)) return name as OptimizerKind
  const near = nearest(String(name), OPTIMIZER_KINDS)
  throw new RegaugeError('data', {
    code: 'OPTIMIZER_UNKNOWN',
    message: `optimizer ${JSON.stringify(name)} is not known, known are ${OPTIMIZER_KINDS.join(', ')}`,
    file,
    ...(near !== undefined && { hint: `did you mean "${near}"?` }),
  })
}

/** A tensor that an optimizer keeps for a parameter, float32 and of its shape. */
export interface StateTensor {
  /** Its name in programs and in the optimizer's file: `exp_avg/model.norm.weight`. */
  readonly name: string
  /** Its name in the rule: `exp_avg`. */
  readonly state: string
  /** The same in words: `first moment`. */
  readonly words: string
  /** Name of the parameter. */
  readonly parameter: string
  readonly shape: readonly number[]
}

/** What an optimizer keeps for one parameter. */
export function stateOf(kind: OptimizerKind, parameter: Parameter): readonly StateTensor[] {
  const { name, shape } = parameter
  return Object.entries(ruleOf(kind).partOf(parameter).state).map(([state, words]) => {
    return { name: `${state}/${name}`, state, words, parameter: name, shape }
  })
}

/** What an optimizer keeps for all parameters, in the order of its file: one state after another. */
export function optimizerState(
  kind: OptimizerKind,
  parameters: readonly Parameter[],
): readonly StateTensor[] {
  const all = parameters.flatMap((parameter) => stateOf(kind, parameter))
  const states = [...new Set(all.map(({ state }) => state))]
  return states.flatMap((state) => all.filter((tensor) => tensor.state === state))
}

/** Bytes of what an optimizer keeps for all parameters. */
export function optimizerStateBytes(kind: OptimizerKind, parameters: readonly Parameter[]): number {
  return optimizerState(kind, parameters).reduce(
    (bytes, { shape }) => bytes + 4 * shape.reduce((count, size) => count * size, 1),
    0,
  )
}

/** A shape that a parameter of each kind may have. */
const SHAPES: Readonly<Record<Parameter['kind'], readonly number[]>> = {
  embedding: [1, 1],
  matrix: [1, 1],
  residual: [1, 1],
  norm: [1],
  bias: [1],
}

/** Bytes that an optimizer keeps for a value of a parameter: the least and the most, as that differs by what it is. */
export function stateBytesPerValue(kind: OptimizerKind): { readonly least: number; readonly most: number } {
  const bytes = (Object.keys(SHAPES) as Parameter['kind'][]).map(
    (one) => 4 * Object.keys(ruleOf(kind).partOf({ kind: one, shape: SHAPES[one] }).state).length,
  )
  return { least: Math.min(...bytes), most: Math.max(...bytes) }
}

/** Names of the scalar inputs of a program that trains, beside the learning rate. */
export function stepScalarNames(kind: OptimizerKind): readonly string[] {
  return Object.keys(ruleOf(kind).scalars)
}

/** Those inputs by name, at a step (from 1) with its learning rate. */
export function stepScalars(
  optimizer: Optimizer,
  step: number,
  learningRate: number,
): readonly (readonly [string, number])[] {
  const { scalars } = ruleOf(kindOf(optimizer))
  return Object.entries(scalars).map(([name, at]) => [name, at(optimizer, step, learningRate)])
}
