/** @file Memory as predicted against measured runs, where their table is at hand: REGAUGE_DATA names its folder. */
import { expect, test } from 'vitest'
import { errorsOf, memoryRows } from '../scripts/memory-accuracy.ts'

const folder = process.env.REGAUGE_DATA

test.skipIf(folder === undefined)(
  folder === undefined
    ? 'measured runs: skipped, REGAUGE_DATA names no folder'
    : 'measured runs: allocated within 0.1 %, reserved within 4 %',
  () => {
    const rows = memoryRows(folder!)
    expect(rows).toHaveLength(43)
    const errors = errorsOf(rows)
    expect(errors.allocatedMost).toBeLessThan(0.001)
    expect(errors.allocated).toBeLessThan(errors.peer)
    expect(errors.reserved).toBeLessThan(0.02)
    expect(errors.reservedMost).toBeLessThan(0.04)
  },
)
