/** @file The catalog: it keeps to its schema, and every figure of it has a source. */
import { expect, test } from 'vitest'
import { catalogChips, FIGURE_GROUPS, NUMBER_FORMATS } from './index.ts'
import { userChipSchema } from './schema.ts'

const chips = catalogChips()

/** Numbers anywhere below a value, with their paths. */
function numbersIn(value: unknown, path: string): string[] {
  if (typeof value === 'number') return [path]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => numbersIn(inner, `${path}.${key}`))
}

test('holds 55 chips of one schema, and nothing else', () => {
  expect(chips).toHaveLength(55)
  for (const chip of chips) expect(userChipSchema.safeParse(chip).error, chip.id).toBeUndefined()
})

test('every figure has a source', () => {
  const figures = chips.flatMap((chip) =>
    FIGURE_GROUPS.flatMap((group) => numbersIn(chip[group], `${chip.id}.${group}`)),
  )
  expect(figures.length).toBeGreaterThan(400)
  const unsourced = chips.flatMap((chip) =>
    FIGURE_GROUPS.flatMap((group) =>
      chip.sources[group].length === 0 ? numbersIn(chip[group], `${chip.id}.${group}`) : [],
    ),
  )
  expect(unsourced).toEqual([])
  // figures are nowhere else
  const groups: readonly string[] = FIGURE_GROUPS
  const elsewhere = chips.flatMap((chip) =>
    Object.entries(chip).flatMap(([key, value]) =>
      groups.includes(key) ? [] : numbersIn(value, `${chip.id}.${key}`),
    ),
  )
  expect(elsewhere).toEqual([])
})

test('every source says something, and none is of this workplace', () => {
  for (const { id, sources } of chips) {
    for (const source of FIGURE_GROUPS.flatMap((group) => sources[group])) {
      expect(source?.length, id).toBeGreaterThan(5)
      expect(source, id).not.toMatch(/read_file|export_rules\.md/)
    }
  }
})

test('what is from memory, claimed without a source or estimated is text, not a figure', () => {
  const of = (id: string) => chips.find((chip) => chip.id === id)!
  expect(of('br100').process.dieAreaMm2).toBeNull()
  expect(of('br100').unverified).toContain('die area mm2: 1074 (from memory)')
  expect(of('ascend-910b1').unverified).toContain('414 TF FP16 (no source)')
  expect(of('rtx-6000d').peak.bf16).toBeNull()
  expect(of('rtx-6000d').measured?.bf16).toBe(144.09e12)
  expect(of('mi325x').power.watts).toBeNull()
  expect(of('tpu-v4').software.torchDevice).toBeNull()
  expect(of('h20-96gb').scaleOut.bytesPerSecond).toBeNull()
  expect(of('h20-96gb').unverified).toContain('scale-out 400 Gbit/s (no source recorded)')
})

test('figures are in SI units: bytes, bytes per second, operations per second', () => {
  for (const { id, memory, peak, scaleUp, scaleOut, process } of chips) {
    const within = (value: number | null, least: number, most: number) =>
      expect(value === null || (value >= least && value <= most), id).toBe(true)
    within(memory.bytes, 16e9, 300e9)
    within(memory.bytesPerSecond, 0.5e12, 15e12)
    within(scaleUp.bytesPerSecond, 100e9, 5e12)
    within(scaleOut.bytesPerSecond, 1e9, 200e9)
    within(process.dieAreaMm2, 400, 1700)
    for (const precision of NUMBER_FORMATS) within(peak[precision], 10e12, 20e15)
    // a part of the headline
    if (peak.matmulOnly !== null) expect(peak.matmulOnly).toBeLessThan(peak.fp16!)
  }
})

test('carries the figures over as they were collected', () => {
  const chip = chips.find(({ id }) => id === 'ascend-910b2')!
  expect(chip.peak).toMatchObject({
    fp32: 99e12,
    bf16: 376e12,
    fp16: 376e12,
    matmulOnly: 353.8944e12,
    fp8: null,
  })
  expect(chip.memory).toMatchObject({ bytes: 64e9, type: 'HBM2E', bytesPerSecond: 1.6e12 })
  expect(chip.scaleUp).toMatchObject({ bytesPerSecond: 392e9, direction: 'unstated', domainSize: 8 })
  expect(chip.scaleOut.bytesPerSecond).toBe(25e9)
  expect(chip.software).toMatchObject({ runtime: 'cann', torchDevice: 'npu', collectiveBackend: 'hccl' })
  expect(chip.disagreements).toHaveLength(2)
})
