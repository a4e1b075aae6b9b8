/** @file The programs that train, evaluate and generate, built from an architecture. */

export { swiglu } from './activations.ts'
export { cacheNames, type DecodeShape, decodeStep } from './decode.ts'
export { decoderHidden } from './decoder.ts'
export { evaluateStep, logitsStep } from './evaluate.ts'
export type { Head } from './head.ts'
export * from './layers.ts'
export { linearCrossEntropy } from './loss.ts'
export { type ParameterTensors, parameterInputs } from './modules.ts'
export * from './optimizers/index.ts'
export {
  accumulateStep,
  type BatchShape,
  gradientStep,
  type ProductPrecision,
  type StatePair,
  type StepProgram,
  stateNames,
  type TrainStepOptions,
  trainStep,
} from './train-step.ts'
