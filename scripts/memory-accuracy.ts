/**
 * @file Compares the memory model with measured runs: simumax_b200_validation.csv of a folder. Rows that
 * differ in the number of micro-batches alone share one measurement of memory, so there are 19.
 *
 *     npx tsx scripts/memory-accuracy.ts FOLDER
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createMemoryModel, LIBRARY_BYTES } from '../src/simulate/index.ts'
import { readCsv } from './evidence/files.ts'
import { readSimumax } from './evidence/simumax.ts'

const GIBIBYTE = 2 ** 30

/** One measured run, with the prediction for it. GiB. */
export interface MemoryRow {
  readonly name: string
  readonly model: string
  readonly measured: { readonly allocated: number; readonly reserved: number }
  readonly predicted: { readonly allocated: number; readonly reserved: number }
  /** Relative error of SimuMax 1.2's own prediction of the allocated bytes. */
  readonly peerError: number
}

/** The runs of a folder, each with the prediction for it. */
export function memoryRows(folder: string): MemoryRow[] {
  const file = join(folder, 'simumax_b200_validation.csv')
  const peers = readCsv(file, ['model', 'perf_alloc_gib', 'real_alloc_gib'], (row) => ({
    model: row.text('model'),
    peerError: row.number('perf_alloc_gib') / row.number('real_alloc_gib') - 1,
  })).values
  return readSimumax(file).flatMap((row, i) => {
    if ('reason' in row) return []
    const { workload, behaviour, layout, measured } = row
    const stages = createMemoryModel(workload, behaviour).stages(layout)
    return {
      name: row.id,
      ...peers[i]!,
      measured: {
        allocated: measured.allocatedBytes! / GIBIBYTE,
        reserved: measured.reservedBytes! / GIBIBYTE,
      },
      predicted: {
        allocated: Math.max(...stages.map((stage) => stage.allocated)) / GIBIBYTE,
        reserved: Math.max(...stages.map((stage) => stage.peak - LIBRARY_BYTES)) / GIBIBYTE,
      },
    }
  })
}

export interface ErrorSummary {
  readonly rows: number
  /** Means and the largest of absolute relative errors. */
  readonly allocated: number
  readonly allocatedMost: number
  readonly reserved: number
  readonly reservedMost: number
  readonly peer: number
}

export function errorsOf(rows: readonly MemoryRow[]): ErrorSummary {
  const errors = (kind: 'allocated' | 'reserved') =>
    rows.map(({ measured, predicted }) => Math.abs(predicted[kind] / measured[kind] - 1))
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    rows: rows.length,
    allocated: mean(errors('allocated')),
    allocatedMost: Math.max(...errors('allocated')),
    reserved: mean(errors('reserved')),
    reservedMost: Math.max(...errors('reserved')),
    peer: mean(rows.map(({ peerError }) => Math.abs(peerError))),
  }
}

function main(folder: string): void {
  const rows = memoryRows(folder)
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`
  const signed = (predicted: number, measured: number) =>
    `${predicted.toFixed(2)} of ${measured.toFixed(2)} GiB (${percent(predicted / measured - 1)})`
  for (const { name, measured, predicted } of rows) {
    console.log(
      `${name}: allocated ${signed(predicted.allocated, measured.allocated)}, reserved ${signed(predicted.reserved, measured.reserved)}`,
    )
  }
  for (const model of [...new Set(rows.map((row) => row.model)), undefined]) {
    const group = errorsOf(rows.filter((row) => model === undefined || row.model === model))
    console.log(
      `${model ?? 'all'}: ${group.rows} runs, allocated ${percent(group.allocated)} (most ${percent(group.allocatedMost)}), reserved ${percent(group.reserved)} (most ${percent(group.reservedMost)}); SimuMax allocated ${percent(group.peer)}`,
    )
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2]
  if (folder === undefined) {
    console.error('usage: npx tsx scripts/memory-accuracy.ts FOLDER')
    process.exitCode = 1
  } else main(folder)
}
