/** @file Layouts as text: read, written and read again, and every mistake in them; and the pipelines they make. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import type { Decoder } from '../model/index.ts'
import {
  copiesOf,
  createSimulator,
  type Layout,
  layoutPipeline,
  layoutText,
  machineOf,
  ONE_CHIP,
  parseLayout,
  pipelineSeconds,
  RECOMPUTES,
  SCHEDULE_NAMES,
  SCHEDULES,
  simulatePipeline,
} from './index.ts'

const plain: Layout = { ...ONE_CHIP, dataParallel: 64 }

/** Every message of the error that a layout gives. */
function mistakes(text: string, chips = 64): string[] {
  try {
    parseLayout(text, chips)
  } catch (error) {
    return (error as Error).message.split('\n')
  }
  return []
}

describe('parseLayout', () => {
  it('fills in what is left out', () => {
    expect(parseLayout('', 64)).toEqual(plain)
    expect(parseLayout('  TP8  pp=2 vp2 ', 64)).toEqual({
      ...plain,
      tensorParallel: 8,
      sequenceParallel: true,
      pipelineParallel: 2,
      virtualPipeline: 2,
      dataParallel: 4,
      schedule: 'interleaved',
    })
    expect(parseLayout('stages=7,8x2,7 recompute=full:3 offload ring=off sp pp4', 64)).toMatchObject({
      stageLayers: [7, 8, 8, 7],
      recompute: 'full',
      recomputeLayers: 3,
      offloadOptimizer: true,
      contextMethod: 'all-to-all',
      sequenceParallel: true,
      dataParallel: 16,
    })
  })

  it('takes commas between keys, beside those of stages', () => {
    const layout = parseLayout('tp8 pp4 stages=7,8x2,9 mb2', 64)
    for (const text of ['tp=8,pp=4,stages=7,8x2,9,mb=2', 'tp8, pp4 stages=7,8x2,9, mb2']) {
      expect(parseLayout(text, 64)).toEqual(layout)
    }
  })

  it('tells every mistake at once, with what would do', () => {
    expect(mistakes('tp8 tp4 xp3 recompute=selectiv schedule=1f1 stages=1,a pp-3 zero7')).toEqual([
      'the layout has tp twice: tp8 and tp4: give one of them',
      'unknown key "xp3" in the layout: did you mean tp?',
      'pp (pipeline parallelism) must be a whole number from 1 to 100000000, got "pp-3": for instance pp8',
      'stages must be the layers of each stage, got "stages=1,a": for instance stages=7,8x14,7',
      `schedule must be one of ${SCHEDULE_NAMES.join(', ')}, got "schedule=1f1": did you mean schedule=1f1b?`,
      'zero (ZeRO stage) must be a whole number from 0 to 3, got "zero7": for instance zero1',
      'recompute must be one of none, selective, full, got "recompute=selectiv": did you mean recompute=selective?',
    ])
    expect(mistakes('tp3')).toEqual([
      '64 chips do not divide by tensor 3 x context 1 x pipeline 1, which is 3: change one of them, or the chips',
    ])
    expect(mistakes('recompute=selective:3')).toEqual([
      'layers to recompute' + ' go with full, got "recompute=selective:3": for instance recompute=full:4',
    ])
    for (const text of [
      'tp',
      'tp1.5',
      'tp1e30',
      'tpNaN',
      'dp0',
      'mb-1',
      'stages=0',
      'stages=8x0',
      'stages=99999x99999',
      `stages=${Array(9000).fill('9x99999').join()}`,
      'y'.repeat(100_000),
      'sp=maybe',
    ]) {
      expect(mistakes(text)).toHaveLength(1)
      expect(mistakes(text)[0]!.length).toBeLessThan(300)
    }
  })

  it('never fails in another way', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 1e8 }), (text, chips) => {
        for (const line of mistakes(text, chips)) expect(line).toMatch(/layout|chips|must be/)
      }),
    )
  })

  it('reads what layoutText writes', () => {
    const count = fc.integer({ min: 1, max: 5000 })
    const layouts = fc
      .record({
        tensorParallel: count,
        sequenceParallel: fc.boolean(),
        contextParallel: count,
        contextMethod: fc.constantFrom('ring', 'all-to-all'),
        pipelineParallel: count,
        virtualPipeline: count,
        dataParallel: count,
        expertParallel: count,
        expertTensorParallel: count,
        zeroStage: fc.constantFrom(0, 1, 2, 3),
        microBatch: count,
        recompute: fc.constantFrom(...RECOMPUTES),
        offloadOptimizer: fc.boolean(),
        schedule: fc.constantFrom(...SCHEDULE_NAMES),
      })
      .chain((base) =>
        fc
          .record(
            {
              shardGroup: count,
              stageLayers: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
              ...(base.recompute === 'full' && { recomputeLayers: count }),
            },
            { requiredKeys: [] },
          )
          .map((more) => ({ ...base, ...more }) as Layout),
      )
    fc.assert(
      fc.property(layouts, (layout) => {
        // where context is not split, how it would be is not written
        const method = layout.contextParallel === 1 ? 'ring' : layout.contextMethod
        expect(parseLayout(layoutText(layout), 1)).toEqual({ ...layout, contextMethod: method })
      }),
    )
  })
})

