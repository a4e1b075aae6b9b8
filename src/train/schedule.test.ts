/** @file The learning rate: known values, and what must hold for every schedule. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { learningRateAt, type Schedule } from './schedule.ts'

const base = { peak: 1e-3, steps: 100, warmupSteps: 10, decaySteps: 20, finalFraction: 0.1 } as const

describe('learningRateAt', () => {
  test.each([
    ['constant', [1e-4, 1e-3, 1e-3, 1e-3]],
    ['linear', [1e-4, 1e-3, 5.5e-4, 1e-4]],
    ['cosine', [1e-4, 1e-3, 5.5e-4, 1e-4]],
    ['wsd', [1e-4, 1e-3, 1e-3, 1e-4]],
  ] as const)('%s at steps 1, 10, 55 and 100', (kind, expected) => {
    const rates = [1, 10, 55, 100].map((step) => learningRateAt({ ...base, kind }, step))
    for (const [i, rate] of rates.entries()) expect(rate).toBeCloseTo(expected[i]!, 12)
  })

  test('wsd decays linearly over its last steps', () => {
    expect(learningRateAt({ ...base, kind: 'wsd' }, 80)).toBe(1e-3)
    expect(learningRateAt({ ...base, kind: 'wsd' }, 90)).toBeCloseTo(5.5e-4, 12)
  })

  const schedules: fc.Arbitrary<Schedule> = fc
    .record({
      kind: fc.constantFrom('constant', 'linear', 'cosine', 'wsd'),
      peak: fc.double({ min: 1e-8, max: 10, noNaN: true }),
      steps: fc.integer({ min: 1, max: 5000 }),
      finalFraction: fc.double({ min: 0, max: 1, noNaN: true }),
      shares: fc.tuple(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
      ),
    })
    .map(({ shares: [warmup, decay], ...rest }) => {
      const warmupSteps = Math.floor(warmup * (rest.steps - 1))
      const decaySteps = rest.kind === 'wsd' ? Math.max(1, Math.floor(decay * (rest.steps - warmupSteps))) : 0
      return { ...rest, warmupSteps, decaySteps }
    })

  test('stays above zero and at most the peak, rises in the warm-up and never after it, and ends at the final fraction', () => {
    fc.assert(
      fc.property(schedules, (schedule) => {
        const slack = schedule.peak * 1e-12
        let before = 0
        for (let step = 1; step <= schedule.steps; step++) {
          const rate = learningRateAt(schedule, step)
          expect(rate).toBeGreaterThanOrEqual(0)
          expect(rate).toBeLessThanOrEqual(schedule.peak + slack)
          if (step <= schedule.warmupSteps) expect(rate).toBeGreaterThan(before)
          else if (step > 1 + schedule.warmupSteps) expect(rate).toBeLessThanOrEqual(before + slack)
          before = rate
        }
        const last = schedule.kind === 'constant' ? schedule.peak : schedule.peak * schedule.finalFraction
        if (schedule.steps > Math.max(1, schedule.warmupSteps))
          expect(Math.abs(before - last)).toBeLessThanOrEqual(slack)
      }),
      { numRuns: 60 },
    )
  })
})
