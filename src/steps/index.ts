/** @file The programs that train, evaluate and generate, built from an architecture. */
export { cacheNames, type DecodeShape, decodeStep } from './decode.ts'
export { decoderHidden, outputMatrix, type ParameterTensors, parameterInputs } from './decoder.ts'
export { evaluateStep, logitsStep } from './evaluate.ts'
export * from './layers.ts'
export { linearCrossEntropy } from './loss.ts'
export * from './optimizers/index.ts'
export {
  accumulateStep,
  type BatchShape,
  gradientStep,
  IDS,
  type ProductPrecision,
  type StatePair,
  type StepProgram,
  stateNames,
  type TrainStepOptions,
  trainStep,
} from './train-step.ts'
