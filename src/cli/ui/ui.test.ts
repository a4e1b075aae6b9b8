/** @file What is drawn on a terminal: numbers, text, tables, curves, and the live area on an emulated screen. */

import { EventEmitter } from 'node:events'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { harmless } from '../../harmless.ts'
import type { RunEvent } from '../../train/index.ts'
import { bytes, compact, duration, percent, small } from '../../words.ts'
import { curveLines } from './curve.ts'
import { ASCII, UNICODE } from './glyphs.ts'
import { openLiveArea } from './live.ts'
import { tableLines } from './table.ts'
import { openTerminal, takesColor, takesUnicode } from './terminal.ts'
import { columnsOf, cutTo } from './text.ts'
import { openTrainingView, plainLine } from './training.ts'

describe('numbers', () => {
  it('are short', () => {
    expect([0, 7, 950, 999.4, 999.6, 1800, 12_200_000, 3e15].map(compact)).toEqual([
      '0',
      '7',
      '950',
      '999',
      '1.00k',
      '1.80k',
      '12.2M',
      '3.00P',
    ])
    expect([0, 512, 1023, 1024, 1.2 * 2 ** 30].map(bytes)).toEqual([
      '0 B',
      '512 B',
      '1023 B',
      '1.0 KiB',
      '1.2 GiB',
    ])
    expect([0.214, 0.9999, 9.5, 59.6, 192, 3599.7, 7500, 270_000].map(duration)).toEqual([
      '214ms',
      '1.0s',
      '9.5s',
      '1m00s',
      '3m12s',
      '1h00m',
      '2h05m',
      '3d03h',
    ])
    expect([0, 2.8e-4, 0.01, 0.91, 1e-3, 12345].map(small)).toEqual([
      '0',
      '2.8e-4',
      '0.01',
      '0.91',
      '1e-3',
      '1.2e4',
    ])
    expect(percent(0.312)).toBe('31.2%')
  })
})

describe('text', () => {
  it('is measured and cut by columns, whole graphemes and whole escapes', () => {
    expect(columnsOf('a\u001b[31mb\u001b[0m')).toBe(2)
    expect(columnsOf('漢字e\u0301')).toBe(5)
    expect(cutTo('abcdef', 4, '…')).toBe('abc…')
    expect(cutTo('漢字漢', 4, '…')).toBe('漢…')
    expect(cutTo('\u001b[1mabcdef', 4, '…')).toBe('\u001b[1mabc\u001b[0m…')
  })

  it('never gets wider than asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 30 }), (text, width) => {
        expect(columnsOf(cutTo(text, width, '…'))).toBeLessThanOrEqual(width)
      }),
    )
  })

  it('of others cannot reach the terminal', () => {
    expect(harmless('a\u001b[2Jb\u001b]0;title\u0007c\rd\u202ee\n\tf')).toBe('abc\ufffdd\ufffde\n\tf')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(harmless(text)).not.toMatch(/(?![\n\t])\p{Cc}/u)
      }),
    )
  })

  it('lines up in tables', () => {
    const columns = [{ title: 'run' }, { title: 'loss', align: 'right' }] as const
    expect(
      tableLines(columns, [
        ['漢', '3.1'],
        ['abcd', '12.25'],
      ]),
    ).toEqual(['run    loss', '漢      3.1', 'abcd  12.25'])
  })
})

describe('curveLines', () => {
  it('draws from the least to the greatest', () => {
    expect(curveLines([0, 1, 2, 3], 2, 1, UNICODE)).toEqual(['⡠⠊'])
    expect(curveLines([0, 1, 2, 3, 4, 5], 6, 1, ASCII)).toEqual(['_.-=*#'])
    expect(curveLines([5, Number.NaN, 5], 3, 1, ASCII)).toEqual(['- -'])
    expect(curveLines([], 3, 2, UNICODE)).toEqual(['', ''])
  })

  it('keeps a single peak among many values', () => {
    const values = Array.from({ length: 5000 }, (_, i) => (i === 2345 ? 10 : 0))
    expect(curveLines(values, 20, 2, UNICODE)[0]).toMatch(/[^\u2800]/)
  })

  it('fills its frame whatever the values', () => {
    const values = fc.array(fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY)), {
      minLength: 1,
    })
    fc.assert(
      fc.property(
        values,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 5 }),
        (data, width, height) => {
          const lines = curveLines(data, width, height, UNICODE)
          expect(lines).toHaveLength(height)
          if (data.some(Number.isFinite)) for (const line of lines) expect(line).toHaveLength(width)
        },
      ),
    )
  })
})

