/** @file Schedules against published bubbles, their invariants over all shapes, and formulas against the simulation. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  activationsInFlight,
  copiesOf,
  type PipelineSchedule,
  placeOf,
  SCHEDULE_NAMES,
  SCHEDULES,
  type Shape,
  scheduleProblem,
} from '../schedules/index.ts'
import { interleavedGroup } from '../schedules/one-forward-one-backward.ts'
import {
  boundSeconds,
  closedFormSeconds,
  type Pass,
  type Pipeline,
  pipelineSeconds,
  simulatePipeline,
  tracePipeline,
} from './index.ts'

/** Chunks of a stage under a schedule, where it has so many of them that may have any number. */
function chunksUnder(schedule: PipelineSchedule, virtual = 3): number {
  const { chunks, placement } = SCHEDULES[schedule]
  return chunks === 'virtual' ? virtual : chunks * copiesOf(placement)
}

/** Stages that are all alike. */
function uniform(
  schedule: PipelineSchedule,
  stages: number,
  microBatches: number,
  times: Pipeline['passes'][number][number],
  chunks = chunksUnder(schedule),
): Pipeline {
  const chunk = Array.from({ length: chunks }, () => times)
  return {
    schedule,
    microBatches,
    passes: Array.from({ length: stages }, () => chunk),
    overlapsTransfers: true,
  }
}

/** Seconds a stage is idle, the most of all stages. */
const bubble = (pipeline: Pipeline) => Math.max(...simulatePipeline(pipeline).stages.map(({ idle }) => idle))

const times = { forward: 1, backward: 1.25, weight: 0.75 }

describe('bubbles as published', () => {
  test.each([
    [1, 4],
    [4, 4],
    [8, 32],
    [16, 5],
  ])('1F1B, %i stages and %i micro-batches: (p - 1)(F + B)', (p, m) => {
    expect(bubble(uniform('1f1b', p, m, times))).toBeCloseTo((p - 1) * 3, 9)
  })

  test.each([
    [4, 2, 4],
    [8, 3, 32],
    [2, 5, 6],
  ])('interleaved, %i stages of %i chunks, %i micro-batches: a v-th of it', (p, v, m) => {
    const run = simulatePipeline(uniform('interleaved', p, m, times, v))
    for (const { idle, busy } of run.stages) expect(idle / busy).toBeCloseTo((p - 1) / (v * m), 12)
  })

  test('ZB-H1: (p - 1)(F + B - W), a third of 1F1B where all are equal', () => {
    expect(bubble(uniform('zero-bubble', 8, 32, times))).toBeCloseTo(7 * (1 + 1.25 - 0.75), 9)
    const equal = { forward: 1, backward: 1, weight: 1 }
    expect(bubble(uniform('1f1b', 8, 32, equal)) / bubble(uniform('zero-bubble', 8, 32, equal))).toBeCloseTo(
      3,
      12,
    )
  })

  // The formula holds in the middle of the pipeline where forward and both gradients take as long as each other.
  test.each([3, 2.9, 2.5, 3.1])('DualPipe: (p / 2 - 1)(F&B + B - 3W), F&B of %f', (paired) => {
    const chunk = { forward: 1, backward: 1, weight: 1, paired }
    const middle = (pipeline: Pipeline, stage: number) => simulatePipeline(pipeline).stages[stage]!.idle
    const expected = (p: number) => (p / 2 - 1) * (paired + 2 - 3)
    expect(middle(uniform('dualpipe', 8, 20, chunk), 3)).toBeCloseTo(expected(8), 9)
    expect(middle(uniform('dualpipe', 16, 64, chunk), 8)).toBeCloseTo(expected(16), 9)
    // folded: as many places on half the stages
    expect(middle(uniform('dualpipe-v', 4, 10, chunk), 3)).toBeCloseTo(expected(8), 9)
  })
})

/** Passes of a stage in order: F, B or W with chunk and micro-batch. */
function orderOf(pipeline: Pipeline, stage: number): string {
  return tracePipeline(pipeline)
    .timeline.filter((pass) => pass.stage === stage)
    .map(({ pass, chunk, microBatch }) => `${pass[0]!.toUpperCase()}${chunk}.${microBatch}`)
    .join(' ')
}

