/** @file Days, energy and money of a whole run. */
import type { Machine } from '../simulate/index.ts'
import type { PoolsRequest, RunCost } from './types.ts'

const DAY = 86_400
const HOUR = 3600

/** Days, energy and money of a run, by its tokens and the tokens trained a second; figures that are missing are named. */
export function costOf(
  {
    tokens,
    pricePerChipHour,
    machine,
  }: { readonly tokens?: number; readonly pricePerChipHour?: number; readonly machine: Machine },
  chips: number,
  tokensPerSecond: number,
): RunCost {
  const seconds = tokens === undefined ? null : tokens / tokensPerSecond
  const { watts, chip } = machine
  return {
    days: seconds === null ? null : seconds / DAY,
    energy: seconds === null || watts === null ? null : (chips * watts * seconds) / HOUR / 1000,
    money:
      seconds === null || pricePerChipHour === undefined ? null : (chips * pricePerChipHour * seconds) / HOUR,
    missing: [
      ...(tokens === undefined ? ['the tokens of the run'] : []),
      ...(watts === null ? [`the power of ${chip.id}, which nobody published`] : []),
      ...(pricePerChipHour === undefined ? ['the price of a chip-hour'] : []),
    ],
  }
}

/** Days of a run, by the seconds of a step; null where its tokens are not given. */
export function stepDays(
  { tokens, workload }: Pick<PoolsRequest, 'tokens' | 'workload'>,
  seconds: number,
): number | null {
  if (tokens === undefined) return null
  return ((tokens / (workload.globalBatch * workload.sequenceLength)) * seconds) / DAY
}
