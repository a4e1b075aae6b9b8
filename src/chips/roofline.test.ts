/** @file Ratios and bounds: from known figures, and unknown where one is missing. */
import { expect, test } from 'vitest'
import { boundOf, catalogChips, chipsToHold, efficiencyOf, findChip, trainingRate } from './index.ts'

const chip = (word: string) => findChip(catalogChips(), word).chip

test('the rate is that of matrix products alone where it is known, in fp16 where there is no bf16', () => {
  expect(trainingRate(chip('a100'))).toEqual({ precision: 'bf16', rate: 312e12, matmulOnly: false })
  expect(trainingRate(chip('910b2'))).toEqual({ precision: 'bf16', rate: 353.8944e12, matmulOnly: true })
  expect(trainingRate(chip('910a'))).toEqual({ precision: 'fp16', rate: 256e12, matmulOnly: false })
  expect(trainingRate(chip('mlu590'))).toBeNull()
})

test('efficiency is the ratio of figures, null when one is missing', () => {
  const a100 = efficiencyOf(chip('a100'))
  expect(a100.flopsPerWatt).toBeCloseTo(0.78e12)
  expect(a100.ridgePoint).toBeCloseTo(312 / 2.039)
  expect(a100.bandwidthPerFlops).toBeCloseTo(2.039 / 312)
  expect(a100.linksPerFlops).toBeCloseTo(0.6 / 312)
  expect(a100.memoryPerFlops).toBeCloseTo(80e9 / 312e12)
  // no direction is stated for its links, and no power for the other
  expect(efficiencyOf(chip('910b2')).linksPerFlops).toBeNull()
  expect(efficiencyOf(chip('910b1')).flopsPerWatt).toBeNull()
})

test('the ridge point tells compute from memory', () => {
  const { ridgePoint } = efficiencyOf(chip('a100'))
  expect(boundOf(chip('a100'), { flops: ridgePoint! * 1.01e9, bytes: 1e9 }).by).toBe('compute')
  expect(boundOf(chip('a100'), { flops: ridgePoint! * 0.99e9, bytes: 1e9 }).by).toBe('memory')
  expect(boundOf(chip('a100'), { flops: 312e12, bytes: 0 })).toEqual({ by: 'compute', seconds: 1 })
  expect(boundOf(chip('910d'), { flops: 1, bytes: 1 })).toEqual({ by: 'unknown', seconds: null })
})

test('chips to hold bytes', () => {
  expect(chipsToHold(chip('a100'), 80e9)).toBe(1)
  expect(chipsToHold(chip('a100'), 80e9 + 1)).toBe(2)
  expect(chipsToHold(chip('910d'), 1)).toBeNull()
})