describe('orders as published', () => {
  // the example in Megatron-LM's schedules.py: two stages of two chunks, five micro-batches, three in a row
  test('interleaved with a last group that is smaller', () => {
    const order = orderOf({ ...uniform('interleaved', 2, 5, times, 2), group: 3 }, 0).split(' ')
    expect(order.filter((pass) => pass.startsWith('F')).join(' ')).toBe(
      'F0.0 F0.1 F0.2 F1.0 F1.1 F1.2 F0.3 F0.4 F1.3 F1.4',
    )
    expect(order.filter((pass) => pass.startsWith('B')).join(' ')).toBe(
      'B1.0 B1.1 B1.2 B0.0 B0.1 B0.2 B1.3 B1.4 B0.3 B0.4',
    )
    expect(order.findIndex((pass) => pass.startsWith('B'))).toBe((2 - 0 - 1) * 2 + (2 - 1) * 3 + 1)
  })

  test('ZB-H1 leaves gradients by weights behind on later stages', () => {
    expect(orderOf(uniform('zero-bubble', 2, 3, times), 0)).toBe(
      'F0.0 F0.1 B0.0 W0.0 F0.2 B0.1 W0.1 B0.2 W0.2',
    )
    expect(orderOf(uniform('zero-bubble', 2, 3, times), 1)).toBe(
      'F0.0 B0.0 F0.1 B0.1 W0.0 F0.2 B0.2 W0.1 W0.2',
    )
  })

  test('groups divide the micro-batches, or leave as many as there are stages', () => {
    const groups = [4, 5, 6, 7, 8, 9, 13].map((microBatches) => interleavedGroup(4, microBatches))
    expect(groups).toEqual([4, 5, 6, 7, 4, 5, 7])
  })
})

describe('what no engine runs says why', () => {
  test.each<[PipelineSchedule, Shape, string]>([
    [
      'interleaved',
      { stages: 4, chunks: 2, microBatches: 3, group: 4 },
      '4 micro-batches in a row are not between the 4 stages and the 3 micro-batches',
    ],
    [
      'interleaved',
      { stages: 4, chunks: 2, microBatches: 10, group: 4 },
      'groups of 4 leave 2 of 10 micro-batches, fewer than the 4 stages',
    ],
    [
      'dualpipe',
      { stages: 4, chunks: 2, microBatches: 6, group: 1 },
      'dualpipe needs at least 8 micro-batches, there are 6',
    ],
    [
      'dualpipe',
      { stages: 4, chunks: 2, microBatches: 9, group: 1 },
      'dualpipe needs micro-batches in multiples of 2, there are 9',
    ],
    ['1f1b', { stages: 4, chunks: 2, microBatches: 6, group: 1 }, '1f1b has 1 chunk a stage, not 2'],
  ])('%s of %o', (schedule, shape, problem) => {
    expect(scheduleProblem(schedule, shape)).toBe(problem)
  })
})

/** Pipelines of every schedule that engines run, with stages and links that differ. */
const pipelines: fc.Arbitrary<Pipeline> = fc
  .record({
    schedule: fc.constantFrom(...SCHEDULE_NAMES),
    stages: fc.integer({ min: 1, max: 9 }),
    microBatches: fc.integer({ min: 1, max: 24 }),
    virtual: fc.integer({ min: 1, max: 4 }),
    group: fc.option(fc.integer({ min: 1, max: 24 }), { nil: undefined }),
    overlapsTransfers: fc.boolean(),
  })
  .chain(({ stages, virtual, group, ...rest }) => {
    const seconds = fc.integer({ min: 0, max: 16 }).map((quarters) => quarters / 4)
    const chunks = chunksUnder(rest.schedule, virtual)
    const pass = fc.record({ forward: seconds, backward: seconds, weight: seconds })
    return fc.record({
      schedule: fc.constant(rest.schedule),
      microBatches: fc.constant(rest.microBatches),
      overlapsTransfers: fc.constant(rest.overlapsTransfers),
      passes: fc.array(fc.array(pass, { minLength: chunks, maxLength: chunks }), {
        minLength: stages,
        maxLength: stages,
      }),
      links: fc.array(fc.record({ forward: seconds, backward: seconds }), {
        minLength: stages,
        maxLength: stages,
      }),
      ...(group === undefined ? {} : { group: fc.constant(group) }),
    })
  })
  .filter((pipeline) => problemOf(pipeline) === undefined)

