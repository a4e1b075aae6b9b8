import { expect, test } from 'vitest'
import { architectureOf, catalogChips, effectiveWatts } from './index.ts'
import { LIKE_CHIPS } from './power.ts'

const of = (id: string) => catalogChips().find((chip) => chip.id === id)!

test('a watt does less on chips of an earlier process', () => {
  expect(effectiveWatts(of('h100-sxm'))).toBe(700)
  expect(effectiveWatts(of('a100-80gb-sxm'))).toBeCloseTo(0.7 * 400)
  expect(effectiveWatts(of('ascend-910b2'))).toBeCloseTo(0.7 * 400)
})

test.each([
  ['TSMC 4NP', 1],
  ['Samsung 5nm', 1],
  ['N3E', 1],
  ['7 NM', 0.7],
  ['TSMC 7N', 0.7],
  ['5 nm, 7 nm I/O', 1],
  ['14 nm', 1],
  [null, 1],
])('a watt on %s does %f of one at 5 nm', (node, share) => {
  const chip = of('h100-sxm')
  expect(effectiveWatts({ ...chip, process: { ...chip.process, node } })).toBeCloseTo(700 * share)
})

test('power that nobody published is that of the like chip of the nearest rate', () => {
  expect(of('h800-sxm').power.watts).toBeNull()
  expect(effectiveWatts(of('h800-sxm'))).toBe(effectiveWatts(of('h100-sxm')))
  // not that of the H100, whose products are six times as many
  expect(of('h20-141gb').power.watts).toBeNull()
  expect(effectiveWatts(of('h20-141gb'))).toBe(effectiveWatts(of('h20-96gb')))
})

test('a package of two dies draws what both do, a lower bin no less than a higher one', () => {
  expect(of('ascend-910c').power.watts).toBeNull()
  expect(effectiveWatts(of('ascend-910c'))).toBeCloseTo(2 * effectiveWatts(of('ascend-910b2'))!)
  expect(effectiveWatts(of('ascend-910b4'))).toBe(effectiveWatts(of('ascend-910b2')))
})

test('a chip that is like no other has none', () => {
  const alone = { ...of('h800-sxm'), id: 'nobody-1' }
  expect(effectiveWatts(alone)).toBeNull()
  expect(effectiveWatts({ ...alone, power: { watts: 500, note: null } })).toBe(500)
})

test('what chips are like is in the catalog, with the most power of its rate', () => {
  for (const [architecture, rate, watts] of LIKE_CHIPS) {
    const alike = catalogChips().filter(
      (chip) => architectureOf(chip) === architecture && (chip.peak.bf16 ?? chip.peak.fp16) === rate,
    )
    expect(Math.max(...alike.map(({ power }) => power.watts ?? 0))).toBe(watts)
  }
})
