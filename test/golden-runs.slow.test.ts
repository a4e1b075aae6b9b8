/** @file Runs that released versions began are read and gone on with: test/golden/runs/<version>/, by scripts/golden-run.mjs. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { ROWS } from '../src/train/checkpoint/exactness.ts'
import { newestCheckpoint } from '../src/train/checkpoint/files.ts'
import { readHistory } from '../src/train/index.ts'
import { type Verification, verifyRuns } from '../src/verify/index.ts'
import { command } from './command.ts'

const GOLDEN = join(import.meta.dirname, 'golden/runs')
/** Versions of the list of settings, by the release that had it. */
const LISTS: Readonly<Record<string, number>> = { '0.1.0': 1 }

const place = mkdtempSync(join(tmpdir(), 'golden-runs-'))
afterAll(() => rmSync(place, { recursive: true, force: true }))

describe.each(readdirSync(GOLDEN))('a run begun by %s', (version) => {
  const at = join(place, version)
  const file = join(at, 'run.yaml')
  const folder = join(at, 'golden')
  const reference = join(at, 'reference')
  cpSync(join(GOLDEN, version), at, { recursive: true })
  /** What a command says; it must succeed. */
  const says = async (...words: string[]): Promise<string> => {
    const { code, out, err } = await command(words)
    expect(err).not.toMatch(/damaged|error/)
    expect({ code, err }).toMatchObject({ code: 0 })
    return out
  }

  test('has every setting that its list has a row of, and no other', async () => {
    const checkpoint = await newestCheckpoint(join(folder, 'checkpoints'), expect.fail, 'passed over')
    const listed = [...ROWS].filter(
      ([, { since, before, absent }]) =>
        since <= LISTS[version]! && before === undefined && absent === undefined,
    )
    expect(listed.map(([key]) => key)).toEqual(Object.keys(checkpoint!.state.settings))
  })

  test('is shown, checked, sampled from and evaluated', async () => {
    const { steps } = await readHistory(join(folder, 'events.jsonl'))
    const done = steps.at(-1)!.step
    expect(JSON.parse(await says('runs', 'show', folder, '--json'))).toMatchObject({
      state: 'stopped',
      id: 'golden',
    })
    expect(await says('runs', 'show', folder)).toContain(`${done} of `)
    expect(JSON.parse(await says('check', file, '--json'))).toMatchObject({ startStep: done })
    expect((await says('sample', folder, 'rail', '--tokens', '8')).length).toBeGreaterThan('rail'.length)
    const { loss } = JSON.parse(await says('eval', folder, '--json')) as { loss: number }
    // what it has learnt so far: less than a guess among all tokens, which the run began with
    expect(loss).toBeLessThan(steps[0]!.loss)
  })

  test('is refused with other settings, told once', async () => {
    const words = ['train', file, '--set', 'seed=2', '--set', 'optimizer.clipNorm=2']
    const { code, out, err } = await command(words)
    expect(code).toBe(2)
    expect(`${out}${err}`.match(/seed was 1 when this run began and is 2 now/g)).toHaveLength(1)
    expect(`${out}${err}`.match(/back to resume/g)).toHaveLength(1)
  })

  test('goes on to its end, as that version went', async () => {
    await says('train', file, '--threads', '1')
    const [own, released] = [
      await readHistory(join(folder, 'events.jsonl')),
      await readHistory(join(reference, 'events.jsonl')),
    ]
    expect(own.steps.map(({ step }) => step)).toEqual(released.steps.map(({ step }) => step))
    // the same batches, schedule and arithmetic: loss within 1e-5 of a float32 run's, gradient norm within 1e-3
    const result: Verification = await verifyRuns(reference, folder)
    expect(result.comparisons[0]!.departure).toBeUndefined()
    expect(result.verdict).toBe('same')
    expect(await says('verify', reference, folder)).toContain('same')
    // a mean of losses is as near as they are
    const [loss, then] = [own.summary!.heldoutLoss!, released.summary!.heldoutLoss!]
    expect(Math.abs(loss / then - 1)).toBeLessThan(1e-5)
  })
})
