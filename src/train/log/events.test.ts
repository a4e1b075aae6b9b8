/** @file The event log under kills, full disks, hostile lines and resumed runs. */
import { appendFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RegaugeError } from '../../errors.ts'
import { type BadLine, type LoggedEvent, openEventLog, type RunEvent, readEvents } from './events.ts'
import { fingerprint } from './fingerprint.ts'
import { historyOf, readHistory } from './history.ts'

const fresh = (): string => join(mkdtempSync(join(tmpdir(), 'events-')), 'events.jsonl')

const step = (n: number, loss = 3): RunEvent => ({
  type: 'step',
  step: n,
  steps: 100,
  loss,
  learningRate: 1e-3,
  gradNorm: 1,
  tokensPerSecond: 1000,
  stepSeconds: 0.1,
})

const start = (startStep: number): RunEvent => ({
  type: 'start',
  startStep,
  steps: 100,
  parameters: 10,
  tokensPerStep: 64,
  version: '0',
  pid: 1,
  machine: { host: 'h', platform: 'p', processor: 'c', cores: 2, memoryBytes: 1, node: 'v', runtime: 'r' },
})

async function all(path: string, bad: BadLine[] = []): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = []
  for await (const event of readEvents(path, (line) => bad.push(line))) events.push(event)
  return events
}

describe('fingerprint', () => {
  const batch = (ids: number[], labels: number[]) => {
    return { ids: Int32Array.from(ids), labels: Int32Array.from(labels) }
  }
  it('tells batches apart by every id, label and place', () => {
    const all = [
      batch([1, 2], [2, 3]),
      batch([2, 1], [2, 3]),
      batch([1, 2], [2, -100]),
      batch([2, 3], [1, 2]),
    ]
    expect(new Set(all.map(fingerprint)).size).toBe(4)
    // zlib's CRC-32 of the sixteen bytes
    expect(fingerprint(batch([1, 2], [2, 3]))).toBe('fe78ecc8')
  })
})

describe('openEventLog', () => {
  it('writes one line an event and goes on where it stopped', async () => {
    const path = fresh()
    for (const n of [1, 2]) {
      const log = openEventLog(path)
      log.append(step(n))
      log.close()
    }
    expect((await all(path)).map((e) => e.type === 'step' && e.step)).toEqual([1, 2])
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(3)
  })

  it('cuts off a half-written last line wherever the kill fell, and says so', async () => {
    const path = fresh()
    const log = openEventLog(path)
    log.append(step(1))
    log.append({ type: 'sample', step: 1, prompt: 'é', text: 'a\nb\u2028 </script>' })
    log.close()
    const bytes = readFileSync(path)
    const firstLine = bytes.indexOf(10) + 1
    for (let cut = 0; cut < bytes.length; cut++) {
      writeFileSync(path, bytes.subarray(0, cut))
      const again = openEventLog(path)
      again.append(step(2))
      again.close()
      const bad: BadLine[] = []
      const events = await all(path, bad)
      const partial = cut > 0 && cut !== firstLine
      expect(again.droppedBytes).toBe(cut < firstLine ? cut : cut - firstLine)
      expect(bad).toEqual([])
      expect(events.filter((e) => e.type === 'step')).toHaveLength(cut < firstLine ? 1 : 2)
      expect(events.some((e) => e.type === 'note')).toBe(partial)
    }
  })

  it('names the file when it cannot be written', () => {
    expect(() => openEventLog(join(fresh(), 'nowhere', 'events.jsonl'))).toThrow(RegaugeError)
  })
})

describe('readEvents', () => {
  it('leaves out a last line that is still being written', async () => {
    const path = fresh()
    const log = openEventLog(path)
    log.append(step(1))
    appendFileSync(path, '{"type":"step","st')
    const bad: BadLine[] = []
    expect(await all(path, bad)).toHaveLength(1)
    expect(bad).toEqual([])
    log.close()
  })

  it('tells lines that are no events and reads the rest', async () => {
    const path = fresh()
    const lines = ['nonsense', '[]', 'null', '{"type":"unheard"}', '{"type":"step","step":"1"}', '', '"x"']
    writeFileSync(path, `${lines.join('\n')}\n${JSON.stringify(step(7))}\n`)
    const bad: BadLine[] = []
    expect(await all(path, bad)).toHaveLength(1)
    expect(bad.map((b) => b.line)).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  it('reads a loss that was not a number back as NaN', async () => {
    const path = fresh()
    const log = openEventLog(path)
    log.append(step(1, Number.NaN))
    log.close()
    const [event] = await all(path)
    expect(event?.type === 'step' && event.loss).toBeNaN()
  })

  it('gives back any text that was written', async () => {
    const path = fresh()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), async (texts) => {
        writeFileSync(path, '')
        const log = openEventLog(path)
        for (const message of texts) log.append({ type: 'note', message })
        log.close()
        expect((await all(path)).map((e) => e.type === 'note' && e.message)).toEqual(texts)
      }),
      { numRuns: 30 },
    )
  })
})

describe('historyOf', () => {
  it('keeps each step once when a killed run did some again', async () => {
    const path = fresh()
    const log = openEventLog(path)
    log.append(start(0))
    for (let n = 1; n <= 15; n++) log.append(step(n, 1))
    log.append(start(10))
    log.append({ type: 'state', state: 'training' })
    for (let n = 11; n <= 20; n++) log.append(step(n, 2))
    log.close()
    const history = await readHistory(path)
    expect(history.steps.map((s) => s.step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    expect(history.steps[10]?.loss).toBe(2)
    expect(history.starts).toHaveLength(2)
    expect(history.state).toBe('training')
  })

  it('is queued when nothing was written', () => {
    expect(historyOf([]).state).toBe('queued')
  })
})
