/** @file A run that is killed on one runtime and goes on on another is still the same run. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readHistory } from '../src/train/log/history.ts'
import { missingRuntime } from './runtimes.ts'
import { openWorkplace } from './workplace.ts'

const missing = missingRuntime('webgpu')
if (missing !== undefined) console.warn(`skipped: ${missing}`)

const { at, regauge, start } = openWorkplace()

/** 300 steps of a model that a software device trains in a sixth of a second a step. */
const RUN = [
  'model.preset=nano',
  'model.overrides={hidden_size: 32, num_hidden_layers: 1, intermediate_size: 64, num_attention_heads: 2, num_key_value_heads: 1, initializer_range: 0.08}',
  'tokenizer.train.vocabSize=300',
  'data.heldout={fraction: 0.2}',
  'data.sequenceLength=16',
  'train.steps=300',
  'train.batchSize=4',
  'train.microBatchSize=2',
  'optimizer.learningRate=3e-3',
  'evaluate.everySteps=1000',
  'checkpoint.everySteps=100',
].flatMap((setting) => ['--set', setting])

/** Trains until the checkpoint of a step is written, then kills the process. */
async function killedAt(step: number, ...words: string[]): Promise<void> {
  const { child, ended, until } = start('train', ...words)
  await until(new RegExp(`checkpoint step=${step} `))
  child.kill('SIGKILL')
  await ended
}

const lossesOf = async (name: string) => {
  const { steps } = await readHistory(at('runs', name, 'events.jsonl'))
  return steps.map(({ loss }) => loss)
}

describe.skipIf(missing !== undefined)('a run on two runtimes', () => {
  test('killed on one, gone on with on the other and back, follows the run that stayed', {
    timeout: 900_000,
  }, async () => {
    expect((await regauge('init', '--data', 'text')).code).toBe(0)
    expect((await regauge('train', '--set', 'name=stayed', ...RUN, '--on', 'cpu')).code).toBe(0)

    await killedAt(100, '--set', 'name=moved', ...RUN, '--on', 'cpu')
    await killedAt(200, 'runs/moved', '--on', 'webgpu')
    const { code, out, err } = await regauge('train', 'runs/moved', '--on', 'cpu')
    expect(code, err).toBe(0)
    expect(out).toMatch(/^move step=200 from=".*webgpu.*" to=".*cpu.*"/m)

    const { moves, starts } = await readHistory(at('runs/moved/events.jsonl'))
    expect(moves.map(({ step }) => step)).toEqual([100, 200])
    expect(starts.map(({ startStep, machine }) => [startStep, machine.runtime.split(', ')[1]])).toEqual([
      [0, 'cpu'],
      [100, 'webgpu'],
      [200, 'cpu'],
    ])
    const [stayed, moved] = [await lossesOf('stayed'), await lossesOf('moved')]
    expect(moved).toHaveLength(300)
    expect(moved.slice(0, 100)).toEqual(stayed.slice(0, 100))
    // it was another processor that did them
    expect(moved.slice(100)).not.toEqual(stayed.slice(100))
    const worst = Math.max(...stayed.map((loss, i) => Math.abs(moved[i]! - loss) / loss))
    console.log(`300 steps over two moves: loss within ${worst.toExponential(1)} of the run that stayed`)
    expect(worst).toBeLessThan(1e-5)
  })

  test('stays where it was unless it is told to move', { timeout: 240_000 }, async () => {
    await regauge('train', '--set', 'name=there', ...RUN, '--set', 'train.steps=2', '--on', 'webgpu')
    const state = JSON.parse(readFileSync(at('runs/there/checkpoints/step-00000002/state.json'), 'utf8'))
    expect(state.runtime).toMatch(/, webgpu$/)
    const written = await regauge(
      'sample',
      'runs/there',
      'The',
      '--on',
      'webgpu',
      '--tokens',
      '3',
      '--temperature',
      '0',
    )
    const here = await regauge('sample', 'runs/there', 'The', '--tokens', '3', '--temperature', '0')
    expect(written).toMatchObject({ code: 0, out: here.out })
  })
})

test('a runtime that is not known, and a device that is not there, are one clear error each', async () => {
  expect(await regauge('eval', 'nowhere', '--on', 'webgp')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/unknown runtime "webgp", did you mean "webgpu"\?/),
  })
  expect(await regauge('eval', 'nowhere', '--on', 'cuda:x')).toMatchObject({
    code: 2,
    err: expect.stringContaining('"cuda:x" is not a device'),
  })
})
