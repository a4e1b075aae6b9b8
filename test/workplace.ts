/** @file The built command in a folder of its own with some text, as a process or in this one: for tests from end to end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { command } from './command.ts'

const CLI = join(import.meta.dirname, '../dist/cli')
const MAIN = join(CLI, 'main.js')
/** A command takes a second; on a machine that is busy with other tests, many. */
export const TIMEOUT = 240_000

export interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Settings that make the run of `init` a small one: 30 steps of a model of 82,240 parameters, in a second. */
export const SMALL = [
  'model.preset=nano',
  'model.overrides={hidden_size: 64, num_hidden_layers: 2, intermediate_size: 96, initializer_range: 0.08}',
  'tokenizer.train.vocabSize=300',
  'data.heldout={fraction: 0.2}',
  'data.sequenceLength=32',
  'train.steps=30',
  'train.batchSize=4',
  'optimizer.learningRate=5e-3',
  'evaluate.everySteps=10',
  'evaluate.samples=["The river"]',
  'evaluate.sampleTokens=12',
].flatMap((setting) => ['--set', setting])

/** A folder with 30 texts in `text/`, and the command in it. It goes away after the tests of the file. */
export function openWorkplace() {
  if (!existsSync(MAIN)) throw new Error('there is no build: npm run build')
  const folder = mkdtempSync(join(tmpdir(), 'regauge-e2e-'))
  const before = process.cwd()
  afterAll(() => {
    process.chdir(before)
    rmSync(folder, { recursive: true, force: true })
  })
  const at = (...parts: string[]): string => join(folder, ...parts)
  mkdirSync(at('text'))
  for (let file = 0; file < 30; file++) writeFileSync(at('text', `${file}.txt`), textOf(file))

  /** Starts the command; `ended` gives its exit code and what it wrote. */
  const start = (...words: string[]) => startAs(process.execPath, MAIN, ...words)
  const startAs = (program: string, ...words: string[]) => {
    const child: ChildProcess = spawn(program, words, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [out, err] = ['', '']
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    const ended = new Promise<Outcome>((resolve) => child.on('close', (code) => resolve({ code, out, err })))
    /** Waits until the output has what is looked for. */
    const until = async (wanted: RegExp): Promise<void> => {
      while (!wanted.test(out)) {
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${err}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    return { child, ended, until }
  }
  return {
    at,
    start,
    /** Runs the command to its end. */
    regauge: (...words: string[]): Promise<Outcome> => start(...words).ended,
    /** The same in this process, which moves to the folder: half a second less, for all that is not about processes. */
    here: async (...words: string[]): Promise<Outcome> => {
      process.chdir(folder)
      const { runCli } = (await import(join(CLI, 'app.js'))) as typeof import('../src/cli/app.ts')
      return command(words, runCli)
    },
    /** The same from a line of a shell, which has the command and its words as `"$0" "$@"`. */
    within: (line: string, ...words: string[]): Promise<Outcome> =>
      startAs('sh', '-c', line, process.execPath, MAIN, ...words).ended,
    /** Folder of the newest checkpoint of a run. */
    newest: (run: string): string =>
      at(run, 'checkpoints', readdirSync(at(run, 'checkpoints')).sort().at(-1)!),
  }
}

/** Sixty short sentences, others for each number. */
function textOf(number: number): string {
  const words =
    'river hill song morning stone train bridge lamp quiet carries leaves asks waits follows and'.split(' ')
  const word = (i: number): string => words[i % words.length]!
  const sentence = (_: unknown, i: number): string =>
    `The ${word(i * 7 + number)} ${word(i * i + number * 3)} ${word(i * 11 + 5 * number)}.`
  return Array.from({ length: 60 }, sentence).join('\n')
}
