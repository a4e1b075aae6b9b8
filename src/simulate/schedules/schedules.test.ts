/** @file What every row of the table must keep to, whatever the schedule; and ZB-V against what its paper says of it. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Pipeline, simulatePipeline, tracePipeline } from '../pipeline/index.ts'
import {
  activationsInFlight,
  copiesOf,
  countsGo,
  countsProblem,
  encode,
  type PassTimes,
  type PipelineSchedule,
  SCHEDULE_NAMES,
  SCHEDULES,
  scheduleProblem,
} from './index.ts'

/** Chunks of a stage where all are alike; two where a layout says how many. */
function chunksOf(schedule: PipelineSchedule): number {
  const { chunks } = SCHEDULES[schedule]
  return chunks === 'virtual' ? 2 : chunks
}

function alike(schedule: PipelineSchedule, stages: number, microBatches: number, times: PassTimes): Pipeline {
  const chunks = Array.from(
    { length: chunksOf(schedule) * copiesOf(SCHEDULES[schedule].placement) },
    () => times,
  )
  return {
    schedule,
    microBatches,
    passes: Array.from({ length: stages }, () => chunks),
    overlapsTransfers: true,
  }
}

const counts = fc.record({
  stages: fc.integer({ min: 1, max: 12 }),
  microBatches: fc.integer({ min: 1, max: 60 }),
})

describe.each(SCHEDULE_NAMES)('%s', (schedule) => {
  const { placement, needs, bubble, groups, inFlight, order, steady } = SCHEDULES[schedule]
  const chunks = chunksOf(schedule)
  const bubbleOf = (forward: number, backward: number, weight: number, stages: number) =>
    bubble.seconds(Math.max(0, bubble.idle(forward, backward, weight)), 0, stages, chunks)

  test('says in words what it says to a search, and runs all that a layout may have of it', () => {
    fc.assert(
      fc.property(counts, ({ stages, microBatches }) => {
        const goes = countsGo(schedule, stages, microBatches)
        expect(countsProblem(schedule, stages, microBatches) === undefined).toBe(goes)
        if (!goes || stages < needs.leastStages) return
        const group = groups?.usual(stages, microBatches) ?? 1
        const shape = { stages, chunks: chunks * copiesOf(placement), microBatches, group }
        expect(scheduleProblem(schedule, shape)).toBeUndefined()
      }),
    )
  })

  test('has a layer for each chunk', () => {
    if (placement !== 'straight') expect(needs.layersPerStage).toBe(chunks * copiesOf(placement))
  })

  test('keeps the most on the first stage where it is straight', () => {
    fc.assert(
      fc.property(counts, ({ stages, microBatches }) => {
        if (placement !== 'straight') return
        for (let stage = 1; stage < stages; stage++)
          expect(inFlight(stage, 0, stages, microBatches, chunks, stages)).toBeLessThanOrEqual(
            inFlight(stage - 1, 0, stages, microBatches, chunks, stages),
          )
      }),
    )
  })

  test('repeats in its steady part the same passes of later micro-batches', () => {
    const many = fc.record({
      stages: fc.integer({ min: 1, max: 8 }),
      microBatches: fc.integer({ min: 40, max: 80 }),
    })
    fc.assert(
      fc.property(many, ({ stages, microBatches }) => {
        fc.pre(countsGo(schedule, stages, microBatches))
        const group = groups?.usual(stages, microBatches) ?? 1
        const shape = { stages, chunks: chunks * copiesOf(placement), microBatches, group }
        const part = steady(shape)
        if (part === undefined) return
        for (let stage = 0; stage < stages; stage++) {
          const passes = order(shape, stage)
          const later = encode(0, 0, part.microBatches / copiesOf(placement), shape.chunks)
          const end = part.start[stage]! + part.periods * part.passes
          expect(end).toBeLessThanOrEqual(passes.length)
          for (let i = part.start[stage]! + part.passes; i < end; i++)
            expect(passes[i]! - passes[i - part.passes]!).toBe(later)
        }
      }),
    )
  })

  test('has the bubble of the simulation where forward and both gradients take as long as each other', () => {
    for (const stages of [2, 4, 8]) {
      const microBatches = 4 * stages
      const run = simulatePipeline(
        alike(schedule, stages, microBatches, { forward: 1, backward: 1, weight: 1 }),
      )
      const others = chunks * (stages - 1)
      const expected = bubbleOf(others, 2 * others, others, stages)
      for (const { idle } of run.stages) expect(idle).toBeCloseTo(expected, 9)
    }
  })

  test('has a bubble that bounds may rely on', () => {
    const seconds = fc.double({ min: 0.01, max: 10, noNaN: true })
    fc.assert(
      fc.property(seconds, seconds, seconds, seconds, counts, (forward, input, weight, more, { stages }) => {
        fc.pre(stages > 1 && stages % needs.stagesMultiple === 0)
        const backward = input + weight
        const idle = bubbleOf(forward, backward, weight, stages)
        const rounded = 1e-9 * (forward + backward + more)
        expect(bubbleOf(3 * forward, 3 * backward, 3 * weight, stages)).toBeCloseTo(3 * idle, 9)
        expect(bubbleOf(forward + more, backward, weight, stages)).toBeGreaterThanOrEqual(idle - rounded)
        expect(bubbleOf(forward, backward + more, weight, stages)).toBeGreaterThanOrEqual(idle - rounded)
        expect(bubbleOf(forward, backward + more, weight + more, stages)).toBeLessThanOrEqual(
          bubbleOf(forward, backward + more, weight, stages) + rounded,
        )
        // what is not filled grows with passes, of whatever part they are
        if (!bubble.isFilled) expect(bubbleOf(forward, backward, backward, stages)).toBe(idle)
        // a stage never takes more off the bubble than its own passes
        expect(idle).toBeLessThanOrEqual(forward + backward + rounded)
      }),
    )
  })
})

