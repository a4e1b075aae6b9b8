/** @file The rates that chips reach in training: fitted constants, and seconds of work by them. */
import type { LinkRates } from './collectives.ts'
import type { Machine } from './types.ts'
import type { Work } from './work.ts'

/** What chips of a family reach of their data sheet, in training. Shares are of the peak, from 0 to 1. */
export interface ChipRates {
  /** Matrix products, of peak FLOP/s, when they are large and measured alone. */
  readonly matmul: number
  /** The same in fp8, of the peak in fp8. */
  readonly matmul8: number
  /** Of those rates, what lasts through training: heat, power, memory that others use. */
  readonly sustained: number
  /** Products of experts, of the rate of others. */
  readonly grouped: number
  /** Fused attention, of peak FLOP/s. */
  readonly attention: number
  /** Keys' worth of time that a query takes in attention before its first key. */
  readonly attentionStart: number
  /** Bytes of operands that products wait for besides computing, of all that they read and write. */
  readonly operands: number
  /** Bandwidth of everything else, of the memory's. */
  readonly bandwidth: number
  /** Seconds that a kernel takes besides its work. */
  readonly kernel: number
  /** Seconds that the host takes to start one. */
  readonly host: number
  /** Seconds of the kernels of an engine over those that the other rates give. */
  readonly software: number
}

export interface Rates extends ChipRates, LinkRates {
  /** Seconds of a step that belong to no pass: the data, the log, synchronization. */
  readonly step: number
  /** Share by which a step grows with each doubling of the domains that wait for each other. */
  readonly straggling: number
  /** Share of communication beside computation that is not hidden by it. */
  readonly exposed: number
  /** The same of tensor parallelism, which has little beside it. */
  readonly exposedTensor: number
}

/** Seconds that a chip takes for work that the host has handed it. */
export function deviceSeconds(work: Work, machine: Machine, rates: ChipRates, eighth: boolean): number {
  const seconds =
    (work.flops + work.groupedFlops / rates.grouped) /
      ((eighth ? machine.flops * rates.matmul8 : machine.halfFlops * rates.matmul) * rates.sustained) +
    (work.attentionFlops + work.attentionFlopsPerKey * rates.attentionStart) /
      (machine.halfFlops * rates.attention) +
    (work.operandBytes * rates.operands) / machine.memoryBytesPerSecond +
    work.elementwiseBytes / (machine.memoryBytesPerSecond * rates.bandwidth) +
    work.kernels * rates.kernel
  return seconds * rates.software
}
