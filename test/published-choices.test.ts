/** @file Layouts that published runs used, beside the best under what their engines could do. */
import { expect, test } from 'vitest'
import { PUBLISHED_CHOICES } from '../scripts/published-choices.ts'
import { planLayouts } from '../src/plan/index.ts'

/** Seconds of the published degrees over those of the best; docs/accuracy.md says why some are above 1.05. */
const AT_MOST: Readonly<Record<string, number>> = {
  'Megatron 145.6B on 1,536 A100': 1.05,
  'Megatron 310.1B on 1,920 A100': 1.05,
  'Megatron 529.6B on 2,520 A100': 1.05,
  'BLOOM 176B on 384 A100': 1.2,
}

test.each(Object.entries(AT_MOST))(
  '%s are within %f of the best',
  (run, most) => {
    const { request, era, told } = PUBLISHED_CHOICES.find((one) => one.run === run)!
    const [best] = planLayouts({ ...request, fixed: era, top: 1 }).best
    const [theirs] = planLayouts({ ...request, fixed: { ...era, ...told }, top: 1 }).best
    expect(theirs!.layout).toMatchObject(told)
    const ratio = theirs!.seconds / best!.seconds
    expect(ratio).toBeGreaterThanOrEqual(1)
    expect(ratio).toBeLessThan(most)
  },
  120_000,
)
