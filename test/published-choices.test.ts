/** @file The layouts of published runs beside ours: what the model says of them, and no more. */
import { expect, test } from 'vitest'
import { PUBLISHED_CHOICES } from '../scripts/published-choices.ts'
import { explainLayout } from '../src/plan/index.ts'

/** Seconds of the published layout over those of the best that fits, at most; above 1, as it is one of the space. */
const AT_MOST: Readonly<Record<string, number>> = {
  'Llama 3 405B on 8,192 H100': 1.5,
  'BLOOM 176B on 384 A100': 1.7,
  // its layers are recomputed in full, as there was no fused attention
  'Megatron 145.6B on 1,536 A100': 2,
}

test.each(Object.entries(AT_MOST))(
  '%s takes at most %f times the best',
  (run, most) => {
    const choice = PUBLISHED_CHOICES.find((one) => one.run === run)!
    const { violations, ratio, best } = explainLayout(choice.request, choice.layout)
    expect(violations).toEqual([])
    expect(best!.chips).toBeLessThanOrEqual(choice.request.machine.count)
    expect(ratio).toBeGreaterThan(1)
    expect(ratio).toBeLessThan(most)
  },
  60_000,
)