describe('ZB-V', () => {
  const equal = { forward: 1, backward: 1, weight: 1 }

  test.each([2, 4, 8, 16])('%i stages never wait once they have begun, with the memory of 1F1B', (stages) => {
    for (const microBatches of [2 * stages - 1, 2 * stages, 5 * stages + 3]) {
      const run = simulatePipeline(alike('zb-v', stages, microBatches, equal))
      const most = activationsInFlight('1f1b', { stages, chunks: 1, microBatches, group: 1 }, 0)
      for (const { busy, firstForward, gradientsReady, inFlight } of run.stages) {
        expect(Math.max(...gradientsReady) - Math.min(...firstForward)).toBeCloseTo(busy, 9)
        // chunks of half a stage
        expect(inFlight / 2).toBe(most)
      }
    }
  })

  test('has half the bubble of ZB-H1, all stages starting and ending by one forward of a chunk after each other', () => {
    const idle = (schedule: PipelineSchedule, times: PassTimes) =>
      Math.max(...simulatePipeline(alike(schedule, 8, 32, times)).stages.map((stage) => stage.idle))
    const whole = { forward: 2, backward: 2, weight: 2 }
    expect(idle('zb-v', equal) / idle('zero-bubble', whole)).toBeCloseTo(1 / 2, 9)
  })

  // the formula: gradients by inputs come back from one stage to the next, or what of them nothing fills
  test.each([
    [1, 1.25, 0.75, 1.25],
    [1, 2, 1, 2],
    [1, 2, 0.5, 3],
    [0.5, 1, 0.25, 1.5],
  ])('forward %f, gradients by inputs %f, by weights %f: (p - 1) x %f', (forward, backward, weight, each) => {
    for (const stages of [2, 4, 8])
      for (const microBatches of [2 * stages, 6 * stages]) {
        const { stages: runs } = simulatePipeline(
          alike('zb-v', stages, microBatches, { forward, backward, weight }),
        )
        expect(runs[0]!.idle).toBeCloseTo((stages - 1) * each, 9)
        const of = (seconds: number) => 2 * (stages - 1) * seconds
        const { idle, seconds } = SCHEDULES['zb-v'].bubble
        expect(seconds(idle(of(forward), of(backward + weight), of(weight)), 0, stages, 2)).toBeCloseTo(
          (stages - 1) * each,
          9,
        )
      }
  })

  test('runs its passes as published, the second chunk on the way back', () => {
    const { timeline } = tracePipeline(alike('zb-v', 2, 3, equal))
    const order = (stage: number) =>
      timeline
        .filter((pass) => pass.stage === stage)
        .map(({ pass, chunk, microBatch }) => `${pass[0]!.toUpperCase()}${chunk}.${microBatch}`)
        .join(' ')
    expect(order(0)).toBe(
      'F0.0 F0.1 F0.2 F1.0 B1.0 W1.0 F1.1 B1.1 W1.1 B0.0 W0.0 F1.2 B1.2 W1.2 B0.1 W0.1 B0.2 W0.2',
    )
    expect(order(1)).toBe(
      'F0.0 F1.0 F0.1 F1.1 B1.0 W1.0 F0.2 B0.0 W0.0 F1.2 B1.1 W1.1 B0.1 B1.2 B0.2 W0.1 W1.2 W0.2',
    )
  })
})
