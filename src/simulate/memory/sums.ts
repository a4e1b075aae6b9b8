/** @file The terms of one stage while they are added up. */
import type { MemoryTerms } from '../types.ts'

export type Sums = { -readonly [Term in keyof MemoryTerms]: number }

export function nothing(): Sums {
  return {
    weights: 0,
    gradients: 0,
    optimizer: 0,
    activations: 0,
    logits: 0,
    transient: 0,
    communication: 0,
    reserve: 0,
  }
}

export function total(terms: MemoryTerms): number {
  return (
    terms.weights +
    terms.gradients +
    terms.optimizer +
    terms.activations +
    terms.logits +
    terms.transient +
    terms.communication +
    terms.reserve
  )
}
