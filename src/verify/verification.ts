/** @file The result of `verify`, for scripts, pages and terminals. */
import type { MachineInfo } from '../train/index.ts'
import type { Comparison, Spread, Verdict } from './comparison.ts'

/** A setting that decides numbers and is not the same. */
export interface SettingDifference {
  readonly key: string
  /** As JSON would write it; null where it is not set. */
  readonly reference: string | number | boolean | null
  readonly other: string | number | boolean | null
}

export interface Verification {
  /** Whether runtimes were compared with each other, or runs that were there. */
  readonly mode: 'runtimes' | 'runs'
  /** Name of the run, or of the reference run. */
  readonly title: string
  /** The worst of all comparisons. */
  readonly verdict: Verdict
  readonly reference: { readonly name: string; readonly description: string }
  readonly comparisons: readonly Comparison[]
  /** The reference against itself; empty for runs, which cannot be run again. */
  readonly spread: readonly Spread[]
  /** What both began from, in words. */
  readonly begun: string
  /** Settings of two runs that differ. */
  readonly settings: readonly SettingDifference[]
  /** Things to know, in sentences. */
  readonly notes: readonly string[]
  /** The machine that compared. */
  readonly machine: MachineInfo | undefined
  readonly version: string
}
