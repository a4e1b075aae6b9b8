/** @file Measured training steps are read into one list, or refused with a reason; malformed tables say where. */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { casesOf } from '../scripts/evidence/cases.ts'
import {
  CHIPS_FILE,
  type MeasuredRow,
  readCollectives,
  readEvidence,
  readKernels,
} from '../scripts/evidence/index.ts'
import { PRIOR } from '../scripts/evidence/priors.ts'
import { loadChips } from '../src/chips/index.ts'

const FOLDER = join(import.meta.dirname, 'golden/evidence')
const KERNELS = join(FOLDER, 'kernels')
const DATA = process.env.REGAUGE_DATA

const { rows, refusals } = readEvidence(FOLDER)

function row(id: string): MeasuredRow {
  const found = rows.find((one) => one.id === id)
  if (found === undefined) throw new Error(`no row ${id}`)
  return found
}

describe('published rows', () => {
  test('a step time is taken as it is, with the flags of its row', () => {
    const { source, chip, chips, layout, workload, behaviour, measured } = row('step')
    expect({ source, chip, chips }).toEqual({ source: 'korthikanti', chip: 'a100-80gb-sxm', chips: 16 })
    expect(measured).toMatchObject({ stepSeconds: 2.5, fromFlops: false })
    expect(layout).toMatchObject({
      tensorParallel: 2,
      sequenceParallel: true,
      pipelineParallel: 2,
      virtualPipeline: 3,
      dataParallel: 4,
      recompute: 'selective',
      schedule: 'interleaved',
    })
    expect(workload).toMatchObject({ sequenceLength: 2048, globalBatch: 64, precision: 'bf16' })
    expect(workload.decoder).toMatchObject({
      gated: false,
      norm: 'layer',
      positions: 2048,
      tiedEmbeddings: true,
    })
    expect(behaviour).toMatchObject({ fusedAttention: false, dropout: true })
  })

  test('printed FLOP/s are turned back by the formula of their paper', () => {
    const { measured, layout, assumptions } = row('flops')
    // F = 96 B s l h^2 (1 + s/6h + V/16lh), Narayanan et al. 2021, eq. 3
    const flops = 96 * 2304 * 2048 * 80 * 12288 ** 2 * (1 + 2048 / (6 * 12288) + 51200 / (16 * 80 * 12288))
    expect(measured.stepSeconds).toBeCloseTo(flops / (140e12 * 1536), 6)
    expect(measured.fromFlops).toBe(true)
    expect(layout).toMatchObject({ microBatch: 2, virtualPipeline: 2 })
    expect(assumptions).toContain('micro-batch 2, as in the script that the authors released')
    expect(assumptions).toContain('fp16')
  })

  test('tokens a second give the step; uneven stages and partial recomputation are read', () => {
    const { source, chip, product, measured, layout, behaviour, workload } = row('tokens')
    expect({ source, chip, product }).toEqual({
      source: 'mindformers',
      chip: 'ascend-910b2',
      product: 'Atlas 900 A2 PoDc',
    })
    expect(measured.stepSeconds).toBe(524_288 / (2048 * 8))
    expect(layout).toMatchObject({
      stageLayers: [7, 8, 10, 7],
      recompute: 'full',
      recomputeLayers: 4,
      zeroStage: 1,
    })
    expect(behaviour.overlapsTensor).toBe(true)
    expect(workload.decoder).toMatchObject({ vocabularySize: 32_000, gated: true, norm: 'rms' })
  })

  test('experts: what recipes leave out is assumed and written down', () => {
    const { layout, workload, assumptions } = row('experts')
    expect(layout).toMatchObject({ expertParallel: 32, expertTensorParallel: 1, recompute: 'none' })
    expect(layout.stageLayers).toEqual([11, 12, 12, 12, 12, 12, 12, 11])
    expect(workload.precision).toBe('fp8')
    expect(workload.decoder.experts).toEqual({
      count: 128,
      active: 8,
      groups: 1,
      activeGroups: 1,
      intermediateSize: 1536,
      sharedIntermediateSize: 0,
      sharedGate: false,
    })
    expect(assumptions).toContain('recomputation none')
    expect(assumptions).toContain('sequence parallelism on')
  })

  test('two dies to a package, folded stages with empty places, latent attention', () => {
    const { chip, chipsPerNode, measured, layout, behaviour, workload } = row('latent')
    expect({ chip, chipsPerNode }).toEqual({ chip: 'ascend-910c-die', chipsPerNode: 16 })
    expect(measured.stepSeconds).toBeCloseTo((3840 * 4096) / (900.5 * 256), 9)
    expect(layout).toMatchObject({
      stageLayers: [5, 8, 8, 8, 8, 8, 8, 8],
      schedule: 'dualpipe-v',
      contextMethod: 'all-to-all',
      offloadOptimizer: true,
      recomputeLayers: 2,
    })
    expect(behaviour).toMatchObject({ overlapsExperts: true, overlapsPipeline: true })
    expect(workload.decoder.attention).toMatchObject({ kind: 'latent', keyValueRank: 512 })
    expect(workload.decoder.predictionLayers).toBe(1)
    expect(workload.decoder.expertLayers.slice(0, 4)).toEqual([false, false, false, true])
  })

  test('rows that lack something decisive are refused with the reason', () => {
    const reasons = Object.fromEntries(refusals.map(({ id, reason }) => [id, reason]))
    expect(reasons).toEqual({
      'vtrain-multi-line3': 'suspect: 9.8 s where its neighbours take 5.0 s',
      'vtrain-multi-line4': 'the degrees multiply to 32, not to 16 chips',
      'sailor/clariden/GPT-NEO/N4/N4_D4': 'suspect: its plan has 26 layers where the model has 34',
      twice: 'the same step as vtrain-multi-line2',
      'no-layout': 'the layout is not stated',
      'no-batch': 'the global batch is not stated',
      'no-architecture': 'the architecture of "Nobody-7B" is not known',
      'share-of-peak': 'only a share of peak is printed',
      'odd-formula': 'only FLOP/s are printed, by a formula that is not stated',
      'no-chip': 'the chip "Abacus 3" is not known',
    })
  })
})

