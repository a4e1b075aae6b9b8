/** @file What a comparison is judged by: figures of each step, and of the tensors where they were looked at. */
import type { Parameter } from '../model/index.ts'
import { type OptimizerKind, stateOf } from '../steps/index.ts'
import { compareTensors, type TensorDifference, worse } from './metrics.ts'

/** One step of both: the reference's figure first. */
export interface StepPair {
  /** 1-based. */
  readonly step: number
  readonly loss: readonly [number, number]
  readonly gradNorm: readonly [number, number]
  readonly learningRate: readonly [number, number]
  /** Fingerprints of the batch; an older log has none. */
  readonly data: readonly [string | undefined, string | undefined]
}

/** What a tensor is: `gradient`, `weight`, or what an optimizer keeps, in the words of its rule. */
export type TensorKind = string

/** A tensor that departs from the reference's. */
export interface DepartedTensor {
  readonly kind: TensorKind
  /** Name of the parameter. */
  readonly name: string
  /** Layer, from 0; undefined for what is in none. */
  readonly layer: number | undefined
  readonly relativeError: number
}

/** The tensors of one step in short. */
export interface TensorStep {
  /** Of gradients: the step that they are of. Of state: the steps that were done. */
  readonly step: number
  /** Largest relative error. */
  readonly worst: number
  /** Tensors beyond the strict limits, in the order of the forward pass. */
  readonly departed: readonly DepartedTensor[]
}

/** A tensor over all steps at which it was looked at. */
export interface TensorFigures {
  readonly kind: TensorKind
  readonly name: string
  /** Layer, from 0; undefined for what is in none. */
  readonly layer: number | undefined
  /** Least cosine and largest relative error, and the step of the latter. */
  readonly cosine: number
  readonly relativeError: number
  readonly maxAbsolute: number
  readonly step: number
  /** At the first step that was looked at. */
  readonly first: TensorDifference
  /** At the last one. */
  readonly last: TensorDifference
}

export interface Evidence {
  readonly steps: readonly StepPair[]
  readonly gradients: readonly TensorStep[]
  readonly states: readonly TensorStep[]
  readonly tensors: readonly TensorFigures[]
}

/**
 * Strict limits of float32. At a cosine of 0.99999 the ends of two vectors of one length are 4.5e-3 of it apart. Between
 * two runtimes, 50 steps of small models, measured: gradients up to 1.2e-4, weights 5e-6, moments 1.3e-4.
 */
export const STRICT = {
  loss: 1e-5,
  gradNorm: 1e-3,
  cosine: 0.99999,
  relativeError: { gradient: 4.5e-3, weight: 1e-3, kept: 1e-2 },
} as const

/** A tensor with no more than this share of the norm of all is rounding, has no direction, and is left out. */
const NEGLIGIBLE = 1e-6

/** A parameter as a comparison tells of it. */
export type ComparedParameter = Pick<Parameter, 'name' | 'layer'>

/** Whether a tensor is what an optimizer keeps for a parameter: no gradient, and not the weight itself. */
export function isKept(kind: TensorKind): boolean {
  return kind !== 'gradient' && kind !== 'weight'
}

/** The strict limit of the relative error of a tensor. */
function limitOf(kind: TensorKind): number {
  return STRICT.relativeError[kind === 'gradient' || kind === 'weight' ? kind : 'kept']
}

/** A tensor of the state: a weight, or what the optimizer keeps for it. */
export interface StateEntry {
  readonly kind: TensorKind
  readonly parameter: ComparedParameter
  /** Its name in programs and files. */
  readonly name: string
}

/** The state of parameters: of each its weight, then what the optimizer keeps. */
export function stateEntries(
  optimizer: OptimizerKind,
  parameters: readonly Parameter[],
): readonly StateEntry[] {
  return parameters.flatMap((parameter) => [
    { kind: 'weight', parameter, name: parameter.name },
    ...stateOf(optimizer, parameter).map(({ words, name }) => {
      return { kind: words, parameter, name }
    }),
  ])
}

/** Puts tensors together as they come. */
export function createRecorder() {
  const figures = new Map<string, TensorFigures>()
  const steps: Record<'gradients' | 'states', TensorStep[]> = { gradients: [], states: [] }

  const add = (
    kind: TensorKind,
    { name, layer }: ComparedParameter,
    step: number,
    difference: TensorDifference,
  ): void => {
    const key = `${kind} ${name}`
    const before = figures.get(key)
    const { cosine, relativeError, maxAbsolute } = difference
    const isWorst = before === undefined || !(before.relativeError >= relativeError)
    figures.set(key, {
      kind,
      name,
      layer,
      cosine: before === undefined ? cosine : -worse(-before.cosine, -cosine),
      relativeError: before === undefined ? relativeError : worse(before.relativeError, relativeError),
      maxAbsolute: before === undefined ? maxAbsolute : worse(before.maxAbsolute, maxAbsolute),
      step: isWorst ? step : before.step,
      first: before?.first ?? difference,
      last: difference,
    })
  }
  return {
    /** Compares tensors of one step; `read` gives the reference's and the other's. Parameters are in forward order. */
    async look(
      place: 'gradients' | 'states',
      step: number,
      tensors: readonly (readonly [
        TensorKind,
        ComparedParameter,
        () => Promise<readonly [Float32Array, Float32Array]>,
      ])[],
    ): Promise<void> {
      const found: [TensorKind, ComparedParameter, TensorDifference][] = []
      for (const [kind, parameter, read] of tensors)
        found.push([kind, parameter, compareTensors(...(await read()))])
      const total = new Map<TensorKind, number>()
      for (const [kind, , { norm }] of found) total.set(kind, Math.hypot(total.get(kind) ?? 0, norm))
      const departed: DepartedTensor[] = []
      let worst = 0
      for (const [kind, parameter, difference] of found) {
        const { cosine, relativeError, distance, norm } = difference
        if (norm + distance <= NEGLIGIBLE * total.get(kind)!) continue
        add(kind, parameter, step, difference)
        worst = worse(worst, relativeError)
        const close = relativeError <= limitOf(kind)
        if (!close || (kind === 'gradient' && !(cosine > STRICT.cosine))) {
          departed.push({ kind, name: parameter.name, layer: parameter.layer, relativeError })
        }
      }
      steps[place].push({ step, worst, departed })
    },
    evidence: (pairs: readonly StepPair[]): Evidence => ({
      steps: pairs,
      ...steps,
      tensors: [...figures.values()],
    }),
  }
}

export type Recorder = ReturnType<typeof createRecorder>
