/** @file Lion: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2. */
import { z } from 'zod'
import { add, greater, less, mul, sub, where } from '../../graph/index.ts'
import { average, decayed, gated, type OptionsOf, optimizerPart, optimizerRule } from './rule.ts'

const beta = () => z.number().min(0).lt(1)

const options = {
  betas: z
    .tuple([beta(), beta()])
    .default([0.9, 0.99])
    .describe('Share of the momentum in the direction of an update, and decay of the momentum.'),
}

const momentum = optimizerPart<OptionsOf<typeof options>, never, 'exp_avg'>({
  state: { exp_avg: 'first moment' },
  update(step) {
    const [beta1, beta2] = step.options.betas
    const ahead = average(step, beta1)
    const gap = gated(step, beta2 - beta1, 0)
    const rate = gated(step, step.learningRate, 0)
    const decay = decayed(step)
    return ({ value, gradient, state }) => {
      const direction = ahead(state.exp_avg, gradient)
      // rate sign(direction)
      const change = where(greater(direction, 0), rate, where(less(direction, 0), sub(0, rate), 0))
      // b2 m + (1 - b2) g = b1 m + (1 - b1) g + (b2 - b1) (m - g): after the direction, so that it can be written over m
      const next = add(direction, mul(sub(state.exp_avg, mul(gradient, step.clip)), gap))
      return { value: sub(decay(value), change), state: { exp_avg: next } }
    }
  },
})

export const lion = optimizerRule<typeof options, never>({
  title: 'Lion',
  options,
  // every weight moves by the whole rate: a tenth of AdamW's with ten times the decay, section 5 of the paper
  defaults: { learningRate: 1e-4, weightDecay: 1 },
  scalars: {},
  partOf: () => momentum,
})
