/** @file The report: hostile texts, many points, runs that have nothing to show. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { historyOf, type LoggedEvent, type RunEvent } from '../../train/index.ts'
import type { RunRecord } from '../records.ts'
import { reportHtml } from '../report.ts'
import { bucketed, chartHtml, niceTicks, smoothed } from './chart.ts'
import { embeddedJson, escapeHtml } from './html.ts'

const made = new Date('2026-11-23T12:00:00Z')

function record(events: RunEvent[]): RunRecord {
  const logged = events.map((event) => ({ ...event, time: '2026-11-23T11:00:00Z' }) as LoggedEvent)
  const history = historyOf(logged)
  return {
    id: 'books',
    folder: '/runs/books',
    state: history.state,
    history,
    runProblem: 'run.yaml is missing',
  }
}

const step = (n: number, loss: number): RunEvent => {
  return {
    type: 'step',
    step: n,
    steps: 10,
    loss,
    learningRate: 1e-3,
    gradNorm: 1,
    tokensPerSecond: 1e3,
    stepSeconds: 1,
  }
}

describe('reportHtml', () => {
  const hostile = `</script><script>alert(1)</script><!--<script>"'&\u2028\u0000]]>`
  const page = reportHtml(
    record([
      step(1, 5),
      step(2, 4),
      { type: 'eval', step: 2, loss: 4.5, bitsPerByte: 2.1 },
      { type: 'sample', step: 2, prompt: hostile, text: hostile },
      { type: 'note', message: hostile },
      { type: 'state', state: 'failed', message: hostile },
      {
        type: 'summary',
        step: 2,
        tokens: 128,
        seconds: 2,
        bitsPerByte: 2.1,
      },
    ]),
    '1.0.0',
    made,
  )

  it('lets no text of a run become part of the page', () => {
    expect(page.match(/<script/g)).toHaveLength(2)
    expect(page.match(/<\/script/g)).toHaveLength(2)
    expect(page).not.toContain('<!--')
    expect(page).toContain('&lt;/script&gt;&lt;script&gt;alert(1)')
    expect(page).toMatch(/script-src &#39;sha256-[\w+/]+=*&#39;/)
  })

  it('needs nothing from elsewhere', () => {
    expect(page).not.toMatch(/(src|href)=|https?:|url\(|@import/)
  })

  it('shows the figures', () => {
    for (const text of ['2.100', '4.500', 'failed']) expect(page).toContain(text)
  })

  it('says when there is nothing yet, or only what is not finite', () => {
    expect(reportHtml(record([]), '1', made)).toContain('No step has been logged.')
    const lost = reportHtml(record([step(1, Number.NaN), step(2, 3)]), '1', made)
    expect(lost).toContain('1 values were not finite and are gaps')
    expect(reportHtml(record([step(1, Number.NaN)]), '1', made)).not.toContain(
      '<b id="chart0-title">Loss</b>',
    )
  })
})

describe('bucketed', () => {
  it('loses no peak and says that it made groups', () => {
    const points = Array.from({ length: 5000 }, (_, x) => ({ x, y: x === 4321 ? 99 : x === 17 ? -99 : 0 }))
    const buckets = bucketed(points)
    expect(buckets).toHaveLength(1000)
    expect(Math.max(...buckets.map(({ high }) => high))).toBe(99)
    expect(Math.min(...buckets.map(({ low }) => low))).toBe(-99)
    const chart = {
      title: 't',
      unit: '',
      format: String,
      series: [{ name: 's', colour: 'a', look: 'line', points } as const],
    }
    expect(chartHtml(chart, 0)!.html.html).toContain('5,000 points in 1000 groups')
  })

  it('covers every point, whatever their number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 6000 }), (count) => {
        const points = Array.from({ length: count }, (_, x) => ({ x, y: Math.sin(x) }))
        const buckets = bucketed(points)
        expect(buckets.reduce((sum, { from, to }) => sum + to - from + 1, 0)).toBe(count)
      }),
      { numRuns: 50 },
    )
  })
})

describe('niceTicks', () => {
  it('spans the values', () => {
    expect(niceTicks(2.1, 9.7, 5)).toEqual([2, 4, 6, 8, 10])
    expect(niceTicks(0, 0.001, 4)).toEqual([0, 0.00025, 0.0005, 0.00075, 0.001])
    const any = fc.double({ min: -1e6, max: 1e6, noNaN: true })
    fc.assert(
      fc.property(
        any,
        fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        fc.integer({ min: 2, max: 8 }),
        (low, size, count) => {
          const ticks = niceTicks(low, low + size, count)
          const slack = size * 1e-6 + Math.abs(low) * 1e-9
          expect(ticks[0]!).toBeLessThanOrEqual(low + slack)
          expect(ticks.at(-1)!).toBeGreaterThanOrEqual(low + size - slack)
          expect(ticks.length).toBeLessThanOrEqual(2 * count + 3)
        },
      ),
    )
  })
})

it('smoothed keeps constants and means', () => {
  const flat = Array.from({ length: 9 }, (_, x) => ({ x, y: 2 }))
  expect(smoothed(flat, 5)).toEqual(flat)
  const rising = Array.from({ length: 9 }, (_, x) => ({ x, y: x }))
  expect(smoothed(rising, 3).slice(0, 8)).toEqual(rising.slice(0, 8))
})

it('escapes whatever it is given', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(escapeHtml(text)).not.toMatch(/[<>"']/)
      expect(embeddedJson({ text }).html).not.toContain('<')
      expect(JSON.parse(embeddedJson({ text }).html)).toEqual({ text })
    }),
  )
})
