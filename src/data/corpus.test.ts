/** @file Documents from files of all kinds, in a fixed order; broken input gives one clear error with its place. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { type CorpusOptions, openCorpus } from './corpus.ts'

const golden = join(import.meta.dirname, '../../test/golden/data')
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regauge-corpus-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function put(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name)
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, content)
  return path
}

async function read(sources: string | string[], options?: CorpusOptions): Promise<string[]> {
  const texts: string[] = []
  for await (const { text } of openCorpus([sources].flat(), options)) texts.push(text)
  return texts
}

async function failure(sources: string | string[], options?: CorpusOptions): Promise<string> {
  const error = await read(sources, options).then(
    () => 'no error',
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(RegaugeError)
  expect((error as RegaugeError).kind).toBe('data')
  return (error as RegaugeError).message.replaceAll(`${folder}/`, '')
}

describe('files, folders and globs', () => {
  beforeAll(async () => {
    for (const name of ['b.txt', 'a.md', 'Z.txt', 'sub/c.txt', 'sub/deep/d1.txt', 'sub/deep/d2.txt', 'e.log'])
      await put(`tree/${name}`, name)
    await put('tree/.hidden.txt', 'hidden')
    await put('tree/.git/x.txt', 'hidden')
  })
  const list = (pattern: string) => read(join(folder, 'tree', pattern))

  it.each([
    ['', ['Z.txt', 'a.md', 'b.txt', 'sub/c.txt', 'sub/deep/d1.txt', 'sub/deep/d2.txt']],
    ['e.log', ['e.log']],
    ['*.txt', ['Z.txt', 'b.txt']],
    ['**/*.txt', ['Z.txt', 'b.txt', 'sub/c.txt', 'sub/deep/d1.txt', 'sub/deep/d2.txt']],
    ['sub/**', ['sub/c.txt', 'sub/deep/d1.txt', 'sub/deep/d2.txt']],
    ['**/deep/d?.txt', ['sub/deep/d1.txt', 'sub/deep/d2.txt']],
    ['**/d[!1].txt', ['sub/deep/d2.txt']],
    ['**/[a-c].{md,txt}', ['a.md', 'b.txt', 'sub/c.txt']],
    ['{b,sub/{c,deep/d1}}.txt', ['b.txt', 'sub/c.txt', 'sub/deep/d1.txt']],
    ['.h*', ['hidden']],
  ])('%s', async (pattern, names) => {
    expect(await list(pattern)).toEqual(names)
  })

  const odd = ['my [runs]', '{a,b}', '[!a-z]{c,}', ...(process.platform === 'win32' ? [] : ['all * of ?'])]
  it.each(odd)('beneath a folder called %s', async (name) => {
    for (const file of ['text/a.txt', 'text/b.txt', 'text/{c}.txt']) await put(`odd/${name}/${file}`, file)
    const home = join(folder, 'odd', name)
    expect(await read(join(home, '**/[ab].txt'))).toEqual(['text/a.txt', 'text/b.txt'])
    expect(await read(join(home, 'text/{a,b}.*'))).toEqual(['text/a.txt', 'text/b.txt'])
    expect(await read(join(home, 'text/{c}.txt'))).toEqual(['text/{c}.txt'])
    expect(await failure(join(home, 'none/*.txt'))).toContain('no file matches')
  })

  it('takes a file once, in the order of the sources', async () => {
    const tree = join(folder, 'tree')
    expect(await read([join(tree, 'sub'), join(tree, '*.md'), join(tree, 'sub/c.txt')])).toEqual([
      'sub/c.txt',
      'sub/deep/d1.txt',
      'sub/deep/d2.txt',
      'a.md',
    ])
  })

  it('names every source that gives nothing', async () => {
    await mkdir(join(folder, 'bare'), { recursive: true })
    expect(await failure(['none.txt', 'no*.txt', 'bare'].map((name) => join(folder, name)))).toBe(
      'none.txt  no such file or folder\nno*.txt  no file matches\n' +
        'bare  no file of text in this folder: a folder is searched for .txt, .md, .jsonl, .ndjson and .parquet; name other files by a glob',
    )
    expect(await failure([])).toContain('no file, folder or glob is named')
  })
})

