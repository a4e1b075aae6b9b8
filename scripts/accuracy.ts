/**
 * @file Judges the constants as they ship by a folder of measured steps, and fits nothing unless it is asked to leave
 * each source out in turn, or all that was measured on each design of cores. Prints Markdown.
 *
 *     npm run accuracy -- FOLDER [--leave-one-out] [--leave-cores-out]
 */
import { loadChips } from '../src/chips/index.ts'
import { RegaugeError } from '../src/errors.ts'
import { FITTED } from '../src/simulate/index.ts'
import { casesOf } from './evidence/cases.ts'
import { type Judged, judge, leaveCoresOut, leaveOneOut, meanError } from './evidence/errors.ts'
import { constantsIn } from './evidence/fit.ts'
import { CHIPS_FILE, readEvidence, readKernelsOf } from './evidence/index.ts'
import { ownKernels, productCases } from './evidence/kernels.ts'

const words = process.argv.slice(2)
const FLAGS = ['--leave-one-out', '--leave-cores-out']
const [leaves, leavesCores] = FLAGS.map((flag) => words.includes(flag))
const [folder, ...rest] = words.filter((word) => !FLAGS.includes(word))
if (folder === undefined || rest.length > 0) {
  console.error(`usage: npm run accuracy -- FOLDER ${FLAGS.map((flag) => `[${flag}]`).join(' ')}`)
  process.exit(2)
}

/** What others reach on the same sets: of themselves or as measured here, see docs/accuracy.md. */
const PEERS: Readonly<Record<string, string>> = {
  'vtrain-single': 'vTrain 8.4 (its paper, with profiles of the GPU), SimuMax 21.5, Calculon 39.0',
  'vtrain-multi': 'vTrain 14.7 (its paper), Calculon 15.3, SimuMax 26.1',
  korthikanti: 'Calculon 3.7 (fitted on these rows)',
  'simumax-b200': 'SimuMax 5.6, 2.8 after one factor that was fitted on them',
  sailor: 'Sailor 8.9 to 18.5 (one kind), 10.3 (mixed)',
}

// a reader that has seen enough closes the pipe
process.stdout.on('error', () => process.exit(0))

const percent = (share: number) => (Number.isNaN(share) ? '' : (100 * share).toFixed(1))

try {
  const chips = await loadChips(CHIPS_FILE)
  const evidence = readEvidence(folder)
  const { cases, refusals } = casesOf(evidence.rows, chips)
  if (cases.length === 0 && evidence.refusals.length + refusals.length === 0) {
    throw new RegaugeError('data', {
      code: 'EVIDENCE_EMPTY',
      file: folder,
      message: 'holds no table of measured steps',
      hint: 'give a folder with measurements.json or the CSV tables',
    })
  }
  const judged = judge(cases, FITTED)
  const kernels = [...productCases(readKernelsOf(folder).products, chips), ...ownKernels(chips)]
  const unseen = leaves ? leaveOneOut(cases, FITTED, kernels) : []
  const keyOf = ({ case: { row } }: Judged) =>
    `${row.source} | ${row.placement === null ? row.chip : 'mixed'}`
  print(
    'source | chip | rows | mean % | median % | bias % | in band % | left out % | in band, left out % | others',
  )
  print('---|---|--:|--:|--:|--:|--:|--:|--:|---')
  const told = new Set<string>()
  for (const key of [...new Set(judged.map(keyOf))].sort()) {
    const [source = ''] = key.split(' | ')
    print(
      `${key} | ${figures(judged, unseen, (one) => keyOf(one) === key)} | ${told.has(source) ? '' : (PEERS[source] ?? '')}`,
    )
    told.add(source)
  }
  print(`**all** | | ${figures(judged, unseen, () => true)} |`)

  print(
    `\n${constantsIn(FITTED)} constants, ${cases.length} steps, ${evidence.refusals.length + refusals.length} rows not predicted.`,
  )
  if (leavesCores) {
    print('\ncores left out | source | rows | mean % | bias % | in band %\n---|---|--:|--:|--:|--:')
    const unknown = leaveCoresOut(cases, FITTED, kernels)
    const coresOf = ({ case: { machine, row } }: Judged) => `${machine.architecture} | ${row.source}`
    for (const key of [...new Set(unknown.map(coresOf))].sort()) {
      const own = unknown.filter((one) => coresOf(one) === key)
      print(`${key} | ${own.length} | ${[meanError(own), bias(own), inBand(own)].map(percent).join(' | ')}`)
    }
  }
  print('\nThe worst ten:\n')
  for (const one of [...judged].sort((a, b) => Math.abs(b.error) - Math.abs(a.error)).slice(0, 10)) {
    const { row } = one.case
    print(
      `- ${row.id}: ${one.predicted.toPrecision(4)} s, measured ${one.measured.toPrecision(4)} s (${signed(one.error)})`,
    )
  }
  print('\nNot predicted:\n')
  const reasons = new Map<string, number>()
  for (const { source, reason } of [...evidence.refusals, ...refusals]) {
    const line = `${source}: ${reason}`
    reasons.set(line, (reasons.get(line) ?? 0) + 1)
  }
  for (const [line, count] of [...reasons].sort()) print(`- ${count} of ${line}`)
} catch (error) {
  if (!(error instanceof RegaugeError)) throw error
  console.error(error.message)
  process.exitCode = error.exitCode
}

function print(line: string): void {
  console.log(line)
}

function bias(judged: readonly Judged[]): number {
  return judged.reduce((sum, { error }) => sum + error, 0) / judged.length
}

function inBand(judged: readonly Judged[]): number {
  return judged.filter((one) => one.inBand).length / judged.length
}

function figures(
  judged: readonly Judged[],
  unseen: readonly Judged[],
  take: (one: Judged) => boolean,
): string {
  const own = judged.filter(take)
  const left = unseen.filter(take)
  const sorted = own.map(({ error }) => Math.abs(error)).sort((a, b) => a - b)
  return [
    own.length,
    percent(meanError(own)),
    percent(sorted[Math.floor(sorted.length / 2)]!),
    percent(bias(own)),
    percent(inBand(own)),
    percent(meanError(left)),
    percent(inBand(left)),
  ].join(' | ')
}

function signed(share: number): string {
  return `${share > 0 ? '+' : ''}${(100 * share).toFixed(0)} %`
}
