/** @file Muon: Jordan et al. 2024 and Liu et al. 2025 (arXiv 2502.16982), as torch.optim.Muon; AdamW for what is no matrix of a layer. */
import { z } from 'zod'
import { add, div, matmul, max, mul, reduceSumSquare, sqrt, sub, type Tensor } from '../../graph/index.ts'
import type { Parameter } from '../../model/index.ts'
import { adamw, moments } from './adamw.ts'
import { average, decayed, gated, type OptionsOf, optimizerPart, optimizerRule } from './rule.ts'

/** What the learning rate is multiplied by, from the rows and columns of a matrix. */
const ADJUSTMENTS = {
  /** Jordan et al.: an update of spectral norm 1, as far as a matrix is wide. */
  original: (rows: number, columns: number) => Math.sqrt(Math.max(1, rows / columns)),
  /** Liu et al., section 2.2: an update as large as AdamW's, so that one learning rate is right for both. */
  match_rms_adamw: (rows: number, columns: number) => 0.2 * Math.sqrt(Math.max(rows, columns)),
} as const

const adjustments = Object.keys(ADJUSTMENTS) as (keyof typeof ADJUSTMENTS)[]

const options = {
  momentum: z.number().min(0).lt(1).default(0.95).describe('Decay of the momentum (Nesterov) of matrices.'),
  adjustLearningRate: z
    .enum(adjustments)
    .default('match_rms_adamw')
    .describe(
      'Learning rate by the size of a matrix: match_rms_adamw takes that of AdamW, original one of its own (about 0.02).',
    ),
  adamwRate: z
    .number()
    .gt(0)
    .max(1000)
    .default(1)
    .describe(
      'Learning rate of AdamW (embeddings, output matrix, norms, biases) over learningRate; with original about 0.015.',
    ),
  ...adamw.options,
}

type Options = OptionsOf<typeof options>
type Scalar = keyof typeof adamw.scalars

const orthogonal = optimizerPart<Options, Scalar, 'momentum_buffer'>({
  state: { momentum_buffer: 'momentum' },
  update(step) {
    const factor = ADJUSTMENTS[step.options.adjustLearningRate]
    const accumulate = average(step, step.options.momentum)
    const decay = decayed(step)
    return ({ value, gradient, state }) => {
      const [rows, columns] = value.shape as [number, number]
      const momentum = accumulate(state.momentum_buffer, gradient)
      // Nesterov: the gradient once more, on what it has made
      const direction = orthogonalized(accumulate(momentum, gradient))
      const rate = gated(step, mul(step.learningRate, factor(rows, columns)), 0)
      return { value: sub(decay(value), mul(direction, rate)), state: { momentum_buffer: momentum } }
    }
  },
})

const others = optimizerPart<Options, Scalar, keyof typeof moments.state>({
  state: moments.state,
  update: (step) => moments.update({ ...step, learningRate: mul(step.learningRate, step.options.adamwRate) }),
})

export const muon = optimizerRule<typeof options, Scalar>({
  title: 'Muon',
  options,
  defaults: adamw.defaults,
  scalars: adamw.scalars,
  partOf: (parameter) => (isLayerMatrix(parameter) ? orthogonal : others),
})

function isLayerMatrix({ kind, shape }: Pick<Parameter, 'kind' | 'shape'>): boolean {
  return (kind === 'matrix' || kind === 'residual') && shape.length === 2
}

/** a x + b x^3 + c x^5 raises small singular values fastest; after five times all are between 0.7 and 1.2. */
const [A, B, C] = [3.4445, -4.775, 2.0315]
const ITERATIONS = 5
const LEAST_NORM = 1e-7

/**
 * About U V^T of the singular value decomposition U S V^T of x, by Newton-Schulz iterations in float32 (torch: in
 * bfloat16). Its matrix of products is that of the shorter side.
 */
export function orthogonalized(x: Tensor): Tensor {
  const [rows, columns] = x.shape as [number, number]
  const wide = rows <= columns
  let y = div(x, max(sqrt(reduceSumSquare(x)), LEAST_NORM))
  for (let i = 0; i < ITERATIONS; i++) {
    const products = wide ? matmul(y, y, { transB: true }) : matmul(y, y, { transA: true })
    const series = add(mul(products, B), mul(matmul(products, products), C))
    y = add(mul(y, A), wide ? matmul(series, y) : matmul(y, series))
  }
  return y
}
