/** @file The page of a comparison: curves over each other, how far they are apart, criteria, tensors. */
import type { Comparison, CriterionVerdict, Evidence, Judgement, Verification } from '../verify/index.ts'
import { isKept, relativeDifference, STRICT, worse } from '../verify/index.ts'
import { bytes, grouped, localTime, small } from '../words.ts'
import { type Chart, chartHtml, type Point } from './report/chart.ts'
import { type Html, html } from './report/html.ts'
import { pageHtml } from './report/page.ts'
import { PAGE_HINT, requirePlace, writePlaced } from './report/place.ts'

/** Verdicts in words. */
export const VERDICTS: Readonly<Record<Verification['verdict'], string>> = {
  same: 'the same',
  'within-criteria': 'the same within the published criteria',
  different: 'not the same',
}

/** Tensors that a page or a terminal shows: those that are furthest apart. */
export function worstTensors({ tensors }: Evidence, count: number): Evidence['tensors'] {
  const size = (one: number) => (Number.isNaN(one) ? Number.POSITIVE_INFINITY : one)
  return tensors
    .filter(({ relativeError }) => relativeError !== 0)
    .toSorted((a, b) => size(b.relativeError) - size(a.relativeError))
    .slice(0, count)
}

/** How far evidence is apart at the most: of losses, norms, gradients, weights, moments. Not there: not looked at. */
export function widest({ steps, tensors }: Evidence): {
  readonly loss?: number
  readonly gradNorm?: number
  readonly gradients?: number
  readonly weights?: number
  readonly moments?: number
} {
  const most = (values: readonly number[]) => values.reduce(worse, 0)
  const of = (wanted: (kind: string) => boolean) => {
    const found = tensors.filter(({ kind }) => wanted(kind))
    return found.length === 0 ? undefined : most(found.map(({ relativeError }) => relativeError))
  }
  const [gradients, weights, moments] = [
    of((kind) => kind === 'gradient'),
    of((kind) => kind === 'weight'),
    of(isKept),
  ]
  return {
    ...(steps.length > 0 && {
      loss: most(steps.map(({ loss }) => relativeDifference(...loss))),
      gradNorm: most(steps.map(({ gradNorm }) => relativeDifference(...gradNorm))),
    }),
    ...(gradients !== undefined && { gradients }),
    ...(weights !== undefined && { weights }),
    ...(moments !== undefined && { moments }),
  }
}

/** Writes the page. Throws RegaugeError as `requireVerificationPlace` does. */
export function writeVerification(verification: Verification, path: string): void {
  writePlaced([{ path, text: verificationHtml(verification, new Date()), hint: PAGE_HINT }])
}

/** Throws RegaugeError when `writeVerification` could not write there, or would write over what regauge did not write. */
export function requireVerificationPlace(path: string): void {
  requirePlace(path, PAGE_HINT)
}

const COLOURS = ['b', 'c'] as const
/** Curves of fewer steps are drawn as dots over the reference's line. */
const DOTS = 100
/** Differences are drawn on a logarithmic scale from here on; what is less is at the bottom. */
const BOTTOM = -9
const SHOWN_TENSORS = 20

/** The page. `made` is the time that it tells. */
export function verificationHtml(verification: Verification, made: Date): string {
  const { title, comparisons, version } = verification
  const drawn = chartsOf(verification).flatMap((chart, i) => chartHtml(chart, i) ?? [])
  const body = html`${headHtml(verification)}
${comparisons.map((one) => html`${tilesHtml(one, comparisons.length > 1)}${departureHtml(one)}`)}
${drawn.length === 0 ? undefined : html`<h2>Step by step</h2>${drawn[0]!.html}<div class="charts">${drawn.slice(1).map((one) => one.html)}</div>`}
${comparisons.map((one) => criteriaHtml(one, comparisons.length > 1))}
${spreadHtml(verification)}
${comparisons.map((one) => tensorsHtml(one, comparisons.length > 1))}
${settingsHtml(verification)}
${machineHtml(verification)}
${notesHtml(verification)}
<footer>Made by regauge ${version} on ${localTime(made.toISOString())}.</footer>`
  return pageHtml(
    `verify ${title}`,
    version,
    body,
    drawn.map((one) => one.data),
  )
}

