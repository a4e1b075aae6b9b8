/** @file The page of one layout: its figures, where time and memory go, the pipeline, what the numbers are from. */

import type { Engine } from '../../engines/index.ts'
import { decoderParameters } from '../../model/index.ts'
import {
  type Constant,
  type Layout,
  layoutText,
  type Pipeline,
  type Prediction,
  type Simulator,
  stageLayers,
} from '../../simulate/index.ts'
import { VERSION } from '../../version.ts'
import { compact, gibibytes, grouped, localTime, percent } from '../../words.ts'
import { type Html, html } from '../report/html.ts'
import { pageHtml } from '../report/page.ts'
import { PAGE_HINT, type Placed, writePlaced } from '../report/place.ts'
import { stackedBarsHtml } from './stacked.ts'
import { PLAN_STYLE } from './style.ts'
import { GRADES, largestTerm, MEMORY_TERMS, parameters, seconds, secondsFormat, TIME_TERMS } from './terms.ts'
import { timelineHtml } from './timeline.ts'

/** One layout with all that was asked about it. */
export interface Simulation {
  /** Name of the model: its folder. */
  readonly model: string
  readonly engine: Engine
  readonly simulator: Simulator
  readonly layout: Layout
  readonly prediction: Prediction
  /** The pipeline, or why there is none to draw. */
  readonly pipeline: Pipeline | string
  readonly notes: readonly string[]
}

/** Stages with bars of their own; more are taken evenly. */
const MOST_STAGES = 24

/** The page for its place. */
export function simulationFile(simulation: Simulation, path: string): Placed {
  return { path, text: simulationHtml(simulation, new Date()), hint: PAGE_HINT }
}

/** Writes the page, whole, over nothing but what regauge wrote. Throws RegaugeError. */
export function writeSimulation(simulation: Simulation, path: string): void {
  writePlaced([simulationFile(simulation, path)])
}

/** The page. `made` is the time that it tells. */
export function simulationHtml(simulation: Simulation, made: Date): string {
  const { model, engine, simulator, layout, prediction, pipeline, notes } = simulation
  const { machine, workload } = simulator
  const title = `${model} on ${grouped(machine.count)} ${machine.chip.name}`
  const body = html`<header><h1>${title}</h1><p class="layout">${layoutText(layout)}</p><p>${engine.name}, ${workload.precision}, ${grouped(workload.globalBatch)} sequences of ${grouped(workload.sequenceLength)} tokens a step, ${parameters(decoderParameters(workload.decoder).total)} parameters. Computed, not measured.</p></header>
${overHtml(simulation)}
${tilesHtml(simulation)}
<h2>Where the time goes</h2>
${stackedBarsHtml({
  title: 'A step by term',
  unit: 'seconds, on the stage that takes longest',
  of: 'Layout',
  terms: TIME_TERMS,
  rows: [{ name: 'step', terms: prediction.terms }],
  format: secondsFormat([prediction.seconds]),
})}
<h2>Memory</h2>
${memoryHtml(simulation)}
<h2>Pipeline</h2>
${
  layout.pipelineParallel === 1
    ? html`<p>There is one stage: no pipeline.</p>`
    : typeof pipeline === 'string'
      ? html`<p>Not drawn: ${pipeline}.</p>`
      : timelineHtml(pipeline)
}
${constantsHtml(prediction.constants)}
${notes.length === 0 ? '' : html`<h2>Notes</h2><ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`}
<footer>Made by regauge ${VERSION} on ${localTime(made.toISOString())}.</footer>`
  return pageHtml(title, VERSION, body, [], PLAN_STYLE)
}

function fullestOf({ memory }: Prediction): Prediction['memory'][number] {
  return memory.reduce((most, stage) => (stage.peak > most.peak ? stage : most))
}

function overHtml({ prediction, simulator: { machine } }: Simulation): Html | undefined {
  const { stage, peak, terms } = fullestOf(prediction)
  if (peak <= machine.memoryBytes) return undefined
  const { key, name } = largestTerm(terms, MEMORY_TERMS)
  return html`<p class="alert">Does not fit: ${gibibytes(peak - machine.memoryBytes)} GiB over on stage ${stage}, where most is ${name}, ${gibibytes(terms[key])} GiB.</p>`
}

function tilesHtml({ prediction, simulator: { machine } }: Simulation): Html {
  const { band } = prediction
  const { peak, stage } = fullestOf(prediction)
  const tile = (name: string, value: string, small: string): Html =>
    html`<div><dt>${name}</dt><dd>${value}<small>${small}</small></dd></div>`
  return html`<dl class="tiles">${[
    tile(
      'Step',
      seconds(prediction.seconds),
      `${seconds(band.low)} to ${seconds(band.high)} in four of five cases`,
    ),
    tile('Speed', `${compact(prediction.tokensPerSecond)} tokens/s`, 'all chips together'),
    tile(
      'MFU',
      percent(prediction.modelFlopsUtilization),
      `of ${compact(machine.flops)}FLOP/s a chip`.replace(/(\D)FLOP/, ' $1FLOP'),
    ),
    tile(
      'Memory',
      `${gibibytes(peak)} GiB`,
      `of ${gibibytes(machine.memoryBytes)} GiB, fullest on stage ${stage}`,
    ),
  ]}</dl><p class="note">Constants ${GRADES[band.grade]}.</p>`
}

/** Memory by stage and term under the chip's limit. */
export function memoryHtml({
  prediction,
  layout,
  simulator: { machine, workload },
}: Pick<Simulation, 'prediction' | 'layout' | 'simulator'>): Html {
  const { memory } = prediction
  const layers = stageLayers(workload.decoder.layers, layout)
  const count = Math.min(memory.length, MOST_STAGES)
  const some = Array.from(
    { length: count },
    (_, i) => memory[count === 1 ? 0 : Math.round((i * (memory.length - 1)) / (count - 1))]!,
  )
  const fullest = fullestOf(prediction)
  const rows = some.includes(fullest) ? some : [...some, fullest].sort((a, b) => a.stage - b.stage)
  return stackedBarsHtml({
    title: 'A chip of each stage by term',
    unit: 'GiB at the peak',
    of: 'Stage',
    terms: MEMORY_TERMS,
    rows: rows.map(({ stage, terms }) => ({
      name: memory.length === 1 ? 'every chip' : `stage ${stage}, ${layers[stage]} layers`,
      terms,
    })),
    format: gibibytes,
    scale: 2 ** 30,
    limit: { value: machine.memoryBytes, name: `${gibibytes(machine.memoryBytes)} GiB a chip` },
    ...(rows.length < memory.length && { note: `${rows.length} of ${memory.length} stages are shown.` }),
  })
}

/** The constants with what they are from. */
export function constantsHtml(constants: readonly Constant[]): Html {
  return html`<h2>Constants</h2><details><summary>${constants.length} constants, with what each was fitted on</summary><table><thead><tr>${[
    'Constant',
    'Value',
    'Of',
    'From',
  ].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${constants.map(
    ({ name, value, unit, meaning, from }) =>
      html`<tr><th scope="row">${name}</th><td>${Number(value.toPrecision(4))} ${unit}</td><td>${meaning}</td><td>${from}</td></tr>`,
  )}</tbody></table></details>`
}
