/**
 * @file Prints what a folder of measured training steps holds: rows by source and chip, and why others are refused.
 *
 *     npx tsx scripts/evidence/list.ts FOLDER [--rows]
 */
import { RegaugeError } from '../../src/errors.ts'
import { readEvidence } from './index.ts'

const [folder, flag] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: npx tsx scripts/evidence/list.ts FOLDER [--rows]')
  process.exit(2)
}

try {
  const { rows, refusals } = readEvidence(folder)
  if (flag === '--rows') for (const row of rows) console.log(JSON.stringify(row))
  else {
    console.log(`${rows.length} measured steps`)
    print(
      rows.map(
        ({ source, chip, product }) => `${source}  ${chip}${product === null ? '' : `  (${product})`}`,
      ),
    )
    console.log(`\n${refusals.length} refused`)
    print(refusals.map(({ source, reason }) => `${source}  ${reason}`))
    console.log('\nassumptions')
    print(rows.flatMap(({ source, assumptions }) => assumptions.map((text) => `${source}  ${text}`)))
  }
} catch (error) {
  if (!(error instanceof RegaugeError)) throw error
  console.error(error.message)
  process.exitCode = error.exitCode
}

/** Each different line with how often it stands there, in order. */
function print(lines: readonly string[]): void {
  const counts = new Map<string, number>()
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1)
  for (const [line, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    console.log(`${String(count).padStart(6)}  ${line}`)
  }
}
