/** @file AdamW against its textbook form in double precision, clipped and decayed as in torch. */
import { expect, test } from 'vitest'
import { adamwStep, type Name, SHAPES, tenSteps } from '../../../test/optimizer-steps.ts'
import { distance } from '../../../test/run-graph.ts'
import type { Optimizer } from './index.ts'

type AdamW = Optimizer<'adamw'>
const OPTIONS: AdamW = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 }

test.each<[string, AdamW]>([
  ['clipped', OPTIONS],
  ['never clipped', { ...OPTIONS, clipNorm: 1e6 }],
  ['without clipping', { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 }],
  ['clipping turned off', { ...OPTIONS, clipNorm: null }],
  ['without decay', { ...OPTIONS, weightDecay: 0 }],
  ['other betas, a large epsilon', { ...OPTIONS, betas: [0.5, 0.999], epsilon: 0.1 }],
])('%s: ten steps are those of the textbook', (_, options) => {
  const { ours, theirs } = tenSteps(options, (...step) => {
    for (const name of Object.keys(SHAPES) as Name[]) adamwStep(options, name, ...step)
  })
  // the betas and other constants of the program are float32
  for (const [name, values] of Object.entries(theirs))
    expect(distance(ours[name]!, values), name).toBeLessThan(2e-6)
})
