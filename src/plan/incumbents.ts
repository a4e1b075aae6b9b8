/** @file The incumbents of a search: the best layouts found so far, one for each set of degrees, and the order of layouts. */
import { type Layout, SCHEDULE_NAMES } from '../simulate/index.ts'
import { chipsOf, type Share } from './space.ts'

export interface Candidate {
  readonly layout: Layout
  readonly seconds: number
  /** The objective, which is minimized: seconds, or chip-seconds. */
  readonly score: number
}

/** The `top` best layouts found so far, one for each set of degrees. */
export class Incumbents {
  readonly #top: number
  /** Best first. */
  readonly #best: Candidate[] = []
  /** Upper bound: the score of the last incumbent once the list is full, else infinity. Scores above it are pruned. */
  threshold = Number.POSITIVE_INFINITY

  constructor(top: number) {
    this.#top = top
  }

  /** Whether a candidate is within the threshold and better than the incumbent of its degrees. */
  improves(candidate: Candidate): boolean {
    if (candidate.score > this.threshold) return false
    const known = this.#find(candidate.layout)
    return known === undefined || compare(candidate, known) < 0
  }

  /** Score of the incumbent of some degrees; infinity where there is none. */
  scoreOf(
    { tensorParallel, contextParallel, expertParallel }: Share,
    pipelineParallel: number,
    dataParallel: number,
  ): number {
    // by index, as this runs often: an iterator makes an object of each
    for (let i = 0; i < this.#best.length; i++) {
      const { layout, score } = this.#best[i]!
      if (
        layout.dataParallel === dataParallel &&
        layout.pipelineParallel === pipelineParallel &&
        layout.tensorParallel === tensorParallel &&
        layout.contextParallel === contextParallel &&
        layout.expertParallel === expertParallel
      )
        return score
    }
    return Number.POSITIVE_INFINITY
  }

  add(candidate: Candidate): void {
    const known = this.#find(candidate.layout)
    if (known === undefined) this.#best.push(candidate)
    else this.#best[this.#best.indexOf(known)] = candidate
    this.#best.sort(compare)
    if (this.#best.length > this.#top) this.#best.pop()
    if (this.#best.length === this.#top) this.threshold = this.#best.at(-1)!.score
  }

  sorted(): Candidate[] {
    return [...this.#best]
  }

  #find(layout: Layout): Candidate | undefined {
    // there are but a few
    for (const one of this.#best) if (sameDegrees(one.layout, layout)) return one
    return undefined
  }
}

/** Whether two layouts have the same degrees, of which a list has each but once. */
function sameDegrees(a: Layout, b: Layout): boolean {
  return (
    a.tensorParallel === b.tensorParallel &&
    a.contextParallel === b.contextParallel &&
    a.pipelineParallel === b.pipelineParallel &&
    a.dataParallel === b.dataParallel &&
    a.expertParallel === b.expertParallel
  )
}

/** A total order: by score, then by simplicity. */
export function compare(a: Candidate, b: Candidate): number {
  if (a.score !== b.score) return a.score - b.score
  const [x, y] = [rankOf(a.layout), rankOf(b.layout)]
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return x[i]! - y[i]!
  return 0
}

function rankOf(l: Layout): number[] {
  return [
    chipsOf(l),
    l.offloadOptimizer ? 1 : 0,
    ['none', 'selective', 'full'].indexOf(l.recompute),
    l.recomputeLayers ?? 2 ** 20,
    l.zeroStage,
    l.tensorParallel,
    l.contextParallel,
    l.pipelineParallel,
    l.virtualPipeline,
    SCHEDULE_NAMES.indexOf(l.schedule),
    l.expertParallel,
    l.expertTensorParallel,
    l.microBatch,
    l.sequenceParallel ? 0 : 1,
    l.contextMethod === 'ring' ? 0 : 1,
    l.stageLayers === undefined ? 0 : 1,
    ...(l.stageLayers ?? []),
  ]
}
