/** @file Folders of measured steps that are none, and rows that cannot be: one error each, from the scripts as processes too. */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { casesOf } from '../scripts/evidence/cases.ts'
import { CHIPS_FILE, readEvidence, readKernelsOf } from '../scripts/evidence/index.ts'
import { loadChips } from '../src/chips/index.ts'
import { RegaugeError } from '../src/errors.ts'

const GOLDEN = join(import.meta.dirname, 'golden/evidence')
const FITTED = join(import.meta.dirname, '../src/simulate/fitted/values.ts')
const chips = await loadChips(CHIPS_FILE)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'regauge-evidence-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string) => join(folder, name)

/** The one error of reading the folder, without the folder's name. */
function told(read: () => unknown = () => readEvidence(folder)): string {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(RegaugeError)
    expect((error as RegaugeError).kind).toBe('data')
    return (error as RegaugeError).message.replaceAll(folder, '')
  }
  return ''
}

test('what is no folder', () => {
  writeFileSync(at('file'), '')
  const hint = ': give the folder of the tables of measured steps'
  expect(told(() => readEvidence(at('none')))).toBe(`/none  no such folder${hint}`)
  expect(told(() => readEvidence(at('file')))).toBe(`/file  is not a folder${hint}`)
  writeFileSync(at('aiconfigurator'), '')
  expect(told(() => readKernelsOf(folder))).toBe(`/aiconfigurator  is not a folder${hint}`)
})

test.each([
  ['', 'is no JSON: Unexpected end of JSON input'],
  ['{}', 'is no list of rows'],
  ['[{', 'is no JSON: '],
  ['[null]', 'row 1: the row is null: '],
  ['\0\xff', 'is no JSON: '],
  ['['.repeat(200_000), 'is no JSON: '],
])('measurements that are %j', (text, message) => {
  writeFileSync(at('measurements.json'), text)
  expect(told()).toMatch(`/measurements.json  ${message}`)
})

test('tables that are none', () => {
  mkdirSync(at('measurements.json'))
  expect(told()).toBe('/measurements.json  is not a file')
  rmSync(at('measurements.json'), { recursive: true })
  writeFileSync(at('vtrain_multi.csv'), '')
  expect(told()).toBe('/vtrain_multi.csv  has no header')
  writeFileSync(at('vtrain_multi.csv'), 'a,b\n1,2\n')
  expect(told()).toMatch('/vtrain_multi.csv:1  the header lacks "# GPUs", "global batch", ')
})

test('a mark of the byte order is no part of a table', () => {
  for (const name of ['vtrain_multi.csv', 'measurements.json'])
    writeFileSync(at(name), `\uFEFF${readFileSync(join(GOLDEN, name), 'utf8')}`)
  expect(readEvidence(folder).rows.length).toBeGreaterThan(5)
})

describe('a row', () => {
  const [first] = JSON.parse(readFileSync(join(GOLDEN, 'measurements.json'), 'utf8')) as object[]
  const give = (change: object) =>
    writeFileSync(at('measurements.json'), JSON.stringify([{ ...first, ...change }]))

  test.each([
    ['layers', 1e9],
    ['layers', 0],
    ['hidden', 1e300],
    ['n_chips', 1.5],
    ['step_time_s', 0],
    ['step_time_s', '2.5'],
    ['moe', { experts: 1e9, topk: 1 }],
  ])('whose %s is %j is named with its value', (key, value) => {
    give({ [key]: value })
    expect(told()).toMatch(`/measurements.json  row "step": ${key}`)
    expect(told()).toContain(` is ${JSON.stringify(typeof value === 'object' ? 1e9 : value)}: `)
  })

  test.each([
    [{ seq: 1e9 }, 'the sequence length is 1000000000'],
    [{ step_time_s: 1e-9 }, 'a step of 1e-9 s'],
    [{ step_time_s: 1e12 }, 'a step of 1000000000000 s'],
  ])('of %j is left out, and named', (change, message) => {
    give({ gbs_tokens: null, ...change })
    const { cases, refusals } = casesOf(readEvidence(folder).rows, chips)
    expect(cases).toEqual([])
    expect(refusals.map(({ reason }) => reason)).toEqual([`row step: ${message}`])
  })

  test('of a table has its line', () => {
    const [header, line] = readFileSync(join(GOLDEN, 'vtrain_multi.csv'), 'utf8').split('\n')
    writeFileSync(at('vtrain_multi.csv'), `${header}\n${line!.replace(',16,20,', ',16,1000000000,')}\n`)
    expect(told()).toBe('/vtrain_multi.csv:2  "# layers" is 1000000000, more than 1024')
  })

  test('whose batch does not divide is left out', () => {
    const [header, line] = readFileSync(join(GOLDEN, 'sailor_validation.csv'), 'utf8').split('\n')
    writeFileSync(at('sailor_validation.csv'), `${header}\n${line!.replace(',2,256,', ',2,3,')}\n`)
    const { refusals } = casesOf(readEvidence(folder).rows, chips)
    expect(refusals[0]!.reason).toContain('micro-batches of 2 on 2 replicas do not divide a batch of 3')
  })
})

describe('the scripts', { timeout: 120_000 }, () => {
  const script = (name: string) =>
    new Promise<{ code: number | undefined; err: string }>((resolve) => {
      const words = ['--import', 'tsx', join(import.meta.dirname, `../scripts/${name}.ts`), folder]
      execFile(process.execPath, words, (error, _, err) =>
        resolve({ code: error === null ? 0 : (error.code as number), err: err.replaceAll(folder, '') }),
      )
    })

  test('fit nothing to fewer steps than there are constants, and leave those that are there', async () => {
    for (const name of readdirSync(GOLDEN)) cpSync(join(GOLDEN, name), at(name), { recursive: true })
    const before = readFileSync(FITTED, 'utf8')
    const { code, err } = await script('fit')
    expect(code).toBe(4)
    expect(err).toMatch(
      /^ {2}\d+ steps and 0 products are fewer than the \d+ constants that they would move: give more measured steps/,
    )
    expect(readFileSync(FITTED, 'utf8')).toBe(before)
  })

  test('end with one line', async () => {
    writeFileSync(at('measurements.json'), '[')
    for (const name of ['fit', 'accuracy']) {
      const { code, err } = await script(name)
      expect([name, code, err.trim().split('\n')]).toEqual([
        name,
        4,
        [expect.stringMatching(/^\/measurements\.json {2}is no JSON: /)],
      ])
    }
  })
})