describe('text', () => {
  it('is one document a file, without byte order mark', async () => {
    expect(await read(await put('bom.txt', '\ufeffhello\n\nworld\n'))).toEqual(['hello\n\nworld\n'])
    expect(await read(await put('short.txt', 'é'))).toEqual(['é'])
  })

  it('of a large file is cut at blank lines', async () => {
    const paragraph = `${'words of a paragraph '.repeat(200)}\n\n`
    const text = paragraph.repeat(600)
    const texts = await read(await put('large.txt', text))
    expect(texts.join('')).toBe(text)
    expect(texts.length).toBeGreaterThan(30)
    for (const piece of texts) expect(piece.endsWith('\n\n') && piece.length < 2 ** 17).toBe(true)
  })

  it.each([
    ['lines', 'a line of text without any blank line\n'],
    ['words', 'only words '],
    ['characters', '\u{1f600}'],
  ])('without blank lines is cut at %s', async (_, unit) => {
    const text = `x${unit.repeat(3_000_000 / unit.length)}`
    const texts = await read(await put('dense.txt', text))
    expect(texts.join('')).toBe(text)
    for (const piece of texts) {
      expect(piece.length).toBeLessThanOrEqual(2 ** 20)
      expect(piece).not.toMatch(/\p{Surrogate}/u)
    }
  })

  it('that is not UTF-8 names the byte', async () => {
    const bytes = Buffer.concat([Buffer.from('ä'.repeat(300_000)), Buffer.from([0xe4, 0x20])])
    const path = await put('latin1.txt', bytes)
    expect(await failure(path)).toMatch(/^latin1.txt {2}byte 600000 \(0xe4\) is not UTF-8: convert the file/)
    expect(await failure(await put('cut.txt', Buffer.from('abc€').subarray(0, 5)))).toContain('byte 3 (0xe2)')
    expect(await failure(await put('packed.txt.gz', gzipSync(bytes)))).toContain(
      'byte 600000 of the unpacked text',
    )
  })

  it('in chunks of any size reads the same', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1 }), fc.nat(9), async (text, pad) => {
        const whole = `${'x'.repeat(131_072 - pad)}${text}`
        expect((await read(await put('any.txt', whole))).join('')).toBe(whole)
      }),
      { numRuns: 20 },
    )
  })

  it('that is nowhere to be found is an error', async () => {
    expect(await failure(await put('empty.txt', ''))).toBe('empty.txt  holds no text')
    expect(await failure([await put('1/empty.txt', ''), await put('2/empty.txt', '')])).toContain(
      'nor do the 1 files after',
    )
  })
})

describe('packed files', () => {
  it('gzip, of several members too', async () => {
    const two = Buffer.concat([gzipSync('one '), gzipSync('two')])
    expect(await read(await put('two.txt.gz', two))).toEqual(['one two'])
  })

  it('zstd, of several frames too', async () => {
    const text = Array.from({ length: 6000 }, (_, i) => `line ${i} of a text that goes on and on\n`).join('')
    expect((await read(join(golden, 'frames.txt.zst'))).join('')).toBe(text)
  })

  it.each(['gz', 'zst'])('%s that is cut off or damaged', async (ending) => {
    const source = await readFile(join(golden, 'frames.txt.zst'))
    const whole = ending === 'zst' ? source : gzipSync('some text that is packed '.repeat(2000))
    const kind = ending === 'zst' ? 'zstd' : 'gzip'
    for (const length of [whole.length - 1, whole.length >> 1, 7]) {
      const path = await put(`cut.bin.${ending}`, whole.subarray(0, length))
      expect(await failure(path)).toBe(`cut.bin.${ending}  the ${kind} data is cut off`)
    }
    const path = await put(`no.txt.${ending}`, 'this is not packed at all')
    expect(await failure(path)).toContain(`no.txt.${ending}  the ${kind} data is damaged`)
  })

  it('zstd that wants a huge window', async () => {
    const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00])
    expect(await failure(await put('window.txt.zst', header))).toContain('a window of more than 128 MiB')
  })
})

