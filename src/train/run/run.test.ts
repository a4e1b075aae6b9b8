/** @file The run file: what it accepts, what each mistake is told, and that a resolved run loads again. */
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatIssue, RegaugeError } from '../../errors.ts'
import { parseSource } from '../../formats/index.ts'
import { OPTIMIZER_KINDS } from '../../steps/index.ts'
import { defineRun, formatRun, loadRun, plannedSteps, runJsonSchema } from './index.ts'
import { RUN_FILE } from './load.ts'

const folder = mkdtempSync(join(tmpdir(), 'run-'))
const GOOD = 'model: {preset: tiny}\ntokenizer: {train: {}}\ndata: {train: a.txt}\ntrain: {steps: 100}\n'

let counter = 0
function written(text: string | Uint8Array, ending = '.yaml'): string {
  counter += 1
  const path = join(folder, `run${counter}${ending}`)
  writeFileSync(path, text)
  return path
}

/** The problems of a run file as a person sees them, without the folder. */
async function problems(text: string | Uint8Array, set: string[] = [], ending?: string): Promise<string[]> {
  const path = written(text, ending)
  try {
    await loadRun(path, { set })
    return []
  } catch (error) {
    if (!(error instanceof RegaugeError)) throw error
    expect(error.exitCode).toBe(2)
    return error.issues.map((issue) => formatIssue(issue).replace(path, 'run'))
  }
}

