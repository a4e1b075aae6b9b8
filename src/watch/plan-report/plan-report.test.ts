/** @file Pages and traces of what is planned: numbers beside pictures, hostile names, long pipelines, no overlaps. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { catalogChips } from '../../chips/index.ts'
import { ENGINES } from '../../engines/index.ts'
import { readDecoder } from '../../model/index.ts'
import {
  createSimulator,
  layoutPipeline,
  machineOf,
  type Pipeline,
  parseLayout,
} from '../../simulate/index.ts'
import {
  type Simulation,
  simulationHtml,
  type TraceEvent,
  traceEvents,
  writeSimulation,
  writeTrace,
} from './index.ts'
import { secondsFormat, threeDigits } from './terms.ts'

const folder = mkdtempSync(join(tmpdir(), 'regauge-plan-report-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const decoder = readDecoder({
  model_type: 'llama',
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 64,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 32_000,
})
const chip = catalogChips().find(({ id }) => id === 'h100-sxm')!
const CHIPS = 1024
const simulator = createSimulator(
  { decoder, sequenceLength: 4096, globalBatch: 4096, precision: 'bf16' },
  machineOf(chip, CHIPS, 'bf16', { networkBytesPerSecond: 50e9 }),
  ENGINES['megatron-lm'].behaviour,
)

function simulation(text: string, model = 'small'): Simulation {
  const layout = parseLayout(text, CHIPS)
  return {
    model,
    engine: ENGINES['megatron-lm'],
    simulator,
    layout,
    prediction: simulator.predict(layout),
    pipeline: layoutPipeline(simulator.costs, layout),
    notes: [model],
  }
}

const made = new Date('2026-11-23T12:00:00Z')
const page = (text: string): string => simulationHtml(simulation(text), made)

describe('simulationHtml', () => {
  it('shows every number that it draws, and loads nothing', () => {
    const { prediction } = simulation('tp8 pp4 vp2')
    const text = page('tp8 pp4 vp2')
    for (const { terms, stage } of prediction.memory) {
      expect(text).toContain(
        `stage ${stage}, 16 layers, GiB at the peak: weights ${(terms.weights / 2 ** 30).toFixed(1)}`,
      )
      expect(text).toContain(`<td class="n">${(terms.activations / 2 ** 30).toFixed(1)}</td>`)
    }
    expect(text).toContain(
      `<td class="n">${secondsFormat([prediction.seconds])(prediction.terms.compute)}</td>`,
    )
    expect(text).toMatch(/GiB a chip<\/span>/)
    expect(text).not.toMatch(/\b(src|href)=|url\(|@import/)
    expect(text).not.toContain('NaN')
    expect(text).not.toContain('undefined')
  })

  it('says that a layout does not fit, by how much and of what', () => {
    expect(page('mb32')).toMatch(/Does not fit: [\d.]+ GiB over on stage 0, where most is activations/)
    expect(page('tp8')).not.toContain('Does not fit')
  })

  it('shortens long pipelines and says so', () => {
    const text = page('pp64 mb4')
    expect(text).toContain('16 of 64 stages are drawn')
    expect(text).toContain('24 of 64 stages are shown')
    expect(text.length).toBeLessThan(2e6)
    expect(page('tp8 pp2 dp64')).toContain('Shortened to 8 of 64 micro-batches')
    expect(page('tp8')).toContain('There is one stage: no pipeline.')
    expect(page('pp2 vp2 dp2048')).toContain('Every pass is drawn.')
  })

  it('says why a pipeline is not drawn', () => {
    expect(page('pp3 dp4 schedule=dualpipe')).toContain(
      'Not drawn: dualpipe needs an even number of stages, not 3.',
    )
    expect(page('pp64 schedule=dualpipe-v mb4')).toContain(
      'Not drawn: dualpipe-v needs at least 128 micro-batches, there are 64.',
    )
  })

  it('lets no name become part of the page', () => {
    const hostile = `</style><script>alert(1)</script>"'&\u2028`
    const text = simulationHtml(simulation('tp8 pp4', hostile), made)
    expect(text.match(/<script/g)).toHaveLength(2)
    expect(text).not.toContain('</style><script>')
  })
})

describe('numbers beside each other', () => {
  it('have the same decimals in a table of seconds, as many as give the largest four digits', () => {
    expect([39.6, 4, 4.03, 0].map(secondsFormat([39.6, 4, 4.03, 0]))).toEqual([
      '39.60',
      '4.00',
      '4.03',
      '0.00',
    ])
    expect([142, 34.25].map(secondsFormat([142, 34.25]))).toEqual(['142.0', '34.3'])
    expect(secondsFormat([0])(0)).toBe('0')
    const rows = [...page('tp8 pp4 vp2').matchAll(/<tr><th scope="row">step<\/th>(.*?)<\/tr>/g)]
    const decimals = new Set(
      [...rows[0]![1]!.matchAll(/>[\d,]+(?:\.(\d+))?</g)].map(([, part]) => part?.length),
    )
    expect(decimals.size).toBe(1)
  })

  it('keep zeros that others have digits for', () => {
    expect([4, 4.03, 27.7, 99.96, 1234].map(threeDigits)).toEqual(['4.00', '4.03', '27.7', '100', '1,234'])
  })
})

describe('traceEvents', () => {
  const passesOf = (events: readonly TraceEvent[]) => events.filter((event) => event.ph === 'X')

  it.each([
    'tp8 pp4 dp32',
    'tp8 pp4 vp4',
    'tp8 pp4 schedule=zero-bubble',
    'tp8 pp8 schedule=dualpipe',
    'tp8 pp4 schedule=dualpipe-v',
  ])('has each pass once, and none over another on its track: %s', (text) => {
    const { pipeline } = simulation(text)
    const events = passesOf(traceEvents(pipeline as Pipeline))
    const { passes, microBatches } = pipeline as Pipeline
    const forwards = events.filter(({ cat }) => cat === 'forward')
    const each = text.endsWith('dualpipe') ? 1 : passes[0]!.length
    expect(forwards).toHaveLength(passes.length * each * microBatches)
    expect(events.filter(({ cat }) => cat === 'backward')).toHaveLength(forwards.length)
    const names = new Set(events.map(({ pid, tid }) => `${pid} ${tid}`))
    for (const one of names) {
      const track = events.filter(({ pid, tid }) => `${pid} ${tid}` === one).sort((a, b) => a.ts - b.ts)
      for (const [i, { ts, dur, name, args }] of track.entries()) {
        expect(dur).toBeGreaterThan(0)
        expect(name.slice(1)).toBe(String(args.microBatch))
        const next = track[i + 1]
        // in nanoseconds, which are whole
        if (next !== undefined)
          expect(Math.round((ts + dur) * 1e3)).toBeLessThanOrEqual(Math.round(next.ts * 1e3))
      }
    }
    expect(names.size).toBe(passes.length * (text.includes('dualpipe') ? 2 : 1))
  })

  it('is written as a whole file, or not at all', () => {
    const { pipeline } = simulation('tp8 pp4 vp2')
    const path = join(folder, 'trace.json')
    writeTrace(pipeline as Pipeline, path)
    const { traceEvents: read } = JSON.parse(readFileSync(path, 'utf8')) as { traceEvents: TraceEvent[] }
    expect(read).toEqual(traceEvents(pipeline as Pipeline))
    expect(read[0]).toEqual({ ph: 'M', name: 'process_name', pid: 0, args: { name: 'stage 0' } })
    const nowhere = join(folder, 'none', 'a')
    expect(() => writeTrace(pipeline as Pipeline, nowhere)).toThrow(
      /cannot be written \(ENOENT\): choose another/,
    )
    expect(() => writeSimulation(simulation('tp8'), nowhere)).toThrow(/cannot be written \(ENOENT\)/)
    expect(readdirSync(folder)).toEqual(['trace.json'])
  })

  it('refuses what no viewer opens', () => {
    const pipeline = { ...(simulation('tp8 pp4').pipeline as Pipeline), microBatches: 1e6 }
    expect(() => traceEvents(pipeline)).toThrow('a trace of up to 12000000 passes is more than viewers open')
  })
})