function headHtml({ title, verdict, reference, comparisons, begun, mode }: Verification): Html {
  const names = comparisons.map(({ name }) => name).join(', ')
  const look = verdict === 'same' ? 'finished' : verdict === 'different' ? 'failed' : ''
  const what =
    comparisons.length === 0
      ? `${reference.name} against itself`
      : mode === 'runtimes'
        ? `${names} against ${reference.name}, side by side from the ${begun}`
        : `${names} against ${reference.name}: ${begun}`
  return html`<header><h1>${title}</h1><span class="state ${look}">${VERDICTS[verdict]}</span><p>${what}</p></header>`
}

function tilesHtml(comparison: Comparison, several: boolean): Html {
  const { steps, tensors, name } = comparison
  const { loss, gradNorm, weights } = widest(comparison)
  const cosines = tensors.filter(({ kind }) => kind === 'gradient').map(({ cosine }) => cosine)
  const turned = cosines.map((one) => 1 - one).reduce(worse, 0)
  const tile = (term: string, value: string | undefined, remark: string): Html | undefined =>
    value === undefined
      ? undefined
      : html`<div><dt>${term}</dt><dd>${value}<small>${remark}</small></dd></div>`
  return html`${several ? html`<h2>${name}: ${VERDICTS[comparison.verdict]}</h2>` : undefined}<dl class="tiles">${[
    tile('Steps', grouped(steps.length), 'compared'),
    tile('Loss', loss === undefined ? undefined : apart(loss), 'apart at most, relative'),
    cosines.length > 0
      ? tile('Gradients', turned === 0 ? '1' : `1 − ${figure(turned)}`, 'least cosine of a tensor')
      : tile(
          'Gradient norm',
          gradNorm === undefined ? undefined : apart(gradNorm),
          'apart at most, relative',
        ),
    tile('Weights', weights === undefined ? undefined : apart(weights), 'apart at most, relative'),
  ]}</dl>`
}

function departureHtml({ departure, stopped }: Comparison): Html | undefined {
  if (departure === undefined && stopped === undefined) return undefined
  const first =
    departure === undefined
      ? undefined
      : html`<p class="alert"><b>First departure: step ${departure.step}, ${departure.cause}${
          departure.layer === undefined ? '' : `, layer ${departure.layer}`
        }.</b> ${departure.message}.</p>`
  return html`${first}${stopped === undefined ? undefined : html`<p class="alert">${stopped}</p>`}`
}

