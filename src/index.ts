/**
 * @file Training from code: runs, what they leave, models to write with, and the runtimes that execute them.
 * Steps of one's own are in `regauge/graph`, plans in `regauge/planner`, accelerators in `regauge/chips`, file formats
 * in `regauge/formats`, the comparison of runs in `regauge/verify`.
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
 * for await (const { text } of continueText(model, 'Once upon a time')) console.log(text)
 * model.dispose()
 * ```
 */

// Text to tokenizer and token shards.
export {
  buildTokenShards,
  type CorpusOptions,
  createTextStream,
  type Document,
  type HeldOut,
  loadTokenizer,
  openCorpus,
  openTokenShards,
  type ShardOptions,
  type Split,
  type TextStream,
  type Tokenizer,
  type TokenizerJson,
  type TokenShards,
  type TrainBpeOptions,
  trainBpe,
} from './data/index.ts'
// Every error for the person who made it.
export { type ErrorKind, EXIT_CODES, formatIssue, type Issue, RegaugeError } from './errors.ts'
// Programs on a device.
export {
  type Binding,
  type Capacity,
  createRuntime,
  type DeviceTensor,
  type MemoryUse,
  PROVIDER_NAMES,
  type Program,
  type ProviderName,
  parseTarget,
  type Runtime,
  type RuntimeOptions,
  type Target,
  type Traffic,
} from './runtime/index.ts'
// Runs: the run file, training, what was written, and models to write with.
export {
  type BadLine,
  type CheckOptions,
  type Checkpoint,
  type CheckpointEvent,
  type CheckpointState,
  type ContinueOptions,
  checkRun,
  completeRun,
  continueText,
  createSampler,
  defineRun,
  type Estimate,
  type EvalEvent,
  type EvaluateOptions,
  type Evaluation,
  evaluateModel,
  findModelFolder,
  formatRun,
  type GenerateSamples,
  type LoadedRun,
  type LoggedEvent,
  listCheckpoints,
  loadRun,
  type MachineInfo,
  type Model,
  type MoveEvent,
  type NoteEvent,
  openModel,
  type ResolvedRun,
  type Run,
  type RunEvent,
  type RunHistory,
  type RunPlan,
  readEvents,
  readHistory,
  runJsonSchema,
  type SampleContext,
  type SampleEvent,
  type SamplingOptions,
  type StartEvent,
  type StateEvent,
  type StepEvent,
  type SummaryEvent,
  type TrainingMemory,
  type TrainingState,
  type TrainOptions,
  type TrainResult,
  train,
  verifyCheckpoint,
} from './train/index.ts'
// Runs side by side, pages of runs and of plans, and what this machine has.
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
  type TraceEvent,
  traceEvents,
  writeReport,
  writeSimulation,
  writeTrace,
} from './watch/index.ts'
