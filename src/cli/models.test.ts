/** @file Models that are found by name, and paths that win over a name. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { modelNames, modelPath } from './models.ts'
import { plannedModel } from './planning.ts'

const folder = mkdtempSync(join(tmpdir(), 'regauge-models-'))
const before = process.cwd()
afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true, force: true })
})

describe('models by name', () => {
  it('each that ships can be planned', async () => {
    expect(modelNames()).toContain('llama-3-70b')
    for (const name of modelNames()) expect(await plannedModel(name)).toMatchObject({ name })
  })

  it('a path that is there wins', () => {
    process.chdir(folder)
    mkdirSync('llama-3-70b')
    expect(modelPath('llama-3-70b')).toBe('llama-3-70b')
    process.chdir(before)
    expect(modelPath('llama-3-70b')).toMatch(/examples.models.llama-3-70b$/)
  })

  it('tells the nearest name, or all of them', () => {
    expect(() => modelPath('llama-3-7b')).toThrow('did you mean llama-3-70b?')
    expect(() => modelPath('phi')).toThrow(`or one of ${modelNames().join(', ')}`)
  })
})
