/** @file What is known of an accelerator. SI units, bytes, FLOP/s; null where nobody published a figure. */

import type { RuntimeName, Status } from './names.ts'

export { RUNTIMES, type RuntimeName, STATUSES, type Status } from './names.ts'

/** Number formats whose peak rates are told apart. */
export const NUMBER_FORMATS = ['fp32', 'tf32', 'bf16', 'fp16', 'fp8', 'int8', 'fp4'] as const
export type NumberFormat = (typeof NUMBER_FORMATS)[number]

/** What the bandwidth of a link counts: both directions together, one of them, or the source does not say. */
export const DIRECTIONS = ['bidirectional', 'each way', 'unstated'] as const
export type Direction = (typeof DIRECTIONS)[number]

/** Groups of figures that share their sources. */
export const FIGURE_GROUPS = [
  'process',
  'peak',
  'memory',
  'scaleUp',
  'scaleOut',
  'server',
  'power',
  'software',
  'measured',
] as const
export type FigureGroup = (typeof FIGURE_GROUPS)[number]

/** Operations per second on dense matrices, by number format; a multiply-add counts two. */
export type PeakRates = Readonly<Record<NumberFormat, number | null>>

/** One accelerator as it is sold: a package, module or card, all of its dies together. */
export interface Chip {
  /** Stable, lower case with hyphens. */
  readonly id: string
  readonly vendor: string
  readonly name: string
  readonly aliases: readonly string[]
  /** Name that it shares with its variants, such as those that differ in memory alone. */
  readonly family: string | null
  /** The variant that is meant when the family alone is named. */
  readonly typical: boolean
  readonly status: Status
  readonly statusNote: string | null
  /** How far the figures can be trusted, in the words of whoever collected them. */
  readonly confidence: string | null
  readonly process: {
    readonly node: string | null
    /** Area of all logic dies, mm². */
    readonly dieAreaMm2: number | null
    readonly note: string | null
  }
  readonly peak: PeakRates & {
    /** Highest rate of matrix products alone, fp16 and bf16; null where the headline is that already. */
    readonly matmulOnly: number | null
    readonly note: string | null
  }
  readonly memory: {
    /** Bytes, from the decimal gigabytes that are printed. */
    readonly bytes: number | null
    readonly type: string | null
    readonly bytesPerSecond: number | null
    readonly note: string | null
  }
  /** Links to the other chips of one domain. */
  readonly scaleUp: {
    readonly name: string | null
    readonly bytesPerSecond: number | null
    readonly direction: Direction | null
    /** Most chips that such links join. */
    readonly domainSize: number | null
    readonly topology: string | null
    readonly note: string | null
  }
  /** Network beyond the domain. */
  readonly scaleOut: {
    /** Bytes per second each way, a chip. */
    readonly bytesPerSecond: number | null
    readonly protocol: string | null
  }
  readonly server: { readonly name: string | null; readonly chips: number | null }
  /** Design power, watts. */
  readonly power: { readonly watts: number | null; readonly note: string | null }
  readonly software: {
    /** Runtime of regauge that drives it, null when none does. */
    readonly runtime: RuntimeName | null
    /** The vendor's software. */
    readonly stack: string | null
    readonly torchDevice: string | null
    /** Back end of torch.distributed. */
    readonly collectiveBackend: string | null
    readonly collectiveLibrary: string | null
    readonly kubernetesResource: string | null
    readonly note: string | null
  }
  /** What others measured; never a peak. */
  readonly measured: {
    readonly bf16: number | null
    readonly fp32: number | null
    readonly int8: number | null
    readonly memoryBytes: number | null
    readonly memoryBytesPerSecond: number | null
    readonly watts: number | null
    readonly note: string | null
  } | null
  /** Where sources contradict each other. */
  readonly disagreements: readonly string[]
  /** Said somewhere but without a source that can be named; not figures. */
  readonly unverified: readonly string[]
  readonly sources: Readonly<Record<FigureGroup, readonly string[]>>
}
