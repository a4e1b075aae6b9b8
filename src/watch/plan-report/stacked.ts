/** @file Stacked bars by term, a row each, with a limit's line and the same numbers in a table. */
import { niceTicks } from '../report/chart.ts'
import { type Html, html } from '../report/html.ts'
import type { Term } from './terms.ts'

export interface StackedRow<Key extends string> {
  readonly name: string
  /** Its name in the table; the same where it is undefined. */
  readonly short?: string
  readonly terms: Readonly<Record<Key, number>>
}

export interface StackedBars<Key extends string> {
  readonly title: string
  readonly unit: string
  readonly terms: readonly Term<Key>[]
  readonly rows: readonly StackedRow<Key>[]
  /** Head of the rows' names. */
  readonly of: string
  /** A number without its unit. */
  readonly format: (value: number) => string
  /** Divides values to what ticks should be round in: 2 ** 30 for GiB. */
  readonly scale?: number
  /** Nothing should be longer than this. */
  readonly limit?: { readonly value: number; readonly name: string }
  readonly note?: string
}

/** Units of a bar across; it is stretched to the page. */
const WIDTH = 1000

export function stackedBarsHtml<Key extends string>(bars: StackedBars<Key>): Html {
  const { rows, limit, format, scale = 1 } = bars
  const shown = bars.terms.filter(({ key }) => rows.some(({ terms }) => terms[key] > 0))
  const sumOf = (row: StackedRow<Key>): number => bars.terms.reduce((sum, { key }) => sum + row.terms[key], 0)
  const longest = Math.max(limit?.value ?? 0, ...rows.map(sumOf))
  const ticks = niceTicks(0, longest / scale, 6)
    .map((tick) => tick * scale)
    .filter((tick) => tick <= longest * 1.0001)
  const end = longest * 1.02 || 1
  const across = (value: number): string => ((value / end) * WIDTH).toFixed(2)
  const percent = (value: number): string => `${((value / end) * 100).toFixed(2)}%`

  const bar = (row: StackedRow<Key>): Html => {
    let at = 0
    const parts = shown.map(({ key, colour }) => {
      const from = at
      at += row.terms[key]
      return html`<rect class="${colour}" x="${across(from)}" y="0" width="${across(row.terms[key])}" height="20"/>`
    })
    const text = shown.map(({ key, name }) => `${name} ${format(row.terms[key])}`).join(', ')
    const over = limit !== undefined && at > limit.value
    return html`<span class="name">${row.name}</span><svg viewBox="0 0 ${WIDTH} 20" preserveAspectRatio="none" role="img" aria-label="${`${row.name}, ${bars.unit}: ${text}`}">${ticks.map(
      (tick) => html`<line class="grid" x1="${across(tick)}" x2="${across(tick)}" y1="-3" y2="23"/>`,
    )}${parts}${
      limit === undefined
        ? ''
        : html`<line class="limit" x1="${across(limit.value)}" x2="${across(limit.value)}" y1="-3" y2="23"/>`
    }</svg><span class="sum${over ? ' over' : ''}">${format(at)}${over ? ' over' : ''}</span>
`
  }
  return html`<figure class="chart"><figcaption><b>${bars.title}</b> <span>${bars.unit}</span></figcaption>
<ul class="terms">${shown.map(({ name, colour }) => html`<li><i class="swatch ${colour}"></i>${name}</li>`)}</ul>
<div class="bars">${rows.map(bar)}<span class="name"></span><div class="axis${limit === undefined ? '' : ' limited'}" aria-hidden="true">${ticks.map((tick) => html`<span style="left:${percent(tick)}">${Number(format(tick))}</span>`)}${
    limit === undefined
      ? ''
      : html`<span class="at-limit${limit.value / end > 0.8 ? ' at-end' : ''}" style="left:${percent(limit.value)}">${limit.name}</span>`
  }</div><span class="sum"></span></div>
${bars.note === undefined ? '' : html`<p class="note">${bars.note}</p>`}
<div class="numbers"><table><thead><tr><th scope="col">${bars.of}</th>${shown.map(
    ({ name }) => html`<th scope="col" class="n">${name}</th>`,
  )}<th scope="col" class="n">sum</th></tr></thead><tbody>${rows.map(
    (row) =>
      html`<tr><th scope="row">${row.short ?? row.name}</th>${shown.map(
        ({ key }) => html`<td class="n">${format(row.terms[key])}</td>`,
      )}<td class="n">${format(sumOf(row))}</td></tr>`,
  )}</tbody></table></div></figure>`
}
