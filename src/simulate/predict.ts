/** @file The prediction for a layout on a machine: seconds, where they go, memory, and the band of the error. */
import { decoderFlops } from '../model/index.ts'
import { CostModel } from './costs.ts'
import { bandOf, type Constants, constantsOf, gradeOf, ratesOf } from './fitted/constants.ts'
import { FITTED } from './fitted/values.ts'
import { createMemoryModel, type MemoryModel } from './memory/index.ts'
import { layoutIssues, machineIssues, throwUnsound, workloadIssues } from './sound.ts'
import { stepSeconds } from './step.ts'
import type { Behaviour, Layout, Machine, Prediction, Workload } from './types.ts'

/** A workload on a machine under an engine, ready to be asked about many layouts. */
export interface Simulator {
  readonly workload: Workload
  readonly machine: Machine
  readonly engine: Behaviour
  readonly costs: CostModel
  readonly memory: MemoryModel
  /** Seconds of a step; nothing is checked. */
  seconds(layout: Layout): number
  /** All that there is to say of a layout, whether it fits or not. Throws a `usage` error for numbers that are none. */
  predict(layout: Layout): Prediction
}

/**
 * Makes a simulator, with the constants that are shipped unless others are given.
 * @throws RegaugeError 'usage' for numbers that are none, all of them at once.
 *
 * @example
 * ```ts
 * import { catalogChips, findChip } from 'regauge/chips'
 * import config from 'regauge/models/llama-3-70b' with { type: 'json' }
 * import { createSimulator, ENGINES, machineOf, parseLayout, readDecoder } from 'regauge/planner'
 *
 * const { chip } = findChip(catalogChips(), 'h100-sxm')
 * const workload = { decoder: readDecoder(config), sequenceLength: 8192, globalBatch: 512, precision: 'bf16' } as const
 * const simulator = createSimulator(workload, machineOf(chip, 256, 'bf16'), ENGINES['megatron-lm'].behaviour)
 * const { seconds, band, memory } = simulator.predict(parseLayout('tp8 pp4 vp2', 256))
 * console.log(seconds, band, memory[0]?.peak)
 * ```
 */
export function createSimulator(
  workload: Workload,
  machine: Machine,
  engine: Behaviour,
  constants: Constants = FITTED,
): Simulator {
  throwUnsound(workloadIssues(workload), machineIssues(machine))
  const costs = new CostModel(workload, machine, engine, ratesOf(constants, machine, engine))
  const memory = createMemoryModel(workload, engine)
  const tokens = workload.globalBatch * workload.sequenceLength
  const flops = tokens * decoderFlops(workload.decoder, workload.sequenceLength).total
  return {
    workload,
    machine,
    engine,
    costs,
    memory,
    seconds: (layout) => stepSeconds(costs, layout).seconds,
    predict: (layout) => {
      throwUnsound(layoutIssues(layout, workload.decoder.layers))
      const { seconds, ...terms } = stepSeconds(costs, layout)
      return {
        seconds,
        terms,
        band: bandOf(constants, seconds, gradeOf(constants, machine, engine)),
        modelFlopsUtilization: flops / (seconds * machine.count * machine.flops),
        tokensPerSecond: tokens / seconds,
        memory: memory.stages(layout),
        constants: constantsOf(constants, machine, engine),
      }
    },
  }
}
