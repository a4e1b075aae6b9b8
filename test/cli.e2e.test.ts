/** @file The command from end to end, as processes over the build: from a run file to a report; stops and resumes. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { openWorkplace, SMALL, TIMEOUT } from './workplace.ts'

const CHROMIUM = '/usr/bin/chromium'
const { at, start, regauge, newest } = openWorkplace()

/** Losses of the step lines that a run printed, first to last. */
function losses(out: string): number[] {
  return [...out.matchAll(/^step=.* loss=(\S+)/gm)].map((match) => Number(match[1]))
}

beforeAll(async () => {
  expect(await regauge('init', '--data', 'text', '--name', 'tiny')).toMatchObject({ code: 0, out: '' })
}, TIMEOUT)

describe('a run from its file to its report', () => {
  test('check tells what it will take', { timeout: TIMEOUT }, async () => {
    const { code, out, err } = await regauge('check', ...SMALL)
    expect([code, err]).toEqual([0, ''])
    for (const row of ['parameters  82.2k', 'batch       4 x 32 tokens', 'activations', 'checkpoint', 'time'])
      expect(out).toContain(row)
    const plan = JSON.parse((await regauge('check', ...SMALL, '--json')).out) as Record<string, unknown>
    expect(plan).toMatchObject({ name: 'tiny', parameters: 82_240, steps: 30, tokens: 3840 })
    expect(existsSync(at('runs'))).toBe(false)
  })

  test('train learns, in lines of key=value, and says where model and report are', {
    timeout: TIMEOUT,
  }, async () => {
    const { code, out, err } = await regauge('train', ...SMALL)
    expect(code).toBe(0)
    expect(out + err).not.toContain('\u001b')
    for (const line of out.trimEnd().split('\n'))
      expect(line).toMatch(/^([a-z]+ )?\w+=("(\\.|[^"\\])*"|\S+)( |$)/)
    expect(losses(out)[0]).toBeGreaterThan(5)
    expect(losses(out).at(-1)).toBeLessThan(3)
    expect(out.match(/^sample step=\d+ prompt="The river" text="/gm)).toHaveLength(3)
    expect(err).toContain('parameters  82.2k')
    expect(err).toContain(`model: ${newest('runs/tiny')}\n`)
    expect(err).toContain(`report: ${at('runs/tiny/report.html')}\n`)
  })

  test('runs list and runs show tell the same figures, also as JSON', { timeout: TIMEOUT }, async () => {
    expect((await regauge('runs', 'list')).out).toMatch(/^tiny +finished +30\/30 /m)
    const [listed] = JSON.parse((await regauge('runs', 'list', '--json')).out) as { loss: number }[]
    expect(listed).toMatchObject({ id: 'tiny', state: 'finished', step: 30, parameters: 82_240 })
    const shown = JSON.parse((await regauge('runs', 'show', 'tiny', '--json')).out) as { figures: object }
    expect(shown.figures).toMatchObject({ step: 30, loss: listed!.loss })
  })

  test('sample continues a text, the same for the same seed', { timeout: TIMEOUT }, async () => {
    const words = ['sample', 'runs/tiny', 'The river', '--tokens', '12']
    const { code, out, err } = await regauge(...words)
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^The river.+/)
    const json = JSON.parse((await regauge(...words, '--json')).out) as { prompt: string; text: string }
    expect(`${json.prompt}${json.text}\n`).toBe(out)
  })

  test('eval measures what training measured last', { timeout: TIMEOUT }, async () => {
    const { code, out } = await regauge('eval', 'runs/tiny')
    expect(code).toBe(0)
    const bits = Number(out.match(/^loss=\S+ bitsPerByte=(\S+) tokens=\d+\n$/)![1])
    const log = readFileSync(at('runs/tiny/events.jsonl'), 'utf8').trimEnd().split('\n')
    const events = log.map((line) => JSON.parse(line) as { type: string; bitsPerByte: number })
    expect(bits).toBeCloseTo(events.findLast(({ type }) => type === 'summary')!.bitsPerByte, 2)
    const json = JSON.parse(
      (await regauge('eval', 'runs/tiny', '--data', 'text/0.txt', '--json')).out,
    ) as object
    expect(json).toMatchObject({ loss: expect.any(Number), bitsPerByte: expect.any(Number) })
  })

  test('train on a finished run leaves it as it is', { timeout: TIMEOUT }, async () => {
    const before = statSync(join(newest('runs/tiny'), 'model.safetensors')).mtimeMs
    const { code, out } = await regauge('train', 'runs/tiny', '--json')
    expect(code).toBe(0)
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string })
    expect(events.at(-1)).toMatchObject({ type: 'state', state: 'finished' })
    expect(events.some(({ type }) => type === 'step')).toBe(false)
    expect(statSync(join(newest('runs/tiny'), 'model.safetensors')).mtimeMs).toBe(before)
  })

  test.skipIf(!existsSync(CHROMIUM))('the report opens in a browser', { timeout: TIMEOUT }, () => {
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${at('chromium')}`]
    const page = ['--dump-dom', `file://${at('runs/tiny/report.html')}`]
    const dom = execFileSync(CHROMIUM, [...flags, ...page], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    for (const text of ['<h1>tiny</h1>', 'How it learned', '<path', 'The river', 'hidden_size: 64'])
      expect(dom).toContain(text)
  })
})