function shapeOf({ schedule, passes, microBatches, group }: Pipeline): Shape {
  const stages = passes.length
  const chunks = passes[0]!.length
  const { groups } = SCHEDULES[schedule]
  const usual = groups?.usual(stages, microBatches) ?? 1
  return { stages, chunks, microBatches, group: groups === null ? 1 : (group ?? usual) }
}

const problemOf = (pipeline: Pipeline) => scheduleProblem(pipeline.schedule, shapeOf(pipeline))

describe('every pipeline', () => {
  test('keeps as many activations as its order says, under 1F1B no more than stages are left', () => {
    fc.assert(
      fc.property(pipelines, (pipeline) => {
        const { stages } = simulatePipeline(pipeline)
        stages.forEach(({ inFlight, inFlightByChunk }, stage) => {
          expect(inFlight).toBe(activationsInFlight(pipeline.schedule, shapeOf(pipeline), stage))
          expect(inFlightByChunk.reduce((sum, count) => sum + count, 0)).toBe(inFlight)
          if (pipeline.schedule === '1f1b')
            expect(inFlight).toBe(Math.min(stages.length - stage, pipeline.microBatches))
        })
      }),
    )
  })

  test('comes to an end, whatever the stages, chunks, micro-batches and groups', () => {
    let ran = 0
    for (const schedule of SCHEDULE_NAMES)
      for (let stages = 1; stages <= 8; stages++)
        for (let microBatches = 1; microBatches <= 20; microBatches++)
          for (let chunks = 1; chunks <= (schedule === 'interleaved' ? 4 : 2); chunks++)
            for (let group = 1; group <= (schedule === 'interleaved' ? microBatches : 1); group++) {
              const pipeline = { ...uniform(schedule, stages, microBatches, times, chunks), group }
              if (problemOf(pipeline) !== undefined) continue
              const { makespan } = simulatePipeline(pipeline)
              if (!Number.isFinite(makespan)) throw new Error(`${JSON.stringify(pipeline)} takes ${makespan}`)
              ran++
            }
    expect(ran).toBeGreaterThan(3000)
  })

  test('runs each pass once, one at a time on a stage, after what it depends on', () => {
    fc.assert(
      fc.property(pipelines, (pipeline) => {
        expect(problemsOf(pipeline)).toEqual([])
      }),
      { numRuns: 500 },
    )
  })
})

