/** @file The one reading of a link's direction, over all chips. */
import { expect, test } from 'vitest'
import { catalogChips, type Direction, linkBandwidth, statedLinkBandwidth } from './index.ts'

const chips = catalogChips()

test.each(chips)('$id: each way is never more than what its source says', (chip) => {
  const { bytesPerSecond, direction } = chip.scaleUp
  const link = linkBandwidth(chip)
  if (bytesPerSecond === null) {
    expect([link, statedLinkBandwidth(chip)]).toEqual([null, null])
    return
  }
  const share = direction === 'each way' ? 1 : 0.5
  expect(link).toEqual({ eachWay: share * bytesPerSecond, direction })
  // a rule needs a fact: the same reading, or none
  expect(statedLinkBandwidth(chip)).toBe(direction === 'unstated' ? null : 2 * link!.eachWay)
})

test('ten chips of the catalog have links of an unstated direction', () => {
  const unstated = chips.filter((chip) => linkBandwidth(chip)?.direction === 'unstated').map(({ id }) => id)
  expect(unstated).toHaveLength(10)
  expect(unstated).toContain('ascend-910b2')
})

test.each<[Direction | null, number, number | null]>([
  ['each way', 100e9, 200e9],
  ['bidirectional', 50e9, 100e9],
  ['unstated', 50e9, null],
  [null, 50e9, null],
])('100 GB/s %s', (direction, eachWay, stated) => {
  const chip = { scaleUp: { ...chips[0]!.scaleUp, bytesPerSecond: 100e9, direction } }
  expect(linkBandwidth(chip)).toEqual({ eachWay, direction: direction ?? 'unstated' })
  expect(statedLinkBandwidth(chip)).toBe(stated)
})
