/** @file Records of settings: what decides numbers, what older and newer versions wrote, and what is refused. */
import { describe, expect, test } from 'vitest'
import { RegaugeError } from '../../errors.ts'
import { PRESETS, readArchitecture } from '../../model/index.ts'
import { completeRun, plannedSteps, type Run } from '../run/index.ts'
import { changedSettings, exactSettings, ROWS, requireSameSettings } from './exactness.ts'
import type { ExactSettings } from './files.ts'

function recordOf(extra: Partial<Run> = {}): ExactSettings {
  const run = completeRun({
    model: { preset: 'nano' },
    tokenizer: { train: { vocabSize: 300 } },
    data: { train: 'text' },
    train: { tokens: 100_000 },
    ...extra,
  })
  const architecture = readArchitecture({ ...PRESETS.nano, vocab_size: 300 })
  const contents = { tokenizer: 'a hash', trainingTokens: 'another' }
  return exactSettings(run, architecture, plannedSteps(run, 1000), contents)
}

function refusal(saved: ExactSettings, now: ExactSettings): RegaugeError | undefined {
  try {
    requireSameSettings({ settings: saved, version: '9.9' }, now, 'runs/one')
    return undefined
  } catch (error) {
    if (!(error instanceof RegaugeError)) throw error
    return error
  }
}

describe('a record', () => {
  test('leaves out what decides no number', () => {
    const same: Partial<Run> = { name: 'other', evaluate: { everySteps: 7 }, checkpoint: { everySteps: 9 } }
    expect(recordOf(same)).toEqual(recordOf())
  })

  test('of a constant rate is that of a longer run', () => {
    const constant = (steps: number) =>
      recordOf({ schedule: { kind: 'constant', warmupSteps: 9 }, train: { steps } })
    expect(constant(2000)).toEqual(constant(1000))
    expect(changedSettings(recordOf(), recordOf({ train: { steps: 99 } })).map(({ key }) => key)).toContain(
      'train.steps',
    )
  })

  test('tells null from a value that is not there', () => {
    const record = recordOf({ optimizer: { clipNorm: null } })
    expect(record['optimizer.clipNorm']).toBeNull()
    expect(refusal(record, recordOf())?.message).toContain('optimizer.clipNorm was null when')
  })
})

describe('a setting that older records lack', () => {
  const since = [...ROWS].flatMap(([key, { before }]) =>
    before === undefined ? [] : [[key, before] as const],
  )

  test('has a value for runs of before, where it came after the first version', () => {
    const later = [...ROWS].filter(([, row]) => row.since > 1 && row.before === undefined && !row.absent)
    expect(later.map(([key]) => key)).toEqual([])
    expect(since.map(([key]) => key)).toContain('train.precision')
  })

  test.each(since)('%s: is left out at its value of before, so that records stay what they were', (key) => {
    expect(recordOf()).not.toHaveProperty([key])
  })

  test.each(since)('%s: resumes at that value, and is refused at another', (key, before) => {
    const value =
      typeof before === 'object' && before !== null
        ? JSON.stringify(before)
        : (before as ExactSettings[string])
    expect(refusal(recordOf(), { ...recordOf(), [key]: value })).toBeUndefined()
    expect(refusal(recordOf(), { ...recordOf(), [key]: 'another' })?.message).toContain(
      `${key} was ${value} when this run began and is another now`,
    )
  })
})

describe('requireSameSettings', () => {
  test('names both values of each setting that changed, and says once what to do', () => {
    const error = refusal(recordOf(), recordOf({ seed: 2, train: { tokens: 100_000, batchSize: 8 } }))!
    expect(error.kind).toBe('usage')
    expect(error.message.split('\n')[0]).toBe('runs/one  seed was 1 when this run began and is 2 now')
    expect(error.issues.length).toBeGreaterThan(2)
    expect(error.message.match(/change .* back to resume/g)).toEqual(['change these back to resume'])
    expect(error.issues.at(-1)!.hint).toContain('change these back to resume, or give the run another name')
  })

  test('refuses a record with settings that only a newer version knows', () => {
    const error = refusal({ ...recordOf(), 'optimizer.warp': 9 }, recordOf())!
    expect(error.kind).toBe('environment')
    expect(error.message).toContain('begun by a newer regauge: its checkpoint has optimizer.warp, unknown')
    expect(error.message).toContain('use the version of regauge that wrote it ("9.9")')
  })
})
