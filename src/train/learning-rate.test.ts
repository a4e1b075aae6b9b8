/** @file The learning rate: known values, and what must hold for every schedule. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type LearningRateSchedule, learningRateAt } from './learning-rate.ts'

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

  const schedules: fc.Arbitrary<LearningRateSchedule> = fc
    .record({
      kind: fc.constantFrom('constant', 'linear', 'cosine', 'wsd'),
      peak: fc.double({ min: 1e-8, max: 10, noNaN: true }),
      steps: fc.integer({ min: 1, max: 2000 }),
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
        const { kind, peak, steps, warmupSteps, finalFraction } = schedule
        const slack = peak * 1e-12
        const rates = Array.from({ length: steps }, (_, i) => learningRateAt(schedule, i + 1))
        const after = Math.max(1, warmupSteps)
        const last = kind === 'constant' ? peak : peak * finalFraction
        expect(rates.every((rate) => rate >= 0 && rate <= peak + slack)).toBe(true)
        expect(rates.slice(0, warmupSteps).every((rate, i) => i === 0 || rate > rates[i - 1]!)).toBe(true)
        expect(rates.every((rate, i) => i < after || rate <= rates[i - 1]! + slack)).toBe(true)
        if (steps > after) expect(Math.abs(rates.at(-1)! - last)).toBeLessThanOrEqual(slack)
      }),
      { numRuns: 60 },
    )
  })
})
