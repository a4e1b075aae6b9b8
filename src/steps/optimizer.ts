/** @file AdamW with clipping by global norm, and a gate that leaves the state as it is when a gradient is not finite. */
import { add, div, less, min, mul, sqrt, sub, type Tensor, where } from '../graph/index.ts'

/** Hyperparameters that are part of the program; the learning rate is an input of it. */
export interface AdamWOptions {
  readonly betas: readonly [number, number]
  readonly epsilon: number
  /** Decoupled; applied to tensors of two or more axes only. */
  readonly weightDecay: number
  /** Largest global norm of the gradients; undefined for no clipping. */
  readonly clipNorm?: number
}

/** Scalars of one step. */
export interface StepScalars {
  readonly learningRate: Tensor
  /** 1 - beta1^step */
  readonly biasCorrection1: Tensor
  /** sqrt(1 - beta2^step) */
  readonly biasCorrection2: Tensor
}

/** A parameter with its gradient and moments. */
export interface Trained {
  readonly value: Tensor
  readonly gradient: Tensor
  readonly m: Tensor
  readonly v: Tensor
}

/** The same after one update. */
export interface Updated {
  readonly value: Tensor
  readonly m: Tensor
  readonly v: Tensor
}

/**
 * One AdamW update (Loshchilov and Hutter 2019, algorithm 2, as torch.optim.AdamW), gradients clipped to a
 * global norm as torch.nn.utils.clip_grad_norm_. Where norm or loss is not finite, every result equals what
 * it was before, bit for bit. Every update depends on every gradient, through the norm: so a parameter may
 * be updated in place once nothing else reads it.
 */
export function adamW(
  trained: readonly Trained[],
  norm: Tensor,
  loss: Tensor,
  scalars: StepScalars,
  options: AdamWOptions,
): readonly Updated[] {
  const [beta1, beta2] = options.betas
  // NaN and infinity compare as not less; a loss that is not finite makes the sum so
  const finite = less(add(norm, mul(loss, 0)), LARGE)
  const unless = (value: Tensor | number, otherwise: number) => where(finite, value, otherwise)
  const clip = unless(options.clipNorm === undefined ? 1 : min(div(options.clipNorm, add(norm, 1e-6)), 1), 0)
  const keepM = unless(beta1, 1)
  const keepV = unless(beta2, 1)
  const takeM = mul(clip, 1 - beta1)
  const takeV = mul(mul(clip, clip), 1 - beta2)
  // lr (m / c1) / (sqrt(v) / c2 + eps) = (lr c2 / c1) m / (sqrt(v) + eps c2)
  const rate = unless(div(mul(scalars.learningRate, scalars.biasCorrection2), scalars.biasCorrection1), 0)
  const epsilon = mul(scalars.biasCorrection2, options.epsilon)
  const shrink = unless(sub(1, mul(scalars.learningRate, options.weightDecay)), 1)

  return trained.map(({ value, gradient, m, v }) => {
    const g = where(finite, gradient, 0)
    const nextM = add(mul(m, keepM), mul(g, takeM))
    const nextV = add(mul(v, keepV), mul(mul(g, g), takeV))
    const step = mul(div(nextM, add(sqrt(nextV), epsilon)), rate)
    const decayed = options.weightDecay > 0 && value.shape.length >= 2 ? mul(value, shrink) : value
    return { value: sub(decayed, step), m: nextM, v: nextV }
  })
}

/** Just below the largest float32. */
const LARGE = 3e38
