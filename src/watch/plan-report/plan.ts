/** @file The page of a plan: the best layouts, where their time and memory go, the pipeline, pools, days against chips. */

import type { Engine } from '../../engines/index.ts'
import { decoderParameters } from '../../model/index.ts'
import type { Explanation, PlannedLayout, PlanResult, RunCost } from '../../plan/index.ts'
import { layoutPipeline, layoutText, type Workload } from '../../simulate/index.ts'
import { VERSION } from '../../version.ts'
import { gibibytes, grouped, localTime, percent } from '../../words.ts'
import { type Html, html } from '../report/html.ts'
import { pageHtml } from '../report/page.ts'
import { PAGE_HINT, type Placed, writePlaced } from '../report/place.ts'
import { type FrontierPoint, frontierHtml } from './frontier.ts'
import { constantsHtml, memoryHtml } from './simulation.ts'
import { stackedBarsHtml } from './stacked.ts'
import { PLAN_STYLE } from './style.ts'
import { GRADES, parameters, seconds, secondsFormat, TIME_TERMS, threeDigits } from './terms.ts'
import { timelineHtml } from './timeline.ts'
import { type Together, togetherHtml } from './together.ts'

/** What was planned for chips of one kind. */
export interface PlannedPool {
  /** Chips at hand, by number and name. */
  readonly name: string
  readonly engine: Engine
  readonly result: PlanResult
  /** Best layouts for fewer chips. */
  readonly frontier: readonly FrontierPoint[]
  /** A layout that was asked about. */
  readonly explanation?: Explanation
}

/** A plan as it is reported. */
export interface PlanReport {
  readonly model: string
  readonly workload: Workload
  readonly tokens: number
  /** What was made least, in words. */
  readonly objective: string
  readonly pools: readonly PlannedPool[]
  /** The run on several of the pools, where it was asked how they are joined. */
  readonly together?: Together
  readonly notes: readonly string[]
}

/** The page for its place. */
export function planFile(plan: PlanReport, path: string): Placed {
  return { path, text: planHtml(plan, new Date()), hint: PAGE_HINT }
}

/** Writes the page, whole, over nothing but what regauge wrote. Throws RegaugeError. */
export function writePlan(plan: PlanReport, path: string): void {
  writePlaced([planFile(plan, path)])
}

/** The page. `made` is the time that it tells. */
export function planHtml(plan: PlanReport, made: Date): string {
  const { model, workload, tokens, pools } = plan
  const title = `${model} on ${pools.map(({ name }) => name).join(plan.together === undefined ? ' or ' : ' and ')}`
  const body = html`<header><h1>${title}</h1><p>${parameters(tokens)} tokens, ${grouped(workload.globalBatch)} sequences of ${grouped(workload.sequenceLength)} a step, ${parameters(decoderParameters(workload.decoder).total)} parameters, ${workload.precision}; least ${plan.objective}. Computed, not measured.</p></header>
${plan.together === undefined ? '' : togetherHtml(plan.together, workload.decoder.layers)}
${pools.length > 1 ? poolsHtml(pools) : ''}
${pools.map((pool) => poolHtml(pool, pools.length > 1))}
${plan.notes.length === 0 ? '' : html`<h2>Notes</h2><ul>${plan.notes.map((note) => html`<li>${note}</li>`)}</ul>`}
<footer>Made by regauge ${VERSION} on ${localTime(made.toISOString())}.</footer>`
  return pageHtml(title, VERSION, body, [], PLAN_STYLE)
}

/** Pools beside each other, each with its best layout. */
function poolsHtml(pools: readonly PlannedPool[]): Html {
  return html`<h2>Pools, each alone</h2>${tableHtml(
    'Pool',
    pools.flatMap(({ name, result }) => {
      const best = result.best[0]
      return best === undefined ? [] : [{ name, planned: best }]
    }),
  )}${pools
    .filter(({ result }) => result.best.length === 0)
    .map(({ name, result }) => html`<p class="alert">Nothing ${lacks(result)} on ${name}.</p>`)}`
}

const lacks = ({ fastest }: PlanResult): string => (fastest === undefined ? 'fits' : 'is fast enough')

function poolHtml({ name, result, frontier, explanation }: PlannedPool, several: boolean): Html {
  const { best, simulator } = result
  const first = best[0]
  const heading = several ? html`<h2>${name}</h2>` : ''
  if (first === undefined) {
    return html`${heading}<p class="alert">No layout ${lacks(result)}.</p>${remediesHtml(result)}${explanationHtml(explanation)}`
  }
  const { band, constants } = first.prediction
  const used = { ...simulator, machine: { ...simulator.machine, count: first.chips } }
  const pipeline = layoutPipeline(simulator.costs, first.layout)
  return html`${heading}
${several ? '' : tilesHtml(first)}
<p class="note">Constants ${GRADES[band.grade]}.</p>
<h2>The best layouts</h2>
${tableHtml(
  '',
  best.map((planned, i) => ({ name: String(i + 1), planned })),
)}
<h2>Where the time goes</h2>
${stackedBarsHtml({
  title: 'A step of each layout by term',
  unit: 'seconds, on the stage that takes longest',
  of: 'Layout',
  terms: TIME_TERMS,
  rows: best.map(({ layout, prediction }, i) => ({
    name: `${i + 1}  ${layoutText(layout)}`,
    short: String(i + 1),
    terms: prediction.terms,
  })),
  format: secondsFormat(best.map(({ prediction }) => prediction.seconds)),
})}
<h2>Memory of the best</h2>
${memoryHtml({ prediction: first.prediction, layout: first.layout, simulator: used })}
<h2>Pipeline of the best</h2>
${
  first.layout.pipelineParallel === 1
    ? html`<p>There is one stage: no pipeline.</p>`
    : typeof pipeline === 'string'
      ? html`<p>Not drawn: ${pipeline}.</p>`
      : timelineHtml(pipeline)
}
${frontier.length < 2 ? '' : html`<h2>Fewer chips</h2>${frontierHtml(frontier)}`}
${explanationHtml(explanation)}
${lostHtml(result)}
${constantsHtml(constants)}`
}

