/** @file The export rules: every row of the expected table, the boundaries, and what applied when. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  catalogChips,
  class2023,
  EXPORT_RULES,
  exportFindings,
  findChip,
  performanceDensity,
  rulesOn,
  test2022,
  totalProcessingPerformance,
  window2026,
} from './index.ts'

interface Row {
  readonly chip: string
  readonly peak: string | null
  readonly tpp: number | null
  readonly performanceDensity: number | null
  readonly class2023: string
  readonly window2026: boolean | null | 'unknown TPP'
}

const GOLDEN = join(import.meta.dirname, '../../test/golden/export-rules.json')
const { rows } = JSON.parse(readFileSync(GOLDEN, 'utf8')) as { rows: readonly Row[] }

/** The wording of the table for each class. */
const WORDS: Readonly<Record<string, string>> = {
  '3A090.a.1': '3A090.a (a.1: TPP>=4800)',
  '3A090.a.2': '3A090.a (a.2: TPP>=1600 and PD>=5.92)',
  none: 'not 3A090.a/.b',
}

describe('the table of chips', () => {
  test('has a row for every chip of the catalog', () => {
    expect(rows.map(({ chip }) => chip).sort()).toEqual(
      catalogChips()
        .map(({ name }) => name)
        .sort(),
    )
  })

  test.each(rows)('$chip', (row) => {
    const chip = catalogChips().find(({ name }) => name === row.chip)!
    const findings = exportFindings(chip, '2026-11-01')
    const { tpp, performanceDensity: density } = findings
    expect(tpp.value === 'unknown' ? null : Math.round(tpp.value)).toBe(row.tpp)
    expect(density.value === 'unknown' ? null : Number(density.value.toFixed(2))).toBe(row.performanceDensity)
    for (const [precision, rate] of [...(row.peak ?? '').matchAll(/(\w+) ([\d.]+)/g)].map((m) => [
      m[1]!,
      m[2]!,
    ]))
      expect(chip.peak[precision as 'fp16']! / 1e12).toBeCloseTo(Number(rate), 6)
    const { class2023: found, window2026: window } = findings
    if (row.class2023 === 'unknown') expect(found).toEqual({ value: 'unknown', missing: ['TPP'] })
    else if (row.class2023.startsWith('needs PD')) {
      expect(found).toEqual({ value: 'unknown', missing: ['die area'] })
    } else expect(WORDS[found!.value]).toBe(row.class2023)
    if (row.window2026 === 'unknown TPP') {
      expect(window!.value).toBe('unknown')
      expect(window!.missing).toContain('TPP')
    } else expect(window!.value === 'unknown' ? null : window!.value).toBe(row.window2026)
  })
})

test.each([
  ['ascend-910b1', 5982, 8.99, '3A090.a.1'],
  ['ascend-910b2', 5662, 8.51, '3A090.a.1'],
  ['ascend-910b3', 4719, 7.09, '3A090.a.2'],
  ['ascend-910b4', 3932, 5.91, '3A090.b.1'],
])('%s by matrix products alone would be TPP %d, density %d, %s', (id, tpp, density, expected) => {
  const { peak, process } = catalogChips().find((chip) => chip.id === id)!
  const alone = (peak.matmulOnly! * 16) / 1e12
  expect(Math.round(alone)).toBe(tpp)
  expect(Number((alone / process.dieAreaMm2!).toFixed(2))).toBe(density)
  expect(class2023(alone, alone / process.dieAreaMm2!).value).toBe(expected)
})

/** Any positive number, and those around a limit. */
const around = (...limits: number[]): fc.Arbitrary<number> =>
  fc.oneof(
    fc.double({ min: 0, max: 70_000, noNaN: true }),
    ...limits.flatMap((limit) => [fc.constant(limit), fc.constant(below(limit)), fc.constant(above(limit))]),
  )
/** The next number that a double can hold. */
const above = (value: number): number => value + 2 ** (Math.floor(Math.log2(value)) - 52)
const below = (value: number): number => value - 2 ** (Math.floor(Math.log2(value)) - 52)

