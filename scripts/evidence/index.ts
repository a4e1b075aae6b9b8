/** @file Reads every table of measured training steps that a folder holds into one list. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readKernels } from './aiconfigurator.ts'
import { requireFolder } from './files.ts'
import { readMeasurements } from './measurements.ts'
import type { Evidence, MeasuredRow, Refusal } from './row.ts'
import { readSailor } from './sailor.ts'
import { readSimumax } from './simumax.ts'
import { readVtrain } from './vtrain.ts'

export * from './aiconfigurator.ts'
export * from './row.ts'

/** Chips that the measurements name and the catalog lacks. */
export const CHIPS_FILE = join(import.meta.dirname, 'chips.yaml')

/** Tables by the name of their file; those of the same steps come first where they say more. */
const TABLES: Readonly<Record<string, (file: string) => (MeasuredRow | Refusal)[]>> = {
  'vtrain_single.csv': (file) => readVtrain(file, 'vtrain-single'),
  'vtrain_multi.csv': (file) => readVtrain(file, 'vtrain-multi'),
  'sailor_validation.csv': readSailor,
  'simumax_b200_validation.csv': readSimumax,
  'measurements.json': readMeasurements,
}

/** The measured steps of a folder, whichever of the tables it has. Throws a `data` error for malformed ones, or no folder. */
export function readEvidence(folder: string): Evidence {
  requireFolder(folder)
  const rows: MeasuredRow[] = []
  const refusals: Refusal[] = []
  const seen = new Map<string, string>()
  for (const [name, read] of Object.entries(TABLES)) {
    const file = join(folder, name)
    if (!existsSync(file)) continue
    for (const row of read(file)) {
      if ('reason' in row) {
        refusals.push(row)
        continue
      }
      const key = stepKey(row)
      const before = seen.get(key)
      if (before !== undefined && !before.startsWith(`${name}:`)) {
        const reason = `the same step as ${before.slice(before.indexOf(':') + 1)}`
        refusals.push({ id: row.id, source: row.source, reason })
        continue
      }
      seen.set(key, `${name}:${row.id}`)
      rows.push(row)
    }
  }
  return { rows, refusals }
}

/** The kernels that a folder of measured steps holds in its folder `aiconfigurator`; none where there is no such one. */
export function readKernelsOf(folder: string): ReturnType<typeof readKernels> {
  const kernels = join(folder, 'aiconfigurator')
  return existsSync(kernels) ? readKernels(kernels) : { products: [], collectives: [] }
}

/** Equal for the same step in two tables. */
function stepKey({ source, chips, workload, layout, measured }: MeasuredRow): string {
  const { decoder, globalBatch } = workload
  const { tensorParallel, pipelineParallel, microBatch } = layout
  const size = [decoder.hiddenSize, decoder.layers, chips, globalBatch]
  const degrees = [tensorParallel, pipelineParallel, microBatch]
  return [source, ...size, ...degrees, measured.stepSeconds.toPrecision(6)].join(' ')
}
