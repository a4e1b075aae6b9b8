/** @file What a user gets: the packed file, installed into an empty folder, does what its help and its types say. */
import { execFile, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMMANDS } from '../src/cli/options.ts'
import { exampleBlocks } from './example-blocks.ts'
import { installPacked } from './installed.ts'

const ROOT = resolve(import.meta.dirname, '..')
/** A command takes a second; on a machine that is busy with other tests, many. */
const TIMEOUT = 240_000

const installed = await installPacked()
const missing = 'missing' in installed ? installed.missing : undefined
if (missing !== undefined) console.warn(`skipped: ${missing}`)
const { folder, file, remove } =
  'missing' in installed ? { folder: '', file: '', remove: () => {} } : installed
afterAll(() => remove())

/** Examples that not every machine can do, and why. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'regauge runs rm books': 'asks a person; src/cli/cli.e2e.test.ts does it for scripts',
  'regauge train runs/books --on webgpu': 'needs a GPU; test/move.e2e.test.ts does it where there is one',
  'regauge verify --run run.yaml --on cpu,webgpu --steps 100 --out verify.html':
    'needs a GPU; test/verify.slow.test.ts does it where there is one',
}

/** What is added, that it be done in seconds and without an answer; the last setting of a key counts. */
const ADDED: Readonly<Record<string, string>> = {
  'regauge train run.yaml --set train.steps=100 --set seed=2': ' --set train.steps=2',
}

/** A run of two steps that an example trains, resumes, samples or measures. */
const RUN = `name: books
model: { preset: nano }
tokenizer: { train: { vocabSize: 300 } }
data: { train: "books/*.txt", heldout: { fraction: 0.2 }, sequenceLength: 32 }
train: { steps: 2, batchSize: 4 }
evaluate: { everySteps: 2, samples: ["The river"], sampleTokens: 8 }
`
const CHIPS = `chips:
  - id: ours
    name: Ours
    vendor: us
    status: shipping
`

interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A line of a shell in a folder, with the command on its path. */
function shell(cwd: string, line: string): Promise<Outcome> {
  const PATH = `${join(folder, 'node_modules/.bin')}${delimiter}${process.env.PATH}`
  const child = spawn('bash', ['-c', line], {
    cwd,
    env: { ...process.env, PATH, HOME: cwd },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  return new Promise((done) => child.on('close', (code) => done({ code, out, err })))
}

describe.skipIf(missing !== undefined || process.platform === 'win32')('examples of the help', () => {
  /** What lies in the folder of a user who follows the help: text, a run and a model. */
  const state = join(folder, 'state')
  let places = 0
  const placeFor = (command: string): string => {
    // a run takes the name of its folder
    const place = join(folder, `${places++}`, 'books')
    cpSync(state, place, { recursive: true })
    const words = command.split(' ')
    const begins = ['init', 'check', 'train'].includes(words[1]!) && !command.includes('runs/')
    if (begins) rmSync(join(place, 'runs'), { recursive: true })
    if (words[1] === 'init') rmSync(join(place, 'run.yaml'))
    return place
  }

  beforeAll(async () => {
    mkdirSync(join(state, 'books'), { recursive: true })
    const text = (n: number): string =>
      Array.from({ length: 60 }, (_, i) => `The river of song ${(i * 7 + n) % 13} waits.`).join('\n')
    for (let n = 0; n < 20; n++) writeFileSync(join(state, `books/${n}.txt`), text(n))
    for (const name of ['notes.txt', 'news.txt', 'prompt.txt']) writeFileSync(join(state, name), text(20))
    writeFileSync(join(state, 'prompt.txt'), 'The river')
    writeFileSync(join(state, 'ours.yaml'), CHIPS)
    writeFileSync(join(state, 'run.yaml'), RUN)
    mkdirSync(join(state, '.config/fish/completions'), { recursive: true })
    const { code, err } = await shell(state, 'regauge train')
    expect(code, err).toBe(0)
    for (const name of ['books-2', 'books-moved'])
      cpSync(join(state, 'runs/books'), join(state, 'runs', name), { recursive: true })
    cpSync(join(state, 'runs/books/checkpoints/step-00000002'), join(state, 'llama'), { recursive: true })
  }, TIMEOUT)

  const examples = Object.entries(COMMANDS).flatMap(([name, { examples }]) =>
    examples.map(({ command }) => ({ name, command: command as string })),
  )

  test('are all of them known: none is left out but by its name', () => {
    const commands = examples.map(({ command }) => command)
    expect(commands).toEqual(expect.arrayContaining([...Object.keys(ELSEWHERE), ...Object.keys(ADDED)]))
  })

  for (const { command } of examples) {
    const elsewhere = ELSEWHERE[command]
    test.skipIf(elsewhere !== undefined)(
      elsewhere === undefined ? command : `${command} (${elsewhere})`,
      { timeout: TIMEOUT },
      async () => {
        const place = placeFor(command)
        const { code, out, err } = await shell(place, `set -e; ${command}${ADDED[command] ?? ''}`)
        expect(code, `${out}\n${err}`).toBe(0)
        const written = /(?:--report|--trace|--out|>) (\S+\.\w+)/.exec(command)?.[1]
        if (written !== undefined) {
          expect(existsSync(join(place, written.replace('~/', '')))).toBe(true)
        } else if (!command.startsWith('source ')) {
          expect(out + err).not.toBe('')
        }
        rmSync(join(place, '..'), { recursive: true })
      },
    )
  }
})

describe.skipIf(missing !== undefined)('the installed package', () => {
  const inside = (path: string): string => join(folder, 'node_modules/regauge', path)

  test('has what its README links to, but for sources', () => {
    const text = readFileSync(inside('README.md'), 'utf8')
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path!)
    const sources = /^(bench|scripts|src|test)\//
    expect(links.length).toBeGreaterThan(0)
    expect(links.filter((path) => !sources.test(path) && !existsSync(inside(path)))).toEqual([])
  })

  test('has nothing that publint or attw find wrong', { timeout: TIMEOUT }, async () => {
    const { messages, pkg } = await publint({ pkgDir: inside(''), pack: false, strict: true })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
    const attw = join(ROOT, 'node_modules/@arethetypeswrong/cli/dist/index.js')
    const words = [attw, file, '--profile', 'esm-only', '--no-color']
    const problems = await promisify(execFile)(process.execPath, words, { cwd: folder }).then(
      () => '',
      (error) => error.stdout,
    )
    expect(problems).toBe('')
  })

  test('has types that compile with nothing beside them, as do the examples in its documentation', {
    timeout: TIMEOUT,
  }, async () => {
    const blocks = exampleBlocks(join(ROOT, 'src'))
    expect(blocks.length).toBeGreaterThan(15)
    mkdirSync(join(folder, 'examples'))
    for (const [i, { file, text }] of blocks.entries()) {
      const name = file.replaceAll(/[\\/]/g, '-').replace('.ts', '')
      writeFileSync(join(folder, 'examples', `${name}-${i}.ts`), `// ${file}\n${text}\nexport {}\n`)
    }
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'es2023',
          module: 'nodenext',
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          skipLibCheck: false,
          resolveJsonModule: true,
          noEmit: true,
        },
        include: ['examples'],
      }),
    )
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
      (error) => error,
    )
    expect(stdout).toBe('')
  })

  test('gives its entries to Node', { timeout: TIMEOUT }, async () => {
    const { exports } = JSON.parse(readFileSync(inside('package.json'), 'utf8'))
    const entries = Object.keys(exports).filter((key) => typeof exports[key] !== 'string')
    const names = entries.map((key) => JSON.stringify(key.replace('.', 'regauge')))
    const script = `for (const name of [${names}]) console.log(name, Object.keys(await import(name)).length > 0)
      console.log((await import('regauge/models/llama-3-70b', { with: { type: 'json' } })).default.model_type)`
    const words = ['--no-warnings', '--input-type=module', '--eval', script]
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: folder })
    expect(stdout.trimEnd().split('\n')).toEqual([
      ...entries.map((key) => `${key.replace('.', 'regauge')} true`),
      'llama',
    ])
  })

  test('reads a run in TypeScript, or says what it takes', { timeout: TIMEOUT }, async () => {
    const file = join(folder, 'typed.run.ts')
    writeFileSync(
      file,
      `import { defineRun, type Run } from 'regauge'
const run: Run = { name: 'typed', model: { preset: 'nano' }, tokenizer: { train: {} }, data: { train: 'no.txt' }, train: { steps: 1 } }
export default defineRun(run)
`,
    )
    const main = inside('dist/cli/main.js')
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [main, 'check', file], {
      cwd: folder,
    }).catch((error) => error)
    const reads = 'typescript' in process.features && Boolean(process.features.typescript)
    expect(`${stdout}${stderr}`).toContain(
      reads ? 'no.txt  no such file' : 'use Node 22.18 or newer, run `npm install --save-dev typescript@6`',
    )
  })
})