describe('JSON lines', () => {
  const lines =
    '\ufeff{"text": "one", "id": 1}\r\n\n{"id": 2, "text": "zwei ü"}\n{"text": null}\n{"text": "三"}'

  it('are a document each', async () => {
    expect(await read(await put('a.jsonl', lines))).toEqual(['one', 'zwei ü', '三'])
    expect(await read(await put('a.ndjson.gz', gzipSync(lines)))).toEqual(['one', 'zwei ü', '三'])
    expect(await read(await put('b.jsonl', '{"body": "x"}'), { field: 'body' })).toEqual(['x'])
    expect(await read(await put('c.json', lines))).toEqual(['one', 'zwei ü', '三'])
    expect(await read(await put('c.json.gz', gzipSync(lines)))).toEqual(['one', 'zwei ü', '三'])
  })

  it('are found across chunks', async () => {
    const texts = Array.from({ length: 4000 }, (_, i) => `${i} ${'é'.repeat(i % 97)}`)
    expect(
      await read(await put('many.jsonl', texts.map((text) => JSON.stringify({ text })).join('\n'))),
    ).toEqual(texts)
  })

  it.each([
    ['{"text": "ok"}\n{"tex": 1}', 'x.jsonl:2  has no field "text" (did you mean "tex"?): say which field'],
    ['{"body": "", "title": ""}', 'x.jsonl:1  has no field "text" (it has: body, title)'],
    ['\n{"text": 5}', 'x.jsonl:2  field "text" is not a string, but 5'],
    ['{"text": "ok"}\n[1]', 'x.jsonl:2  is not a JSON object, but [1]'],
    ['{"text": "o', 'x.jsonl:1  is not JSON'],
    ['{"text": "\\ud800"}', 'x.jsonl:1  field "text" holds half of a surrogate pair'],
    ['{"__proto__": {"text": "x"}}', 'x.jsonl:1  has no field "text"'],
  ])('%s', async (content, message) => {
    expect(await failure(await put('x.jsonl', content))).toContain(message)
  })

  it.each([
    ['[{"text": "one"}, {"text": "two"}]', `x.json:1  is not a JSON object, but [{`, `jq -c '.[]'`],
    ['[\n  {"text": "one"}\n]\n', 'x.json:1  is not JSON', `jq -c '.[]'`],
    ['{\n  "text": "one"\n}\n', 'x.json:1  is not JSON', 'jq -c . makes that of objects'],
  ])('are not one JSON value: %j', async (content, message, remedy) => {
    const told = await failure(await put('x.json', content))
    expect(told).toContain(message)
    expect(told).toContain(remedy)
    expect(await failure(await put('x.json.gz', gzipSync(content)))).toContain(remedy)
  })

  it('that nest without end are told in one line', async () => {
    const list = `{"text": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    expect(await failure(await put('x.jsonl', list))).toContain('field "text" is not a string, but a list')
  })

  it('that are not UTF-8 name the byte', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"text": "ok"}\n{"text": "'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ])
    expect(await failure(await put('y.jsonl', bytes))).toContain('byte 25 (0xff) is not UTF-8')
  })
})

describe('parquet', () => {
  const texts = ['first document', 'zweites Dokument: Übung', '第三个文档 👍']
  for (let i = 0; i < 45; i++) texts.push(`row ${i} `.repeat(8))

  it.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'delta', 'delta-length', 'long-statistics'])(
    '%s',
    async (name) => {
      expect(await read(join(golden, `${name}.parquet`))).toEqual(texts)
    },
  )

  it('inside gzip', async () => {
    const bytes = await readFile(join(golden, 'snappy.parquet'))
    expect(await read(await put('packed.parquet.gz', gzipSync(bytes)))).toEqual(texts)
  })

  it('without the column, or with another type in it', async () => {
    const path = join(folder, 'c.parquet')
    await cp(join(golden, 'none.parquet'), path)
    expect(await failure(path, { field: 'test' })).toContain('has no column "test" (did you mean "text"?)')
    expect(await failure(path, { field: 'id' })).toContain('column "id" is INT64, not text')
    expect(await failure(path, { field: 'tags' })).toContain('column "tags" is nested, not text')
  })

  it('that is not UTF-8', async () => {
    const path = join(folder, 'u.parquet')
    await cp(join(golden, 'not-utf8.parquet'), path)
    expect(await failure(path)).toBe('u.parquet  column "text" holds a value that is not UTF-8 (fffe…)')
  })

  it('that is cut off or damaged', async () => {
    const bytes = await readFile(join(golden, 'snappy.parquet'))
    for (const cut of [bytes.length - 1, bytes.length >> 1, 8, 3]) {
      expect(await failure(await put('d.parquet', bytes.subarray(0, cut)))).toContain(
        'is not parquet, cut off or damaged',
      )
    }
    const huge = Buffer.from(bytes)
    huge.writeUInt32LE(0xfffffff0, huge.length - 8)
    expect(await failure(await put('d.parquet', huge))).toContain('damaged at its footer')
  })

  it('with any bytes changed ends in texts or in one error, soon', async () => {
    const originals = await Promise.all(
      ['none', 'zstd', 'delta'].map((name) => readFile(join(golden, `${name}.parquet`))),
    )
    const change = fc.tuple(fc.nat(), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(
        fc.nat(2),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        async (which, changes) => {
          const bytes = Buffer.from(originals[which]!)
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          await read(await put('fuzz.parquet', bytes)).catch((error: unknown) => {
            expect(error).toBeInstanceOf(RegaugeError)
          })
        },
      ),
      { numRuns: 150 },
    )
  })
})