describe('the first run of a newcomer: one small file, in a folder with signs in its name', () => {
  const home = 'my [runs] {a,b}'
  const file = join(home, 'run.yaml')
  const few = [...SMALL, '--set', 'data.heldout.fraction=0.01', '--set', 'train.steps=5']

  test('is begun, checked and trained by the default split', { timeout: TIMEOUT }, async () => {
    mkdirSync(at(home))
    writeFileSync(at(home, 'one.txt'), readFileSync(at('text/0.txt'), 'utf8').repeat(4))
    expect(await regauge('init', file, '--data', 'one.txt', '--name', 'first')).toMatchObject({ code: 0 })
    const told = /the text is one document: the last \d+ characters of .*one\.txt are held out, the rest is/
    const check = await regauge('check', file, ...few)
    expect([check.code, check.out]).toEqual([0, expect.stringMatching(told)])
    const { code, out } = await regauge('train', file, ...few)
    expect([code, out]).toEqual([0, expect.stringMatching(told)])
    expect(out).toMatch(/^summary step=5 .* heldoutLoss=\d/m)
    expect(out).not.toContain('less than one batch')
  })

  test('takes globs beneath that folder', { timeout: TIMEOUT }, async () => {
    const words = [file, ...few, '--set', 'name=glob', '--set', 'data.train=*.t[x]t']
    expect(await regauge('check', ...words)).toMatchObject({ code: 0 })
  })

  test('of less text than a batch goes on, and says so', { timeout: TIMEOUT }, async () => {
    const words = [file, ...few, '--set', 'name=little', '--set', 'train.batchSize=256']
    const told = /the training text has \d+ tokens, less than one batch: 256 sequences of 32 make a batch/
    expect((await regauge('check', ...words)).out).toMatch(told)
    const { code, out } = await regauge('train', ...words)
    expect([code, out]).toEqual([0, expect.stringMatching(told)])
    expect(out.search(told)).toBeLessThan(out.search(/^step=1 /m))
  })
})

describe('a run that is stopped', () => {
  const words = [
    'train',
    ...SMALL,
    '--set',
    'name=long',
    '--set',
    'schedule={kind: constant, warmupSteps: 0}',
  ]
  const steps = (count: number): string[] => ['--set', `train.steps=${count}`]
  const stepOf = (folder: string): number => Number(folder.slice(-8))

  test('saves at Ctrl-C and at SIGTERM, ends with 130, and goes on where it was', {
    timeout: TIMEOUT,
  }, async () => {
    const first = start(...words, '--set', 'evaluate.everySteps=1000000', ...steps(1_000_000))
    await first.until(/^step=20 /m)
    first.child.kill('SIGINT')
    const stopped = await first.ended
    expect(stopped.code).toBe(130)
    const at1 = stepOf(newest('runs/long'))
    expect(at1).toBeGreaterThanOrEqual(20)
    expect(stopped.err).toContain('saving, then stopping; Ctrl-C again stops now without saving\n')
    expect(stopped.err).toContain(`stopped at step ${at1} of 1000000; to go on: regauge train runs/long\n`)
    expect(existsSync(at('runs/long/report.html'))).toBe(true)

    const second = start('train', 'runs/long')
    await second.until(/^step=\d+0 /m)
    second.child.kill('SIGTERM')
    const again = await second.ended
    expect(again.code).toBe(130)
    expect(again.out).toContain(`start startStep=${at1} `)
    const at2 = stepOf(newest('runs/long'))
    expect(at2).toBeGreaterThan(at1)

    const last = await regauge('train', 'runs/long', ...steps(at2 + 10))
    expect(last.code).toBe(0)
    expect(last.out).toContain(`start startStep=${at2} `)
    expect(stepOf(newest('runs/long'))).toBe(at2 + 10)
    expect(losses(last.out).at(-1)).toBeLessThan(losses(stopped.out)[0]! - 1)
  })

  test('a damaged newest checkpoint is passed over, and that is said', { timeout: TIMEOUT }, async () => {
    const folder = newest('runs/long')
    const weights = join(folder, 'model.safetensors')
    appendFileSync(weights, 'x')
    const { code, err, out } = await regauge('sample', 'runs/long', 'The', '--tokens', '3')
    expect([code, out.slice(0, 3)]).toEqual([0, 'The'])
    expect(err).toMatch(/^the checkpoint of step \d+ is damaged and passed over: .*model\.safetensors/)
    expect(existsSync(weights)).toBe(true)
  })
})
