/** @file The constants that are shipped, and how they are put together. */
import { describe, expect, test } from 'vitest'
import { catalogChips, EXAMPLE_CHIPS, findChip } from '../../chips/index.ts'
import { ENGINES } from '../../engines/index.ts'
import { machineOf } from '../machine.ts'
import {
  bandOf,
  type Constants,
  constantsOf,
  fromScale,
  gradeOf,
  lesserGrade,
  RATE_NAMES,
  RATES,
  ratesOf,
  toScale,
} from './constants.ts'
import { FITTED } from './values.ts'

const [, second] = EXAMPLE_CHIPS
const machine = machineOf(findChip(catalogChips(), second).chip, 8, 'bf16')
const engine = ENGINES['megatron-lm'].behaviour

describe('what is shipped', () => {
  test('has every rate, in its bounds, with what it was fitted on', () => {
    for (const name of RATE_NAMES) {
      const value = FITTED.general[name]
      expect(value).toBeGreaterThan(0)
      if (RATES[name].share) expect(value).toBeLessThan(1)
    }
  })

  test('names the rows behind every table', () => {
    const { architectures, lineages, engines, sources }: Constants = FITTED
    const tables = [architectures, lineages, engines]
    for (const key of ['', ...tables.flatMap(Object.keys)]) expect(sources[key]).toMatch(/\w \d/)
  })

  test('gives rates in bounds for all engines and designs', () => {
    for (const architecture of [...Object.keys(FITTED.architectures), 'unheard of']) {
      for (const { behaviour } of Object.values(ENGINES)) {
        const rates = ratesOf(FITTED, { ...machine, architecture }, behaviour)
        for (const name of RATE_NAMES) {
          expect(rates[name]).toBeGreaterThan(0)
          if (RATES[name].share) expect(rates[name]).toBeLessThan(1)
        }
      }
    }
  })

  test('promises no less where more is known', () => {
    const { bands } = FITTED
    expect(bands['chip and engine']).toBeGreaterThan(1)
    expect(bands.chip).toBeGreaterThanOrEqual(bands['chip and engine'])
    expect(bands.family).toBeGreaterThanOrEqual(bands.chip)
    expect(bands['data sheet']).toBeGreaterThanOrEqual(bands.family)
  })
})

test('shifts add up in the scale of a rate', () => {
  const constants: Constants = {
    ...FITTED,
    architectures: { [machine.architecture]: { matmul: 0.5 } },
    lineages: { [engine.lineage!]: { matmul: -0.2 } },
    engines: { [engine.measuredAs!]: { matmul: 0.1 } },
    sources: {
      '': 'd 4',
      [engine.measuredAs!]: 'c 3',
      [engine.lineage!]: 'b 2',
      [machine.architecture]: 'a 1',
    },
  }
  const expected = fromScale('matmul', toScale('matmul', FITTED.general.matmul) + 0.4)
  expect(ratesOf(constants, machine, engine).matmul).toBeCloseTo(expected, 12)
  const told = constantsOf(constants, machine, engine).find(({ name }) => name === 'matmul')!
  expect(told.value).toBeCloseTo(expected, 12)
  expect(told.from).toMatch(/: c 3; .*: b 2; .*: a 1; all: d 4$/)
})

test('grades by what was measured, and bands by grades', () => {
  const { chip } = machine
  const none: Constants = { ...FITTED, coverage: {}, architectures: {} }
  expect(gradeOf(none, machine, engine)).toBe('data sheet')
  const family = { ...none, architectures: { [machine.architecture]: {} } }
  expect(gradeOf(family, machine, engine)).toBe('family')
  expect(gradeOf({ ...none, coverage: { [`${chip.id} other`]: 1 } }, machine, engine)).toBe('chip')
  expect(gradeOf({ ...none, coverage: { [`${chip.id} ${engine.measuredAs}`]: 1 } }, machine, engine)).toBe(
    'chip and engine',
  )
  const { low, high } = bandOf(FITTED, 10, 'chip')
  expect(low * high).toBeCloseTo(100, 9)
  expect(lesserGrade('chip', 'data sheet')).toBe('data sheet')
})
