/** @file Reading config.json: what is no file, no object or too deep is refused in one line. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { hfConfigText, readHfConfig } from './hf-config.ts'

const folder = mkdtempSync(join(tmpdir(), 'hf-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

function put(text: string | Uint8Array): string {
  const path = join(folder, 'config.json')
  writeFileSync(path, text)
  return path
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(RegaugeError)
  return (error as RegaugeError).issues.map(({ message }) => message).join('; ')
}

test('keeps every key, known or not', async () => {
  const config = await readHfConfig(put('{"b": {"c": [[1]]}, "a": null}'))
  expect(config).toEqual({ b: { c: [[1]] }, a: null })
  expect(JSON.parse(hfConfigText(config))).toEqual(config)
})

test.each([
  ['[]', /holds one JSON object/],
  ['null', /holds one JSON object/],
  ['{"a": NaN}', /not valid JSON/],
  ['', /not valid JSON/],
  [`{"a": ${'['.repeat(200_000)}${']'.repeat(200_000)}}`, /nested deeper than 64 levels/],
  [' '.repeat((1 << 20) + 1), /too large/],
])('refuses %#', async (text, expected) => {
  expect(await messageOf(readHfConfig(put(text)))).toMatch(expected)
})

test('reads UTF-8 alone, with a mark of its byte order or without', async () => {
  expect(await readHfConfig(put('\uFEFF{"a": "ä"}'))).toEqual({ a: 'ä' })
  for (const encoding of ['utf16le', 'latin1'] as const)
    expect(await messageOf(readHfConfig(put(Buffer.from('{"a": "ä"}\xff', encoding))))).toBe(
      'the file is not UTF-8',
    )
})

test('refuses a missing file and a folder', async () => {
  expect(await messageOf(readHfConfig(join(folder, 'none')))).toMatch(/cannot be read/)
  expect(await messageOf(readHfConfig(folder))).toMatch(/not a file/)
})

test('numbers that transformers takes as floats alone are written as such', () => {
  const text = hfConfigText({ final_logit_softcapping: 30, initializer_range: 0.02, sliding_window: 30 })
  expect(text).toBe(
    '{\n  "final_logit_softcapping": 30.0,\n  "initializer_range": 0.02,\n  "sliding_window": 30\n}\n',
  )
})
