/** @file What measurements of training are read into, whichever table they come from. Seconds and bytes throughout. */
import type { Layout, Workload } from '../../src/simulate/index.ts'
import type { MeasuredBehaviour } from './engines.ts'

/** Chips of one stage, for runs on several kinds of chip. */
export interface PlacedStage {
  /** Transformer layers of the stage. */
  readonly layers: number
  /** One for each data-parallel replica: the kind of chip, and how many share its tensors. */
  readonly replicas: readonly { readonly chip: string; readonly tensorParallel: number }[]
}

/** Bytes/s that messages were measured to reach, each chip, each way. */
export interface Reached {
  readonly link: number
  readonly network: number
}

/** One measured training step, in the terms of the simulation. */
export interface MeasuredRow {
  readonly id: string
  /** Short key that rows of one publication share, such as 'korthikanti'. */
  readonly source: string
  /** Software as the source names it. */
  readonly framework: string | null
  /** Id of the catalog or of chips.yaml beside this file. In runs on several kinds, that of the first stage. */
  readonly chip: string
  /** What the source prints besides the name of the chip, such as 'Atlas 900 A2 PoDc'. */
  readonly product: string | null
  readonly chips: number
  readonly chipsPerNode: number
  /** Bytes/s beyond a node, each chip, each way, where the source states it. */
  readonly networkBytesPerSecond: number | null
  /** What was measured of its links, by the kind of chip; null where all that is known of them is the data sheet. */
  readonly reached: Readonly<Record<string, Reached>> | null
  readonly workload: Workload
  /** The model ends with its last norm: neither logits nor a loss over the vocabulary. */
  readonly headless: boolean
  /** Number format of matrix products where a workload cannot say it; `workload.precision` is then a stand-in. */
  readonly arithmetic: 'tf32' | 'fp32' | null
  readonly layout: Layout
  readonly behaviour: MeasuredBehaviour
  /** First stage first; null where all chips are alike. */
  readonly placement: readonly PlacedStage[] | null
  readonly measured: {
    readonly stepSeconds: number
    /** The source prints FLOP/s alone, and its own formula was turned around. */
    readonly fromFlops: boolean
    /** Peak over all chips of what tensors take. */
    readonly allocatedBytes: number | null
    /** Peak over all chips of what the allocator holds. */
    readonly reservedBytes: number | null
    /** Most that a chip had in use, the context of the driver included. */
    readonly usedBytes: number | null
  }
  /** Each default that was taken where the source is silent. */
  readonly assumptions: readonly string[]
}

/** A row that cannot be simulated, or is not to be trusted. */
export interface Refusal {
  readonly id: string
  readonly source: string
  readonly reason: string
}

export interface Evidence {
  readonly rows: readonly MeasuredRow[]
  readonly refusals: readonly Refusal[]
}

/** Why a row is refused; caught where rows are read. */
export class Refused extends Error {}

/** Ends the reading of a row. */
export function refuse(reason: string): never {
  throw new Refused(reason)
}
