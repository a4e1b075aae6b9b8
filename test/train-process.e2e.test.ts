/** @file Real processes on one run folder: signals, two at once, a full disk, a folder that may not be written. */
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashFile } from '../src/formats/index.ts'
import { readHistory } from '../src/train/log/history.ts'
import { copyBuild } from './build-copy.ts'

let place: string
const STEPS = 60

beforeAll(async () => {
  place = copyBuild()
  chmodSync(place, 0o755)
  mkdirSync(join(place, 'text'))
  const words = ['north', 'south', 'east', 'west', 'rail', 'gauge', 'train', 'stops', 'goes']
  for (let i = 0; i < 10; i++) {
    const text = Array.from({ length: 300 }, (_, at) => words[(at * at + i * at) % words.length]).join(' ')
    writeFileSync(join(place, 'text', `${i}.txt`), text)
  }
  writeFileSync(
    join(place, 'run.yaml'),
    `name: reference
model: { preset: nano, overrides: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2 } }
tokenizer: { train: { vocabSize: 300 } }
data: { train: text, heldout: { fraction: 0.2 }, sequenceLength: 16 }
train: { steps: ${STEPS}, batchSize: 4 }
checkpoint: { everySteps: 10 }
`,
  )
  expect((await regauge([])).code).toBe(0)
})
afterAll(() => rmSync(place, { recursive: true, force: true }))

interface Line {
  readonly type?: string
  readonly step?: number
  readonly state?: string
  readonly error?: { readonly code: string; readonly issues: readonly { readonly message: string }[] }
}

interface Ended {
  readonly code: number | null
  readonly lines: readonly Line[]
  readonly stderr: string
}

interface Options {
  /** A shell line that runs before the program. */
  readonly before?: string
  /** Who runs it, where this process may choose. */
  readonly uid?: number
  readonly onLine?: (line: Line, signal: (name: NodeJS.Signals) => void) => void
}

/** `regauge train run.yaml --set … --json` in a process of its own. */
async function regauge(settings: readonly string[], options: Options = {}): Promise<Ended> {
  const words = [
    join(place, 'dist/cli/main.js'),
    'train',
    join(place, 'run.yaml'),
    '--json',
    '--threads',
    '1',
  ]
  for (const setting of settings) words.push('--set', setting)
  const shell = `${options.before ?? ':'}; exec "$0" "$@"`
  const child = spawn('bash', ['-c', shell, process.execPath, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
  })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const lines: Line[] = []
  let text = ''
  for await (const line of createInterface({ input: child.stdout })) {
    text += line
    if (!line.startsWith('{"')) continue
    const parsed = JSON.parse(line) as Line
    lines.push(parsed)
    options.onLine?.(parsed, (name) => child.kill(name))
  }
  return { code: await ended, lines, stderr: stderr + text }
}

const checkpoints = (name: string) => join(place, 'runs', name, 'checkpoints')
const last = (name: string) =>
  hashFile(join(checkpoints(name), `step-${String(STEPS).padStart(8, '0')}`, 'model.safetensors'))

describe('signals', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    '%s once saves and stops, and the run goes on to the same end',
    async (name) => {
      expect((await regauge([])).code).toBe(0)
      const stopped = await regauge([`name=${name}`], {
        onLine: (line, signal) => {
          if (line.type === 'step' && line.step === 23) signal(name)
        },
      })
      expect(stopped.code).toBe(130)
      expect(stopped.stderr).toMatch('saving, then stopping')
      const { checkpoints: saved, state } = await readHistory(join(place, 'runs', name, 'events.jsonl'))
      expect(saved.at(-1)!.step).toBeGreaterThanOrEqual(23)
      expect(saved.at(-1)!.step % 10).not.toBe(0)
      expect(state).toBe('stopped')
      expect((await regauge([`name=${name}`])).code).toBe(0)
      expect(await last(name)).toBe(await last('reference'))
    },
  )

  test('SIGINT twice stops at once, without saving', async () => {
    let sent = 0
    const stopped = await regauge(['name=twice', 'train.steps=100000'], {
      onLine: (line, signal) => {
        if (line.type === 'step' && (line.step === 13 || line.state === 'saving') && sent++ === 0) {
          signal('SIGINT')
          setTimeout(() => signal('SIGINT'), 1)
        }
      },
    })
    expect(stopped.code).toBe(130)
    expect(existsSync(join(checkpoints('twice'), 'step-00000010'))).toBe(true)
    expect(readdirSync(checkpoints('twice')).filter((name) => name.startsWith('.'))).toEqual([])
  })
})

describe('one run folder', () => {
  test('is for one process: the second is told who has it, and the first goes on', async () => {
    let second: Promise<Ended> | undefined
    const first = await regauge(['name=shared', 'train.steps=400'], {
      onLine: (line) => {
        if (line.state === 'training') second ??= regauge(['name=shared', 'train.steps=400'])
      },
    })
    const refused = await second!
    expect(refused.code).toBe(3)
    expect(refused.stderr).toMatch(/process \d+ on .+ trains this run now/)
    expect(first.code).toBe(0)
  })

  test('that may not be written is one clear error', async () => {
    mkdirSync(join(place, 'locked'), { mode: 0o555 })
    const root = process.getuid?.() === 0
    const { code, stderr } = await regauge([`output=${join(place, 'locked')}`], root ? { uid: 65534 } : {})
    expect(code).toBe(3)
    expect(stderr).toMatch(/the run folder cannot be made \(EACCES\)/)
  })

  test('on a disk that is full part of the way through a checkpoint: one clear error, and the last good one stays', async () => {
    // a limit on the size of files stands for the disk: bash ignores the signal, so that the write itself fails
    const name = 'full'
    const stopped = await regauge([`name=${name}`], {
      onLine: (line, signal) => {
        if (line.type === 'step' && line.step === 15) signal('SIGTERM')
      },
    })
    expect(stopped.code).toBe(130)
    const before = readdirSync(checkpoints(name))
    const full = await regauge([`name=${name}`], { before: "trap '' XFSZ; ulimit -f 200" })
    expect(full.code).toBe(3)
    expect(full.stderr).toMatch(/the checkpoint was not written: a file may not become as large as it must/)
    expect(readdirSync(checkpoints(name))).toEqual(before)
    expect((await regauge([`name=${name}`])).code).toBe(0)
    expect(await last(name)).toBe(await last('reference'))
  })
})
