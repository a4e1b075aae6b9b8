import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { KERNELS_FOLDER, ownKernels } from '../scripts/evidence/kernels.ts'
import { catalogChips } from '../src/chips/index.ts'
import { FITTED } from '../src/simulate/fitted/values.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernels-'))
afterAll(() => rmSync(folder, { recursive: true }))
const chips = catalogChips()

describe('kernels that were measured for this project', () => {
  const kernels = ownKernels(chips)

  test('the constants as they ship give them back', () => {
    const errors = new Map<string, number[]>()
    for (const { source, predicted, seconds } of kernels) {
      errors.set(source, [...(errors.get(source) ?? []), Math.abs(predicted(FITTED) / seconds - 1)])
    }
    const means = [...errors].map(([source, all]) => [source, all.reduce((a, b) => a + b, 0) / all.length])
    expect(Object.fromEntries(means)).toEqual({
      'product on h100-sxm': expect.closeTo(0.06, 1),
      'product8 on h100-sxm': expect.closeTo(0.06, 1),
      'grouped on h100-sxm': expect.closeTo(0.11, 1),
      'attention on h100-sxm': expect.closeTo(0.17, 1),
      'elementwise on h100-sxm': expect.closeTo(0.25, 1),
    })
  })

  test('on an H100, products hold 0.55 to 0.8 of the peak that the data sheet prints', () => {
    const rates = readFileSync(join(KERNELS_FOLDER, 'h100-sxm.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"product"'))
      .map((line) => JSON.parse(line))
      .filter(({ m, n, k }) => m * n * k > 1e11)
      .map(({ m, n, k, seconds }) => (2 * m * n * k) / seconds / 989.5e12)
    expect(rates.length).toBeGreaterThan(50)
    expect(Math.min(...rates)).toBeGreaterThan(0.55)
    expect(Math.max(...rates)).toBeLessThan(0.8)
  })
})

test('every line that is no kernel is named, with what is wrong', () => {
  writeFileSync(
    join(folder, 'bad.jsonl'),
    [
      '{"chip":"h100-smx"}',
      '{"kernel":"product","m":1,"n":2,"k":0,"seconds":1}',
      'seconds',
      '{"kernel":"sort","seconds":1}',
      '{"kernel":"elementwise","op":"add","bytes":12,"seconds":1e99}',
    ].join('\n'),
  )
  let message = ''
  try {
    ownKernels(chips, folder)
  } catch (error) {
    message = (error as Error).message
  }
  expect(message).toMatch(/the chip h100-smx is not known/)
  for (const line of [1, 2, 3, 4, 5]) expect(message).toContain(`bad.jsonl:${line}`)
  expect(message).toMatch(/k: Too small/)
  expect(message).toMatch(/is no JSON: seconds/)
  expect(() => ownKernels(chips, join(folder, 'none'))).toThrow(/no such folder/)
})

test.each([
  ['', /a\.jsonl:1 {2}is empty/],
  [JSON.stringify({ chip: 'x'.repeat(1e5) }), /the chip x{40} is not known/],
  // an A100 has no rate in 8 bits
  [
    '{"chip":"a100-80gb-sxm"}\n{"kernel":"product8","m":1,"n":2,"k":3,"seconds":1}',
    /a\.jsonl:2 {2}nobody published the rate in fp8 of a100-80gb-sxm/,
  ],
])('a file that cannot be used is refused by its place: %.40s', (text, message) => {
  const own = mkdtempSync(join(folder, 'refused-'))
  writeFileSync(join(own, 'a.jsonl'), text)
  expect(() => ownKernels(chips, own)).toThrow(message)
})

test('a file of one chip is read as measured on it', () => {
  const own = mkdtempSync(join(folder, 'own-'))
  const line = '{"kernel":"product","m":4096,"n":4096,"k":4096,"seconds":0.0002}'
  writeFileSync(join(own, 'a.jsonl'), `{"chip":"h100-sxm","torch":"2.11"}\n${line}\n`)
  const [one] = ownKernels(chips, own)
  expect(one).toMatchObject({ source: 'product on h100-sxm', seconds: 0.0002 })
  // 137 billion operations at 0.6 to 0.9 of an H100's peak
  expect(one!.predicted(FITTED)).toBeGreaterThan((2 * 4096 ** 3) / (0.9 * 989e12))
  expect(one!.predicted(FITTED)).toBeLessThan((2 * 4096 ** 3) / (0.6 * 989e12))
})
