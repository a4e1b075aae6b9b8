/** @file Runs killed at any moment and resumed end as the one that was never stopped, bit for bit. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashFile } from '../src/formats/index.ts'
import { readHistory } from '../src/train/log/history.ts'
import { copyBuild } from './build-copy.ts'

/** Kills in all, over as many runs as they take. */
const KILLS = 32
const STEPS = 160

let place: string
const children = new Set<ChildProcess>()

beforeAll(() => {
  place = copyBuild()
  mkdirSync(join(place, 'text'))
  for (let i = 0; i < 12; i++) writeFileSync(join(place, 'text', `${i}.txt`), text(i))
  writeFileSync(
    join(place, 'run.yaml'),
    `model: { preset: nano, overrides: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1 } }
tokenizer: { train: { vocabSize: 300 } }
data: { train: text, heldout: { fraction: 0.2 }, sequenceLength: 16 }
train: { steps: ${STEPS}, batchSize: 4, microBatchSize: 2 }
evaluate: { everySteps: 60, batches: 2 }
checkpoint: { everySteps: 10, keepLast: 2 }
`,
  )
  writeFileSync(
    join(place, 'child.mjs'),
    `import { loadRun, train } from './dist/train/index.js'
const [name] = process.argv.slice(2)
const { run } = await loadRun(${JSON.stringify(join(place, 'run.yaml'))}, { set: ['name=' + name] })
try {
  const end = await train(run, { threads: 1, onEvent: (event) => console.log(JSON.stringify(event)) })
  console.log(JSON.stringify({ type: 'end', state: end.state }))
} catch (error) {
  console.log(JSON.stringify({ type: 'error', kind: error.kind, message: error.message }))
  process.exitCode = error.exitCode ?? 1
}
`,
  )
})

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(place, { recursive: true, force: true })
})

/** Text with something to learn, the same on every machine. */
function text(seed: number): string {
  const words = ['north', 'south', 'east', 'west', 'rail', 'gauge', 'train', 'stops', 'goes']
  let at = seed + 1
  return Array.from({ length: 400 }, () => {
    at = (at * 1103515245 + 12345) % 2 ** 31
    return words[at % words.length]
  }).join(' ')
}

type Line = { type: string; state?: string; message?: string; kind?: string }

/** Runs a process on the run until it ends, or is killed by what `onLine` does. */
async function run(name: string, onLine: (line: Line, kill: () => void) => void = () => {}): Promise<Line[]> {
  const process = spawn('node', [join(place, 'child.mjs'), name], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(process)
  const lines: Line[] = []
  for await (const line of createInterface({ input: process.stdout })) {
    const parsed = JSON.parse(line) as Line
    lines.push(parsed)
    onLine(parsed, () => process.kill('SIGKILL'))
  }
  if (process.exitCode === null && process.signalCode === null) {
    await new Promise((resolve) => process.once('close', resolve))
  }
  children.delete(process)
  return lines
}

const stepName = `step-${String(STEPS).padStart(8, '0')}`

async function fingerprint(name: string): Promise<string[]> {
  const folder = join(place, 'runs', name, 'checkpoints', stepName)
  return Promise.all(
    ['model.safetensors', 'optimizer.safetensors'].map((file) => hashFile(join(folder, file))),
  )
}

async function losses(name: string): Promise<number[][]> {
  const { steps } = await readHistory(join(place, 'runs', name, 'events.jsonl'))
  return steps.map(({ step, loss, gradNorm }) => [step, loss, gradNorm])
}

describe('a run', () => {
  test('gives the same numbers twice', async () => {
    for (const name of ['reference', 'again'])
      expect((await run(name)).at(-1)).toEqual({ type: 'end', state: 'finished' })
    expect(await fingerprint('again')).toEqual(await fingerprint('reference'))
    expect(await losses('again')).toEqual(await losses('reference'))
  })

  test(`killed ${KILLS} times at random moments ends bit-identical to the one that was not`, {
    timeout: 900_000,
  }, async () => {
    const counts = { kills: 0, runs: 0, halfWritten: 0 }
    await Promise.all([killAndResume(counts), killAndResume(counts)])
    console.log(
      `${counts.kills} kills over ${counts.runs} runs; ${counts.halfWritten} left a half-written checkpoint`,
    )
    expect(counts.halfWritten).toBeGreaterThan(0)
  })
})

/** Kills runs, one after another, until there were enough kills in all; each run is resumed until it is done. */
async function killAndResume(counts: { kills: number; runs: number; halfWritten: number }): Promise<void> {
  while (counts.kills < KILLS) {
    const name = `killed-${counts.runs++}`
    let end: Line | undefined
    do {
      const { lines, killed } = await runAndKill(name, counts.kills < KILLS)
      end = lines.at(-1)
      if (end?.type !== 'end') {
        expect(end?.type, end?.message).not.toBe('error')
        expect(killed).toBe(true)
        counts.kills += 1
        if (namesIn(name).some((one) => one.endsWith('.partial'))) counts.halfWritten += 1
      }
    } while (end?.type !== 'end')
    expect(end.state).toBe('finished')
    expect(await fingerprint(name)).toEqual(await fingerprint('reference'))
    expect(await losses(name)).toEqual(await losses('reference'))
    expect(namesIn(name).filter((one) => !/^step-\d{8}$/.test(one))).toEqual([])
  }
}

/** Half of the kills come while a checkpoint is written, the others from the start of the process or the training on. */
async function runAndKill(name: string, kill: boolean): Promise<{ lines: Line[]; killed: boolean }> {
  const kind = (['save', 'save', 'training', 'process'] as const)[Math.floor(Math.random() * 4)]!
  const wanted = 1 + Math.floor(Math.random() * 4)
  let killed = false
  let saves = 0
  let timer: NodeJS.Timeout | undefined
  const lines = await run(name, (line, signal) => {
    const at =
      kind === 'save'
        ? line.state === 'saving' && ++saves === wanted
        : line.state === (kind === 'training' ? 'training' : 'queued')
    if (!at || !kill || timer !== undefined) return
    timer = setTimeout(() => {
      killed = true
      signal()
    }, Math.random() * { save: 60, training: 400, process: 1500 }[kind])
  })
  clearTimeout(timer)
  return { lines, killed }
}

function namesIn(name: string): string[] {
  const folder = join(place, 'runs', name, 'checkpoints')
  return existsSync(folder) ? readdirSync(folder) : []
}
