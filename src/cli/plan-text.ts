/** @file A plan as lines for people: the best layouts, why others lost, pools beside each other, days against chips. */

import type { Rejection } from '../plan/index.ts'
import { layoutText, type TimeTerms } from '../simulate/index.ts'
import {
  bestText,
  energyText,
  GRADES,
  largestTerm,
  moneyText,
  type PlannedPool,
  type PlanReport,
  parameters,
  partText,
  seconds,
  TIME_TERMS,
  TOGETHER_NOTE,
  threeDigits,
} from '../watch/index.ts'
import { gibibytes, grouped, percent } from '../words.ts'
import { si } from './chips.ts'
import { modelText, type PlannedModel } from './planning.ts'
import { tableLines } from './ui/table.ts'
import type { Terminal } from './ui/terminal.ts'
import { columnsOf, wrapped } from './ui/text.ts'

const WIDTH = 100

/** What of a plan is printed. */
interface Shown {
  /** All reasons why others lost, not the first of them. */
  readonly allReasons: boolean
}

export function planLines(model: PlannedModel, plan: PlanReport, terminal: Terminal, shown: Shown): string[] {
  const { colors } = terminal
  const width = Math.min(terminal.width(), WIDTH)
  const { workload, tokens, pools, together } = plan
  const steps = tokens / (workload.globalBatch * workload.sequenceLength)
  const rows = (name: string, text: string): string[] =>
    wrapped(text, width - 12).map((line, i) => `${colors.dim((i === 0 ? name : '').padEnd(12))}${line}`)
  return [
    ...rows('model', modelText(model)),
    ...rows(
      'run',
      `${parameters(tokens)} tokens in ${grouped(Math.ceil(steps))} steps of ${grouped(workload.globalBatch)} sequences of ${grouped(workload.sequenceLength)}, ${workload.precision}; least ${plan.objective}`,
    ),
    ...pools.flatMap((pool) => ['', ...poolLines(pool, terminal, width, shown)]),
    ...(together !== undefined
      ? ['', ...togetherLines(together, workload.decoder.layers, terminal, width)]
      : pools.length > 1
        ? ['', ...comparisonLines(pools, terminal, width)]
        : []),
  ]
}

function poolLines(
  { name, engine, result, frontier, explanation }: PlannedPool,
  terminal: Terminal,
  width: number,
  { allReasons }: Shown,
): string[] {
  const { colors, glyphs } = terminal
  const { best, rejected, remedies } = result
  const head = `${colors.bold(name)}, ${engine.name}`
  const list = (texts: readonly string[]): string[] =>
    texts.flatMap((text) =>
      wrapped(text, width - 4).map((line, i) => `${i === 0 ? `  ${glyphs.dot} ` : '    '}${line}`),
    )
  const asked =
    explanation === undefined
      ? []
      : [
          '',
          colors.bold(`${layoutText(explanation.layout)}, on ${grouped(explanation.chips)} chips`),
          ...list(explanation.lines),
        ]
  if (best.length === 0) {
    const why = result.fastest === undefined ? 'no layout fits' : 'no layout is fast enough'
    return [head, colors.red(`${glyphs.bad} ${why}`), ...list(remedies), ...asked]
  }
  const money = best.some(({ cost }) => cost.money !== null)
  const right = (title: string) => ({ title, align: 'right' as const })
  const table = tableLines(
    [
      right('#'),
      right('step'),
      right('band'),
      right('MFU'),
      right('days'),
      right('GiB'),
      right('energy'),
      ...(money ? [right('money')] : []),
      { title: 'most besides computing' },
    ],
    best.map(({ prediction, cost, peakBytes }, i) => [
      String(i + 1),
      seconds(prediction.seconds),
      `${seconds(prediction.band.low).replace(/ m?s$/, '')}-${seconds(prediction.band.high)}`,
      percent(prediction.modelFlopsUtilization),
      cost.days === null ? 'unknown' : threeDigits(cost.days),
      gibibytes(peakBytes),
      energyText(cost),
      ...(money ? [moneyText(cost)] : []),
      costliestText(prediction.terms, prediction.seconds),
    ]),
    colors.bold,
  )
  const layouts = best.flatMap(({ layout, chips, idle }, i) => {
    const idleText = idle > 0 ? `  (on ${grouped(chips)} chips)` : ''
    // a layout stays on one line, to be copied
    const line = `${i + 1}  ${layoutText(layout)}`
    const both = `${line}${idleText}`
    return columnsOf(both) <= width ? [both] : [line, `   ${idleText.trim()}`]
  })
  const { evaluated, pruned } = result
  return [
    head,
    ...table,
    '',
    ...layouts,
    '',
    ...wrapped(
      `computed, not measured: bands hold in four of five cases, constants ${GRADES[best[0]!.prediction.band.grade]}; energy is of chips alone; GiB of ${gibibytes(best[0]!.memoryBytes)} a chip`,
      width,
    ).map(colors.dim),
    ...(rejected.length === 0
      ? []
      : ['', colors.bold('why others lost'), ...list(reasonTexts(rejected, allReasons))]),
    ...wrapped(
      `${grouped(evaluated)} layouts worked out, ${grouped(pruned)} left out by bounds of time and memory`,
      width,
    ).map(colors.dim),
    ...asked,
    ...(frontier.length < 2 ? [] : ['', ...frontierLines(frontier, terminal, width)]),
  ]
}

/** Reasons that are printed without being asked for. */
const MOST_REASONS = 5

/**
 * Why others lost, each reason once with all that it is of. Of them all, or of each parameter the value that comes
 * nearest to the best, the nearest first; the last line says how many more there are.
 */
