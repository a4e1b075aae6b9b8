/**
 * @file Fits the constants of the simulation to a folder of measured steps and writes them into the source.
 *
 *     npm run fit -- FOLDER
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadChips } from '../src/chips/index.ts'
import { RegaugeError } from '../src/errors.ts'
import { bandsOf, leaveOneOut } from './evidence/errors.ts'
import { casesOf, fitConstants, productCases, shipped } from './evidence/fit.ts'
import { CHIPS_FILE, readEvidence, readKernelsOf } from './evidence/index.ts'

const TARGET = join(import.meta.dirname, '../src/simulate/fitted.ts')

const [folder, ...rest] = process.argv.slice(2)
if (folder === undefined || rest.length > 0) {
  console.error('usage: npm run fit -- FOLDER')
  process.exit(2)
}

try {
  const chips = await loadChips(CHIPS_FILE)
  const { cases, refusals } = casesOf(readEvidence(folder).rows, chips)
  const products = productCases(readKernelsOf(folder).products, chips)
  if (cases.length === 0) {
    throw new RegaugeError('data', {
      code: 'EVIDENCE_EMPTY',
      file: folder,
      message: 'no measured step can be used',
    })
  }
  for (const { id, reason } of refusals) console.log(`not used  ${id}: ${reason}`)
  const constants = fitConstants(cases, { products, log: (text) => console.log(text) })
  // bands are of rows that no constant has seen
  const bands = bandsOf(leaveOneOut(cases, constants, products, (source) => console.log(`without ${source}`)))
  const table = JSON.stringify(shipped(constants, cases, products, bands), null, 2)
  writeFileSync(
    TARGET,
    `/** @file The constants, as \`npm run fit\` makes them from measured steps. */
import type { Constants } from './constants.ts'

export const FITTED: Constants = ${table}
`,
  )
  execFileSync('npx', ['biome', 'format', '--write', TARGET], { stdio: 'ignore' })
  console.log(`${cases.length} steps and ${products.length} products; wrote ${TARGET}`)
} catch (error) {
  if (!(error instanceof RegaugeError)) throw error
  console.error(error.message)
  process.exitCode = error.exitCode
}
