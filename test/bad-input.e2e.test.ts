/** @file Bad input to the built command: one clear error each, the right exit code, nothing lost. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { openWorkplace, SMALL, TIMEOUT } from './workplace.ts'

const { at, regauge, here, newest } = openWorkplace()

/** A run that is finished, so that there is something to lose. */
beforeAll(async () => {
  await regauge('init', '--data', 'text', '--name', 'tiny')
  expect(await regauge('train', ...SMALL)).toMatchObject({ code: 0 })
}, TIMEOUT)

describe('bad input', () => {
  /** A copy of the trained model in a folder of its own. */
  const model = (name: string): string => {
    cpSync(newest('runs/tiny'), at(name), { recursive: true })
    return at(name)
  }
  /** A safetensors file of a header and data. */
  const safetensors = (header: object, data: Uint8Array): Buffer => {
    const text = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    return Buffer.concat([length, text, data])
  }
  const edited = (
    folder: string,
    change: (header: Record<string, { data_offsets: number[] }>, data: Buffer) => void,
  ) => {
    const path = join(folder, 'model.safetensors')
    const bytes = readFileSync(path)
    const end = 8 + Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.toString('utf8', 8, end)) as Record<string, { data_offsets: number[] }>
    const data = bytes.subarray(end)
    change(header, data)
    writeFileSync(path, safetensors(header, data))
    return folder
  }
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(at(name), content)
    return name
  }
  const from = (folder: string): string[] => {
    const text = `name: bad\nmodel: { from: ${folder} }\ndata: { train: text, heldout: { fraction: 0.2 }, sequenceLength: 32 }\ntrain: { steps: 5, batchSize: 4 }\n`
    writeFileSync(`${folder}.yaml`, text)
    return ['train', `${folder}.yaml`]
  }
  const small = (...settings: string[]): string[] => [
    'train',
    ...SMALL,
    ...['name=bad', ...settings].flatMap((setting) => ['--set', setting]),
  ]

  /** Each: the words, made when its turn comes; the exit code; and what the last lines on stderr are. */
  const cases: [string, () => string[], number, (string | RegExp)[]][] = [
    [
      'unknown keys at every depth',
      () => {
        const lines = [
          'sede: 1',
          'model: { preset: nano, overrides: { hidden_sise: 64 } }',
          'tokenizer: { train: { vocabsize: 300 } }',
          'data: { train: text, heldout: { fractoin: 0.2 } }',
          'train: { steps: 30, batchsize: 4 }',
        ]
        return ['train', file('unknown.yaml', lines.join('\n'))]
      },
      2,
      [
        'unknown.yaml:1:1  unknown key "sede": did you mean "seed"?',
        'unknown.yaml:2:37  unknown key "hidden_sise" in model.overrides: did you mean "hidden_size"?',
        'unknown.yaml:3:23  unknown key "vocabsize" in tokenizer.train: did you mean "vocabSize"?',
        /^unknown.yaml:4:22 {2}data.heldout.fraction is missing/,
        'unknown.yaml:4:33  unknown key "fractoin" in data.heldout: did you mean "fraction"?',
        'unknown.yaml:5:21  unknown key "batchsize" in train: did you mean "batchSize"?',
        '6 problems. Nothing was started.',
      ],
    ],
    [
      'wrong types',
      () => {
        const lines = [
          'seed: one',
          'model: { preset: nano }',
          'tokenizer: { train: {} }',
          'data: { train: text }',
          'train: { steps: "1,000" }',
        ]
        return ['check', file('types.yaml', lines.join('\n')), '--set', 'data.sequenceLength=[3]']
      },
      2,
      [
        '--set data.sequenceLength=[3]  data.sequenceLength must be a whole number, got a list',
        'types.yaml:1:7  seed must be a whole number, got "one"',
        'types.yaml:5:17  train.steps must be a whole number, got "1,000": write 1000, without quotes or separators',
        '3 problems. Nothing was started.',
      ],
    ],
    [
      'a shape that cannot be',
      () => ['check', ...SMALL, '--set', 'model.overrides.num_attention_heads=3'],
      2,
      [
        /hidden_size 64 is not a multiple of num_attention_heads 3: set head_dim$/,
        /num_attention_heads 3 is not a multiple of num_key_value_heads 2/,
        /head_dim must be even for rotary embeddings, got 21/,
        '3 problems. Nothing was started.',
      ],
    ],
    [
      'a run file that is not there',
      () => ['train', 'rn.yaml'],
      2,
      ['rn.yaml  no such file: did you mean run.yaml?'],
    ],
    [
      'text that is not there',
      () => small('data.train=nowhere.txt'),
      4,
      [/nowhere\.txt {2}no such file or folder/],
    ],
    [
      'text that is empty',
      () => small(`data.train=${file('empty.txt', '')}`),
      4,
      [/empty\.txt {2}holds no text/],
    ],
    [
      'a tokenizer larger than the model',
      () => ['check', ...SMALL, '--set', 'model.overrides.vocab_size=100'],
      2,
      [/the model has 100 tokens, the tokenizer 300: set model\.overrides\.vocab_size/],
    ],
    [
      'less text than one sequence',
      () => [
        ...small(
          `data.train=${file('short.txt', 'A short text.')}`,
          `data.heldout=${file('other.txt', 'Another.')}`,
        ),
      ],
      4,
      [/the training text has \d+ tokens, a sequence needs 33: add text, or lower data\.sequenceLength/],
    ],
    [
      'less text than one sequence, in check',
      () => ['check', ...small('data.train=short.txt', 'data.heldout=other.txt').slice(1)],
      4,
      [/the training text has \d+ tokens, a sequence needs 33/],
    ],
    [
      'a single character, of which nothing can be held out',
      () => small(`data.train=${file('x.txt', 'x')}`),
      4,
      [/no document has more than one character, so that nothing can be held out \(1 documents\): add text/],
    ],
    [
      'one packed JSON value in the place of JSON lines',
      () => small(`data.train=${file('list.json.gz', gzipSync('[{"text": "one"}, {"text": "two"}]'))}`),
      4,
      [
        /list\.json\.gz:1 {2}is not a JSON object, but \[.*: an object a line is needed: jq -c '\.\[\]' makes/,
      ],
    ],
    [
      'text that is not UTF-8',
      () => small(`data.train=${file('latin.txt', Buffer.from('caf\xe9 and more\n', 'latin1'))}`),
      4,
      [/latin\.txt {2}byte 3 \(0xe9\) is not UTF-8: convert the file/],
    ],
    [
      'parquet that claims a huge footer',
      () => small(`data.train=${file('huge.parquet', Buffer.from('PAR1\xff\xff\xff\x7fPAR1', 'latin1'))}`),
      4,
      [/huge\.parquet {2}is not parquet, cut off or damaged at its footer/],
    ],
    [
      'gzip that is none',
      () => small(`data.train=${file('none.txt.gz', 'no')}`),
      4,
      [/none\.txt\.gz {2}.*gzip/],
    ],
    [
      'an output folder that cannot be',
      () => small(`output=${file('a-file', '')}`),
      3,
      [/a-file\/bad {2}the run folder cannot be made \(ENOTDIR\): change the permissions/],
    ],
    [
      'weights, text and output folder, all at once in check',
      () => {
        const folder = model('all')
        truncateSync(join(folder, 'model.safetensors'), 5000)
        const [, run] = from(folder)
        return ['check', run!, '--set', 'data.train=nowhere.txt', '--set', `output=${file('a-file', '')}`]
      },
      4,
      [
        /all\/model\.safetensors {2}tensor ".*" ends at byte \d+, the file has 5000/,
        /nowhere\.txt {2}no such file or folder/,
        /a-file\/bad {2}the run folder cannot be made \(ENOTDIR\): change the permissions/,
        '3 problems.',
      ],
    ],
    [
      'a folder of pickled weights',
      () => {
        const folder = model('pickled')
        renameSync(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin'))
        return ['check', from(folder)[1]!]
      },
      4,
      [/pickled {2}the folder holds neither model\.safetensors nor .*pickled weights .* are never read/],
    ],
    [
      'a file where the checkpoints go',
      () => {
        mkdirSync(at('runs/blocked'))
        writeFileSync(at('runs/blocked/checkpoints'), '')
        return [...small(), '--set', 'name=blocked']
      },
      3,
      [/runs\/blocked\/checkpoints/],
    ],
    [
      'weights whose header claims more than there is',
      () => {
        const folder = model('huge')
        writeFileSync(join(folder, 'model.safetensors'), Buffer.from('ffffffffffffff7f7b7d', 'hex'))
        return from(folder)
      },
      4,
      [/huge\/model\.safetensors {2}a header of 9223372036854775807 bytes, the most is 100000000/],
    ],
    [
      'weights that overlap',
      () => [
        'sample',
        edited(model('overlap'), (header) => {
          const [a, b] = Object.keys(header).filter((name) => name.endsWith('layernorm.weight'))
          header[b!]!.data_offsets = header[a!]!.data_offsets
        }),
        'x',
      ],
      4,
      [/overlap\/model\.safetensors {2}/],
    ],
    [
      'weights that hold NaN, in sampling',
      () => [
        'sample',
        edited(model('nan'), (_, data) => {
          for (let i = 0; i < 400; i += 4) data.writeFloatLE(Number.NaN, i)
        }),
        'x',
      ],
      4,
      [/^error {2}the model gives logits that are not finite: .*take another checkpoint/],
    ],
    [
      'weights that hold NaN, in evaluation',
      () => ['eval', at('nan'), '--data', 'text/0.txt'],
      4,
      [/nan {2}the loss is NaN: .*take another checkpoint/],
    ],
    [
      'weights that are cut off',
      () => {
        const folder = model('cut')
        truncateSync(join(folder, 'model.safetensors'), 5000)
        return from(folder)
      },
      4,
      [/cut\/model\.safetensors {2}tensor ".*" ends at byte \d+, the file has 5000/],
    ],
    [
      'a tokenizer that contradicts itself',
      () => {
        const folder = model('merges')
        const json = '{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[["a","z"]]}}'
        writeFileSync(join(folder, 'tokenizer.json'), json)
        return from(folder)
      },
      4,
      [
        /merges\/tokenizer\.json {2}tokens "a" and "b" share id 0/,
        /merges\/tokenizer\.json {2}merge 0 \("a z"\) names "z", which is no token/,
        '2 problems.',
      ],
    ],
    [
      'a tokenizer that is no JSON, and would move the cursor',
      () => {
        const folder = model('garbled')
        writeFileSync(join(folder, 'tokenizer.json'), '\u001b[2Jnot\njson')
        return from(folder)
      },
      4,
      [/garbled\/tokenizer\.json {2}is not JSON: /],
    ],
    [
      'a model of another family',
      () => {
        const folder = model('family')
        const config = join(folder, 'config.json')
        writeFileSync(config, readFileSync(config, 'utf8').replace('"llama"', '"gpt_neox"'))
        return ['sample', folder, 'x']
      },
      2,
      [
        /family\/config\.json {2}model_type "gpt_neox" plans, does not train: its forward pass .*: trained are llama, mistral, /,
      ],
    ],
    [
      'other settings for a run that has begun',
      () => ['train', 'runs/tiny', '--set', 'seed=2'],
      2,
      [
        /runs\/tiny {2}seed was 1 when this run began and is 2 now: change it back to resume, or give the run another name/,
      ],
    ],
    [
      'counts out of range',
      () => ['sample', 'runs/tiny', 'x', '--threads', '0', '--tokens=-1'],
      2,
      [
        '--threads must be a whole number, 1 or more, got "0"',
        '--tokens must be a whole number, 1 or more, got "-1"',
        '2 problems. Nothing was started.',
      ],
    ],
  ]

  test.each(cases)('%s', { timeout: TIMEOUT }, async (_, words, expectedCode, expected) => {
    const before = readFileSync(join(newest('runs/tiny'), 'model.safetensors'))
    const { code, err } = await here(...words())
    expect(err).not.toMatch(/\n {4}at |bug of regauge/)
    expect(err).not.toContain('\u001b')
    const lines = err.trimEnd().split('\n').slice(-expected.length)
    expect(lines).toEqual(
      expected.map((line) =>
        typeof line === 'string' ? expect.stringContaining(line) : expect.stringMatching(line),
      ),
    )
    expect(code).toBe(expectedCode)
    // nothing of what there was is lost, and nothing was trained
    expect(readFileSync(join(newest('runs/tiny'), 'model.safetensors')).equals(before)).toBe(true)
    expect(existsSync(at('runs/bad/checkpoints')) && readdirSync(at('runs/bad/checkpoints')).length > 0).toBe(
      false,
    )
  })

  test.skipIf(process.getuid?.() === 0)(
    'an output folder that may not be written',
    { timeout: TIMEOUT },
    async () => {
      mkdirSync(at('locked'), { mode: 0o500 })
      for (const command of ['check', 'train']) {
        const { code, err } = await regauge(command, ...small('output=locked').slice(1))
        expect([code, err]).toEqual([
          3,
          expect.stringMatching(/locked\/bad {2}the run folder cannot be made \(EACCES\)/),
        ])
      }
    },
  )

  test('errors are JSON where JSON is asked for', { timeout: TIMEOUT }, async () => {
    const { code, out, err } = await regauge(
      'check',
      ...SMALL,
      '--set',
      'name=other',
      '--set',
      'data.train=nowhere.txt',
      '--json',
    )
    expect([code, err]).toEqual([4, ''])
    expect(JSON.parse(out)).toMatchObject({
      error: { code: 'data', exit: 4, issues: [{ file: at('nowhere.txt') }] },
    })
  })
})
