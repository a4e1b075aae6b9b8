/**
 * @file Plans: what a layout of a model on chips takes, and which takes the least. Seconds, bytes. Nothing here needs
 * Node, so that a page asks the same; the chips of the catalog are in `regauge/chips`.
 *
 * @example The fastest layout of llama 3 70B on 1,024 chips.
 * ```ts
 * import { catalogChips, findChip } from 'regauge/chips'
 * import config from 'regauge/models/llama-3-70b' with { type: 'json' }
 * import { ENGINES, layoutText, machineOf, planLayouts, readDecoder } from 'regauge/planner'
 *
 * const { chip } = findChip(catalogChips(), 'h100-sxm')
 * const { best } = planLayouts({
 *   workload: { decoder: readDecoder(config), sequenceLength: 8192, globalBatch: 1024, precision: 'bf16' },
 *   machine: machineOf(chip, 1024, 'bf16'),
 *   engine: ENGINES['megatron-lm'],
 *   top: 1,
 *   tokens: 1e12,
 * })
 * for (const { layout, prediction, cost } of best) console.log(layoutText(layout), prediction.seconds, cost.days)
 * ```
 */

// What runs a plan, what it can, and what it refuses.
export {
  type Abilities,
  ENGINE_IDS,
  ENGINES,
  type Engine,
  type EngineId,
  EVERYTHING,
  engineFor,
  violations,
} from './engines/index.ts'
// A model's sizes.
export {
  type Attention,
  type Decoder,
  type DecoderFlops,
  type DecoderParameters,
  decoderFlops,
  decoderParameters,
  type Experts,
  type LayerKind,
  type LayerParameters,
  layerParameters,
  readDecoder,
} from './model/index.ts'
// The search, on one kind of chips or on several.
export {
  type Aspect,
  type Explanation,
  explainLayout,
  type Fixed,
  type FrontierPoint,
  fewestChips,
  frontier,
  type MemoryShortage,
  type Objective,
  type PlannedLayout,
  type PlanRequest,
  type PlanResult,
  type Pool,
  type PoolLink,
  type PoolPart,
  type PoolsPlan,
  type PoolsRequest,
  type PoolsResult,
  planLayouts,
  planPools,
  type Rejection,
  type RunCost,
  type SearchCounts,
  type TermDifference,
} from './plan/index.ts'
// One layout.
export {
  type Behaviour,
  type ClusterFigures,
  type Constant,
  type Constants,
  createSimulator,
  type EvidenceGrade,
  type Layout,
  type Link,
  layoutPipeline,
  layoutText,
  type Machine,
  type MemoryTerms,
  machineOf,
  ONE_CHIP,
  type Pass,
  type PassKind,
  type Pipeline,
  type PipelineRun,
  type PipelineSchedule,
  type Precision,
  type Prediction,
  parseLayout,
  type RateName,
  type Rates,
  type Recompute,
  type Shifts,
  type Simulator,
  type StageMemory,
  simulatePipeline,
  type TimeTerms,
  tracePipeline,
  type Workload,
} from './simulate/index.ts'