export function reasonTexts(rejected: readonly Rejection[], all: boolean): string[] {
  const byReason = new Map<string, { readonly names: string[]; readonly first: Rejection }>()
  for (const rejection of rejected) {
    const [, name, reason] = /^(.*?): (.*)$/s.exec(rejection.reason) ?? ['', '', rejection.reason]
    const same = byReason.get(reason!)
    if (same === undefined) byReason.set(reason!, { names: [name!], first: rejection })
    else same.names.push(name!)
  }
  const reasons = [...byReason].map(([reason, { names, first }]) => {
    return { text: `${names.join(', ')}: ${reason}`, first }
  })
  if (all || reasons.length <= MOST_REASONS) return reasons.map(({ text }) => text)
  const ratioOf = ({ ratio = Number.POSITIVE_INFINITY }: Rejection): number => ratio
  const nearest = reasons.toSorted((a, b) => ratioOf(a.first) - ratioOf(b.first))
  const seen = new Set<string>()
  const shown = nearest.filter(({ first: { aspect } }) => !seen.has(aspect) && seen.add(aspect))
  const texts = shown.slice(0, MOST_REASONS).map(({ text }) => text)
  return [...texts, `and ${reasons.length - texts.length} more: --reasons all`]
}

/** The term that takes the most besides computing. */
function costliestText(terms: TimeTerms, step: number): string {
  const { key, name } = largestTerm(
    terms,
    TIME_TERMS.filter((term) => term.key !== 'compute'),
  )
  return `${name} ${percent(terms[key] / step)}`
}

function frontierLines(frontier: PlannedPool['frontier'], { colors }: Terminal, width: number): string[] {
  const sorted = frontier.toSorted((a, b) => a.chips - b.chips)
  const lines = tableLines(
    [
      { title: 'chips', align: 'right' },
      { title: 'days', align: 'right' },
      { title: 'band', align: 'right' },
    ],
    sorted.map(({ chips, days, low, high }) => [
      grouped(chips),
      threeDigits(days),
      `${threeDigits(low)}-${threeDigits(high)}`,
    ]),
  )
  const layouts = ['layout', ...sorted.map(({ layout }) => layout)]
  const beside = lines.map((line, i) => `${line}  ${layouts[i]}`)
  const shown = beside.every((line) => columnsOf(line) <= width)
    ? beside
    : lines.flatMap((line, i) => (i === 0 ? [line] : [line, `    ${layouts[i]}`]))
  return [colors.bold(shown[0]!), ...shown.slice(1)]
}

/** Each pool alone by its best layout, the best first. */
function comparisonLines(
  pools: readonly PlannedPool[],
  { colors, glyphs }: Terminal,
  width: number,
): string[] {
  const best = pools
    .flatMap(({ name, result }) => (result.best[0] === undefined ? [] : [{ name, planned: result.best[0] }]))
    .toSorted((a, b) => a.planned.seconds - b.planned.seconds)
  return [
    ...tableLines(
      [
        { title: 'each alone' },
        { title: 'step', align: 'right' },
        { title: 'MFU', align: 'right' },
        { title: 'days', align: 'right' },
        { title: 'energy', align: 'right' },
      ],
      best.map(({ name, planned: { prediction, cost } }) => [
        name,
        seconds(prediction.seconds),
        percent(prediction.modelFlopsUtilization),
        cost.days === null ? 'unknown' : threeDigits(cost.days),
        energyText(cost),
      ]),
      colors.bold,
    ),
    ...(best[0] === undefined ? [] : [`${colors.green(glyphs.good)} ${best[0].name} alone is the fastest`]),
    ...wrapped('give --link 200GB/s, the bandwidth between the pools, to plan the run on both', width).map(
      colors.dim,
    ),
  ]
}

/** The run on several pools: each way in a row, then what each pool does of it, then why the best is that. */
function togetherLines(
  { link, result }: NonNullable<PlanReport['together']>,
  layers: number,
  { colors, glyphs }: Terminal,
  width: number,
): string[] {
  const { plans, impossible, best } = result
  const most = Math.max(...plans.map((plan) => plan.seconds))
  const cell = glyphs.barCells.at(-1)!
  const right = (title: string) => ({ title, align: 'right' as const })
  const fixed = (text: string, mark: string): string[] =>
    wrapped(text, width - 4).map((line, i) => `${i === 0 ? `${mark} ` : '  '}${line}`)
  return [
    ...wrapped(
      `pools joined by ${si(link.bytesPerSecond, 'B/s')} out of each, each way, ${seconds(link.latency)} a message`,
      width,
    ).map(colors.bold),
    ...tableLines(
      [right('#'), { title: 'way' }, right('step'), right('days'), right('crossing'), { title: '' }],
      plans.map((plan, i) => [
        String(i + 1),
        plan.way,
        seconds(plan.seconds),
        plan.days === null ? 'unknown' : threeDigits(plan.days),
        plan.crossing === 0 ? 'none' : seconds(plan.crossing),
        colors.cyan(cell.repeat(Math.max(1, Math.round((plan.seconds / most) * 24)))),
      ]),
      colors.bold,
    ),
    '',
    ...plans.flatMap(({ parts, way }, i) =>
      parts.flatMap((part, at) => [
        `${at === 0 ? String(i + 1) : ' '}  ${part.pool}: ${partText(part, way, layers)}`,
        `     ${layoutText(part.layout)}`,
      ]),
    ),
    '',
    ...(best === undefined
      ? [colors.red(`${glyphs.bad} no way fits`)]
      : fixed(bestText(result), glyphs.good).map(colors.green)),
    ...impossible.flatMap((text) => fixed(text, glyphs.bad)).map(colors.dim),
    ...wrapped(TOGETHER_NOTE, width).map(colors.dim),
  ]
}
