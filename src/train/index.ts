/** @file Training: runs, their events, checkpoints, the loop, and `train`, which does all of it. */
export { type CheckpointContent, writeCheckpoint } from './checkpoint.ts'
export {
  CHECKPOINT_FILES,
  type Checkpoint,
  type CheckpointState,
  checkpointName,
  listCheckpoints,
  newestGoodCheckpoint,
  verifyCheckpoint,
} from './checkpoint-files.ts'
export { type Estimate, estimateTraining, estimateWithin, type MemoryTerms } from './estimate.ts'
export { type EvaluateOptions, type Evaluation, evaluateModel } from './evaluate.ts'
export * from './events.ts'
export { chooseToken, createGenerator, type Generator, type SamplingOptions } from './generate.ts'
export { historyOf, type RunHistory, readHistory } from './history.ts'
export { type HeldOut, heldoutLoss, type LoopContext, type LoopEnd, trainLoop } from './loop.ts'
export {
  type ContinueOptions,
  continueText,
  createSampler,
  findModelFolder,
  type Model,
  openModel,
} from './model.ts'
export { checkRun, programsOf, type RunPlan, trainerOptions } from './plan.ts'
export { resolveArchitecture } from './resolve-model.ts'
export * from './run/index.ts'
export { learningRateAt, type Schedule } from './schedule.ts'
export { allocateState, initializeState, loadWeights, type TrainingState } from './state.ts'
export {
  type GenerateSamples,
  type SampleContext,
  type TrainOptions,
  type TrainResult,
  train,
} from './train.ts'
export { type Batch, createEvaluator, createTrainer, type Trainer, type TrainerOptions } from './trainer.ts'
