/** @file A pipeline as it runs: stages down, time across, forward, backward and weights' gradients in colours. */
import { type Pass, type PassKind, type Pipeline, SCHEDULES, tracePipeline } from '../../simulate/index.ts'
import { grouped } from '../../words.ts'
import { niceTicks } from '../report/chart.ts'
import { type Html, html } from '../report/html.ts'
import { seconds } from './terms.ts'

/** Stages that are drawn at most: evenly taken from all. */
const MOST_ROWS = 16
/** Micro-batches that are simulated for a drawing, for each stage: the run in, the steady part, the run out. */
const ROUNDS = 2
const LEAST_MICRO_BATCHES = 8
/** With many chunks, as many forwards of a stage as can be told apart. */
const MOST_FORWARDS = 100

const WIDTH = 1040
const LEFT = 62
const ROW = 22
const GAP = 4
/** A number fits on a pass of so many units. */
const ROOM = 15

const NAMES: Readonly<Record<PassKind, string>> = {
  forward: 'forward',
  backward: 'backward',
  weight: "weights' gradients",
}

/** The drawing of a pipeline, shortened where it is long; its note says how. */
export function timelineHtml(pipeline: Pipeline): Html {
  const stages = pipeline.passes.length
  const short = shortened(pipeline)
  const { timeline, makespan, stages: runs } = tracePipeline(short)
  const rows = drawnStages(stages)
  const height = rows.length * (ROW + GAP) + 26
  const x = (at: number): number => LEFT + (at / makespan) * (WIDTH - LEFT)
  const y = (row: number): number => row * (ROW + GAP)
  const kinds = [...new Set(timeline.map(({ pass }) => pass))]

  const passes = rows.map((stage, row) =>
    tracksOf(timeline.filter((one) => one.stage === stage)).map((track, i, all) =>
      track.map((pass) => {
        const [left, width] = [x(pass.start), x(pass.end) - x(pass.start)]
        const tall = ROW / all.length
        const top = y(row) + i * tall
        const gap = Math.min(0.6, width / 6)
        const label =
          width >= ROOM && all.length === 1
            ? html`<text class="on" x="${(left + width / 2).toFixed(1)}" y="${(top + 15).toFixed(1)}">${pass.microBatch}</text>`
            : ''
        return html`<rect class="${pass.pass}${pass.chunk > 0 ? ' later' : ''}" x="${left.toFixed(2)}" y="${top.toFixed(1)}" width="${(width - gap).toFixed(2)}" height="${tall.toFixed(1)}"/>${label}`
      }),
    ),
  )
  const ticks = niceTicks(0, makespan, 8).filter((tick) => tick <= makespan)
  const busy = runs.map((run) => run.busy / makespan)
  const chunks = pipeline.passes[0]?.length ?? 1
  return html`<figure class="chart"><figcaption><b>The pipeline as it runs</b> <span>stages down, time across; numbers are micro-batches</span></figcaption>
<ul class="terms">${kinds.map((kind) => html`<li><i class="swatch ${kind}"></i>${NAMES[kind]}</li>`)}${
    chunks > 1 ? html`<li>paler: later chunks of layers</li>` : ''
  }</ul>
<div class="drawing"><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${`${stages} stages over ${seconds(makespan)}; the first stage is busy for ${share(busy[0]!)} of it, the last for ${share(busy.at(-1)!)}`}">
${ticks.map((tick) => html`<line class="tick" x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="0" y2="${height - 22}"/><text x="${x(tick).toFixed(1)}" y="${height - 6}" text-anchor="${tick === 0 ? 'start' : tick > makespan * 0.97 ? 'end' : 'middle'}">${seconds(tick)}</text>`)}
${rows.map((stage, row) => html`<text x="0" y="${y(row) + 15}">stage ${stage}</text><rect class="ground" x="${LEFT}" y="${y(row)}" width="${WIDTH - LEFT}" height="${ROW}"/>`)}
${passes}</svg></div>
<p class="note">${noteOf(pipeline, short, rows.length)}</p>
<div class="numbers"><table><thead><tr><th scope="col">Stage</th>${['busy', 'waits', 'busy share', 'micro-batches kept at most'].map((head) => html`<th scope="col" class="n">${head}</th>`)}</tr></thead><tbody>${rows.map(
    (stage) => {
      const run = runs[stage]!
      return html`<tr><th scope="row">${stage}</th><td class="n">${seconds(run.busy)}</td><td class="n">${seconds(makespan - run.busy)}</td><td class="n">${share(run.busy / makespan)}</td><td class="n">${run.inFlight}${chunks > 1 ? ' chunks' : ''}</td></tr>`
    },
  )}</tbody></table></div></figure>`
}

/** Passes of a stage on as few tracks as they need: two where passes run side by side. */
export function tracksOf(passes: readonly Pass[]): Pass[][] {
  const tracks: Pass[][] = []
  const apart = (track: readonly Pass[], pass: Pass): boolean =>
    track.at(-1)!.end - pass.start <= 1e-9 * pass.end
  for (const pass of passes.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    const track = tracks.find((one) => apart(one, pass))
    if (track === undefined) tracks.push([pass])
    else track.push(pass)
  }
  return tracks
}

/** The same pipeline with fewer micro-batches, as many as the schedule needs to show all that it does. */
function shortened(pipeline: Pipeline): Pipeline {
  const stages = pipeline.passes.length
  const chunks = pipeline.passes[0]?.length ?? 1
  const wanted = Math.max(ROUNDS, Math.ceil(LEAST_MICRO_BATCHES / stages))
  const rounds = Math.max(1, Math.min(wanted, Math.floor(MOST_FORWARDS / (chunks * stages))))
  const least = SCHEDULES[pipeline.schedule].needs.leastMicroBatches(stages)
  const few = least > stages ? wanted * least : rounds * stages
  // a few more would not be missed
  return pipeline.microBatches <= few * 1.5 ? pipeline : { ...pipeline, microBatches: few }
}

function drawnStages(stages: number): number[] {
  const count = Math.min(stages, MOST_ROWS)
  return Array.from({ length: count }, (_, i) =>
    count === 1 ? 0 : Math.round((i * (stages - 1)) / (count - 1)),
  )
}

function noteOf(whole: Pipeline, short: Pipeline, rows: number): string {
  const parts = [
    ...(short.microBatches < whole.microBatches
      ? [
          `shortened to ${grouped(short.microBatches)} of ${grouped(whole.microBatches)} micro-batches, so the time in which stages wait looks longer than it is`,
        ]
      : []),
    ...(rows < whole.passes.length ? [`${rows} of ${whole.passes.length} stages are drawn`] : []),
  ]
  const text = parts.length === 0 ? 'every pass is drawn' : parts.join('; ')
  return `${text[0]!.toUpperCase()}${text.slice(1)}. Computed pass by pass, without the exchange of gradients and the update; the step above is by formula.`
}

function share(value: number): string {
  return `${(value * 100).toFixed(1)} %`
}
