/** @file Chips of the user: added, laid over the catalog, and every mistake told with its place. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Issue, RegaugeError } from '../errors.ts'
import { catalogChips, findChip, loadChips } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'chips-'))
let counter = 0
function written(text: string, ending = 'yaml'): string {
  const file = join(folder, `${counter++}.${ending}`)
  writeFileSync(file, text)
  return file
}

async function issuesOf(text: string, ending?: string): Promise<readonly Issue[]> {
  const error = await loadChips(written(text, ending)).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(RegaugeError)
  expect((error as RegaugeError).kind).toBe('usage')
  return (error as RegaugeError).issues
}

test('a new chip needs an id, a name and a vendor; all else is unknown until it is given', async () => {
  const file = written('chips:\n- id: zeta-1\n  name: Zeta 1\n  vendor: Zeta\n  peak: {bf16: 500e12}\n')
  const chips = await loadChips(file)
  expect(chips).toHaveLength(catalogChips().length + 1)
  const { chip } = findChip(chips, 'zeta 1')
  expect(chip).toMatchObject({
    peak: { bf16: 500e12, fp16: null },
    memory: { bytes: null },
    status: 'shipping',
  })
  expect(chip.sources.peak).toEqual([`given in ${file}`])
  expect(chip.sources.memory).toEqual([])
})

test('a known id changes what is given and keeps the rest; JSON will do', async () => {
  const file = written(
    '{"chips": [{"id": "ascend-910b2", "power": {"watts": 392}, "sources": {"power": ["our meter"]}}]}',
    'json',
  )
  const { chip } = findChip(await loadChips(file), '910b2')
  expect(chip.power).toMatchObject({ watts: 392, note: expect.stringContaining('400 W') })
  expect(chip.sources.power[0]).toBe('our meter')
  expect(chip.peak.bf16).toBe(376e12)
  // the catalog itself stays as it is
  expect(findChip(catalogChips(), '910b2').chip.power.watts).toBe(400)
})

test('what a user has measured leaves the rest of it unknown', async () => {
  const unmeasured = catalogChips().find(({ measured }) => measured === null)!
  const file = written(`chips:\n- id: ${unmeasured.id}\n  measured: {bf16: 200e12}\n`)
  const { chip } = findChip(await loadChips(file), unmeasured.id)
  expect(chip.measured).toEqual({
    bf16: 200e12,
    fp32: null,
    int8: null,
    memoryBytes: null,
    memoryBytesPerSecond: null,
    watts: null,
    note: null,
  })
})

test('every mistake at once, with place, what was received and the nearest key', async () => {
  const issues = await issuesOf(
    [
      'chips:',
      '- id: Zeta 1',
      '  name: Zeta',
      '  peek: {bf16: 1e12}',
      '  memory: {bytes: 64GB, bytesPerSecnd: 1}',
      '- id: zeta-2',
      '  status: shiping',
      '- id: zeta-2',
      '  power: {watts: -5}',
    ].join('\n'),
  )
  const told = issues.map(({ code, line, message, hint }) => [code, line, `${message}: ${hint}`])
  expect(told).toEqual([
    ['CHIPS_VALUE', 2, expect.stringContaining('chips[0].id cannot be "Zeta 1": lower case letters')],
    [
      'CHIPS_MISSING',
      2,
      expect.stringContaining('chips[0].vendor is missing: "Zeta 1" is no chip of the catalog'),
    ],
    ['CHIPS_UNKNOWN_KEY', 4, 'unknown key "peek" in chips[0]: did you mean "peak"?'],
    ['CHIPS_TYPE', 5, expect.stringContaining('chips[0].memory.bytes must be a number or null, got "64GB"')],
    [
      'CHIPS_UNKNOWN_KEY',
      5,
      'unknown key "bytesPerSecnd" in chips[0].memory: did you mean "bytesPerSecond"?',
    ],
    ['CHIPS_MISSING', 6, expect.stringContaining('chips[1].name is missing')],
    ['CHIPS_MISSING', 6, expect.stringContaining('chips[1].vendor is missing')],
    ['CHIPS_VALUE', 7, expect.stringContaining('did you mean "shipping"?')],
    ['CHIPS_TWICE', 8, expect.stringContaining('"zeta-2" is given twice')],
    ['CHIPS_RANGE', 9, 'chips[2].power.watts must be at least 0.000001, got -5: undefined'],
  ])
})

test.each([
  ['', 'CHIPS_TYPE'],
  ['chips: []', 'CHIPS_RANGE'],
  ['- id: a', 'CHIPS_TYPE'],
  ['chips: [', 'CHIPS_SYNTAX'],
  ['chips: 5', 'CHIPS_TYPE'],
  ['chips: [5]', 'CHIPS_TYPE'],
])('%j is refused', async (text, code) => {
  expect((await issuesOf(text)).map((issue) => issue.code)).toContain(code)
})

test('a file that is not there, or is none', async () => {
  await expect(loadChips(join(folder, 'none.yaml'))).rejects.toThrow('none.yaml  no such file')
  await expect(loadChips(folder)).rejects.toThrow('is not a file')
})
