/** @file The best layouts of a run on chips of one kind. */
import { createSimulator, layoutText, type Machine, type Simulator } from '../simulate/index.ts'
import { checkedSpace } from './check.ts'
import { costOf } from './cost.ts'
import type { Candidate } from './incumbents.ts'
import { leastMemory, remediesOf } from './no-room.ts'
import { rejectionsOf } from './reasons.ts'
import { search, searchBest } from './search.ts'
import { chipsOf } from './space.ts'
import type { PlannedLayout, PlanRequest, PlanResult } from './types.ts'
import { secondsText } from './words.ts'

/** Number of layouts in an answer where a request gives none. */
const TOP = 5

/**
 * Finds the layouts with the least of the objective, exactly: over the whole space.
 * @throws RegaugeError 'usage' with everything that is wrong with a request.
 *
 * @example
 * ```ts
 * import { catalogChips, findChip } from 'regauge/chips'
 * import config from 'regauge/models/llama-3-70b' with { type: 'json' }
 * import { ENGINES, layoutText, machineOf, planLayouts, readDecoder } from 'regauge/planner'
 *
 * const { chip } = findChip(catalogChips(), 'h100-sxm')
 * const { best, rejected } = planLayouts({
 *   workload: { decoder: readDecoder(config), sequenceLength: 8192, globalBatch: 1024, precision: 'bf16' },
 *   machine: machineOf(chip, 1024, 'bf16'),
 *   engine: ENGINES['megatron-lm'],
 * })
 * console.log(best.map(({ layout, seconds }) => [layoutText(layout), seconds]), rejected[0]?.reason)
 * ```
 */
export function planLayouts(request: PlanRequest): PlanResult {
  const space = checkedSpace(request)
  const simulator = createSimulator(
    request.workload,
    request.machine,
    request.engine.behaviour,
    request.constants,
  )
  const { best, ...counts } = search(space, simulator, request.top ?? TOP)
  const reasons = request.reasons ?? true
  const fastest = best.length === 0 && reasons ? fastestOf(request) : undefined
  const nearest = best.length === 0 && fastest === undefined ? leastMemory(space, simulator) : undefined
  return {
    ...counts,
    best: best.map((candidate) => plannedOf(request, simulator, candidate)),
    rejected: best.length > 0 && reasons ? rejectionsOf(request, simulator, best[0]!) : [],
    ...(nearest === undefined ? {} : { nearest }),
    ...(fastest === undefined ? {} : { fastest }),
    remedies:
      fastest !== undefined
        ? [slowText(fastest)]
        : best.length === 0 && reasons
          ? remediesOf(request, nearest)
          : [],
    simulator,
  }
}

/** The best layout of a request alone, without reasons and without what comes closest where nothing fits. */
export function bestLayout(request: PlanRequest): PlannedLayout | undefined {
  const space = checkedSpace(request)
  const simulator = createSimulator(
    request.workload,
    request.machine,
    request.engine.behaviour,
    request.constants,
  )
  const best = searchBest(space, simulator)
  return best && plannedOf(request, simulator, best)
}

/** The fastest layout with the limit on a step's seconds lifted; undefined where there is no limit, and where nothing fits. */
function fastestOf({ maximumSeconds, ...request }: PlanRequest): PlannedLayout | undefined {
  return maximumSeconds === undefined ? undefined : bestLayout({ ...request, objective: 'time' })
}

function slowText({ layout, seconds, cost: { days } }: PlannedLayout): string {
  const run = days === null ? '' : `, ${Number(days.toPrecision(3))} days for the run`
  return `the fastest that fits, ${layoutText(layout)}, takes ${secondsText(seconds)} a step${run}`
}

function plannedOf(
  request: PlanRequest,
  simulator: Simulator,
  { layout, seconds }: Candidate,
): PlannedLayout {
  const chips = chipsOf(layout)
  const machine: Machine = { ...request.machine, count: chips }
  const prediction = createSimulator(
    request.workload,
    machine,
    request.engine.behaviour,
    request.constants,
  ).predict(layout)
  return {
    layout,
    chips,
    idle: request.machine.count - chips,
    seconds,
    prediction,
    peakBytes: simulator.memory.peak(layout),
    memoryBytes: machine.memoryBytes,
    cost: costOf(request, chips, prediction.tokensPerSecond),
  }
}
