/** @file `report.html`: a run on one page that needs nothing else, made from its events and its run file. */
import { join } from 'node:path'
import { formatRun } from '../train/index.ts'
import { VERSION } from '../version.ts'
import { bytes, compact, duration, grouped, localTime, small } from '../words.ts'
import { figuresOf, type RunRecord, readRun } from './records.ts'
import { type Chart, chartHtml, type Point, smoothed } from './report/chart.ts'
import { type Html, html } from './report/html.ts'
import { pageHtml } from './report/page.ts'
import { writeWhole } from './report/place.ts'

/** Samples of more steps than these are left to the event log, and the page says so. */
const MAX_SAMPLE_STEPS = 100

/**
 * Writes the report of a run into its folder, as one page that needs nothing else, and gives its path. May be called
 * while the run trains. Throws RegaugeError of kind `environment` when the file cannot be written.
 */
export async function writeReport(folder: string): Promise<string> {
  const path = join(folder, 'report.html')
  const hint = 'the run itself is saved; make room for the file, and regauge train on the run writes it'
  writeWhole([{ path, text: reportHtml(await readRun(folder), VERSION, new Date()), hint }])
  return path
}

/** The page. `made` is the time that it tells. */
export function reportHtml(record: RunRecord, version: string, made: Date): string {
  const charts = chartsOf(record).flatMap((chart) => chart ?? [])
  const drawn = charts.map((chart, i) => chartHtml(chart, i)!)
  const body = html`${headHtml(record)}
${tilesHtml(record)}
${drawn.length === 0 ? html`<p>No step has been logged.</p>` : html`<h2>How it learned</h2>${drawn[0]!.html}<div class="charts">${drawn.slice(1).map((one) => one.html)}</div>`}
${samplesHtml(record)}
${configurationHtml(record)}
${machineHtml(record)}
${checkpointsHtml(record)}
${notesHtml(record)}
<footer>Made by regauge ${version} on ${localTime(made.toISOString())} from events.jsonl and run.yaml.</footer>`
  return pageHtml(
    record.id,
    version,
    body,
    drawn.map((one) => one.data),
  )
}

function headHtml({ id, state, message, history }: RunRecord): Html {
  const machine = history.starts.at(-1)?.machine
  const begun = history.begun === undefined ? '' : `Begun ${localTime(history.begun)}`
  const where =
    machine === undefined ? '' : `${begun === '' ? 'O' : ', o'}n ${machine.processor}, ${machine.cores} cores`
  return html`<header><h1>${id}</h1><span class="state ${state}">${state}</span><p>${begun}${where}</p></header>
${message === undefined ? '' : html`<p class="alert">${message}</p>`}`
}

function tilesHtml({ history, run }: RunRecord): Html {
  const { step, steps, parameters, loss, heldoutLoss, bitsPerByte, tokensPerSecond } = figuresOf(history)
  const tokensPerStep = history.starts.at(-1)?.tokensPerStep
  const tokens =
    history.summary?.tokens ?? (step !== undefined && tokensPerStep ? step * tokensPerStep : undefined)
  const seconds =
    history.summary?.seconds ?? history.steps.reduce((sum, one) => sum + (one.stepSeconds || 0), 0)
  const tile = (name: string, value: string | undefined, small = ''): Html | undefined =>
    value === undefined
      ? undefined
      : html`<div><dt>${name}</dt><dd>${value}<small>${small}</small></dd></div>`
  return html`<dl class="tiles">${[
    tile('Bits per byte', bitsPerByte?.toFixed(3), 'on held-out text'),
    tile('Held-out loss', heldoutLoss?.toFixed(3), 'nats per token'),
    tile('Training loss', loss?.toFixed(3), 'last step'),
    tile('Parameters', parameters === undefined ? undefined : compact(parameters), modelName(run)),
    tile(
      'Steps',
      step === undefined ? undefined : grouped(step),
      step !== undefined && steps !== step ? `of ${grouped(steps ?? 0)}` : '',
    ),
    tile('Tokens', tokens === undefined ? undefined : compact(tokens), 'trained on'),
    tile('Time', seconds > 0 ? duration(seconds) : undefined, 'in training steps'),
    tile('Speed', tokensPerSecond === undefined ? undefined : compact(tokensPerSecond), 'tokens/s, median'),
  ]}</dl>`
}

function modelName(run: RunRecord['run']): string {
  if (run === undefined) return ''
  const { preset, config, from } = run.model
  return preset === undefined ? (config ?? `from ${from}`) : `preset ${preset}`
}