function chartsOf({ comparisons, reference, spread }: Verification): Chart[] {
  const [first] = comparisons.length > 0 ? comparisons : spread
  if (first === undefined || first.steps.length === 0) return []
  const shown = comparisons.length > 0 ? comparisons : spread
  const look = first.steps.length <= DOTS ? ('dots' as const) : ('line' as const)
  const over = (title: string, unit: string, of: 'loss' | 'gradNorm', tall: boolean): Chart => ({
    title,
    unit,
    tall,
    format: (value) => String(Number(value.toPrecision(7))),
    series: [
      {
        name: reference.name,
        colour: 'a',
        look: 'line',
        points: first.steps.map((pair) => ({ x: pair.step, y: pair[of][0] })),
      },
      ...shown.map(({ name, steps }, i) => ({
        name,
        colour: colour(i),
        look,
        points: steps.map((pair) => ({ x: pair.step, y: pair[of][1] })),
      })),
    ],
  })
  const apartness = (
    title: string,
    limit: number,
    points: (evidence: Evidence) => Point[],
  ): Chart | undefined => {
    const all = shown.map((one) => ({ name: one.name, points: points(one).map(logarithmic) }))
    const xs = all.flatMap((one) => one.points.map(({ x }) => x))
    if (xs.length === 0) return undefined
    const ends = [Math.min(...xs), Math.max(...xs)]
    return {
      title,
      unit: 'relative, logarithmic, by step',
      format: (value) => `${value <= BOTTOM ? '≤ ' : ''}${power(value)}`,
      series: [
        {
          name: 'strict limit',
          colour: 'a',
          look: 'faint',
          points: ends.map((x) => logarithmic({ x, y: limit })),
        },
        ...all.map((one, i) => ({ ...one, colour: colour(i), look: 'line' as const })),
      ],
    }
  }
  return [
    over('Loss', 'nats per token, by step', 'loss', true),
    apartness('Loss apart', STRICT.loss, ({ steps }) =>
      steps.map(({ step, loss }) => ({ x: step, y: relativeDifference(...loss) })),
    ),
    over('Gradient norm', 'before clipping', 'gradNorm', false),
    apartness('Gradient norm apart', STRICT.gradNorm, ({ steps }) =>
      steps.map(({ step, gradNorm }) => ({ x: step, y: relativeDifference(...gradNorm) })),
    ),
    apartness('Gradients apart, the worst tensor', STRICT.relativeError.gradient, ({ gradients }) =>
      gradients.map(({ step, worst }) => ({ x: step, y: worst })),
    ),
    apartness('Weights and moments apart, the worst tensor', STRICT.relativeError.kept, ({ states }) =>
      states.map(({ step, worst }) => ({ x: step, y: worst })),
    ),
  ].flatMap((chart) => chart ?? [])
}

function colour(i: number): 'b' | 'c' {
  return COLOURS[i % COLOURS.length]!
}

/** 10 to a power, in two digits. */
function power(value: number): string {
  return (10 ** value).toExponential(1).replace('.0e', 'e').replace('e+', 'e')
}

function logarithmic({ x, y }: Point): Point {
  return { x, y: Number.isFinite(y) ? Math.log10(Math.max(y, 10 ** BOTTOM)) : Number.NaN }
}

const SIGNS: Readonly<Record<CriterionVerdict, string>> = {
  pass: '✓ pass',
  warn: '! warning',
  fail: '✗ fail',
  'not-applicable': '– not judged',
}

const ROLES: Readonly<Record<Judgement['role'], string>> = {
  strict: 'The same in float32',
  acceptance: 'Acceptance, for arithmetic that differs',
  watch: 'To watch',
}

function criteriaHtml({ criteria, name }: Comparison, several: boolean): Html {
  const rows = criteria.map(({ title, source, measures, rule, verdict, note, role }, i) => {
    const each = (text: (one: Judgement['measures'][number]) => string) =>
      measures.map((one, at) => html`${at === 0 ? '' : html`<br>`}${text(one)}`)
    const between = rule === 'any' && measures.length > 1 ? ' (one is enough)' : ''
    const group =
      role === criteria[i - 1]?.role
        ? undefined
        : html`<tr><th scope="colgroup" colspan="6">${ROLES[role]}</th></tr>`
    return html`${group}<tr><td class="v ${verdict}">${SIGNS[verdict]}</td><td>${title}${between}${note === undefined ? '' : html`<br><small>${note}</small>`}</td><td class="n">${each(
      (one) => `${one.name} ${figure(one.value)}`,
    )}</td><td class="n">${each((one) => `${one.inclusive ? '≤' : '<'} ${small(one.limit)}`)}</td><td class="n">${each(
      (one) => figure(one.spread),
    )}</td><td>${source.name}</td></tr>`
  })
  const heads: [string, string][] = [
    ['Verdict', ''],
    ['Of', ''],
    ['Found', 'n'],
    ['Limit', 'n'],
    ['Spread', 'n'],
    ['Source', ''],
  ]
  const sources = new Map(criteria.map(({ source }) => [source.name, source.address.replace('https://', '')]))
  return html`<h2>Criteria${several ? `, ${name}` : ''}</h2><table><thead><tr>${heads.map(
    ([head, look]) => html`<th scope="col" class="${look}">${head}</th>`,
  )}</tr></thead><tbody>${rows}</tbody></table>
<details><summary>sources</summary><table><tbody>${[...sources].map(
    ([name, address]) => html`<tr><th scope="row">${name}</th><td>${address}</td></tr>`,
  )}</tbody></table></details>`
}

