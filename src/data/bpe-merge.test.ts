/** @file Merging by scan and by heap give what the definition of byte-pair encoding gives. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createMergeTable, createWordMerger } from './bpe-merge.ts'

/** Merges over 4 symbols: merge k joins two earlier ids into id 4 + k. */
const merges = fc
  .array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 20 })
  .map((pairs) => pairs.map(([a, b], k) => [a % (4 + k), b % (4 + k), 4 + k] as const))
  .map((list) => list.filter(([a, b], k) => list.findIndex(([c, d]) => a === c && b === d) === k))

/** By the definition: the pair of lowest rank, the leftmost of equal ones, until none is left. */
function mergeByDefinition(list: readonly (readonly [number, number, number])[], word: number[]): number[] {
  const symbols = [...word]
  for (;;) {
    let best = list.length
    let at = -1
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = list.findIndex(([a, b]) => a === symbols[i] && b === symbols[i + 1])
      if (rank >= 0 && rank < best) [best, at] = [rank, i]
    }
    if (at < 0) return symbols
    symbols.splice(at, 2, list[best]![2])
  }
}

it.each([
  ['by scan', 0, 60],
  ['by heap', 161, 260],
])('merges %s', (_, minLength, maxLength) => {
  const word = fc.array(fc.nat({ max: 3 }), { minLength, maxLength })
  fc.assert(
    fc.property(merges, word, (list, symbols) => {
      const merge = createWordMerger(createMergeTable(Int32Array.from(list.flat())))
      const buffer = Int32Array.from(symbols)
      const count = merge(buffer, buffer.length)
      expect([...buffer.subarray(0, count)]).toEqual(mergeByDefinition(list, symbols))
    }),
    { numRuns: 60 },
  )
})

// by the definition, it would take a day: the time-out of tests tells
it('merges a long run of one character in time', () => {
  const list = Array.from({ length: 16 }, (_, k) => [k, k, k + 1])
  const merge = createWordMerger(createMergeTable(Int32Array.from(list.flat())))
  const word = new Int32Array(200_000)
  expect(merge(word, word.length)).toBeLessThan(20)
})