function tilesHtml({ prediction, cost, chips, idle, peakBytes, memoryBytes }: PlannedLayout): Html {
  const { band } = prediction
  const tile = (name: string, value: string, small: string): Html =>
    html`<div><dt>${name}</dt><dd>${value}<small>${small}</small></dd></div>`
  return html`<dl class="tiles">${[
    tile(
      'Run',
      cost.days === null ? 'unknown' : `${threeDigits(cost.days)} days`,
      `on ${grouped(chips)} chips${idle > 0 ? `, ${grouped(idle)} idle` : ''}`,
    ),
    tile(
      'Step',
      seconds(prediction.seconds),
      `${seconds(band.low)} to ${seconds(band.high)} in four of five cases`,
    ),
    tile(
      'MFU',
      percent(prediction.modelFlopsUtilization),
      `${gibibytes(peakBytes)} of ${gibibytes(memoryBytes)} GiB`,
    ),
    tile(
      'Energy',
      energyText(cost),
      cost.money === null ? 'of chips alone' : `of chips alone; ${moneyText(cost)} for them`,
    ),
  ]}</dl>`
}

interface TableRow {
  readonly name: string
  readonly planned: PlannedLayout
}

function tableHtml(of: string, rows: readonly TableRow[]): Html {
  const heads = ['Step', 'from', 'to', 'MFU', 'Days', 'GiB', 'Energy']
  const money = rows.some(({ planned }) => planned.cost.money !== null)
  return html`<div class="numbers"><table><thead><tr><th scope="col">${of}</th><th scope="col">Layout</th><th scope="col" class="n">Chips</th>${[
    ...heads,
    ...(money ? ['Money'] : []),
  ].map(
    (head) => html`<th scope="col" class="n">${head}</th>`,
  )}<th scope="col">Bound by</th></tr></thead><tbody>${rows.map(
    ({ name, planned: { layout, chips, prediction, cost, peakBytes } }) =>
      html`<tr><th scope="row">${name}</th><td class="layout">${layoutText(layout)}</td>${[
        grouped(chips),
        seconds(prediction.seconds),
        seconds(prediction.band.low),
        seconds(prediction.band.high),
        percent(prediction.modelFlopsUtilization),
        cost.days === null ? 'unknown' : threeDigits(cost.days),
        gibibytes(peakBytes),
        energyText(cost),
        ...(money ? [moneyText(cost)] : []),
      ].map(
        (cell) => html`<td class="n">${cell}</td>`,
      )}<td class="bound">${boundText(prediction.terms, prediction.seconds)}</td></tr>`,
  )}</tbody></table></div>`
}

function lostHtml(result: PlanResult): Html {
  const { rejected, evaluated, pruned, considered } = result
  const counts = `${considered > 0 ? `${grouped(considered)} layouts; ` : ''}${grouped(evaluated)} worked out, ${grouped(pruned)} left out by bounds of time and memory.`
  return html`<h2>Why others lost</h2>${
    rejected.length === 0
      ? ''
      : html`<table><tbody>${rejected.map(({ kind, reason }) => html`<tr><th scope="row">${kind}</th><td>${reason}</td></tr>`)}</tbody></table>`
  }<p class="note">${counts}</p>`
}

function explanationHtml(explanation: Explanation | undefined): Html | undefined {
  if (explanation === undefined) return undefined
  const { layout, chips, lines } = explanation
  return html`<h2>A layout that was asked about</h2><p><span class="layout">${layoutText(layout)}</span>, on ${grouped(chips)} chips</p><ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>`
}

function remediesHtml({ remedies }: PlanResult): Html | undefined {
  if (remedies.length === 0) return undefined
  return html`<ul>${remedies.map((remedy) => html`<li>${remedy}</li>`)}</ul>`
}

/** What takes most of the time, and what takes most beside computing: compute 69%, pipeline bubble 18%. */
export function boundText(terms: PlannedLayout['prediction']['terms'], step: number): string {
  return TIME_TERMS.toSorted((a, b) => terms[b.key] - terms[a.key])
    .slice(0, 2)
    .filter(({ key }) => terms[key] > 0)
    .map(({ key, name }) => `${name} ${Math.round((terms[key] / step) * 100)}%`)
    .join(', ')
}

/** Kilowatt-hours with a prefix. */
export function energyText({ energy }: Pick<RunCost, 'energy'>): string {
  if (energy === null) return 'unknown'
  const [unit, size] = energy >= 999_500 ? ['GWh', 1e6] : energy >= 999.5 ? ['MWh', 1e3] : ['kWh', 1]
  return `${threeDigits(energy / (size as number))} ${unit}`
}

/** Money in three digits, of whatever currency the price was in. */
export function moneyText({ money }: Pick<RunCost, 'money'>): string {
  if (money === null) return 'unknown'
  const [unit, size] = money >= 999_500 ? ['M', 1e6] : money >= 999.5 ? ['k', 1e3] : ['', 1]
  return `${threeDigits(money / (size as number))}${unit}`
}
