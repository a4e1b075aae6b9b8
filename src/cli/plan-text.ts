/** @file A plan as lines for people: the best layouts, why others lost, pools beside each other, days against chips. */
import type { Explanation } from '../plan/index.ts'
import { layoutText, type TimeTerms } from '../simulate/index.ts'
import {
  daysText,
  energyText,
  GRADES,
  gibibytes,
  grouped,
  largestTerm,
  moneyText,
  type PlannedPool,
  type PlanReport,
  parameters,
  percent,
  seconds,
  TIME_TERMS,
} from '../watch/index.ts'
import { modelText, type PlannedModel } from './planning.ts'
import { tableLines } from './ui/table.ts'
import type { Terminal } from './ui/terminal.ts'
import { wrapped } from './ui/text.ts'

const WIDTH = 100

export function planLines(
  model: PlannedModel,
  plan: PlanReport,
  explanations: readonly (Explanation | undefined)[],
  terminal: Terminal,
): string[] {
  const { colors } = terminal
  const width = Math.min(terminal.width(), WIDTH)
  const { workload, tokens, pools } = plan
  const steps = tokens / (workload.globalBatch * workload.sequenceLength)
  const rows = (name: string, text: string): string[] =>
    wrapped(text, width - 12).map((line, i) => `${colors.dim((i === 0 ? name : '').padEnd(12))}${line}`)
  return [
    ...rows('model', modelText(model)),
    ...rows(
      'run',
      `${parameters(tokens)} tokens in ${grouped(Math.ceil(steps))} steps of ${grouped(workload.globalBatch)} sequences of ${grouped(workload.sequenceLength)}, ${workload.precision}; least ${plan.objective}`,
    ),
    ...pools.flatMap((pool, i) => ['', ...poolLines(pool, explanations[i], terminal, width)]),
    ...(pools.length > 1 ? ['', ...comparisonLines(pools, terminal)] : []),
  ]
}

function poolLines(
  { name, result, frontier }: PlannedPool,
  explanation: Explanation | undefined,
  terminal: Terminal,
  width: number,
): string[] {
  const { colors, glyphs } = terminal
  const { best, rejected, remedies, simulator } = result
  const head = `${colors.bold(name)}, ${simulator.engine.name}`
  const list = (texts: readonly string[]): string[] =>
    texts.flatMap((text) =>
      wrapped(text, width - 4).map((line, i) => `${i === 0 ? `  ${glyphs.dot} ` : '    '}${line}`),
    )
  const asked =
    explanation === undefined
      ? []
      : ['', ...wrapped(explanation.lines[0]!, width).map(colors.bold), ...list(explanation.lines.slice(1))]
  if (best.length === 0) {
    return [head, colors.red(`${glyphs.bad} no layout fits`), ...list(remedies), ...asked]
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
      cost.days === null ? 'unknown' : daysText(cost.days),
      gibibytes(peakBytes),
      energyText(cost),
      ...(money ? [moneyText(cost)] : []),
      costliestText(prediction.terms, prediction.seconds),
    ]),
    colors.bold,
  )
  const layouts = best.flatMap(({ layout, chips, idle }, i) => {
    const idleText = idle > 0 ? `, on ${grouped(chips)} chips` : ''
    return wrapped(`${layoutText(layout)}${idleText}`, width - 4).map(
      (line, at) => `${at === 0 ? String(i + 1).padStart(1) : ' '}  ${line}`,
    )
  })
  const { evaluated, pruned, overfull } = result
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
      : ['', colors.bold('why others lost'), ...list(rejected.map(({ reason }) => reason))]),
    ...wrapped(
      `${grouped(evaluated)} layouts worked out, ${grouped(pruned)} left out by bounds, ${grouped(overfull)} fast enough but too large`,
      width,
    ).map(colors.dim),
    ...asked,
    ...(frontier.length < 2 ? [] : ['', ...frontierLines(frontier, terminal)]),
  ]
}

/** The term that takes the most besides computing. */
function costliestText(terms: TimeTerms, step: number): string {
  const { key, name } = largestTerm(
    terms,
    TIME_TERMS.filter((term) => term.key !== 'compute'),
  )
  return `${name} ${percent(terms[key] / step)}`
}

function frontierLines(frontier: PlannedPool['frontier'], { colors }: Terminal): string[] {
  return tableLines(
    [
      { title: 'chips', align: 'right' },
      { title: 'days', align: 'right' },
      { title: 'band', align: 'right' },
      { title: 'layout' },
    ],
    frontier
      .toSorted((a, b) => a.chips - b.chips)
      .map(({ chips, days, low, high, layout }) => [
        grouped(chips),
        daysText(days),
        `${daysText(low)}-${daysText(high)}`,
        layout,
      ]),
    colors.bold,
  )
}

/** Each pool alone by its best layout, the best first. */
function comparisonLines(pools: readonly PlannedPool[], { colors, glyphs }: Terminal): string[] {
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
        cost.days === null ? 'unknown' : daysText(cost.days),
        energyText(cost),
      ]),
      colors.bold,
    ),
    ...(best[0] === undefined ? [] : [`${colors.green(glyphs.good)} ${best[0].name} alone is the fastest`]),
  ]
}
