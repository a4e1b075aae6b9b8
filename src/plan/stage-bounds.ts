/** @file What stages of a pipeline take and hold at the least, before it is known which layers each has. */
import {
  type Layout,
  nearLayers,
  type Schedule,
  type Simulator,
  type StageElements,
} from '../simulate/index.ts'
import { kept, type Space } from './space.ts'

/** Seconds of one micro-batch on stages of so many layers, nothing recomputed; and what their chips hold. */
export interface StageBounds {
  /** At the least, wherever the layers begin. */
  longest(size: number): number
  /** Of the slowest of so many stages that are as even as can be, at the least. */
  even(schedule: Schedule, p: number): number
  /** With the embedding. */
  first(size: number): number
  /** With the head. */
  last(size: number): number
  /** Weights of the chip, of so many stages under that schedule, that holds the most, at the least. */
  elements(schedule: Schedule, p: number): StageElements
}

export function stageBounds(space: Space, { costs, workload }: Simulator, whole: Layout): StageBounds {
  const { layers } = workload.decoder
  const seconds = (from: number, size: number, isFirst: boolean, isLast: boolean) => {
    const { forward, backward } = costs.stage(whole, from, size, 0, isFirst, isLast)
    return forward + backward
  }
  const longest = kept((size) =>
    Math.min(...space.windows(size).map((from) => seconds(from, size, false, false))),
  )
  const folded = kept((p) => {
    const size = Math.ceil(layers / p)
    const fewest = Math.floor(layers / p)
    const [near, far] = [nearLayers(fewest), fewest - nearLayers(fewest)]
    return Math.max(
      longest(nearLayers(size)) + longest(size - nearLayers(size)),
      // the first stage has the fewest layers, and both ends
      seconds(0, near, true, false) + seconds(layers - far, far, false, true),
    )
  })
  // one of the stages has as many layers as an even share, rounded up, wherever its chunks begin; without ends
  const leastElements = (chunks: readonly number[]) => {
    const sum = { dense: 0, layers: 0, expert: 0, expertLayers: 0 }
    for (const chunk of chunks) {
      const all = space.windows(chunk).map((from) => costs.elements(whole, from, chunk, false, false))
      sum.dense += Math.min(...all.map(({ dense }) => dense))
      sum.layers += chunk
      sum.expert += Math.min(...all.map(({ expert }) => expert))
      sum.expertLayers += Math.min(...all.map(({ expertLayers }) => expertLayers))
    }
    return sum
  }
  const share = (p: number) => Math.ceil(layers / p)
  const contiguousElements = kept((p) => leastElements([share(p)]))
  const pairedElements = kept((p) => leastElements([share(p), Math.floor(layers / p)]))
  const foldedElements = kept((p) => leastElements([nearLayers(share(p)), share(p) - nearLayers(share(p))]))
  return {
    longest,
    even: (schedule, p) => {
      if (schedule === 'dualpipe-v') return folded(p)
      // one of the stages has as many layers as an even share, rounded up
      const long = longest(Math.ceil(layers / p))
      // a chip has it for half of the micro-batches, and its mirror image for the others
      return schedule === 'dualpipe' ? (long + longest(Math.floor(layers / p))) / 2 : long
    },
    first: kept((size) => seconds(0, size, true, false)),
    last: kept((size) => seconds(layers - size, size, false, true)),
    elements: (schedule, p) => {
      if (schedule === 'dualpipe-v') return foldedElements(p)
      return (schedule === 'dualpipe' ? pairedElements : contiguousElements)(p)
    },
  }
}