describe('openTerminal', () => {
  const tty = { isTTY: true, write: () => true, on: () => {}, off: () => {} }
  const pipe = { ...tty, isTTY: false }

  it('respects NO_COLOR, FORCE_COLOR, TERM=dumb and CI', () => {
    expect(takesColor(tty, {})).toBe(true)
    expect(takesColor(pipe, {})).toBe(false)
    expect(takesColor(tty, { NO_COLOR: '1', FORCE_COLOR: '1' })).toBe(false)
    expect(takesColor(tty, { NO_COLOR: '' })).toBe(true)
    expect(takesColor(pipe, { FORCE_COLOR: '1' })).toBe(true)
    expect(takesColor(tty, { FORCE_COLOR: '0' })).toBe(false)
    expect(takesColor(tty, { TERM: 'dumb' })).toBe(false)
    expect(takesColor(tty, { CI: 'true' })).toBe(false)
    expect(openTerminal(tty, tty, {}).live).toBe(true)
    for (const env of [{ TERM: 'dumb' }, { CI: '1' }]) expect(openTerminal(tty, tty, env).live).toBe(false)
    expect(openTerminal(pipe, tty, {}).live).toBe(false)
    expect(openTerminal(tty, pipe, {}).live).toBe(false)
  })

  it('falls back to ASCII', () => {
    expect(takesUnicode({})).toBe(true)
    expect(takesUnicode({ LANG: 'de_DE.UTF-8' })).toBe(true)
    expect(takesUnicode({ LANG: 'de_DE.UTF-8', LC_ALL: 'C' })).toBe(false)
    expect(takesUnicode({ TERM: 'linux', LANG: 'C.UTF-8' })).toBe(false)
  })

  it('goes on in silence when the reader is gone, and only then', () => {
    const stream = Object.assign(new EventEmitter(), { written: 0, write: () => Boolean(++stream.written) })
    const terminal = openTerminal(stream, pipe, {})
    terminal.data('x')
    stream.emit('error', Object.assign(new Error('gone'), { code: 'EPIPE' }))
    terminal.data('y')
    expect(stream.written).toBe(1)
    expect(() => stream.emit('error', Object.assign(new Error('full'), { code: 'ENOSPC' }))).toThrow('full')
  })
})

/** A screen that understands what the live area writes, and keeps what scrolls off the top. */
class Screen extends EventEmitter {
  readonly isTTY = true
  lines: string[] = ['']
  row = 0
  column = 0
  cursor = true
  columns: number
  rows: number

  constructor(columns: number, rows: number) {
    super()
    this.columns = columns
    this.rows = rows
  }

  write(text: string): boolean {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal is about control characters
    for (const part of text.match(/\u001b\[[?\d;]*[A-Za-z]|[\s\S]/g) ?? []) {
      if (part === '\u001b[?25l' || part === '\u001b[?25h') this.cursor = part.endsWith('h')
      else if (part === '\u001b[0J')
        this.lines = [...this.lines.slice(0, this.row), this.lines[this.row]!.slice(0, this.column)]
      else if (part.startsWith('\u001b[') && part.endsWith('A'))
        this.row = Math.max(0, this.row - Number.parseInt(part.slice(2), 10))
      else if (part === '\r') this.column = 0
      else if (part === '\n') this.newline()
      else if (!part.startsWith('\u001b')) {
        if (this.column === this.columns) this.newline()
        const line = this.lines[this.row]!.padEnd(this.column)
        this.lines[this.row] = line.slice(0, this.column) + part + line.slice(this.column + 1)
        this.column += 1
      }
    }
    return true
  }

  newline(): void {
    this.row += 1
    this.column = 0
    if (this.row === this.lines.length) this.lines.push('')
  }

  /** What a terminal does to lines that no longer fit. */
  resize(columns: number): void {
    const wrapped = this.lines.flatMap((line) => line.match(new RegExp(`.{1,${columns}}`, 'g')) ?? [''])
    this.columns = columns
    this.lines = wrapped
    this.row = wrapped.length - 1
    this.column = wrapped.at(-1)!.length
    this.emit('resize')
  }
}

describe('openLiveArea', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  it('stays at the bottom while lines scroll above it', () => {
    const screen = new Screen(40, 20)
    const terminal = openTerminal(screen, screen, { NO_COLOR: '1' })
    let count = 0
    const area = openLiveArea(terminal, () => [`count ${count}`, 'second'])
    expect(screen.cursor).toBe(false)
    for (count = 1; count <= 3; count++) {
      terminal.talk(`line ${count}`)
      area.update()
      vi.advanceTimersByTime(100)
    }
    count = 3
    terminal.data('two\nlines')
    expect(screen.lines).toEqual(['line 1', 'line 2', 'line 3', 'two', 'lines', 'count 3', 'second'])
    area.close()
    terminal.talk('after')
    expect(screen.lines).toEqual(['line 1', 'line 2', 'line 3', 'two', 'lines', 'after', ''])
    expect(screen.cursor).toBe(true)
  })

  it('draws at most ten times a second', () => {
    const screen = new Screen(40, 20)
    let drawings = 0
    const area = openLiveArea(openTerminal(screen, screen, {}), () => [`${drawings++}`])
    for (let i = 0; i < 1000; i++) {
      area.update()
      vi.advanceTimersByTime(1)
    }
    area.close()
    expect(drawings).toBeLessThanOrEqual(11)
  })

  it('survives a terminal that gets narrower, wider, or has few rows', () => {
    const screen = new Screen(40, 3)
    const terminal = openTerminal(screen, screen, { LANG: 'C' })
    const area = openLiveArea(terminal, () => ['a'.repeat(60), 'b'.repeat(30), 'never shown'])
    terminal.talk('log')
    screen.resize(20)
    expect(screen.lines).toEqual(['log', `${'a'.repeat(16)}...`, `${'b'.repeat(16)}...`])
    screen.resize(50)
    expect(screen.lines).toEqual(['log', `${'a'.repeat(46)}...`, 'b'.repeat(30)])
    area.close()
  })

  it('leaves no listeners behind', () => {
    const screen = new Screen(40, 3)
    const counts = () => [
      screen.listenerCount('resize'),
      process.listenerCount('exit'),
      process.listenerCount('SIGINT'),
    ]
    const before = counts()
    openLiveArea(openTerminal(screen, screen, {}), () => ['x']).close()
    expect(counts()).toEqual(before)
  })
})

