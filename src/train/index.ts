/** @file Training: runs, their events, checkpoints, the loop, and `train`, which does all of it. */

export { changedSettings } from './checkpoint/exactness.ts'
export {
  CHECKPOINT_FILES,
  type Checkpoint,
  type CheckpointState,
  type ExactSettings,
  listCheckpoints,
  removedNote,
  verifyCheckpoint,
  wholeCheckpoints,
} from './checkpoint/files.ts'
export { createDevice, type Device } from './device.ts'
export {
  type Estimate,
  estimateWithin,
  type TensorPlace,
  type TrainingMemory,
  tensorPlace,
} from './estimate/estimate.ts'
export { type CheckOptions, checkRun, programsOf } from './estimate/preview.ts'
export type { RunPlan } from './estimate/run-plan.ts'
export { createHeld, type Held } from './held.ts'
export { requireKernels, requirePrecision } from './kernels.ts'
export { type LearningRateSchedule, learningRateAt } from './learning-rate.ts'
export * from './log/events.ts'
export { fingerprint } from './log/fingerprint.ts'
export { historyOf, type RunHistory, readHistory } from './log/history.ts'
export { describeMachine } from './log/machine.ts'
export type { HeldOutBatches, LoopContext, LoopEnd } from './loop.ts'
export type { PlaceOptions } from './place.ts'
export { type PreparedRun, prepareRun, type Sources } from './prepare.ts'
export { prepareShards, prepareTokenizer } from './prepare-data.ts'
export { type RunRemains, removeRun, runRemains } from './remove-run.ts'
export * from './run/index.ts'
export {
  allocateState,
  fillState,
  initializeState,
  loadWeights,
  type TensorSlots,
  type TrainingState,
} from './state.ts'
export { type StepPrograms, stepPrograms, type TrainerOptions, trainerOptions } from './step-programs.ts'
export {
  type GenerateSamples,
  type SampleContext,
  type TrainOptions,
  type TrainResult,
  train,
} from './train.ts'
export { type Batch, createTrainer, type StepResult, type Trainer } from './trainer.ts'
export { type EvaluateOptions, type Evaluation, evaluateModel } from './use/evaluate.ts'
export { createGenerator, type Generator, type SamplingOptions } from './use/generate.ts'
export {
  type ContinueOptions,
  continueText,
  createSampler,
  findModelFolder,
  type Model,
  openModel,
} from './use/model.ts'
