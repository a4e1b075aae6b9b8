/** @file The rates that chips reach in training: fitted constants, and seconds of work by them. */
import type { LinkRates } from '../collectives.ts'
import type { Machine } from '../types.ts'
import type { Work } from '../work.ts'

/** Rates that chips of a design reach in training, most as shares of their data sheet, from 0 to 1. */
export interface ChipRates {
  /** Large matrix products measured alone: share of peak FLOP/s. */
  readonly matmul: number
  /** The same in fp8: share of the peak in fp8. */
  readonly matmul8: number
  /** FLOP/s that a watt of 5 nm sustains, of products in 16 bits. */
  readonly perWatt: number
  /** The same in 8 bits. */
  readonly perWatt8: number
  /** Products of experts: share of `matmul`. */
  readonly grouped: number
  /** Fused attention: share of peak FLOP/s. */
  readonly attention: number
  /** Share of `attention` that kernels written for cores before Hopper's (FlashAttention-2) reach on later ones. */
  readonly attentionEarlier: number
  /** Keys' worth of time that a query takes in attention before its first key. */
  readonly attentionStart: number
  /** Share of the bytes that products read and write which they wait for, besides computing. */
  readonly operands: number
  /** Memory bandwidth of everything else: share of peak. */
  readonly bandwidth: number
  /** Seconds that a kernel takes besides its work. */
  readonly kernel: number
  /** Seconds that the host takes to start one. */
  readonly host: number
  /** Factor of an engine's kernels on the seconds that the other rates give. */
  readonly software: number
}

export interface Rates extends ChipRates, LinkRates {
  /** Seconds of a step that belong to no pass: the data, the log, synchronization. */
  readonly step: number
  /** Share by which a step grows with each doubling of the domains that wait for each other. */
  readonly straggling: number
  /** Share of overlapped communication that computation does not hide. */
  readonly exposed: number
  /** The same of tensor parallelism, which has little beside it. */
  readonly exposedTensor: number
}

/**
 * Seconds that a chip takes for work that the host has handed it. Products go no faster than the chip's power allows,
 * which the data sheets' peaks of H100 and B200 are beyond.
 */
export function deviceSeconds(work: Work, machine: Machine, rates: ChipRates, eighth: boolean): number {
  const watts = machine.effectiveWatts ?? Number.POSITIVE_INFINITY
  const peak = eighth ? machine.flops * rates.matmul8 : machine.halfFlops * rates.matmul
  const powered = watts * (eighth ? rates.perWatt8 : rates.perWatt)
  const seconds =
    work.flops / held(peak, powered) +
    work.groupedFlops / held(peak * rates.grouped, powered) +
    (work.attentionFlops + work.attentionFlopsPerKey * rates.attentionStart) /
      held(machine.halfFlops * rates.attention, watts * rates.perWatt) +
    (work.operandBytes * rates.operands) / machine.memoryBytesPerSecond +
    work.elementwiseBytes / (machine.memoryBytesPerSecond * rates.bandwidth) +
    work.kernels * rates.kernel
  return seconds * rates.software
}

/**
 * The rate that is left of one that power limits: nearly the lesser of both, a norm of order 8 of their times. At this order the
 * products that an H100 holds at 700 W (0.70 of peak, and 0.76 when cool: scripts/evidence/kernels, AIConfigurator) and those of a
 * B200 at 1 kW (0.485, and 0.66: operator table of MooreThreads/SimuMax, configs/system, and AIConfigurator) ask for the same
 * FLOP/s a watt, 1.1e12.
 */
function held(rate: number, powered: number): number {
  const share = rate / powered
  const squared = share * share
  const fourth = squared * squared
  return rate / Math.sqrt(Math.sqrt(Math.sqrt(1 + fourth * fourth)))
}

/** Seconds of two that mostly overlap, with the waits of each for the other: a norm of order 4 of both. */
export function later(a: number, b: number): number {
  // products rather than powers, which take several times as long
  const x = a * a
  const y = b * b
  return Math.sqrt(Math.sqrt(x * x + y * y))
}
