/** @file Names of other tools: each leads to a key that is there, from the run file and from `--set` alike. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatIssue, RegaugeError } from '../../errors.ts'
import { expectedAt, schemasAt } from '../../formats/index.ts'
import { loadRun } from './load.ts'
import { knownName, nearName, OTHER_NAMES, settingHint } from './other-names.ts'
import { runSchema } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'names-'))
const GOOD = 'model: {preset: tiny}\ntokenizer: {train: {}}\ndata: {train: a.txt}\n'
const STEPS = 'train: {steps: 100}\n'

async function problems(text: string, set: string[] = []): Promise<string[]> {
  const path = join(folder, 'run.yaml')
  writeFileSync(path, text)
  try {
    await loadRun(path, { set })
    return []
  } catch (error) {
    if (!(error instanceof RegaugeError)) throw error
    return error.issues.map((issue) => formatIssue(issue).replace(/^\S+ +/, ''))
  }
}

describe('OTHER_NAMES', () => {
  it('names keys that are there, and values that they take', () => {
    for (const { here, value, say, names } of OTHER_NAMES) {
      expect(names.length).toBeGreaterThan(0)
      expect([names[0], here ?? say]).toEqual([names[0], expect.any(String)])
      if (here === undefined) continue
      expect([here, schemasAt(runSchema, here.split('.')).length > 0]).toEqual([here, true])
      if (value !== undefined) expect(expectedAt(runSchema, here.split('.'))).toContain(value)
    }
  })

  it('has each name once, and none that is a key already', () => {
    const plain = (name: string) => name.replaceAll('_', '')
    const all = OTHER_NAMES.flatMap(({ names }) => names)
    expect(new Set(all.map(plain)).size).toBe(all.length)
    const ours = ({ keys: [key] }: { keys: readonly string[] }) => key?.split('.').at(-1)?.toLowerCase()
    for (const name of all) expect([name, ours(knownName(name)!) === plain(name)]).toEqual([name, false])
  })

  it('leads from every name to its key: at the top of the file, in a section, and by --set', async () => {
    for (const { here, say, names } of OTHER_NAMES) {
      for (const name of names) {
        for (const found of [
          await problems(`${GOOD}${STEPS}${name}: 1\n`),
          await problems(`${GOOD}train: {steps: 100, ${name}: 1}\n`),
          await problems(GOOD + STEPS, [`${name}=1`]),
          await problems(GOOD + STEPS, [`optimizer.${name}=1`]),
        ]) {
          expect(found).toHaveLength(1)
          // by its full name, or by its own in the section that it is of
          const target = here?.startsWith('train.') ? here.slice('train.'.length) : here
          expect(found[0]).toContain(target ?? say!)
        }
      }
    }
  })
})

describe('hints', () => {
  it.each([
    ['learningRate', 'write --set optimizer.learningRate=1'],
    ['optimizer.lr', 'write --set optimizer.learningRate=1'],
    ['learning_rate', 'write --set optimizer.learningRate=1'],
    ['Train.Batch-Size', 'write --set train.batchSize=1'],
    ['micro_batch_size', 'write --set train.microBatchSize=1'],
    ['base_model', 'write --set model.from=... (a folder on this machine)'],
    ['datasets', 'write --set data.train=... (files, folders or globs)'],
    ['hidden_size', 'write --set model.overrides.hidden_size=1'],
    [
      'everySteps',
      'write --set evaluate.everySteps=1, --set checkpoint.everySteps=1 or --set log.everySteps=1',
    ],
    ['bf16', 'write --set train.precision=bfloat16'],
    ['compile', 'every step is compiled; leave it out'],
  ])('--set %s', async (key, hint) => {
    expect(await problems(GOOD + STEPS, [`${key}=1`])).toEqual([expect.stringMatching(/unknown key/)])
    expect((await problems(GOOD + STEPS, [`${key}=1`]))[0]).toContain(`: ${hint}`)
  })

  it.each([
    ['lr: 1', 'it is optimizer.learningRate here'],
    ['fp16: true', 'it is train.precision: float16 here'],
    ['learningRate: 1', 'it belongs in optimizer'],
    ['learning_rate: 1', 'it is optimizer.learningRate here'],
    ['learning_rat: 1', 'did you mean optimizer.learningRate?'],
    ['beta1: 0.9', 'it is optimizer.betas (a list of both, such as [0.9, 0.95]) here'],
    ['base_modle: x', 'did you mean model.from (a folder on this machine)?'],
    ['xyzzy: 1', 'keys here are $schema, name'],
  ])('%s', async (line, hint) => {
    const [problem] = await problems(`${GOOD}${STEPS}${line}\n`)
    expect(problem).toContain(`: ${hint}`)
  })

  it('do not guess from few letters', () => {
    expect(nearName('lx')).toBeUndefined()
    expect(settingHint(nearName('learning_rat')!, '2')).toBe('write --set optimizer.learningRate=2')
  })
})

it('numbers by --set take suffixes, and a file says how to write them', async () => {
  const path = join(folder, 'run.yaml')
  writeFileSync(path, GOOD + STEPS)
  const { run } = await loadRun(path, { set: ['train.tokens=1.5M', 'evaluate.samples=["1k"]', 'name=2k'] })
  expect([run.train.tokens, run.evaluate.samples, run.name]).toEqual([1_500_000, ['1k'], '2k'])
  expect(await problems(`${GOOD}train: {tokens: 10M}\n`)).toEqual([
    'train.tokens must be a whole number, got "10M": write 10000000, without quotes or separators',
  ])
})
