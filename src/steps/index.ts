/** @file The programs that train, evaluate and generate, built from an architecture. */
export { decoderHidden, outputMatrix, parameterInputs, type ParameterTensors } from './decoder.ts'
export * from './layers.ts'
export { evaluateStep, logitsStep } from './evaluate.ts'
export { linearCrossEntropy } from './loss.ts'
export { adamW, type AdamWOptions, type StepScalars, type Trained, type Updated } from './optimizer.ts'
export {
  accumulateStep,
  type BatchShape,
  gradientStep,
  IDS,
  type Program,
  type StatePair,
  stateNames,
  type TrainOptions,
  trainStep,
} from './train-step.ts'