/** The loss chart first, then the others; what has no finite value is not there. */
function chartsOf({ history: { steps, evals } }: RunRecord): (Chart | undefined)[] {
  const losses = steps.map(({ step, loss }) => ({ x: step, y: loss }))
  const heldout = evals.map(({ step, loss }) => ({ x: step, y: loss }))
  const window = Math.max(5, Math.round(steps.length / 50))
  const late = ({ x }: Point): boolean => x > (steps.at(-1)?.step ?? 0) / 4
  const one = (
    title: string,
    unit: string,
    colour: 'a' | 'b' | 'c',
    format: Chart['format'],
    y: (i: number) => number,
  ): Chart => {
    const points = steps.map(({ step }, i) => ({ x: step, y: y(i) }))
    return { title, unit, format, series: [{ name: title, colour, look: 'line', points }] }
  }
  const all: Chart[] = [
    {
      title: 'Loss',
      unit: 'nats per token, by step',
      tall: true,
      format: (value) => String(Number(value.toFixed(3))),
      series: [
        { name: 'each step', colour: 'a', look: 'faint', points: losses },
        { name: `mean of about ${window}`, colour: 'a', look: 'line', points: smoothed(losses, window) },
        { name: 'held-out', colour: 'b', look: 'dots', points: heldout },
      ],
    },
    {
      title: 'Loss, last three quarters',
      unit: 'nats per token',
      format: (value) => String(Number(value.toFixed(3))),
      series: [
        { name: 'mean', colour: 'a', look: 'line', points: smoothed(losses, window).filter(late) },
        { name: 'held-out', colour: 'b', look: 'dots', points: heldout.filter(late) },
      ],
    },
    one('Learning rate', 'by step', 'c', small, (i) => steps[i]!.learningRate),
    one('Gradient norm', 'before clipping', 'c', small, (i) => steps[i]!.gradNorm),
    one('Speed', 'tokens per second', 'c', compact, (i) => steps[i]!.tokensPerSecond),
  ]
  return all.filter(({ series }) => series.some(({ points }) => points.some(({ y }) => Number.isFinite(y))))
}

function samplesHtml({ history: { samples } }: RunRecord): Html | undefined {
  const steps = [...new Set(samples.map(({ step }) => step))].sort((a, b) => b - a)
  if (steps.length === 0) return undefined
  const older = steps.length - MAX_SAMPLE_STEPS
  const more =
    older > 0
      ? html`<p class="readout" style="margin-left:0">Samples of ${older} earlier steps are in events.jsonl.</p>`
      : undefined
  return html`<h2>What it writes</h2>${steps
    .slice(0, MAX_SAMPLE_STEPS)
    .map(
      (step, i) =>
        html`<details${i === 0 ? { html: ' open' } : ''}><summary>after step ${grouped(step)}</summary>${samples
          .filter((sample) => sample.step === step)
          .map(({ prompt, text }) => html`<p class="sample"><b>${prompt}</b>${text}</p>`)}</details>`,
    )}${more}`
}

function configurationHtml({ run, runProblem }: RunRecord): Html {
  const body =
    run === undefined
      ? html`<p class="alert">${runProblem ?? 'run.yaml is missing'}</p>`
      : html`<pre>${formatRun(run)}</pre>`
  return html`<h2>Configuration</h2><details${run === undefined ? { html: ' open' } : ''}><summary>run.yaml, every value</summary>${body}</details>`
}

function machineHtml({ history: { starts } }: RunRecord): Html | undefined {
  const start = starts.at(-1)
  if (start === undefined) return undefined
  const { host, platform, processor, cores, memoryBytes, node, runtime, matmulFlopsPerSecond } = start.machine
  const rows: [string, string | undefined][] = [
    ['Host', host],
    ['Processor', `${processor}, ${cores} cores`],
    ['Memory', bytes(memoryBytes)],
    [
      'Matrix product limit',
      matmulFlopsPerSecond === undefined
        ? undefined
        : `${(matmulFlopsPerSecond / 1e9).toFixed(0)} GFLOP/s in float32, measured`,
    ],
    ['Runtime', runtime],
    ['System', `${platform}, Node ${node}, regauge ${start.version}`],
    [
      'Resumed',
      starts.length > 1
        ? starts
            .slice(1)
            .map(({ startStep }) => `at step ${grouped(startStep)}`)
            .join(', ')
        : undefined,
    ],
  ]
  return html`<h2>Machine</h2><table><tbody>${rows.map(([name, value]) =>
    value === undefined ? undefined : html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}</tbody></table>`
}

function checkpointsHtml({ history: { checkpoints } }: RunRecord): Html | undefined {
  if (checkpoints.length === 0) return undefined
  return html`<h2>Checkpoints written</h2><details><summary>${checkpoints.length}, the last at step ${grouped(checkpoints.at(-1)!.step)}</summary>
<table><thead><tr><th scope="col">Step</th><th scope="col">Path</th><th scope="col">Size</th></tr></thead><tbody>${checkpoints.map(
    ({ step, path, bytes: size }) =>
      html`<tr><td>${grouped(step)}</td><td>${path}</td><td class="n">${size === undefined ? '' : bytes(size)}</td></tr>`,
  )}</tbody></table></details>`
}

function notesHtml({ history: { notes, badLines } }: RunRecord): Html | undefined {
  const bad = badLines.map(
    ({ line, reason }) => html`<tr><th scope="row">events.jsonl:${line}</th><td>${reason}</td></tr>`,
  )
  if (notes.length === 0 && bad.length === 0) return undefined
  return html`<h2>Notes</h2><table><tbody>${notes.map(
    ({ time, message }) => html`<tr><th scope="row">${localTime(time)}</th><td>${message}</td></tr>`,
  )}${bad}</tbody></table>`
}