describe('loadRun', () => {
  it('fills in defaults and makes paths absolute', async () => {
    const { run } = await loadRun(written(`${GOOD}schedule: {kind: wsd}\n`))
    expect(run.train).toEqual({
      steps: 100,
      batchSize: 16,
      microBatchSize: 16,
      recompute: 'selective',
      precision: 'float32',
    })
    expect(run.tokenizer).toEqual({ train: { vocabSize: 8192, minFrequency: 2 } })
    expect(run.data.train).toBe(join(folder, 'a.txt'))
    expect(run.data.heldout).toEqual({ fraction: 0.01 })
    expect(run.optimizer).toEqual({
      kind: 'adamw',
      learningRate: 1e-3,
      betas: [0.9, 0.95],
      epsilon: 1e-8,
      weightDecay: 0.1,
      clipNorm: 1,
    })
    expect(run.schedule.decaySteps).toBe(0.2)
    expect(run.output).toBe(join(folder, 'runs'))
  })

  it('fills in what goes with the kind of optimizer', async () => {
    const of = async (optimizer: string) =>
      (await loadRun(written(`${GOOD}optimizer: ${optimizer}\n`))).run.optimizer
    expect(await of('{kind: lion}')).toEqual({
      kind: 'lion',
      learningRate: 1e-4,
      betas: [0.9, 0.99],
      weightDecay: 1,
      clipNorm: 1,
    })
    expect(await of('{kind: muon, momentum: 0.9}')).toMatchObject({
      kind: 'muon',
      learningRate: 1e-3,
      momentum: 0.9,
      betas: [0.9, 0.95],
    })
  })

  it('tells an option of another kind of optimizer, and a kind that is none', async () => {
    const of = (optimizer: string) => problems(`${GOOD}optimizer: ${optimizer}\n`)
    expect(await of('{adamwRate: 0.9}')).toEqual([
      'run:5:13  unknown key "adamwRate" in optimizer: it goes with kind: muon',
    ])
    expect(await of('{kind: lion, epsilon: 1e-8, beta: 1}')).toEqual([
      expect.stringContaining(
        'run:5:25  unknown key "epsilon" in optimizer: it goes with kind: adamw or kind:',
      ),
      'run:5:40  unknown key "beta" in optimizer: did you mean "betas"?',
    ])
    expect(await of('{kind: moun}')).toEqual([
      `run:5:19  optimizer.kind must be one of ${OPTIMIZER_KINDS.join(', ')}, got "moun": did you mean "muon"?`,
    ])
    expect(await of('{kind: muon, betas: [0.9, 1]}')).toEqual([
      'run:5:38  optimizer.betas[1] must be less than 1, got 1',
    ])
    expect(await of('sgd')).toEqual([
      expect.stringContaining('optimizer must be a mapping with the keys kind, learningRate'),
    ])
  })

  it('takes the tokenizer of the checkpoint that it goes on from', async () => {
    const { run } = await loadRun(written('model: {from: hf}\ndata: {train: [a, /b]}\ntrain: {epochs: 1}\n'))
    expect(run.tokenizer).toEqual({ file: join(folder, 'hf', 'tokenizer.json') })
    expect(run.data.train).toEqual([join(folder, 'a'), '/b'])
  })

  it('reads JSON, tabs and all', async () => {
    const text = JSON.stringify(
      {
        $schema: 's',
        model: { preset: 'nano' },
        tokenizer: { file: 't' },
        data: { train: 'a' },
        train: { steps: 2 },
      },
      null,
      '\t',
    )
    expect((await loadRun(written(text, '.json'))).run.model.preset).toBe('nano')
  })

  it('reads anchors and merge keys, and places problems through them', async () => {
    const text = `model: {preset: tiny}\ntokenizer: {train: {}}\ndata: {train: a}\ntrain: {steps: 9}\noptimizer: &o\n  learningRate: -1\n`
    expect(await problems(`${text}schedule: {<<: *o}\n`)).toEqual([
      'run:6:3  unknown key "learningRate" in schedule: it belongs in optimizer',
      'run:6:17  optimizer.learningRate must be more than 0, got -1',
    ])
  })

  it('tells every problem at once, each at its place', async () => {
    const text = [
      'name: my run',
      'seed: -1',
      'modle: {}',
      'model:',
      '  preset: tinny',
      '  overrides:',
      '    hiden_size: 3',
      '    hidden_size: 1.5',
      'tokenizer:',
      '  train: {vocabSize: "8_192", heds: 1}',
      'data:',
      '  train: []',
      '  heldout: {fraction: 2}',
      '  sequenceLength: long',
      'train:',
      '  steps: 10',
      '  tokens: 100000',
      '  batchSize: 12',
      '  microBatchSize: 5',
      '  learningRate: 1',
      'schedule:',
      '  kind: cosin',
      'optimizer:',
      '  betas: [0.9]',
      '  clipNorm: off',
      'checkpoint: 5',
    ].join('\n')
    expect(await problems(text)).toEqual(
      [
        'run:1:7  name cannot be "my run": name of the run: letters, digits, dot, dash and underscore. Names its folder',
        'run:2:7  seed must be at least 0, got -1',
        'run:3:1  unknown key "modle": did you mean "model"?',
        'run:5:11  model.preset must be one of nano, tiny, small, base, got "tinny": did you mean "tiny"?',
        'run:7:5  unknown key "hiden_size" in model.overrides: did you mean "hidden_size"?',
        'run:8:18  model.overrides.hidden_size must be a whole number, got 1.5',
        'run:10:22  tokenizer.train.vocabSize must be a whole number, got "8_192": write 8192, without quotes or separators',
        'run:10:31  unknown key "heds" in tokenizer.train: keys here are vocabSize, minFrequency, maxBytes',
        'run:12:3  data.train must not be empty',
        'run:13:23  data.heldout.fraction must be less than 1, got 2',
        'run:14:19  data.sequenceLength must be a whole number, got "long"',
        'run:17:3  train takes one of steps, tokens, epochs, got steps and tokens: keep one of them',
        'run:19:19  train.microBatchSize 5 does not divide train.batchSize 12: divisors are 1, 2, 3, 4, 6, 12',
        'run:20:3  unknown key "learningRate" in train: it belongs in optimizer',
        'run:22:9  schedule.kind must be one of constant, linear, cosine, wsd, got "cosin": did you mean "cosine"?',
        'run:24:3  optimizer.betas must have at least 2 items, has 1',
        'run:25:13  optimizer.clipNorm must be a number or null, got "off"',
        'run:26:1  checkpoint must be a mapping with the keys everySteps, keepLast, keepEvery, got 5',
      ].map((line) => line.replace('run:26:1 ', 'run:26:13 ')),
    )
  })

  it('tells what is missing', async () => {
    expect(await problems('name: x\nmodel: {}\n')).toEqual([
      'run:1:1  data is missing: the text',
      'run:1:1  train is missing: how long and in which batches: exactly one of steps, tokens, epochs',
      'run:1:1  tokenizer is missing: add "tokenizer: { train: {} }" or "tokenizer: { file: path/to/tokenizer.json }"',
      'run:2:1  model needs one of preset, config, from',
    ])
  })

  it.each([
    [
      'train: {steps: 10}\nschedule: {warmupSteps: 10}',
      'schedule.warmupSteps 10 must be less than the 10 steps of the run',
    ],
    [
      'train: {steps: 10}\nschedule: {warmupSteps: 1.5}',
      'schedule.warmupSteps must be a whole number of steps or a share below 1, got 1.5',
    ],
    [
      'train: {steps: 10}\nschedule: {decaySteps: 3}',
      'schedule.decaySteps has no meaning with schedule.kind cosine: remove it or write "kind: wsd"',
    ],
    [
      'train: {steps: 10}\nschedule: {kind: wsd, warmupSteps: 5, decaySteps: 6}',
      'schedule.warmupSteps 5 and decaySteps 6 exceed the 10 steps of the run',
    ],
    [
      'train: {tokens: 100}',
      'train.tokens 100 is less than the 4096 tokens of one step: train.batchSize x data.sequenceLength tokens make a step',
    ],
    [
      'train: {steps: 10}\ncheckpoint: {everySteps: 100, keepEvery: 150}',
      'checkpoint.keepEvery 150 is not a multiple of checkpoint.everySteps 100',
    ],
  ])('checks keys against each other: %s', async (text, expected) => {
    const found = await problems(`model: {preset: tiny}\ntokenizer: {train: {}}\ndata: {train: a}\n${text}\n`)
    expect(found.map((line) => line.replace(/^\S+ {2}/, ''))).toEqual([expected])
  })

  it('refuses other weights for a checkpoint, and held-out text that is trained on', async () => {
    const text =
      'model: {from: m, overrides: {hidden_size: 8}}\ndata: {train: [a, b], heldout: b}\ntrain: {steps: 50}\n'
    expect(await problems(text)).toEqual([
      'run:1:30  model.overrides.hidden_size cannot change the weights of model.from: of a checkpoint only max_position_embeddings, rope_theta, rope_scaling can change',
      'run:2:32  data.heldout "b" is also in data.train: hold out other files, or write "heldout: { fraction: 0.01 }"',
    ])
  })

  const bomb = Array.from({ length: 12 }, (_, i) =>
    i === 0
      ? 'a0: &a0 [x, x]'
      : `a${i}: &a${i} [${Array(9)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
  ).join('\n')
  it.each<[string, string | Uint8Array, string]>([
    ['empty file', '', 'run  the run is empty: regauge init writes one to begin with'],
    ['only a comment', '# nothing\n', 'run  the run is empty: regauge init writes one to begin with'],
    ['a list', '- 1\n', 'run:1:1  the run must be a mapping with the keys'],
    ['a tab', `${GOOD}log:\n\teverySteps: 1\n`, 'run:6:1  a tab where spaces are needed'],
    ['a duplicate key', `${GOOD}seed: 1\nseed: 2\n`, 'run:6:1  key "seed" is given twice'],
    [
      'a missing anchor',
      `${GOOD}output: *o\n`,
      'run:5:9  *o points to no anchor before it: put text that begins with * in quotes',
    ],
    ['an alias bomb', bomb, 'run  aliases repeat more than 100 values'],
    ['a circle', `${GOOD}x: &x [*x]\n`, 'run  aliases go in circles or repeat too much'],
    ['deep brackets', `${GOOD}x: ${'['.repeat(100_000)}`, 'run:5:104  nested deeper than 100 levels'],
    ['deep lists', `${'- '.repeat(50_000)}x`, 'run:1:203  nested deeper than 100 levels'],
    ['a tag', 'x: !!python/object:os.system {}\n', 'run:1:4  unknown tag !!python/object:os.system'],
    ['two documents', `${GOOD}---\nx: 1\n`, 'run:5:1  a second document begins here; a run file holds one'],
    ['Latin-1', Buffer.from('name: caf\xe9\n', 'latin1'), 'run  the file is not UTF-8: save it as UTF-8'],
    [
      'UTF-16',
      Buffer.from('\ufeffname: x\n', 'utf16le'),
      'run  the file is UTF-16, not UTF-8: save it as UTF-8',
    ],
    [
      'a binary file',
      Buffer.from([97, 0, 98]),
      'run  the file has NUL bytes, so it is not text: is this the right file?',
    ],
    [
      'a huge file',
      Buffer.alloc(1 << 20, 'a'),
      'run  a run file of 1048576 bytes exceeds the limit of 262144',
    ],
    ['a prototype', '__proto__: {x: 1}\n', 'run:1:1  unknown key "__proto__"'],
  ])('gives one clear error for %s', async (_, text, expected) => {
    const found = await problems(text)
    expect(
      found.filter((line) => line.startsWith(expected)),
      found.join('\n'),
    ).toHaveLength(1)
    if (!expected.includes('the run must') && !expected.includes('unknown key')) expect(found).toHaveLength(1)
  })

  it('names what stands in place of a file', async () => {
    const told = (path: string) =>
      loadRun(path).then(
        () => 'loaded',
        (error: unknown) => (error as Error).message,
      )
    mkdirSync(join(folder, 'place'), { recursive: true })
    writeFileSync(join(folder, 'place', 'run.yaml'), GOOD)
    symlinkSync('loop', join(folder, 'loop'))
    expect(await told(join(folder, 'place'))).toContain('is a folder: did you mean')
    mkdirSync(join(folder, 'begun'))
    expect(await told(join(folder, 'begun'))).toContain(
      'is a folder: it holds no run.yaml; give the run file',
    )
    expect(await told(join(folder, 'place', 'rum.yaml'))).toContain('no such file: did you mean run.yaml?')
    expect(await told(join(folder, 'place', 'x'))).toContain('no such file: regauge init writes one')
    expect(await told(join(folder, 'loop'))).toContain('cannot be read (ELOOP)')
    expect(await told('/dev/null')).toContain('is not a regular file')
  })

  it('never fails with anything but a told error, whatever the bytes', () => {
    const lump = fc.constantFrom(
      'a: ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '\n',
      '  ',
      '&a',
      '*a',
      '"',
      "'",
      '|',
      '>',
      '? ',
      ': ',
      '!!x ',
      '%',
      '\t',
      '<<: ',
      '#',
      '---',
      '0',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.array(lump).map((l) => Buffer.from(l.join(''))),
        ),
        (bytes) => {
          try {
            parseSource(bytes, 'f', RUN_FILE)
          } catch (error) {
            if (!(error instanceof RegaugeError)) throw error
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('--set', () => {
  it('replaces values, of keys that exclude each other the one in the file too', async () => {
    const set = [
      'train.epochs=2',
      'model.preset=nano',
      'evaluate.samples=["a b", c]',
      'data.train=*.txt',
      'name=12',
    ]
    const { run } = await loadRun(written(GOOD), { set: [...set, 'optimizer.clipNorm=null'] })
    expect(run.train.epochs).toBe(2)
    expect(run.train.steps).toBeUndefined()
    expect(run.model.preset).toBe('nano')
    expect(run.evaluate.samples).toEqual(['a b', 'c'])
    expect(run.data.train).toBe(join(folder, '*.txt'))
    expect(run.name).toBe('12')
    expect(run.optimizer.clipNorm).toBeNull()
  })

  it('reaches into a value that may also be text or a list', async () => {
    const { run } = await loadRun(written(GOOD), { set: ['data.heldout.fraction=0.2'] })
    expect(run.data.heldout).toEqual({ fraction: 0.2 })
    expect(await problems(GOOD, ['data.heldout.fractoin=0.2', 'data.train.first=x'])).toEqual([
      '--set data.heldout.fractoin=0.2  unknown key "fractoin" in data.heldout: did you mean "fraction"?',
      '--set data.train.first=x  unknown key "first" in data.train',
    ])
  })

  it('names the flag in its problems', async () => {
    expect(
      await problems(GOOD, ['train.stepz=1', 'x', 'seed=', 'train={', 'model.overrides.hidden_sise=1']),
    ).toEqual([
      '--set train.stepz=1  unknown key "stepz" in train: did you mean "steps"?',
      '--set x  this sets no value: write it as key=value, for instance train.steps=100',
      '--set seed=  seed is given no value',
      expect.stringContaining('--set train={  the value is not YAML'),
      '--set model.overrides.hidden_sise=1  unknown key "hidden_sise" in model.overrides: did you mean "hidden_size"?',
    ])
    expect(await problems(GOOD, ['seed=99999999999999999999'])).toEqual([
      '--set seed=99999999999999999999  seed must be at most 4294967295, got 100000000000000000000',
    ])
    expect(await problems(GOOD, ['train.steps=ten'])).toEqual([
      '--set train.steps=ten  train.steps must be a whole number, got "ten"',
    ])
    expect(await problems(GOOD, ['train={steps: 3, stepps: 4}'])).toEqual([
      '--set train={steps: 3, stepps: 4}  unknown key "stepps" in train: did you mean "steps"?',
    ])
    expect(await problems('train: 3\n', ['train.steps=3'])).toEqual([
      '--set train.steps=3  train.steps is inside a value that is no mapping: set the whole value',
    ])
  })
})

describe('runs in code', () => {
  const code = `({ model: { preset: 'tiny' }, tokenizer: { train: {} }, data: { train: 'a' }, train: { steps: 3 } })`

  it('loads .mjs and .ts', async () => {
    expect((await loadRun(written(`export default ${code}`, '.mjs'))).run.train.steps).toBe(3)
    const typed = `const n: number = 3\nexport default ${code} satisfies object\n`
    expect((await loadRun(written(typed, '.ts'))).run.train.steps).toBe(3)
  })

  it('tells what is wrong with a module', async () => {
    expect(await problems('export const x = 1', [], '.mjs')).toEqual([
      'run  the module has no default export: write "export default defineRun({ ... })"',
    ])
    expect(await problems(`throw new Error('no luck')`, [], '.mjs')).toEqual([
      'run  the module failed: no luck',
    ])
    expect(await problems(`import 'not-a-package-of-anyone'`, [], '.mjs')).toEqual([
      expect.stringContaining('npm install not-a-package-of-anyone'),
    ])
    expect(await problems(`export default { ...${code}, sed: 1 }`, [], '.mjs')).toEqual([
      'run  unknown key "sed": did you mean "seed"?',
    ])
  })

  it('checks a run where it is defined', () => {
    const run = {
      model: { preset: 'tiny' as const },
      tokenizer: {},
      data: { train: 'a' },
      train: { steps: 1 },
    }
    expect(() => defineRun(run)).toThrow('tokenizer needs one of train, file')
  })
})

describe('resolved runs', () => {
  const run = fc.record(
    {
      name: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/),
      seed: fc.nat(),
      model: fc.oneof(
        fc.record({ preset: fc.constantFrom('nano' as const, 'base' as const) }),
        fc.record({ from: fc.constantFrom('x', './y z', '/abs: #') }),
        fc.record({
          config: fc.string({ minLength: 1 }),
          overrides: fc.record({ rope_scaling: fc.constant({ rope_type: 'linear', factor: 2 }) }),
        }),
      ),
      tokenizer: fc.oneof(
        fc.record({ file: fc.string({ minLength: 1 }) }),
        fc.record({ train: fc.constant({ vocabSize: 300 }) }),
      ),
      data: fc.record(
        { train: fc.string({ minLength: 1 }), field: fc.string({ minLength: 1 }) },
        { requiredKeys: ['train'] },
      ),
      train: fc.record(
        {
          epochs: fc.double({ min: 1e-3, max: 1e5, noNaN: true }),
          batchSize: fc.constantFrom(4, 8),
          microBatchSize: fc.constantFrom(1, 4),
        },
        { requiredKeys: ['epochs'] },
      ),
      schedule: fc.record({ kind: fc.constantFrom('wsd' as const, 'linear' as const) }),
      evaluate: fc.record({ samples: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 3 }) }),
      optimizer: fc.record({ clipNorm: fc.constantFrom(null, 0.5) }),
    },
    { requiredKeys: ['model', 'tokenizer', 'data', 'train'] },
  )

  it('load again to the same run', async () => {
    await fc.assert(
      fc.asyncProperty(run, async (input) => {
        const { run: first } = await loadRun(written(JSON.stringify(input)))
        const { run: second } = await loadRun(written(formatRun(first)))
        expect(second).toEqual(first)
      }),
      { numRuns: 60 },
    )
  })

  it('count their steps', async () => {
    const { run: one } = await loadRun(written(GOOD), { set: ['train.epochs=1.5', 'schedule.kind=wsd'] })
    expect(plannedSteps(one, 1_000_000)).toEqual({ steps: 367, warmupSteps: 18, decaySteps: 73 })
    const { run: two } = await loadRun(written(GOOD), { set: ['train.steps=1'] })
    expect(plannedSteps(two, 0)).toEqual({ steps: 1, warmupSteps: 0, decaySteps: 0 })
  })
})

it('schema/run.schema.json is the schema (after a build: node dist/cli/main.js schema > schema/run.schema.json)', () => {
  const stored = JSON.parse(readFileSync(new URL('../../../schema/run.schema.json', import.meta.url), 'utf8'))
  expect(stored).toEqual(runJsonSchema())
})
