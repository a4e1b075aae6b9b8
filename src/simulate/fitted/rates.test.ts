import fc from 'fast-check'
import { expect, test } from 'vitest'
import { catalogChips } from '../../chips/index.ts'
import { ENGINES } from '../../engines/index.ts'
import { machineOf } from '../machine.ts'
import { NO_WORK } from '../work.ts'
import { ratesOf } from './constants.ts'
import { deviceSeconds } from './rates.ts'
import { FITTED } from './values.ts'

const engine = ENGINES['megatron-lm'].behaviour
const of = (id: string) => machineOf(catalogChips().find((chip) => chip.id === id)!, 1, 'bf16')
test('products go no faster than the peak nor than power allows, and slower than both', () => {
  const machine = of('h100-sxm')
  const rates = ratesOf(FITTED, machine, engine)
  const rate = (watts: number | null, flops = 1e15) =>
    (flops * rates.software) /
    deviceSeconds({ ...NO_WORK, flops }, { ...machine, effectiveWatts: watts }, rates, false)
  const cool = rate(null)
  expect(cool).toBeCloseTo(machine.halfFlops * rates.matmul, -3)
  fc.assert(
    fc.property(fc.double({ min: 1, max: 5000, noNaN: true }), (watts) => {
      const held = rate(watts)
      expect(held).toBeLessThanOrEqual(Math.min(cool, watts * rates.perWatt) * (1 + 1e-12))
      expect(held).toBeGreaterThan(0.9 * Math.min(cool, watts * rates.perWatt))
      expect(rate(2 * watts)).toBeGreaterThan(held)
    }),
  )
})

test('an H100 does not hold the rate that it has when cool, an H20 does', () => {
  const share = (id: string) => {
    const machine = of(id)
    const rates = ratesOf(FITTED, machine, engine)
    const seconds = (watts: number | null) =>
      deviceSeconds({ ...NO_WORK, flops: 1e15 }, { ...machine, effectiveWatts: watts }, rates, false)
    return seconds(null) / seconds(machine.effectiveWatts)
  }
  expect(share('h100-sxm')).toBeLessThan(0.95)
  expect(share('h20-96gb')).toBeGreaterThan(0.999)
})

test('attention written for earlier cores is slower on newer ones alone', () => {
  const rate = (id: string, earlierAttention: boolean) =>
    ratesOf(FITTED, of(id), { ...engine, earlierAttention }).attention
  expect(rate('h100-sxm', true)).toBeLessThan(0.8 * rate('h100-sxm', false))
  expect(rate('a100-80gb-sxm', true)).toBe(rate('a100-80gb-sxm', false))
})
