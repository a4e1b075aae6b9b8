import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { pageHtml } from './page.ts'
import { requirePlace, samePlace, writePlaced, writeWhole } from './place.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'regauge-place-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string) => join(folder, name)
const page = pageHtml('a page', '0.0.1', { html: '' }, [])
const file = (path: string, text = page) => ({ path, text, hint: 'go elsewhere' })

it.each([
  ['a page', page],
  ['a trace', '{"otherData":{"generator":"regauge 0.1.0"},"displayTimeUnit":"ms","traceEvents":[\n\n]}\n'],
  ['nothing', ''],
])('writes over %s', (_, text) => {
  writeFileSync(at('a'), text)
  writePlaced([file(at('a'), 'new')])
  expect(readFileSync(at('a'), 'utf8')).toBe('new')
})

it.each([
  ['another page', '<!doctype html><title>mine</title>'],
  ['another trace', '{"displayTimeUnit":"ms","traceEvents":[]}'],
  ['a model', '{"model_type":"llama"}'],
  ['what tells of regauge further on', `{"text":${JSON.stringify(page)}}`],
  ['bytes', '\0\0\0'],
])('refuses to write over %s', (_, text) => {
  writeFileSync(at('a'), text)
  const refused = expect.objectContaining({
    kind: 'usage',
    message: `${at('a')}  is there and regauge did not write it: go elsewhere, or remove the file`,
  })
  symlinkSync('a', at('link'))
  expect(() => requirePlace(at('a'), 'go elsewhere')).toThrow(refused)
  expect(() => writePlaced([file(at('b')), file(at('a'))])).toThrow(refused)
  expect(() => requirePlace(at('link'), 'go elsewhere')).toThrow('regauge did not write it')
  expect(readFileSync(at('a'), 'utf8')).toBe(text)
  expect(readdirSync(folder)).toEqual(['a', 'link'])
})

it('writes all or none', () => {
  expect(() => writeWhole([file(at('a')), file(at('none/b'))])).toThrow(/b {2}cannot be written \(ENOENT\)/)
  expect(() => writeWhole([file(at('a')), file(at('b'.repeat(300)))])).toThrow('ENAMETOOLONG')
  expect(readdirSync(folder)).toEqual([])
})

it('keeps links and permissions', () => {
  writeFileSync(at('a'), page)
  chmodSync(at('a'), 0o600)
  symlinkSync('a', at('link'))
  writePlaced([file(at('link'))])
  expect(lstatSync(at('link')).isSymbolicLink()).toBe(true)
  expect(statSync(at('a')).mode & 0o777).toBe(0o600)
})

it('refuses links to nothing, loops, and folders that are not there', () => {
  symlinkSync('nothing', at('dangling'))
  symlinkSync('loop', at('loop'))
  for (const [path, code] of [
    ['dangling', 'ENOENT'],
    ['loop', 'ELOOP'],
    ['new/', 'ENOENT'],
  ] as const) {
    expect(() => requirePlace(at(path), 'go elsewhere')).toThrow(`cannot be written (${code})`)
    expect(() => writePlaced([file(at(path))])).toThrow(`cannot be written (${code})`)
  }
})

it('knows one place by two paths', () => {
  symlinkSync('.', at('here'))
  expect(samePlace(at('a'), at('here/a'))).toBe(true)
  expect(samePlace(at('a'), at('b'))).toBe(false)
  expect(samePlace('/dev/null', '/dev/null')).toBe(false)
  expect(samePlace(at('none/a'), at('none/a'))).toBe(false)
})