describe('tables of other simulators', () => {
  test('vTrain', () => {
    const { layout, measured, workload } = row('vtrain-multi-line2')
    expect(layout).toMatchObject({
      tensorParallel: 2,
      dataParallel: 4,
      pipelineParallel: 2,
      recompute: 'full',
    })
    expect(measured.stepSeconds).toBe(1.5005)
    expect(workload).toMatchObject({ precision: 'fp16', globalBatch: 64 })
    expect(workload.decoder.vocabularySize).toBe(50_257)
  })

  test('Sailor: a kind of chip for each replica of each stage', () => {
    const { chip, layout, placement, arithmetic, measured } = row('sailor/mit/N4/N4_D2')
    expect({ chip, arithmetic }).toEqual({ chip: 'rtx-3090', arithmetic: 'fp32' })
    // embedding and head count as layers of the plan
    expect(layout.stageLayers).toEqual([11, 13])
    expect(placement?.map(({ replicas }) => replicas.map((replica) => replica.chip))).toEqual([
      ['rtx-3090', 'rtx-2080-ti'],
      ['titan-rtx', 'rtx-2080-ti'],
    ])
    expect(measured.usedBytes).toBe(6_800_000_000)
    expect(row('sailor/clariden/OPT-350/N2/N2_D1')).toMatchObject({
      placement: null,
      arithmetic: 'tf32',
      reached: null,
      headless: false,
    })
  })

  test('Sailor: links as they were measured, and no head where the model ends with a norm', async () => {
    const { behaviour, reached } = row('sailor/mit/N4/N4_D2')
    // an all-reduce of 16 MiB by 8 cards in 18.533 ms; a server's Ethernet, shared by 8
    expect(reached?.['rtx-3090']?.link).toBeCloseTo((1.75 * 2 ** 24) / 0.018533, -3)
    expect(reached?.['rtx-3090']?.network).toBeCloseTo(114_876_125 / 8, -1)
    expect(behaviour).toMatchObject({ fusedMask: false, dropout: false, sendsInTurn: true })

    const headless = row('sailor/clariden/GPT-NEO/N2/N2_D1')
    expect(headless).toMatchObject({ headless: true, layout: { stageLayers: [15, 17] } })
    const seconds = (one: MeasuredRow) => casesOf([one], chips).cases[0]!.seconds(PRIOR)
    const chips = await loadChips(CHIPS_FILE)
    const alike = seconds({ ...headless, headless: false })
    // the products of the head are those of 1.6 layers, of 17 on its stage
    expect(seconds(headless) / alike).toBeGreaterThan(0.85)
    expect(seconds(headless) / alike).toBeLessThan(0.97)
    // measured bandwidths are reached whole: no constant of links changes them
    const mixed = row('sailor/mit/N4/N4_D2')
    const lossy = { ...PRIOR, general: { ...PRIOR.general, linkShare: 0.1, networkShare: 0.1 } }
    const [own] = casesOf([mixed], chips).cases
    expect(own!.seconds(lossy)).toBe(own!.seconds(PRIOR))
  })

  test('SimuMax: cut models, memory as allocated and reserved', () => {
    const long = row('simumax-b200/made_up_tp2_cp4_seq32768')
    expect(long.workload).toMatchObject({ sequenceLength: 32_768, globalBatch: 4 })
    expect(long.measured).toMatchObject({
      allocatedBytes: 60.5 * 2 ** 30,
      reservedBytes: 64 * 2 ** 30,
    })
    const sparse = row('simumax-b200/made_up_ep4_pp2')
    expect(sparse.layout).toMatchObject({ expertParallel: 4, dataParallel: 4, expertTensorParallel: 1 })
    expect(sparse.workload.globalBatch).toBe(32)
    expect(sparse.workload.decoder.expertLayers).toEqual([false, true, true, true])
  })

  test('AIConfigurator: products in elements, collectives in bytes', () => {
    const { products, collectives } = readKernels(KERNELS)
    expect(products.map(({ chip, rows: list }) => [chip, list[0]])).toEqual([
      ['a100-80gb-sxm', { dtype: 'int8_wo', m: 16, n: 32, k: 64, seconds: 0.01 / 1000 }],
      ['h100-sxm', { dtype: 'bfloat16', m: 4096, n: 8192, k: 1024, seconds: 0.125 / 1000 }],
    ])
    expect(collectives.map(({ title }) => title)).toEqual(['NVIDIA A100 made up 2.0'])
    expect(collectives[0]?.rows).toEqual([
      { operation: 'all_reduce', dtype: 'half', chips: 8, bytes: 2048, seconds: 0.05 / 1000 },
      { operation: 'alltoall', dtype: 'int8', chips: 4, bytes: 1024, seconds: 0.25 / 1000 },
    ])
    expect(() => readCollectives(join(KERNELS, 'a100_sxm_gemm_madeup_1.0.csv'))).toThrow(
      'the header lacks "op_name", "nccl_dtype", "num_gpus", "message_size"',
    )
  })
})

