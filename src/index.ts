/**
 * @file regauge as a library: everything that its commands do.
 *
 * @example Train a run and read what it learned.
 * ```ts
 * import { continueText, createSampler, openModel, completeRun, train } from 'regauge'
 *
 * const run = completeRun({
 *   name: 'books',
 *   model: { preset: 'nano' },
 *   tokenizer: { train: { vocabSize: 2048 } },
 *   data: { train: 'books/*.txt', sequenceLength: 128 },
 *   train: { steps: 200, batchSize: 8 },
 * })
 * const { folder } = await train(run, { generateSamples: createSampler() })
 * const model = await openModel(folder)
 * for await (const { text } of continueText(model, 'Once upon a time')) process.stdout.write(text)
 * model.dispose()
 * ```
 */

export {
  type Bound,
  boundOf,
  type Chip,
  type Class2023,
  catalogChips,
  chipsToHold,
  class2023,
  type Efficiency,
  EXPORT_RULES,
  type ExportFindings,
  type ExportRule,
  efficiencyOf,
  exportFindings,
  type FigureGroup,
  type Finding as ExportFinding,
  type Found as FoundChip,
  findChip,
  linkBandwidth,
  loadChips,
  performanceDensity,
  rulesOn,
  test2022,
  totalProcessingPerformance,
  trainingRate,
  window2026,
} from './chips/index.ts'
// Data: text, tokenizers, token shards, batches.
export {
  buildTokenShards,
  type CorpusOptions,
  createTextStream,
  type Document,
  IGNORED_LABEL,
  loadTokenizer,
  openBatches,
  openCorpus,
  openEvaluationBatches,
  openTokenShards,
  type ShardOptions,
  type TextStream,
  type Tokenizer,
  type TokenizerJson,
  type TokenShards,
  type TrainBpeOptions,
  trainBpe,
} from './data/index.ts'
// Accelerators: figures with sources, export rules, what bounds work on them. SI units, bytes, FLOP/s.
export {
  ENGINE_IDS,
  ENGINES,
  type Engine,
  type EngineId,
  EVERYTHING,
  engineFor,
  violations,
} from './engines/index.ts'
export { type ErrorKind, EXIT_CODES, formatIssue, type Issue, RegaugeError } from './errors.ts'
// Formats that others defined.
export {
  createEventWriter,
  createIndexedDatasetWriter,
  decodeOnnx,
  encodeOnnx,
  type HfConfig,
  type OnnxModel,
  openIndexedDataset,
  openSafetensorsFolder,
  readHfConfig,
  readSafetensor,
  readSafetensorsHeader,
  toFloat32,
  writeSafetensors,
} from './formats/index.ts'
// Tensors, operations, gradients, passes, ONNX.
export * from './graph/index.ts'
// Architectures.
export * from './model/index.ts'
// Plans: what layouts of a model on chips take, and which takes the least. Seconds, bytes.
export {
  type Objective as PlanObjective,
  type PlannedLayout,
  type PlanRequest,
  type PlanResult,
  planLayouts,
  type Rejection as RejectedLayouts,
  type RunCost,
} from './plan/index.ts'
// Programs on a device.
export * from './runtime/index.ts'
// Predictions of one layout.
export {
  type Behaviour,
  type ClusterFigures,
  type Constant,
  createSimulator,
  type EvidenceGrade,
  type Layout,
  layoutPipeline,
  layoutText,
  type Machine,
  type MemoryTerms,
  machineOf,
  type Pipeline,
  type PipelineRun,
  type Prediction,
  parseLayout,
  type Simulator,
  type StageMemory,
  simulatePipeline,
  type TimeTerms,
  tracePipeline,
  type Workload,
} from './simulate/index.ts'
// The programs that train, evaluate and generate.
export {
  type AdamWOptions,
  accumulateStep,
  adamW,
  type BatchShape,
  causalAttention,
  decoderHidden,
  decodeStep,
  embedding,
  evaluateStep,
  gradientStep,
  linear,
  linearCrossEntropy,
  logitsStep,
  type Program as StepProgram,
  parameterInputs,
  type Recompute,
  rmsNorm,
  rotate,
  rotation,
  type StatePair,
  stateNames,
  swiglu,
  type TrainOptions as TrainStepOptions,
  trainStep,
} from './steps/index.ts'
// Runs.
export {
  allocateState,
  type Batch,
  type ContinueOptions,
  checkRun,
  completeRun,
  continueText,
  createEvaluator,
  createGenerator,
  createSampler,
  createTrainer,
  defineRun,
  type Estimate,
  type EvaluateOptions,
  type Evaluation,
  estimateTraining,
  evaluateModel,
  findModelFolder,
  formatRun,
  type GenerateSamples,
  type Generator,
  initializeState,
  learningRateAt,
  listCheckpoints,
  loadRun,
  loadWeights,
  type MachineInfo,
  type Model,
  openModel,
  type ResolvedRun,
  type Run,
  type RunEvent,
  type RunHistory,
  type RunPlan,
  readEvents,
  readHistory,
  runJsonSchema,
  type SamplingOptions,
  type Schedule,
  type TensorPlace,
  type TensorSlots,
  type Trainer,
  type TrainerOptions,
  type TrainingState,
  type TrainOptions,
  type TrainResult,
  train,
  verifyCheckpoint,
} from './train/index.ts'
// Whether a run is the same run.
export {
  type Cause,
  type Comparison,
  CRITERIA,
  type Criterion,
  compareTensors,
  type Departure,
  type Evidence,
  type Judgement,
  type TensorDifference,
  type Verdict,
  type Verification,
  type VerifyRuntimesOptions,
  verifyRuns,
  verifyRuntimes,
} from './verify/index.ts'
// What runs have written, what this machine has, and pages of plans.
export {
  compareRuns,
  diagnose,
  type Finding,
  figuresOf,
  findRun,
  type RunComparison,
  type RunFigures,
  type RunRecord,
  readRun,
  readRuns,
  type Simulation,
  traceEvents,
  writeReport,
  writeSimulation,
  writeTrace,
  writeVerification,
} from './watch/index.ts'
