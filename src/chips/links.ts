/** @file Bandwidth of the links between chips, read by the direction that its source counts. */
import type { Chip, Direction } from './types.ts'

export interface LinkBandwidth {
  /** Bytes a second of a chip, each way. */
  readonly eachWay: number
  /** How the figure was read: whole where it is of each way, by half where it is of both ways or the source does not say. */
  readonly direction: Direction
}

/** Bandwidth of a chip's scale-up links; null when nobody published it. The smaller reading is taken where two are possible. */
export function linkBandwidth({
  scaleUp: { bytesPerSecond, direction },
}: Pick<Chip, 'scaleUp'>): LinkBandwidth | null {
  if (bytesPerSecond === null) return null
  return {
    eachWay: direction === 'each way' ? bytesPerSecond : bytesPerSecond / 2,
    direction: direction ?? 'unstated',
  }
}

/** Bytes per second of the scale-up links, both ways; null when unknown or the source does not say which. */
export function statedLinkBandwidth(chip: Pick<Chip, 'scaleUp'>): number | null {
  const link = linkBandwidth(chip)
  return link === null || link.direction === 'unstated' ? null : 2 * link.eachWay
}
