/** @file Lion against its textbook form in double precision. */
import { expect, test } from 'vitest'
import { decayOf, type Name, SHAPES, type Textbook, tenSteps } from '../../../test/optimizer-steps.ts'
import { distance } from '../../../test/run-graph.ts'
import type { Optimizer } from './index.ts'

type Lion = Optimizer<'lion'>
const OPTIONS: Lion = { kind: 'lion', betas: [0.9, 0.99], weightDecay: 0.1, clipNorm: 1 }

/** Chen et al. 2023, algorithm 2. */
function textbook(o: Lion): Textbook {
  const [beta1, beta2] = o.betas
  return (values, gradients, _, rate) => {
    for (const name of Object.keys(SHAPES) as Name[]) {
      const [p, m] = [values[name]!, values[`${name}.exp_avg`]!]
      gradients[name]!.forEach((g, i) => {
        const direction = Math.sign(beta1 * m[i]! + (1 - beta1) * g)
        p[i]! -= rate * (direction + decayOf(o, name) * p[i]!)
        m[i] = beta2 * m[i]! + (1 - beta2) * g
      })
    }
  }
}

test.each<[string, Lion]>([
  ['clipped', OPTIONS],
  ['without clipping', { ...OPTIONS, clipNorm: null }],
  ['without decay', { ...OPTIONS, weightDecay: 0 }],
  ['other betas', { ...OPTIONS, betas: [0.95, 0.98] }],
  ['the momentum alone', { ...OPTIONS, betas: [0, 0] }],
])('%s: ten steps are those of the textbook', (_, options) => {
  const { ours, theirs } = tenSteps(options, textbook(options))
  for (const [name, values] of Object.entries(theirs))
    expect(distance(ours[name]!, values), name).toBeLessThan(2e-6)
})
