/**
 * @file Fits the constants of the simulation to a folder of measured steps and writes them into the source.
 *
 *     npm run fit -- FOLDER
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { loadChips } from '../src/chips/index.ts'
import { RegaugeError } from '../src/errors.ts'
import type { Constants } from '../src/simulate/index.ts'
import { writeWhole } from '../src/watch/index.ts'
import { casesOf } from './evidence/cases.ts'
import { bandsOf, leaveCoresOut, leaveOneOut } from './evidence/errors.ts'
import { constantsIn, fitConstants, shipped } from './evidence/fit.ts'
import { CHIPS_FILE, readEvidence, readKernelsOf } from './evidence/index.ts'
import { ownKernels, productCases } from './evidence/kernels.ts'

const TARGET = join(import.meta.dirname, '../src/simulate/fitted/values.ts')

const [folder, ...rest] = process.argv.slice(2)
if (folder === undefined || rest.length > 0) {
  console.error('usage: npm run fit -- FOLDER')
  process.exit(2)
}

try {
  const chips = await loadChips(CHIPS_FILE)
  const { cases, refusals } = casesOf(readEvidence(folder).rows, chips)
  const products = productCases(readKernelsOf(folder).products, chips)
  const kernels = [...products, ...ownKernels(chips)]
  if (cases.length === 0) {
    throw new RegaugeError('data', {
      code: 'EVIDENCE_EMPTY',
      file: folder,
      message: 'no measured step can be used',
    })
  }
  for (const { id, reason } of refusals) console.log(`not used  ${id}: ${reason}`)
  const movable = constantsIn(fitConstants(cases, { kernels, rounds: 0 }))
  // the project's own kernels, of one chip and no engine, are no reason to move the others' constants
  const measured = cases.length + products.length
  if (measured < movable) {
    throw new RegaugeError('data', {
      code: 'EVIDENCE_FEW',
      file: folder,
      message: `${cases.length} steps and ${products.length} products are fewer than the ${movable} constants that they would move`,
      hint: 'give more measured steps, or steps of fewer kinds of chips and engines',
    })
  }
  const constants = fitConstants(cases, { kernels, log: (text) => console.log(text) })
  // bands are of rows that no constant has seen, and of chips that none has
  const log = (left: string) => console.log(`without ${left}`)
  const unseen = leaveOneOut(cases, constants, kernels, log)
  const bands = bandsOf([...unseen, ...leaveCoresOut(cases, constants, kernels, log)])
  write(shipped(constants, cases, kernels, bands))
  console.log(`${cases.length} steps and ${kernels.length} kernels; wrote ${TARGET}`)
} catch (error) {
  if (!(error instanceof RegaugeError)) throw error
  console.error(error.message)
  process.exitCode = error.exitCode
}

/** Writes the table, whole, or leaves the one that is there. */
function write(constants: Constants): void {
  const table = JSON.stringify(
    constants,
    (key, value: unknown) => {
      if (typeof value !== 'number' || Number.isFinite(value)) return value
      throw new RegaugeError('data', { code: 'EVIDENCE_FIT', message: `the fit of ${key} is ${value}` })
    },
    2,
  )
  const source = `/** @file The constants, as \`npm run fit\` makes them from measured steps. */
import type { Constants } from './constants.ts'

export const FITTED = ${table} as const satisfies Constants

/** Software whose steps were measured, and what engines are built on: the keys of what was fitted. */
export type MeasuredSoftware = keyof typeof FITTED.engines
export type Lineage = keyof typeof FITTED.lineages
`
  const text = execFileSync('npx', ['biome', 'format', `--stdin-file-path=${TARGET}`], {
    input: source,
    encoding: 'utf8',
  })
  writeWhole([{ path: TARGET, text, hint: 'make room; the constants are as they were' }])
}