test('malformed tables name the file, the line or row, and what stood there', async () => {
  const { readMeasurements } = await import('../scripts/evidence/measurements.ts')
  const { readVtrain } = await import('../scripts/evidence/vtrain.ts')
  const { readSailor } = await import('../scripts/evidence/sailor.ts')
  const { readSimumax } = await import('../scripts/evidence/simumax.ts')
  const bad = (name: string): string => join(FOLDER, 'malformed', name)
  const message = (read: () => unknown): string => {
    try {
      read()
    } catch (error) {
      return (error as Error).message.replaceAll(`${FOLDER}/malformed/`, '')
    }
    return 'no error'
  }
  expect(message(() => readMeasurements(bad('measurements.json'))).split('\n')).toEqual([
    expect.stringContaining('measurements.json  row "bad-layers": layers is -3'),
    expect.stringContaining('measurements.json  row 3: id is missing'),
    expect.stringContaining('measurements.json  row "bad-time": step_time_s is "fast"'),
  ])
  expect(message(() => readMeasurements(bad('vtrain_single.csv')))).toContain('is no JSON')
  expect(message(() => readVtrain(bad('vtrain_single.csv'), 'vtrain-single')).split('\n')).toEqual([
    'vtrain_single.csv:2  "iteration time (ms)" is "fast", no number above 0',
    'vtrain_single.csv:3  9 cells where the header has 11',
    'vtrain_single.csv:4  "micro batch" is 8.5, no whole number',
  ])
  expect(message(() => readSailor(bad('sailor_validation.csv')))).toContain('the header lacks "tp"')
  expect(message(() => readSimumax(bad('simumax_b200_validation.csv')))).toContain(
    'simumax_b200_validation.csv:2  "parallel" is "tp2zz4", not degrees such as tp1ep4pp2',
  )
})

test('every chip is one of the catalog or of the file beside the readers', async () => {
  const known = new Set((await loadChips(CHIPS_FILE)).map(({ id }) => id))
  expect(chipsOf(rows).filter((id) => !known.has(id))).toEqual([])
})

test.skipIf(DATA === undefined)('the folder REGAUGE_DATA holds measured steps that are whole', async () => {
  const evidence = readEvidence(DATA ?? '')
  const known = new Set((await loadChips(CHIPS_FILE)).map(({ id }) => id))
  expect(evidence.rows.length).toBeGreaterThan(0)
  expect(chipsOf(evidence.rows).filter((id) => !known.has(id))).toEqual([])
  for (const { id, chips, layout, workload, measured } of evidence.rows) {
    const { tensorParallel, contextParallel, pipelineParallel, dataParallel, microBatch, stageLayers } =
      layout
    expect(tensorParallel * contextParallel * pipelineParallel * dataParallel, id).toBe(chips)
    expect(workload.globalBatch % (microBatch * dataParallel), id).toBe(0)
    expect(stageLayers?.reduce((a, b) => a + b) ?? workload.decoder.layers, id).toBe(workload.decoder.layers)
    expect(measured.stepSeconds > 1e-3 && measured.stepSeconds < 1e4, id).toBe(true)
  }
})

function chipsOf(list: readonly MeasuredRow[]): string[] {
  return list.flatMap(({ chip, placement }) => [
    chip,
    ...(placement ?? []).flatMap(({ replicas }) => replicas.map((replica) => replica.chip)),
  ])
}
