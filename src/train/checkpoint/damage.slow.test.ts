/** @file What was damaged in the folder of a run that goes on: made good, or refused, and never lost. */
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bits, fails, openRuns, STEPS, type Started, textOf } from '../../../test/whole-runs.ts'
import { readHistory } from '../log/history.ts'

const { place, start, stopped } = openRuns()

let reference: Started
beforeAll(async () => {
  reference = await start('reference')
})

describe('damage', () => {
  test('of every checkpoint: it does not start anew, and nothing is deleted', async () => {
    const { folder, checkpoint } = await stopped('damaged-checkpoints', 3)
    truncateSync(join(checkpoint!, 'model.safetensors'), 1000)
    for (let time = 0; time < 2; time++) {
      const error = await fails(start('damaged-checkpoints'))
      expect([error.kind, error.message]).toEqual([
        'data',
        expect.stringMatching(/none of the 1 checkpoints of this run is whole: put a good copy back/),
      ])
    }
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000003.damaged'])
  })

  test('of the newest checkpoint: the one before is used, and the end is the same', async () => {
    const { folder } = await stopped('damaged-checkpoint', 18)
    truncateSync(join(folder, 'checkpoints', 'step-00000018', 'optimizer.safetensors'), 1000)
    const again = await start('damaged-checkpoint')
    expect(again.notes).toMatch(
      /the checkpoint of step 18 is damaged .*optimizer.safetensors.*has 1000 bytes/,
    )
    expect(again.notes).toMatch('going on from the good checkpoint of step 16')
    expect(await bits(again)).toEqual(await bits(reference))
  })

  test.each([
    [
      'a flipped bit',
      (file: string) =>
        writeFileSync(
          file,
          readFileSync(file).map((byte, i) => (i === 50 ? byte ^ 1 : byte)),
        ),
    ],
    ['a cut', (file: string) => truncateSync(file, 100)],
    ['a missing file', (file: string) => rmSync(file)],
  ])('of a token shard (%s): it is made again, and the end is the same', async (what, damage) => {
    const name = `shard-${what.split(' ').at(-1)}`
    const { folder } = await stopped(name, 9)
    damage(join(folder, 'data', 'train.bin'))
    const again = await start(name)
    expect(again.notes).toMatch('the token shards are made again')
    expect(await bits(again)).toEqual(await bits(reference))
  })

  test('of a token shard whose text has changed since: refused', async () => {
    const texts = join(place, 'text-2')
    cpSync(join(place, 'text'), texts, { recursive: true })
    const data = { train: texts, heldout: { fraction: 0.2 }, sequenceLength: 16 }
    const { folder } = await stopped('shard-changed', 9, { data })
    rmSync(join(folder, 'data'), { recursive: true })
    for (const name of readdirSync(texts)) writeFileSync(join(texts, name), `other ${textOf(99)}`)
    const error = await fails(start('shard-changed', { data }))
    expect(error.message).toMatch('training tokens (SHA-256) was')
  })

  test('of the tokenizer: the one of the checkpoint is put back', async () => {
    const { folder } = await stopped('tokenizer', 9)
    truncateSync(join(folder, 'tokenizer.json'), 200)
    const again = await start('tokenizer')
    expect(again.notes).toMatch("tokenizer.json of the run was changed; the checkpoint's is put back")
    expect(await bits(again)).toEqual(await bits(reference))
  })

  test('of the event log: the half-written line is cut off', async () => {
    const { folder } = await stopped('log', 9)
    const log = join(folder, 'events.jsonl')
    truncateSync(log, readFileSync(log).length - 20)
    const again = await start('log')
    expect(again.state).toBe('finished')
    const history = await readHistory(log)
    expect(history.steps).toHaveLength(STEPS)
    expect(history.notes.map(({ message }) => message).join()).toMatch('half-written line')
  })
})