describe('layoutPipeline', () => {
  const decoder: Decoder = {
    hiddenSize: 4096,
    layers: 32,
    vocabularySize: 128_256,
    attention: { kind: 'heads', heads: 32, keyValueHeads: 8, headSize: 128 },
    intermediateSize: 14_336,
    gated: true,
    experts: null,
    expertLayers: Array(32).fill(false),
    windows: Array(32).fill(undefined),
    norm: 'rms',
    normVectors: 1,
    normsPerLayer: 2,
    embeddingNorm: false,
    biases: { queryKeyValue: false, output: false, mlp: false, router: false, head: false },
    queryKeyNorm: false,
    attentionSinks: false,
    positions: 0,
    tiedEmbeddings: false,
    predictionLayers: 0,
  }
  const chip = catalogChips().find(({ id }) => id === 'h100-sxm')!
  const machine = machineOf(chip, 64, 'bf16', { networkBytesPerSecond: 50e9 })
  const workload = { decoder, sequenceLength: 4096, globalBatch: 512, precision: 'bf16' } as const
  const { costs, seconds } = createSimulator(workload, machine, ENGINES['megatron-lm'].behaviour)

  it.each([
    'tp2 pp4',
    'pp8 vp4 recompute=full:2',
    ...SCHEDULE_NAMES.map(
      (name) => `tp2 pp4 schedule=${name}${SCHEDULES[name].chunks === 'virtual' ? ' vp2' : ''}`,
    ),
    'pp8 schedule=dualpipe-v recompute=full:3',
    'tp2 pp4 schedule=dualpipe-v stages=6,9,9,8',
    'tp2 pp4 stages=7,9,9,7',
    'tp8',
  ])('is as long as the formula says, about: %s', (text) => {
    const layout = parseLayout(text, 64)
    const pipeline = layoutPipeline(costs, layout)
    if (typeof pipeline === 'string') throw new Error(pipeline)
    const run = simulatePipeline(pipeline)
    expect(run.makespan).toBeCloseTo(pipelineSeconds(pipeline), 9)
    const whole = seconds(layout)
    expect(run.makespan / whole).toBeGreaterThan(0.8)
    expect(run.makespan / whole).toBeLessThan(1.1)
    // all layers are somewhere: the passes of all stages take what one pass through the model takes
    const { forward } = costs.stage(layout, 0, 32, 0, true, true)
    const passed = pipeline.passes.flat().reduce((sum, pass) => sum + pass.forward, 0)
    expect(passed / copiesOf(SCHEDULES[layout.schedule].placement)).toBeCloseTo(forward, 9)
  })

  it('says why there is none', () => {
    expect(layoutPipeline(costs, parseLayout('pp4 vp2 dp256', 64))).toMatch(/micro-batches/)
    expect(layoutPipeline(costs, parseLayout('pp3 dp1 schedule=dualpipe', 3))).toBe(
      'dualpipe needs an even number of stages, not 3',
    )
  })
})
