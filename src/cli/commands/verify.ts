/** @file `regauge verify`: whether a run is the same on other runtimes, or two runs are one; exit code 7 when not. */

import { EXIT_CODES, RegaugeError } from '../../errors.ts'
import { harmless } from '../../harmless.ts'
import { loadRun } from '../../train/index.ts'
import {
  type Comparison,
  parseTargets,
  type Verification,
  verifyRuns,
  verifyRuntimes,
} from '../../verify/index.ts'
import {
  figure,
  findRun,
  requireVerificationPlace,
  VERDICTS,
  widest,
  worstTensors,
  writeVerification,
} from '../../watch/index.ts'
import { small } from '../../words.ts'
import type { Command } from '../context.ts'
import type { OptionValues } from '../options.ts'
import { tableLines } from '../ui/table.ts'
import type { Terminal } from '../ui/terminal.ts'
import { wrapped } from '../ui/text.ts'

export const run: Command<'verify'> = async ({ arguments: words, options, json, terminal }) => {
  if (options.out !== undefined) requireVerificationPlace(options.out)
  const verification = await (options.on === undefined
    ? compareRuns(words, options)
    : compareRuntimes(options.on, words, options, (text) => {
        if (!json) terminal.talk(text)
      }))
  if (json) terminal.data(JSON.stringify(verification, null, 2))
  else for (const line of verificationLines(verification, terminal)) terminal.data(line)
  if (options.out !== undefined) {
    writeVerification(verification, options.out)
    if (!json) terminal.talk(`page: ${options.out}`)
  }
  return verification.verdict === 'different' ? EXIT_CODES.differs : 0
}

function compareRuns(words: readonly string[], options: OptionValues<'verify'>): Promise<Verification> {
  const [reference, other, ...more] = words
  if (reference === undefined || other === undefined || more.length > 0) {
    throw new RegaugeError('usage', {
      code: 'CLI_ARGUMENT',
      message: `verify compares runtimes (--on) or two runs, got ${words.length === 0 ? 'neither' : `${words.length} run${words.length > 1 ? 's' : ''}`}`,
      hint: 'for instance: regauge verify books books-2',
    })
  }
  const folder = options.runs ?? 'runs'
  return verifyRuns(findRun(reference, folder), findRun(other, folder))
}

