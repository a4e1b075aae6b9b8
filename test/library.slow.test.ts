/** @file The library offers what the commands do with runs that are there. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { catalogChips, findChip } from '../src/chips.ts'
import { readHfConfig } from '../src/formats.ts'
import {
  compareRuns,
  completeRun,
  diagnose,
  figuresOf,
  findRun,
  formatRun,
  readRun,
  readRuns,
  writeReport,
} from '../src/index.ts'
import {
  createSimulator,
  ENGINES,
  layoutText,
  machineOf,
  parseLayout,
  planLayouts,
  readDecoder,
  violations,
} from '../src/planner.ts'
import { openEventLog } from '../src/train/index.ts'

const place = mkdtempSync(join(tmpdir(), 'regauge-library-'))
afterAll(() => rmSync(place, { recursive: true, force: true }))

/** A run of three steps, as its files. */
function written(name: string, batchSize: number): void {
  const folder = join(place, name)
  mkdirSync(folder)
  const log = openEventLog(join(folder, 'events.jsonl'))
  for (const step of [1, 2, 3]) {
    const rest = { steps: 3, learningRate: 1e-3, gradNorm: 1, tokensPerSecond: 1000 * step, stepSeconds: 1 }
    log.append({ type: 'step', step, loss: 6 - step, ...rest })
  }
  log.append({ type: 'state', state: 'finished' })
  log.close()
  const run = completeRun({
    name,
    model: { preset: 'nano' },
    tokenizer: { train: {} },
    data: { train: 'a.txt' },
    train: { steps: 3, batchSize },
  })
  writeFileSync(join(folder, 'run.yaml'), formatRun(run))
}

test('runs are read, found and compared, and a report is written', async () => {
  written('one', 4)
  written('two', 8)
  const records = await readRuns(place)
  expect(records.map(({ id, state }) => [id, state])).toEqual([
    ['one', 'finished'],
    ['two', 'finished'],
  ])
  expect(figuresOf(records[0]!.history)).toMatchObject({ step: 3, loss: 3, tokensPerSecond: 2000 })
  expect((await readRun(findRun('two', place))).run!.train.batchSize).toBe(8)
  expect(() => findRun('tow', place)).toThrow('no run "tow": did you mean "two"?')
  const { runs, differences } = compareRuns(records)
  expect(runs[1]).toMatchObject({ id: 'two', figures: { step: 3, loss: 3 } })
  expect(differences).toEqual({
    name: ['one', 'two'],
    'train.batchSize': ['4', '8'],
    'train.microBatchSize': ['4', '8'],
  })
  const report = await writeReport(join(place, 'one'))
  expect(readFileSync(report, 'utf8')).toContain('<h1>one</h1>')
})

test('the machine is diagnosed', async () => {
  const findings = await diagnose(place)
  expect(findings.map(({ name }) => name)).toEqual(expect.arrayContaining(['Node', 'memory', 'disk']))
  const disk = (await diagnose(join(place, 'nowhere'))).find(({ name }) => name === 'disk')
  expect(disk).toMatchObject({ ok: false, fix: expect.any(String) })
  expect(existsSync(join(place, 'nowhere'))).toBe(false)
})

test('a model is planned for chips, and the best layout is the one that a simulation likes best', async () => {
  const decoder = readDecoder(
    await readHfConfig(join(import.meta.dirname, '../examples/models/llama-3-70b/config.json')),
  )
  const { chip } = findChip(catalogChips(), 'ascend-910b2')
  const machine = machineOf(chip, 64, 'bf16')
  const engine = ENGINES['mindspeed-llm']
  const workload = { decoder, sequenceLength: 4096, globalBatch: 64, precision: 'bf16' } as const
  const { best } = planLayouts({ workload, machine, engine, top: 2, tokens: 1e12 })
  const [first, second] = best
  expect(violations(first!.layout, workload, first!.chips, engine)).toEqual([])
  expect(first!.seconds).toBeLessThanOrEqual(second!.seconds)
  expect(first!.peakBytes).toBeLessThanOrEqual(machine.memoryBytes)
  expect(first!.cost.days).toBeCloseTo(((1e12 / (4096 * 64)) * first!.prediction.seconds) / 86_400, 6)
  const simulator = createSimulator(workload, { ...machine, count: first!.chips }, engine.behaviour)
  expect(simulator.seconds(first!.layout)).toBeCloseTo(first!.prediction.seconds, 9)
  expect(parseLayout(layoutText(first!.layout), first!.chips)).toMatchObject({
    tensorParallel: first!.layout.tensorParallel,
    microBatch: first!.layout.microBatch,
  })
})
