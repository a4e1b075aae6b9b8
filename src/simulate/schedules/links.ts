/** @file The links on both sides of a stage, free where there are none. */
import type { PipelineTimes, TransferTimes } from './types.ts'

export const FREE: TransferTimes = { forward: 0, backward: 0 }

export function linkAfter(links: PipelineTimes['links'], stages: number, stage: number): TransferTimes {
  return (stage < stages - 1 ? links?.[stage] : undefined) ?? FREE
}

export function linkBefore(links: PipelineTimes['links'], stage: number): TransferTimes {
  return (stage > 0 ? links?.[stage - 1] : undefined) ?? FREE
}
