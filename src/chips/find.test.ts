/** @file Lookup: by any name in any spelling, families, ambiguous words, typos. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { catalogChips, findChip } from './index.ts'

const chips = catalogChips()

function refusal(word: string): string {
  try {
    findChip(chips, word)
  } catch (error) {
    if (error instanceof RegaugeError) return error.message
    throw error
  }
  throw new Error(`${word} was found`)
}

/** A word with other case and punctuation between its letters. */
const respelled = (word: string): fc.Arbitrary<string> =>
  fc
    .array(fc.tuple(fc.boolean(), fc.constantFrom('', '', ' ', '-', '_', '.', '/')), {
      minLength: word.length,
      maxLength: word.length,
    })
    .map((how) =>
      [...word]
        .map((letter, i) => `${how[i]![0] ? letter.toUpperCase() : letter.toLowerCase()}${how[i]![1]}`)
        .join(''),
    )

describe('a chip is found', () => {
  test('by its id, name and aliases, in any case and punctuation', () => {
    const names = chips.flatMap((chip) =>
      [chip.id, chip.name, ...chip.aliases].map((name) => ({ chip, name })),
    )
    const spelled = fc
      .constantFrom(...names)
      .chain(({ chip, name }) => respelled(name).map((word) => ({ chip, word })))
    fc.assert(
      fc.property(spelled, ({ chip, word }) => {
        const found = findChip(chips, word)
        expect(found.chip.id).toBe(chip.id)
        expect(found.exact).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('by the name after its vendor', () => {
    expect(findChip(chips, 'Huawei Ascend 910B2').chip.id).toBe('ascend-910b2')
    expect(findChip(chips, 'AMD Instinct MI300X')).toMatchObject({ chip: { id: 'mi300x' }, exact: true })
  })

  test('by the start of a name that no other has', () => {
    expect(findChip(chips, 'h200')).toMatchObject({ chip: { id: 'h200-sxm' }, exact: false, others: [] })
    expect(findChip(chips, 'trillium').chip.id).toBe('tpu-v6e')
    // not the one whose name only ends so
    expect(findChip(chips, 'b200').chip.id).toBe('b200-sxm')
  })

  test('by its family, as the typical variant, which says so', () => {
    const found = findChip(chips, 'A100')
    expect(found).toMatchObject({ chip: { id: 'a100-80gb-sxm' }, exact: false })
    expect(found.others.map(({ id }) => id)).toEqual(['a100-40gb-pcie', 'a100-40gb-sxm', 'a100-80gb-pcie'])
    expect(findChip(chips, 'ascend 910c').chip.id).toBe('ascend-910c')
    expect(findChip(chips, 'nvidia h20').chip.id).toBe('h20-96gb')
  })

  test('910 is the first of its name, not the start of all', () => {
    expect(findChip(chips, '910')).toMatchObject({ chip: { id: 'ascend-910a' }, exact: true })
  })
})

describe('a chip is refused', () => {
  test('when the word may be several, which are listed', () => {
    expect(refusal('910b')).toContain('"910b" may be 6 chips: give one of ascend-910b1, ascend-910b2, ')
    expect(refusal('mi3')).toContain('mi300x, mi325x, mi355x')
  })

  test('with the nearest names on a typo', () => {
    expect(refusal('910b22')).toMatch(/no chip "910b22": did you mean .*ascend-910b2[,?]/)
    expect(refusal('gaudy3')).toContain('did you mean gaudi3')
  })

  test('when nothing is near, or nothing is said', () => {
    expect(refusal('abacus of bronze')).toBe('no chip "abacus of bronze": regauge chips lists them')
    expect(refusal('---')).toContain('no chip "---"')
  })

  test('or found, never anything else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (word) => {
        try {
          findChip(chips, word)
        } catch (error) {
          expect(error).toBeInstanceOf(RegaugeError)
        }
      }),
    )
  })
})