/** A figure of a criterion; a dash where there is none. */
export function figure(value: number | null): string {
  return value === null ? '–' : Number.isFinite(value) ? small(value) : 'not finite'
}

function spreadHtml({ spread, reference }: Verification): Html | undefined {
  if (spread.length === 0) return undefined
  const columns = ['loss', 'gradNorm', 'gradients', 'weights', 'moments'] as const
  const rows = spread.map((one) => {
    const found = widest(one)
    return html`<tr><th scope="row">${one.name}</th>${columns.map((key) => html`<td class="n">${figure(found[key] ?? null)}</td>`)}</tr>`
  })
  return html`<h2>The reference against itself</h2><p class="readout" style="margin-left:0">${reference.name} was run again; relative differences, the largest.</p>
<table><thead><tr><th scope="col"></th>${['Loss', 'Gradient norm', 'Gradients', 'Weights', 'Moments'].map(
    (head) => html`<th scope="col" class="n">${head}</th>`,
  )}</tr></thead><tbody>${rows}</tbody></table>`
}

function tensorsHtml(comparison: Comparison, several: boolean): Html | undefined {
  const { tensors, name } = comparison
  if (tensors.length === 0) return undefined
  const shown = worstTensors(comparison, SHOWN_TENSORS)
  const title = `Tensors furthest apart${several ? `, ${name}` : ''}`
  if (shown.length === 0)
    return html`<h2>${title}</h2><p>All ${tensors.length} gradients, weights and moments have the same bits.</p>`
  const rows = shown.map(
    (one) =>
      html`<tr><td>${one.name}</td><td>${one.kind}</td><td class="n">${figure(one.relativeError)}</td><td class="n">${
        one.cosine === 1 ? '0' : figure(1 - one.cosine)
      }</td><td class="n">${figure(one.maxAbsolute)}</td><td class="n">${grouped(one.step)}</td></tr>`,
  )
  return html`<h2>${title}</h2><details open><summary>${shown.length} of ${tensors.length}</summary><table><thead><tr>${[
    'Tensor',
    'Of',
  ].map((head) => html`<th scope="col">${head}</th>`)}${['Relative', '1 − cosine', 'Largest', 'At step'].map(
    (head) => html`<th scope="col" class="n">${head}</th>`,
  )}</tr></thead><tbody>${rows}</tbody></table></details>`
}

function settingsHtml({ settings, mode }: Verification): Html | undefined {
  if (mode === 'runtimes') return undefined
  if (settings.length === 0) return undefined
  return html`<h2>Settings that differ</h2><table><thead><tr><th scope="col">Setting</th><th scope="col">Reference</th><th scope="col">Other</th></tr></thead><tbody>${settings.map(
    ({ key, reference, other }) =>
      html`<tr><td>${key}</td><td>${String(reference ?? 'not set')}</td><td>${String(other ?? 'not set')}</td></tr>`,
  )}</tbody></table>`
}

function machineHtml({ machine, reference, comparisons, version }: Verification): Html {
  const rows: [string, string][] = [
    [reference.name, reference.description],
    ...comparisons.map(({ name, description }): [string, string] => [name, description]),
    ...(machine === undefined
      ? []
      : ([
          ['Host', machine.host],
          ['Processor', `${machine.processor}, ${machine.cores} cores, ${bytes(machine.memoryBytes)}`],
          ['System', `${machine.platform}, Node ${machine.node}, regauge ${version}`],
        ] satisfies [string, string][])),
  ]
  return html`<h2>Machine</h2><table><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>`
}

function notesHtml({ notes }: Verification): Html | undefined {
  if (notes.length === 0) return undefined
  return html`<h2>Notes</h2><ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`
}

/** A relative difference in short. */
function apart(value: number): string {
  return value === 0 ? 'not' : figure(value)
}
