/** @file One update of all parameters by an optimizer's rule, clipped, and held back where numbers are not finite. */
import { add, div, less, min, mul, type Tensor, where } from '../../graph/index.ts'
import type { Parameter } from '../../model/index.ts'
import type { Part, Trained, Updated, UpdateStep } from './rule.ts'
import { kindOf, type Optimizer, ruleOf } from './table.ts'

/** What one update reads beside the parameters: scalars all. */
export interface UpdateInputs {
  /** Global norm of the gradients. */
  readonly norm: Tensor
  readonly loss: Tensor
  readonly learningRate: Tensor
  /** Those of the optimizer's rule, by name. */
  readonly scalars: Readonly<Record<string, Tensor>>
}

/** A parameter to update: what it is decides how. */
export interface TrainedParameter extends Trained {
  readonly kind: Parameter['kind']
}

/** Just below the largest float32. */
const LARGE = 3e38

/**
 * Updates parameters by the rule of an optimizer, gradients clipped to a global norm as
 * torch.nn.utils.clip_grad_norm_. Where norm or loss is not finite, every result equals what it was before, bit for
 * bit. Every update depends on every gradient, through the norm: so a parameter may be updated in place once nothing
 * else reads it.
 */
export function updateParameters(
  optimizer: Optimizer,
  trained: readonly TrainedParameter[],
  { norm, loss, learningRate, scalars }: UpdateInputs,
): readonly Updated[] {
  // NaN and infinity compare as not less; a loss that is not finite makes the sum so
  const finite = less(add(norm, mul(loss, 0)), LARGE)
  const { clipNorm } = optimizer
  const clip = where(finite, typeof clipNorm === 'number' ? min(div(clipNorm, add(norm, 1e-6)), 1) : 1, 0)
  const step: UpdateStep<Optimizer> = { options: optimizer, learningRate, scalars, finite, clip }
  const updates = new Map<Part<Optimizer>, (one: Trained) => Updated>()
  const rule = ruleOf(kindOf(optimizer))
  return trained.map(({ kind, value, gradient, state }) => {
    const part = rule.partOf({ kind, shape: value.shape })
    const update = updates.get(part) ?? part.update(step)
    updates.set(part, update)
    return update({ value, gradient: where(finite, gradient, 0), state })
  })
}