async function compareRuntimes(
  on: string,
  words: readonly string[],
  options: OptionValues<'verify'>,
  talk: (text: string) => void,
): Promise<Verification> {
  if (words.length > 0) {
    const hint = 'give a run file with --run, or two runs without --on'
    const message = `with --on, verify takes no further argument, got "${words[0]}"`
    throw new RegaugeError('usage', { code: 'CLI_ARGUMENT', message, hint })
  }
  const targets = parseTargets(on)
  const { run } = await loadRun(options.run ?? 'run.yaml', { set: options.set })
  const { steps, threads } = options
  const every = options['gradients-every']
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  try {
    return await verifyRuntimes(run, {
      on: targets,
      ...(steps !== undefined && { steps }),
      ...(every !== undefined && { gradientsEvery: every }),
      ...(threads !== undefined && { threads }),
      allowHost: options['allow-host'],
      signal: stop.signal,
      onNote: (message) => talk(harmless(message)),
      onStep: (step, all, losses) => {
        if (step !== all && step % Math.ceil(all / LINES) !== 0) return
        talk(`step ${step}/${all}  loss ${losses.map((loss) => loss.toFixed(6)).join('  ')}`)
      },
    })
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

/** Lines of progress, about. */
const LINES = 10
const WIDTH = 100
const SHOWN_TENSORS = 5

/** The result as text of at most a hundred columns, but for the names of folders. */
function verificationLines(
  verification: Verification,
  { colors, glyphs }: Pick<Terminal, 'colors' | 'glyphs'>,
): string[] {
  const { mode, reference, comparisons, spread, begun, settings, notes, title } = verification
  const rows = (name: string, value: string): string[] =>
    wrapped(value, WIDTH - 12).map((line, i) => `${colors.dim((i === 0 ? name : '').padEnd(12))}${line}`)
  const lines = [
    ...rows('run', `${title}, ${mode === 'runtimes' ? `from the ${begun}` : begun}`),
    ...rows('reference', sideText(reference)),
    ...settings.flatMap(({ key, reference: first, other }) => {
      return rows('setting', `${key}: ${first ?? 'not set'} and ${other ?? 'not set'}`)
    }),
  ]
  for (const comparison of comparisons) {
    lines.push(
      ...rows('compared', sideText(comparison)),
      '',
      ...criteriaLines(comparison, { colors, glyphs }),
      '',
    )
    lines.push(...tensorLines(comparison, { colors }))
    const { departure, stopped } = comparison
    if (departure !== undefined) {
      const layer = departure.layer === undefined ? '' : `, layer ${departure.layer}`
      lines.push(colors.yellow(`first departure: step ${departure.step}, ${departure.cause}${layer}`))
      lines.push(...wrapped(departure.message, WIDTH - 2).map((line) => `  ${line}`))
    }
    if (stopped !== undefined) lines.push(...wrapped(stopped, WIDTH))
  }
  if (spread.length > 0) lines.push(...spreadLines(verification, { colors }))
  for (const note of notes) {
    lines.push(
      ...wrapped(note, WIDTH - 2).map((line, i) => `${i === 0 ? colors.yellow(glyphs.warn) : ' '} ${line}`),
    )
  }
  for (const { name, verdict } of comparisons) {
    const sign = verdict === 'different' ? colors.red(glyphs.bad) : colors.green(glyphs.good)
    lines.push(`${sign} ${harmless(`${name} and ${reference.name}`)} are ${VERDICTS[verdict]}`)
  }
  return lines
}

function sideText({ name, description }: { readonly name: string; readonly description: string }): string {
  return description === '' ? name : `${name} (${description})`
}

type Look = Pick<Terminal, 'colors' | 'glyphs'>

function criteriaLines({ criteria }: Comparison, { colors, glyphs }: Look): string[] {
  const sign = {
    pass: colors.green(glyphs.good),
    warn: colors.yellow(glyphs.warn),
    fail: colors.red(glyphs.bad),
    'not-applicable': colors.dim(glyphs.dash),
  }
  const rows = criteria.flatMap(({ title, verdict, measures, source, rule }) =>
    measures.map(({ name, value, limit, inclusive, spread }, i) => [
      i === 0 ? sign[verdict] : '',
      i === 0 ? title : `  ${rule === 'any' ? 'or' : 'and'}`,
      name,
      value === null ? glyphs.dash : figure(value),
      `${inclusive ? '<=' : '<'} ${small(limit)}`,
      spread === null ? glyphs.dash : figure(spread),
      i === 0 ? colors.dim(source.name) : '',
    ]),
  )
  const columns = ['', 'criterion', '', 'found', 'limit', 'spread', 'source']
  const right = ['found', 'spread']
  const table = tableLines(
    columns.map((one) => ({
      title: one,
      align: right.includes(one) ? ('right' as const) : ('left' as const),
    })),
    rows,
    colors.bold,
  )
  const remarks = new Map<string, string[]>()
  for (const { title, note } of criteria) {
    if (note !== undefined) remarks.set(note, [...(remarks.get(note) ?? []), title])
  }
  const lines = [...remarks].flatMap(([note, titles]) => wrapped(`${titles.join('; ')}: ${note}`, WIDTH - 3))
  return [...table, ...lines.map((line) => colors.dim(`   ${line}`))]
}

function tensorLines(comparison: Comparison, { colors }: Pick<Look, 'colors'>): string[] {
  const worst = worstTensors(comparison, SHOWN_TENSORS)
  if (worst.length === 0) return []
  const rows = worst.map(({ name, kind, relativeError, cosine, step }) => [
    name,
    kind,
    figure(relativeError),
    cosine === 1 ? '0' : figure(1 - cosine),
    String(step),
  ])
  const heads = ['furthest apart', 'of', 'rel', '1-cos', 'step']
  const columns = heads.map((one, i) => ({
    title: one,
    align: i > 1 ? ('right' as const) : ('left' as const),
  }))
  return [...tableLines(columns, rows, colors.bold), '']
}

function spreadLines({ spread }: Verification, { colors }: Pick<Look, 'colors'>): string[] {
  const keys = ['loss', 'gradNorm', 'gradients', 'weights', 'moments'] as const
  const rows = spread.map((one) => {
    const found = widest(one)
    return [one.name, ...keys.map((key) => figure(found[key] ?? null))]
  })
  const heads = ['the reference itself', 'loss', 'norm', 'gradients', 'weights', 'moments']
  const columns = heads.map((one, i) => ({
    title: one,
    align: i > 0 ? ('right' as const) : ('left' as const),
  }))
  return [...tableLines(columns, rows, colors.bold), '']
}
