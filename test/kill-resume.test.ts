/** @file Runs killed at any moment and resumed end as the one that was never stopped, bit for bit. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashFile } from '../src/formats/index.ts'
import { readHistory } from '../src/train/history.ts'
import { transpileSources } from './transpile.ts'

/** Kills in all, over as many runs as they take. */
const KILLS = 32
const STEPS = 160

let place: string
let child: ChildProcess | undefined

beforeAll(() => {
  place = transpileSources()
  mkdirSync(join(place, 'text'))
  for (let i = 0; i < 12; i++) writeFileSync(join(place, 'text', `${i}.txt`), text(i))
  writeFileSync(
    join(place, 'run.yaml'),
    `model: { preset: nano, overrides: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2 } }
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
  child?.kill('SIGKILL')
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
  child = process
  const lines: Line[] = []
  for await (const line of createInterface({ input: process.stdout })) {
    const parsed = JSON.parse(line) as Line
    lines.push(parsed)
    onLine(parsed, () => process.kill('SIGKILL'))
  }
  if (process.exitCode === null && process.signalCode === null) {
    await new Promise((resolve) => process.once('close', resolve))
  }
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
    timeout: 600_000,
  }, async () => {
    let kills = 0
    let inSave = 0
    let runs = 0
    while (kills < KILLS) {
      const name = `killed-${runs++}`
      let saves = 0
      for (;;) {
        // half of the kills come while a checkpoint is written, half at any time from the start of the process on
        const duringSave = kills % 2 === 0
        const wanted = 1 + Math.floor(Math.random() * 4)
        const delay = Math.random() * (duringSave ? 60 : 500)
        let killed = false
        saves = 0
        const timer = new AbortController()
        const lines = await run(name, (line, kill) => {
          const at = duringSave ? line.state === 'saving' && ++saves === wanted : line.state === 'compiling'
          if (!at || kills >= KILLS) return
          sleep(delay, undefined, { signal: timer.signal }).then(
            () => {
              killed = true
              kill()
            },
            () => {},
          )
        })
        timer.abort()
        const end = lines.at(-1)
        if (end?.type === 'end') {
          expect(end.state).toBe('finished')
          break
        }
        expect(end?.type, end?.message).not.toBe('error')
        expect(killed).toBe(true)
        kills += 1
        const left = readdirSync(join(place, 'runs', name, 'checkpoints'), { withFileTypes: true })
        if (left.some((entry) => entry.name.endsWith('.partial'))) inSave += 1
      }
      expect(await fingerprint(name)).toEqual(await fingerprint('reference'))
      expect(await losses(name)).toEqual(await losses('reference'))
      const names = readdirSync(join(place, 'runs', name, 'checkpoints'))
      expect(names.filter((one) => !/^step-\d{8}$/.test(one))).toEqual([])
    }
    console.log(`${kills} kills over ${runs} runs, ${inSave} of them left a half-written checkpoint`)
    expect(inSave).toBeGreaterThan(0)
  })
})
