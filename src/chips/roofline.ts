/** @file Efficiency of a chip from its figures, and which of compute and memory bounds an operation on it. */
import { statedLinkBandwidth } from './links.ts'
import type { Chip } from './types.ts'

/** The rate that matrix products of training run at. */
export interface TrainingRate {
  readonly precision: 'bf16' | 'fp16'
  /** FLOP/s. */
  readonly rate: number
  /** The rate is that of matrix products alone; the headline counts vector units too. */
  readonly matmulOnly: boolean
}

/** The rate in bf16, or fp16 where there is no bf16; of matrix products alone where that is known. Null when unknown. */
export function trainingRate({ peak }: Chip): TrainingRate | null {
  const precision = peak.bf16 !== null ? 'bf16' : 'fp16'
  const headline = peak[precision]
  if (headline === null) return null
  return { precision, rate: peak.matmulOnly ?? headline, matmulOnly: peak.matmulOnly !== null }
}

/** Ratios between the figures of a chip; null where one of them is unknown. */
export interface Efficiency {
  /** Headline FLOP/s in bf16 or fp16 per watt of design power. */
  readonly flopsPerWatt: number | null
  /** Bytes of memory per FLOP/s. */
  readonly memoryPerFlops: number | null
  /** Bytes/s of memory bandwidth per FLOP/s, which is bytes per FLOP. */
  readonly bandwidthPerFlops: number | null
  /** Bytes/s of scale-up links, both ways, per FLOP/s. */
  readonly linksPerFlops: number | null
  /** FLOP per byte from which on an operation is bound by compute. */
  readonly ridgePoint: number | null
}

export function efficiencyOf(chip: Chip): Efficiency {
  const headline = chip.peak.bf16 ?? chip.peak.fp16
  return {
    flopsPerWatt: ratio(headline, chip.power.watts),
    memoryPerFlops: ratio(chip.memory.bytes, headline),
    bandwidthPerFlops: ratio(chip.memory.bytesPerSecond, headline),
    linksPerFlops: ratio(statedLinkBandwidth(chip), headline),
    ridgePoint: ratio(trainingRate(chip)?.rate ?? null, chip.memory.bytesPerSecond),
  }
}

/** What bounds an operation, and its time at peak rates; unknown and null when a figure is missing. */
export interface Bound {
  readonly by: 'compute' | 'memory' | 'unknown'
  /** Seconds at peak rates, which no chip sustains; what it keeps in caches can still save bytes. */
  readonly seconds: number | null
}

/** Bound of an operation by its work alone: the later of compute at the training rate and bytes at full bandwidth. */
export function boundOf(
  chip: Chip,
  { flops, bytes }: { readonly flops: number; readonly bytes: number },
): Bound {
  const compute = ratio(flops, trainingRate(chip)?.rate ?? null)
  const memory = ratio(bytes, chip.memory.bytesPerSecond)
  if (compute === null || memory === null) return { by: 'unknown', seconds: null }
  return compute >= memory ? { by: 'compute', seconds: compute } : { by: 'memory', seconds: memory }
}

/** Chips whose memory together holds so many bytes; null when the memory is unknown. */
export function chipsToHold({ memory }: Chip, bytes: number): number | null {
  return memory.bytes === null ? null : Math.ceil(bytes / memory.bytes)
}

function ratio(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a / b
}