function problemsOf(pipeline: Pipeline): string[] {
  const { schedule, microBatches, passes, links = [], overlapsTransfers } = pipeline
  const stages = passes.length
  const { placement } = SCHEDULES[schedule]
  const copies = copiesOf(placement)
  // a micro-batch goes through one copy of the layers, whose places are counted alike
  const place = (stage: number, chunk: number) => {
    const at = placeOf(placement, stages, stage, chunk)
    return copies === 2 ? at % stages : at
  }
  const { timeline, makespan, stages: runs } = tracePipeline(pipeline)
  const places = (stages * passes[0]!.length) / copies
  const problems: string[] = []
  const check = (holds: boolean, what: string, about: unknown) => {
    if (!holds) problems.push(`${what}: ${JSON.stringify(about)}`)
  }
  const near = (a: number, b: number) => Math.abs(a - b) < 1e-9

  const byKey = new Map<string, Pass>()
  for (const pass of timeline)
    byKey.set(`${pass.pass} ${place(pass.stage, pass.chunk)} ${pass.microBatch}`, pass)
  check(byKey.size === timeline.length, 'a pass runs twice', timeline)
  for (const kind of ['forward', 'backward']) {
    const count = timeline.filter(({ pass }) => pass === kind).length
    check(count === places * microBatches, `${count} passes are ${kind}`, places * microBatches)
  }

  for (const pass of timeline) {
    const { stage, chunk, microBatch, start, end } = pass
    const own = place(stage, chunk)
    const after = (key: string, gradient: boolean) => {
      const earlier = byKey.get(key)
      if (earlier === undefined) return check(false, `${key} is missing`, pass)
      const wraps = placement === 'straight' && earlier.chunk !== chunk
      const link = links[wraps ? stages - 1 : Math.min(earlier.stage, stage)]
      const transfer = earlier.stage === stage ? 0 : ((gradient ? link?.backward : link?.forward) ?? 0)
      check(start >= earlier.end + transfer - 1e-9, `begins before ${JSON.stringify(earlier)} arrives`, pass)
    }
    if (pass.pass === 'forward' && own > 0) after(`forward ${own - 1} ${microBatch}`, false)
    if (pass.pass === 'backward') {
      check(start >= byKey.get(`forward ${own} ${microBatch}`)!.end - 1e-9, 'a gradient of nothing', pass)
      if (own < places - 1) after(`backward ${own + 1} ${microBatch}`, true)
    }
    if (pass.pass === 'weight') after(`backward ${own} ${microBatch}`, false)
    check(start >= -1e-9 && end <= makespan + 1e-9, 'lies outside of the run', pass)
  }

  for (let stage = 0; stage < stages; stage++) {
    const own = timeline.filter((pass) => pass.stage === stage)
    for (let i = 1; i < own.length; i++) {
      const [before, now] = [own[i - 1]!, own[i]!]
      const paired =
        before.pass === 'forward' &&
        now.pass === 'backward' &&
        now.start === before.start &&
        now.end === before.end
      check(paired || now.start >= before.end - 1e-9, 'two passes at once', [before, now])
    }
    const run = runs[stage]!
    check(near(run.busy + run.sending + run.idle, makespan), 'seconds do not add up', run)
    check(run.idle >= -1e-9 && (run.sending === 0 || !overlapsTransfers), 'impossible seconds', run)
    passes[stage]!.forEach(({ forward, backward, weight }, chunk) => {
      const ofChunk = own.filter((pass) => pass.chunk === chunk)
      check(near(run.firstForward[chunk]!, ofChunk[0]!.start), 'first forward', run)
      check(near(run.gradientsReady[chunk]!, Math.max(...ofChunk.map(({ end }) => end))), 'gradients', run)
      const count = microBatches / copies
      check(makespan >= count * (forward + backward + weight) - 1e-9, 'faster than its work', makespan)
    })
  }
  return problems
}

describe('the formula', () => {
  test('is the simulation where it is given', () => {
    let given = 0
    const shapes = fc.record({
      schedule: fc.constantFrom(...SCHEDULE_NAMES),
      stages: fc.integer({ min: 1, max: 12 }),
      microBatches: fc.integer({ min: 1, max: 60 }),
      chunks: fc.integer({ min: 1, max: 4 }),
      forward: fc.double({ min: 0.1, max: 10, noNaN: true }),
      backward: fc.double({ min: 0.1, max: 10, noNaN: true }),
      weight: fc.double({ min: 0, max: 10, noNaN: true }),
      link: fc.option(
        fc.record({
          forward: fc.double({ min: 0, max: 5, noNaN: true }),
          backward: fc.double({ min: 0, max: 5, noNaN: true }),
        }),
        { nil: undefined },
      ),
    })
    fc.assert(
      fc.property(shapes, ({ schedule, stages, microBatches, chunks, link, ...chunk }) => {
        const pipeline: Pipeline = {
          ...uniform(schedule, stages, microBatches, chunk, chunksUnder(schedule, chunks)),
          ...(link === undefined ? {} : { links: Array.from({ length: stages }, () => link) }),
        }
        fc.pre(problemOf(pipeline) === undefined)
        const { makespan } = simulatePipeline(pipeline)
        const formula = closedFormSeconds(pipeline)
        if (formula !== undefined) {
          given++
          expect(Math.abs(formula / makespan - 1)).toBeLessThan(1e-9)
        }
        expect(Math.abs(pipelineSeconds(pipeline) / makespan - 1)).toBeLessThan(1e-9)
      }),
      { numRuns: 1000 },
    )
    expect(given).toBeGreaterThan(200)
  })
})