describe('the boundaries', () => {
  test('of 2022 are 4800 and 600 GB/s, both included', () => {
    expect(test2022(4800, 600e9).value).toBe(true)
    expect(test2022(below(4800), 600e9).value).toBe(false)
    expect(test2022(4800, below(600e9)).value).toBe(false)
  })

  test('of 2023 are all included', () => {
    const classOf = (tpp: number, density: number) => class2023(tpp, density).value
    expect(classOf(4800, 0)).toBe('3A090.a.1')
    expect(classOf(below(4800), 0)).toBe('none')
    expect(classOf(1600, 5.92)).toBe('3A090.a.2')
    expect(classOf(below(1600), 5.92)).toBe('none')
    expect(classOf(1600, below(5.92))).toBe('3A090.b.2')
    expect(classOf(2400, 1.6)).toBe('3A090.b.1')
    expect(classOf(2400, below(1.6))).toBe('none')
    expect(classOf(below(2400), 1.6)).toBe('none')
    expect(classOf(1600, 3.2)).toBe('3A090.b.2')
    expect(classOf(1600, below(3.2))).toBe('none')
    expect(classOf(2400, below(5.92))).toBe('3A090.b.1')
  })

  test('of 2026 are both excluded', () => {
    expect(window2026(below(21_000), below(6500e9)).value).toBe(true)
    expect(window2026(21_000, below(6500e9)).value).toBe(false)
    expect(window2026(below(21_000), 6500e9).value).toBe(false)
  })

  test('a class is as the rule is written, for any figures', () => {
    fc.assert(
      fc.property(around(1600, 2400, 4800), around(1.6, 3.2, 5.92), (tpp, density) => {
        const a = tpp >= 4800 || (tpp >= 1600 && density >= 5.92)
        const b =
          (tpp >= 2400 && tpp < 4800 && density >= 1.6 && density < 5.92) ||
          (tpp >= 1600 && density >= 3.2 && density < 5.92)
        const { value } = class2023(tpp, density)
        expect(value.startsWith('3A090.a')).toBe(a)
        expect(value.startsWith('3A090.b')).toBe(!a && b)
        expect(value === 'none').toBe(!a && !b)
      }),
    )
  })

  test('more performance never lowers a class', () => {
    const order = ['none', '3A090.b', '3A090.a']
    const rank = (tpp: number, density: number) =>
      order.findIndex((one) => class2023(tpp, density).value.startsWith(one))
    fc.assert(
      fc.property(
        around(1600, 4800),
        around(1600, 4800),
        fc.integer({ min: 50, max: 2000 }),
        (a, b, area) => {
          const [low, high] = [Math.min(a, b), Math.max(a, b)]
          expect(rank(high, high / area)).toBeGreaterThanOrEqual(rank(low, low / area))
        },
      ),
    )
  })
})

describe('a missing figure', () => {
  test('gives unknown with its name, never a class', () => {
    expect(totalProcessingPerformance({ fp32: 15e12, tf32: 30e12 }).missing).toEqual([
      'dense rate in fp16, bf16, fp8, int8, fp4',
    ])
    expect(performanceDensity(null, null).missing).toEqual(['TPP', 'die area'])
    expect(class2023(null, 10).value).toBe('unknown')
    expect(class2023(2000, null)).toEqual({ value: 'unknown', missing: ['die area'] })
    expect(test2022(null, 700e9)).toEqual({ value: 'unknown', missing: ['TPP'] })
    expect(window2026(10_000, null)).toEqual({ value: 'unknown', missing: ['memory bandwidth'] })
  })

  test('does not matter where the others settle it', () => {
    expect(class2023(4800, null).value).toBe('3A090.a.1')
    expect(class2023(1599, null).value).toBe('none')
    expect(test2022(null, 400e9).value).toBe(false)
    expect(test2022(4000, null).value).toBe(false)
    expect(window2026(32_000, null).value).toBe(false)
  })
})

test('the rate in few bits can be the highest: 15 PFLOP/s in fp4 are TPP 60,000', () => {
  expect(totalProcessingPerformance({ fp4: 15e15, int8: 165e12, bf16: 2.5e15 }).value).toBe(60_000)
})

test('what is not for data centres is caught from 4800 on, by notice', () => {
  expect(class2023(4800, 10, { datacenter: false }).value).toBe('3A090.a, notified')
  expect(class2023(4799, 10, { datacenter: false }).value).toBe('none')
})

describe('what applied on a day', () => {
  const on = (name: string, date: string) => exportFindings(findChip(catalogChips(), name).chip, date)

  test('nothing before October 2022; then the test of links; then performance density', () => {
    expect(rulesOn('2022-10-06')).toEqual([])
    expect(on('a100', '2022-10-06').test2022).toBeUndefined()
    expect(on('a100', '2022-12-01').test2022).toEqual({ value: true })
    expect(on('a800', '2022-12-01').test2022).toEqual({ value: false })
    expect(on('a800', '2023-11-16').class2023).toBeUndefined()
    expect(on('a800', '2023-11-17').class2023).toEqual({ value: '3A090.a.1' })
    expect(on('a800', '2023-11-17').test2022).toBeUndefined()
  })

  test('H20 is no 3A090 item, and is named by letter from April 2025', () => {
    expect(on('h20', '2025-04-08')).toMatchObject({ class2023: { value: 'none' }, namedBy: [] })
    expect(on('h20', '2025-04-09').namedBy.map(({ id }) => id)).toEqual(['2025-letters'])
  })

  test('910B is named by the guidance of May 2025, 910A is not', () => {
    expect(on('910b3', '2025-05-13').namedBy.map(({ id }) => id)).toEqual(['2025-gp10'])
    expect(on('910a', '2025-05-13').namedBy).toEqual([])
  })

  test('the window opens in January 2026', () => {
    expect(on('h200', '2026-01-12').window2026).toBeUndefined()
    expect(on('h200', '2026-01-13').window2026).toEqual({ value: true })
    expect(on('b200', '2026-01-13').window2026).toEqual({ value: false })
  })

  test('instruments are in the order of their dates, each with a citation', () => {
    expect(EXPORT_RULES.map(({ from }) => from)).toEqual(EXPORT_RULES.map(({ from }) => from).sort())
    for (const { citation, from, until } of EXPORT_RULES) {
      expect(citation).not.toBe('')
      expect(from).toMatch(/^20\d\d-\d\d-\d\d$/)
      expect(until === null || until > from).toBe(true)
    }
  })
})
