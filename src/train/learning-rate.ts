/** @file The course of the learning rate: a pure function of the step. */

/** How the learning rate moves over a run. Steps are optimizer steps. */
export interface LearningRateSchedule {
  /** wsd: warm-up, stable, then a linear decay at the end (Hu et al. 2024). */
  readonly kind: 'constant' | 'linear' | 'cosine' | 'wsd'
  /** Highest learning rate, reached at the end of the warm-up. */
  readonly peak: number
  /** Steps of the run. */
  readonly steps: number
  /** Steps of the linear warm-up; fewer than `steps`. */
  readonly warmupSteps: number
  /** wsd only: steps of the decay at the end. */
  readonly decaySteps: number
  /** Learning rate of the last step over the peak; without meaning for constant. */
  readonly finalFraction: number
}

/** Learning rate of a step, counted from 1 to `steps`. */
export function learningRateAt(schedule: LearningRateSchedule, step: number): number {
  const { kind, peak, steps, warmupSteps, decaySteps, finalFraction } = schedule
  if (step < warmupSteps) return (peak * step) / warmupSteps
  const between = (share: number) => peak * (finalFraction + (1 - finalFraction) * share)
  switch (kind) {
    case 'constant':
      return peak
    case 'linear':
      return between(1 - progress(step, warmupSteps, steps))
    case 'cosine':
      return between((1 + Math.cos(Math.PI * progress(step, warmupSteps, steps))) / 2)
    case 'wsd':
      return between(1 - progress(step, steps - decaySteps, steps))
  }
}

/** Where `step` lies on the way from `from` to `to`, 0 to 1. */
function progress(step: number, from: number, to: number): number {
  if (step <= from) return 0
  return step >= to ? 1 : (step - from) / (to - from)
}
