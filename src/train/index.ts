/** @file Training: runs, their events, checkpoints, the loop, and `train`, which does all of it. */
export {
  CHECKPOINT_FILES,
  type Checkpoint,
  type CheckpointState,
  type ExactSettings,
  listCheckpoints,
  removedNote,
  verifyCheckpoint,
  wholeCheckpoints,
} from './checkpoint-files.ts'
export { createDevice, type Device } from './device.ts'
export {
  type Estimate,
  estimateTraining,
  estimateWithin,
  type MemoryTerms,
  type TensorPlace,
  tensorPlace,
} from './estimate.ts'
export { type EvaluateOptions, type Evaluation, evaluateModel } from './evaluate.ts'
export * from './events.ts'
export { exactSettings, requireSameSettings } from './exactness.ts'
export { fingerprint } from './fingerprint.ts'
export { chooseToken, createGenerator, type Generator, type SamplingOptions } from './generate.ts'
export { historyOf, type RunHistory, readHistory } from './history.ts'
export { requireKernels, requirePrecision } from './kernels.ts'
export { type HeldOut, heldoutLoss, type LoopContext, type LoopEnd, trainLoop } from './loop.ts'
export { describeMachine } from './machine.ts'
export {
  type ContinueOptions,
  continueText,
  createSampler,
  findModelFolder,
  type Model,
  openModel,
} from './model.ts'
export type { PlaceOptions } from './place.ts'
export { type CheckOptions, checkRun, programsOf, type RunPlan, trainerOptions } from './plan.ts'
export { prepareShards, prepareTokenizer } from './prepare-data.ts'
export { resolveArchitecture } from './resolve-model.ts'
export * from './run/index.ts'
export { learningRateAt, type Schedule } from './schedule.ts'
export {
  allocateState,
  fillState,
  initializeState,
  loadWeights,
  type TensorSlots,
  type TrainingState,
} from './state.ts'
export {
  type GenerateSamples,
  type SampleContext,
  type TrainOptions,
  type TrainResult,
  train,
} from './train.ts'
export {
  type Batch,
  createEvaluator,
  createTrainer,
  type StepPrograms,
  type StepResult,
  stepPrograms,
  type Trainer,
  type TrainerOptions,
} from './trainer.ts'