describe('openTrainingView', () => {
  const step = (n: number): RunEvent => ({
    type: 'step',
    step: n,
    steps: 1000,
    loss: 10 / n ** 0.2,
    learningRate: 2.8e-4,
    gradNorm: 0.91,
    tokensPerSecond: 18_400,
    matmulShare: 0.312,
    etaSeconds: 192,
    memoryBytes: 5.1 * 2 ** 30,
    stepSeconds: 0.214,
  })
  const events: RunEvent[] = [
    { type: 'state', state: 'training' },
    ...Array.from({ length: 412 }, (_, i) => step(i + 1)),
    { type: 'eval', step: 400, loss: 3.301, bitsPerByte: 2.2 },
    { type: 'sample', step: 400, prompt: 'The ', text: 'end\u001b[2J\nof it' },
    { type: 'checkpoint', step: 400, path: 'checkpoints/400', bytes: 2 ** 20 },
  ]

  it('shows a live area on a terminal', () => {
    const screen = new Screen(90, 30)
    const view = openTrainingView(openTerminal(screen, screen, { NO_COLOR: '1' }), {
      name: 'books',
      everySteps: 10,
      json: false,
    })
    for (const event of events) view.event(event)
    view.event({ type: 'note', message: 'hello' })
    const bar = '█████████▉'.padEnd(24)
    expect(screen.lines.slice(0, 8)).toEqual([
      '@400  held-out loss 3.301 · 2.200 bits per byte',
      '@400  The end',
      'of it',
      '@400  ✓ saved checkpoints/400  1.0 MiB',
      '! hello',
      `training  books  ▕${bar}▏ 412/1,000  41%   ETA 3m12s`,
      'loss 3.006 ↓   held-out 3.301 @400 2.20 bits/byte   lr 2.8e-4   grad 0.91',
      '18.4k tok/s   31.2% of matmul limit   mem 5.1 GiB   step 214ms',
    ])
    expect(screen.lines.at(-1)).toBe('     loss, last 200 steps')
    view.close()
    expect(screen.lines.at(-1)).toBe('')
  })

  it('prints key=value lines in a pipe, every so many steps', () => {
    const lines: string[] = []
    const pipe = { write: (text: string) => lines.push(text) > 0, on: () => {}, off: () => {} }
    const view = openTrainingView(openTerminal(pipe, pipe, {}), {
      name: 'books',
      everySteps: 200,
      json: false,
    })
    for (const event of events) view.event(event)
    expect(lines).toHaveLength(1 + 3 + 3)
    expect(lines.join('')).not.toContain('\u001b')
    expect(lines.at(-2)).toBe('sample step=400 prompt="The " text="end\\nof it"\n')
    // why is the error that the command ends with
    view.event({ type: 'state', state: 'failed', message: 'the disk is full' })
    expect(lines.at(-1)).toBe('state="failed"\n')
    expect(plainLine(step(32))).toBe(
      'step=32 steps=1000 loss=5 learningRate=0.00028 gradNorm=0.91 tokensPerSecond=18400 matmulShare=0.312 etaSeconds=192 memoryBytes=5476100000 stepSeconds=0.214',
    )
  })

  it('prints events as they are with --json', () => {
    const lines: string[] = []
    const pipe = { write: (text: string) => lines.push(text) > 0, on: () => {}, off: () => {} }
    const view = openTrainingView(openTerminal(pipe, pipe, {}), {
      name: 'books',
      everySteps: 200,
      json: true,
    })
    for (const event of events) view.event(event)
    expect(lines.map((line) => JSON.parse(line))).toEqual(events)
  })
})
