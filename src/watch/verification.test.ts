/** @file The page of a comparison: as it is, with hostile names, and with values that are not finite. */
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Comparison, Verification } from '../verify/index.ts'
import {
  requireVerificationPlace,
  verificationHtml,
  widest,
  worstTensors,
  writeVerification,
} from './verification.ts'

const made = new Date('2026-11-23T12:00:00Z')
const zero = { cosine: 1, relativeError: 0, maxAbsolute: 0, distance: 0, norm: 1 }

const comparison: Comparison = {
  name: 'there',
  description: 'a runtime, 2 threads',
  verdict: 'different',
  steps: [1, 2, 3].map((step) => ({
    step,
    loss: [4 - step, (4 - step) * (1 + 10 ** (step - 6))] as const,
    gradNorm: [1, 1] as const,
    learningRate: [1e-3, 1e-3] as const,
    data: ['aa', 'aa'] as const,
  })),
  gradients: [],
  states: [],
  tensors: [
    {
      kind: 'gradient',
      name: 'model.layers.0.mlp.up_proj.weight',
      layer: 0,
      cosine: 0.5,
      relativeError: 1.25,
      maxAbsolute: 0.01,
      step: 2,
      first: zero,
      last: zero,
    },
  ],
  criteria: [
    {
      id: 'strict-loss',
      title: 'loss, each step',
      source: { name: 'regauge', address: 'src/verify/criteria.ts' },
      role: 'strict',
      rule: 'all',
      verdict: 'fail',
      measures: [{ name: 'rel', limit: 1e-5, inclusive: true, value: 1e-3, spread: 0 }],
    },
  ],
  departure: { step: 2, cause: 'forward', layer: 0, message: 'the loss of step 2 is 2.0002 instead of 2' },
}

const verification: Verification = {
  mode: 'runtimes',
  title: 'books',
  verdict: 'different',
  reference: { name: 'here', description: 'a runtime, 1 thread' },
  comparisons: [comparison],
  spread: [{ ...comparison, name: 'here, again', tensors: [], steps: comparison.steps.slice(0, 1) }],
  begun: 'first weights of seed 1',
  settings: [],
  notes: ['a note'],
  machine: undefined,
  version: '1.0.0',
}

/** Without the style and the script, which all pages share. */
const bodyOf = (page: string): string => /<main>\n(.*)\n<\/main>/s.exec(page)![1]!

it('is as it was', async () => {
  const body = bodyOf(verificationHtml(verification, made)).replace(/ on \d{4}-[\d: -]+\./, '.')
  await expect(body).toMatchFileSnapshot(join(import.meta.dirname, '../../test/golden/verification.html'))
})

it('lets no name become part of the page, and needs nothing from elsewhere', () => {
  const hostile = `</script><script>alert(1)</script><!--"'&`
  const page = verificationHtml(
    {
      ...verification,
      mode: 'runs',
      title: hostile,
      comparisons: [{ ...comparison, name: hostile, description: hostile, stopped: hostile }],
      settings: [{ key: hostile, reference: null, other: hostile }],
      notes: [hostile],
    },
    made,
  )
  expect(page.match(/<script/g)).toHaveLength(2)
  expect(page).not.toContain('<!--')
  expect(page).not.toMatch(/(src|href)=|url\(|@import/)
})

it('shows runs that have parted for good, and one runtime alone', () => {
  const lost = {
    ...comparison,
    steps: [...comparison.steps, { ...comparison.steps[0]!, step: 4, loss: [1, Number.NaN] as const }],
    tensors: [{ ...comparison.tensors[0]!, relativeError: Number.NaN, cosine: Number.NaN }],
  }
  const page = verificationHtml({ ...verification, comparisons: [lost] }, made)
  expect(page).toContain('values were not finite and are gaps')
  expect(page).toContain('not finite')
  const alone = verificationHtml({ ...verification, verdict: 'same', comparisons: [] }, made)
  expect(alone).toContain('here against itself')
})

it('tells the tensors that are furthest apart, and how far', () => {
  const tensor = comparison.tensors[0]!
  const tensors = [tensor, { ...tensor, relativeError: Number.NaN }, { ...tensor, relativeError: 0 }]
  const found = worstTensors({ ...comparison, tensors }, 5)
  expect(found.map(({ relativeError }) => relativeError)).toEqual([Number.NaN, 1.25])
  expect(widest(comparison)).toEqual({ loss: expect.closeTo(1e-3), gradNorm: 0, gradients: 1.25 })
  expect(widest({ ...comparison, tensors }).gradients).toBeNaN()
})

describe('the place of the page', () => {
  const folder = mkdtempSync(join(tmpdir(), 'regauge-page-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string): string => join(folder, name)

  it('is refused where a file lies that regauge did not write, and where nothing can be written', () => {
    writeFileSync(at('run.yaml'), 'name: books\n')
    expect(() => requireVerificationPlace(at('run.yaml'))).toThrow(
      expect.objectContaining({
        kind: 'usage',
        message: `${at('run.yaml')}  is there and regauge did not write it: choose another place for the page, or remove the file`,
      }),
    )
    for (const [path, code] of [
      [folder, 'EISDIR'],
      [at('none/page.html'), 'ENOENT'],
      [at('run.yaml/page.html'), 'ENOTDIR'],
    ] as const) {
      const refused = expect.objectContaining({ kind: 'environment', message: expect.stringContaining(code) })
      expect(() => requireVerificationPlace(path)).toThrow(refused)
      expect(() => writeVerification(verification, path)).toThrow(refused)
    }
    expect(readdirSync(folder)).toEqual(['run.yaml'])
  })

  it('may hold an older page, or a link to one, which stays a link', () => {
    writeVerification(verification, at('page.html'))
    symlinkSync('page.html', at('link.html'))
    writeFileSync(
      at('page.html'),
      '<!DOCTYPE html><meta charset="utf-8"><meta name="generator" content="regauge 0.0.1">',
    )
    requireVerificationPlace(at('link.html'))
    writeVerification(verification, at('link.html'))
    expect(lstatSync(at('link.html')).isSymbolicLink()).toBe(true)
    expect(readFileSync(at('page.html'), 'utf8')).toContain('there')
  })

  it.runIf(process.platform === 'linux')('may be a device, which stays one', () => {
    requireVerificationPlace('/dev/full')
    expect(() => writeVerification(verification, '/dev/full')).toThrow(/cannot be written \(ENOSPC\)/)
    expect(lstatSync('/dev/full').isCharacterDevice()).toBe(true)
  })
})
