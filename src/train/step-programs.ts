/** @file The programs of one optimizer step, and what they are made for. */
import type { Architecture } from '../model/index.ts'
import {
  accumulateStep,
  type Optimizer,
  type ProductPrecision,
  type StepProgram,
  type TrainStepOptions,
  trainStep,
} from '../steps/index.ts'
import type { ResolvedRun } from './run/index.ts'

/** What the programs are made for. */
export interface TrainerOptions {
  /** Sequences of one optimizer step. */
  readonly batchSize: number
  /** Sequences computed at once; divides `batchSize`. */
  readonly microBatchSize: number
  readonly sequenceLength: number
  readonly recompute: TrainStepOptions['recompute']
  readonly optimizer: Optimizer
  /** Number type of the products. Default `float32`. */
  readonly precision?: ProductPrecision
  /** False: never write a state over itself, even where that is proven safe. Default: as the runtime says. */
  readonly inPlace?: boolean
  /** The loss scale to go on from, in float16. */
  readonly lossScale?: LossScale
}

/** The dynamic loss scale of float16. */
export interface LossScale {
  /** What the loss is multiplied by before the backward pass. */
  readonly scale: number
  /** Steps since the scale was changed. */
  readonly steps: number
}

/** What the programs of a run are made for. */
export function trainerOptions(run: ResolvedRun): TrainerOptions {
  const { batchSize, microBatchSize, recompute, precision } = run.train
  const { learningRate: _, ...optimizer } = run.optimizer
  return {
    batchSize,
    microBatchSize,
    sequenceLength: run.data.sequenceLength,
    recompute,
    precision,
    optimizer,
  }
}

/** The programs of one optimizer step: all micro-batches but the last accumulate gradients, the last one updates. */
export interface StepPrograms {
  readonly accumulate?: StepProgram
  readonly train: StepProgram
}

/** Builds the programs of one optimizer step. */
export function stepPrograms(a: Architecture, options: TrainerOptions): StepPrograms {
  const { batchSize, microBatchSize, sequenceLength, recompute, optimizer, precision = 'float32' } = options
  if (batchSize % microBatchSize !== 0)
    throw new Error(`micro-batch ${microBatchSize} does not divide ${batchSize}`)
  const shape = { microBatch: microBatchSize, sequenceLength, recompute, precision }
  const accumulates = batchSize > microBatchSize
  const train = trainStep(a, { ...shape, accumulates, optimizer })
  return accumulates ? { accumulate: accumulateStep(a, shape), train } : { train }
}