describe('a long run', () => {
  test('comes out the same whether or not its steady part is left out', () => {
    const long = pipelines.map((pipeline) => {
      const { schedule, passes, group } = pipeline
      const more = SCHEDULES[schedule].groups === null ? 2 : (group ?? passes.length)
      return { ...pipeline, microBatches: pipeline.microBatches + 40 * more }
    })
    fc.assert(
      fc.property(long, (pipeline) => {
        fc.pre(problemOf(pipeline) === undefined)
        const whole = tracePipeline(pipeline)
        const run = simulatePipeline(pipeline)
        const off: string[] = []
        const check = (name: string, a: number, b: number) => {
          if (Math.abs(a - b) > 1e-9 * whole.makespan) off.push(`${name}: ${a}, not ${b}`)
        }
        check('makespan', run.makespan, whole.makespan)
        run.stages.forEach((stage, at) => {
          const expected = whole.stages[at]!
          for (const key of ['busy', 'sending', 'idle', 'inFlight'] as const)
            check(key, stage[key], expected[key])
          for (const key of ['firstForward', 'gradientsReady', 'inFlightByChunk'] as const)
            stage[key].forEach((value, chunk) => {
              check(key, value, expected[key][chunk]!)
            })
        })
        expect(off).toEqual([])
      }),
      { numRuns: 400 },
    )
  })
})

/** Long runs of stages that differ, with links that may be free. */
const longRuns = fc.record({
  schedule: fc.constant('1f1b' as const),
  microBatches: fc.integer({ min: 1, max: 300 }),
  overlapsTransfers: fc.boolean(),
  stages: fc.array(
    fc.record({
      forward: fc.double({ min: 0.5, max: 1, noNaN: true }),
      backward: fc.double({ min: 0.5, max: 1, noNaN: true }),
      weight: fc.constantFrom(0, 0.5, 1),
    }),
    { minLength: 1, maxLength: 16 },
  ),
  link: fc.constantFrom(0, 0, 0.01, 0.1, 0.5),
})

describe('1F1B turn by turn', () => {
  test('is the simulation, last backwards included, with stages and links that differ', () => {
    fc.assert(
      fc.property(longRuns, ({ stages, link, ...rest }) => {
        const links = stages.map((_, i) => ({ forward: link * (1 + (i % 3)), backward: link }))
        const pipeline: Pipeline = { ...rest, passes: stages.map((times) => [times]), links }
        const run = simulatePipeline(pipeline)
        const lastBackward = new Float64Array(stages.length)
        expect(Math.abs(pipelineSeconds(pipeline, lastBackward) / run.makespan - 1)).toBeLessThan(1e-9)
        run.stages.forEach(({ gradientsReady }, stage) => {
          expect(Math.abs(lastBackward[stage]! / gradientsReady[0]! - 1)).toBeLessThan(1e-9)
        })
      }),
      { numRuns: 500 },
    )
  })
})

describe('the bound', () => {
  test('is never above the simulation', () => {
    fc.assert(
      fc.property(pipelines, (pipeline) => {
        const { makespan } = simulatePipeline(pipeline)
        expect(boundSeconds(pipeline)).toBeLessThanOrEqual(makespan + 1e-9)
      }),
      { numRuns: 2000 },
    )
  })

  test.each(['1f1b', 'interleaved'] as const)('is the simulation of stages all alike: %s', (schedule) => {
    for (const [stages, microBatches] of [
      [1, 3],
      [4, 8],
      [8, 64],
    ] as const) {
      const pipeline = uniform(schedule, stages, microBatches, times)
      expect(boundSeconds(pipeline)).toBeCloseTo(simulatePipeline(pipeline).makespan, 9)
    }
  })
})

test('a slower chip at the end of the pipeline sets its pace', () => {
  const fast = { forward: 1, backward: 1, weight: 1 }
  const slow = { forward: 1.5, backward: 1.5, weight: 1.5 }
  const mixed: Pipeline = {
    schedule: '1f1b',
    microBatches: 64,
    passes: [[fast], [fast], [slow], [slow]],
    links: [0.01, 0.2, 0.01].map((seconds) => ({ forward: seconds, backward: seconds })),
    overlapsTransfers: false,
  }
  const { makespan, stages } = simulatePipeline(mixed)
  // The third stage sends both ways. It is one forward ahead: in place of that forward, and of the backward after its
  // last forward, it waits for the last stage.
  const head = 1 + 0.01 + 1 + 0.2
  const round = 4.5 + 0.01 + 0.2
  const wait = 4.5 + 0.01
  const tail = 2 + 0.01 + 2
  expect(makespan).toBeCloseTo(head + wait + 63 * round + wait + tail, 9)
  expect(boundSeconds(mixed)).toBeCloseTo(makespan, 9)
  expect(stages.map(({ idle }) => idle > 64)).toEqual([true, true, false, false])
})
