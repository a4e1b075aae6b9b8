/** @file AdamW: Loshchilov and Hutter 2019, algorithm 2, as torch.optim.AdamW. */
import { z } from 'zod'
import { add, div, mul, sqrt, sub } from '../../graph/index.ts'
import { average, decayed, gated, type OptionsOf, optimizerPart, optimizerRule } from './rule.ts'

const beta = () => z.number().min(0).lt(1)

const options = {
  betas: z.tuple([beta(), beta()]).default([0.9, 0.95]).describe('Decay of the two moments.'),
  // far below 1e-30 it is 0 in float32, and a row that was never used would become 0 / 0
  epsilon: z.number().min(1e-30).max(1).default(1e-8).describe('Added to the root of the second moment.'),
}

type Scalar = 'bias_correction1' | 'bias_correction2'

/** Two moments of each parameter; for other rules too, for what they are not made for. */
export const moments = optimizerPart<OptionsOf<typeof options>, Scalar, 'exp_avg' | 'exp_avg_sq'>({
  state: { exp_avg: 'first moment', exp_avg_sq: 'second moment' },
  update(step) {
    const { learningRate, clip, scalars } = step
    const [beta1, beta2] = step.options.betas
    const first = average(step, beta1)
    const second = average(step, beta2, mul(clip, clip))
    // lr (m / c1) / (sqrt(v) / c2 + eps) = (lr c2 / c1) m / (sqrt(v) + eps c2)
    const rate = gated(step, div(mul(learningRate, scalars.bias_correction2), scalars.bias_correction1), 0)
    const epsilon = mul(scalars.bias_correction2, step.options.epsilon)
    const decay = decayed(step)
    return ({ value, gradient, state }) => {
      const m = first(state.exp_avg, gradient)
      const v = second(state.exp_avg_sq, mul(gradient, gradient))
      const change = mul(div(m, add(sqrt(v), epsilon)), rate)
      return { value: sub(decay(value), change), state: { exp_avg: m, exp_avg_sq: v } }
    }
  },
})

export const adamw = optimizerRule<typeof options, Scalar>({
  title: 'AdamW',
  options,
  defaults: { learningRate: 1e-3, weightDecay: 0.1 },
  scalars: {
    bias_correction1: ({ betas: [beta1] }, step) => 1 - beta1 ** step,
    bias_correction2: ({ betas: [, beta2] }, step) => Math.sqrt(1 - beta2 ** step),
  },
  partOf: () => moments,
})
