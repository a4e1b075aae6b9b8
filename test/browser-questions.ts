/** @file What the browser and Node are both asked: plans and predictions. Runs in either. */
import type { Chip } from '../src/chips/index.ts'
import type { HfConfig } from '../src/formats/index.ts'
import { ENGINES, type EngineId, machineOf, planLayouts, readDecoder } from '../src/planner.ts'

export interface Question {
  readonly config: HfConfig
  readonly chip: Chip
  readonly count: number
  readonly engine: EngineId
  readonly sequenceLength: number
  readonly globalBatch: number
}

/** Best layouts with their predictions, and why others lost. */
export function answers(questions: readonly Question[]): unknown[] {
  return questions.map(({ config, chip, count, engine, sequenceLength, globalBatch }) => {
    const { best, rejected, considered } = planLayouts({
      workload: { decoder: readDecoder(config), sequenceLength, globalBatch, precision: 'bf16' },
      machine: machineOf(chip, count, 'bf16'),
      engine: ENGINES[engine],
      top: 3,
      tokens: 1e12,
    })
    return { considered, best, reasons: rejected.map(({ reason }) => reason) }
  })
}
