/** @file One run on several pools: each way with its time, what crosses between pools, and what each of them does. */
import type { PoolLink, PoolPart, PoolsPlan, PoolsResult } from '../../plan/index.ts'
import { layoutText } from '../../simulate/index.ts'
import { grouped, percent } from '../../words.ts'
import { type Html, html } from '../report/html.ts'
import { stackedBarsHtml } from './stacked.ts'
import { seconds, secondsFormat, type Term, threeDigits } from './terms.ts'

export interface Together {
  readonly link: PoolLink
  readonly result: PoolsResult
}

export const WAYS: Readonly<Record<PoolsPlan['way'], string>> = {
  alone: 'one pool alone',
  replicas: 'replicas on both, each with its part of a batch',
  pipeline: 'one pipeline over both',
}

/** What a pool does of a step, in words. */
export function partText(
  { batch, chips, layers, seconds: busy }: PoolPart,
  way: PoolsPlan['way'],
  total: number,
): string {
  const share = way === 'pipeline' ? `${layers} of ${total} layers` : `${grouped(batch)} sequences`
  return `${share} on ${grouped(chips)} chips, ${seconds(busy)}`
}

/** The best way beside the best of one pool, with its why. */
export function bestText({ best, plans }: PoolsResult): string {
  if (best === undefined) return 'no way fits'
  const alone = plans.find(({ way }) => way === 'alone')
  const gain =
    alone === undefined || best === alone
      ? ''
      : `, ${percent(1 - best.seconds / alone.seconds)} less time than ${alone.parts[0]!.pool} alone`
  return `${WAYS[best.way]}${gain}: ${best.why}`
}

/** What the comparison leaves open. */
export const TOGETHER_NOTE =
  'Crossing is the time of all that goes between pools in a step: a pipeline sends it beside its passes and waits for none of it, replicas wait for all of it. Computed, not measured, with the bands of the pools. Over two pools, stages are even within a pool and run 1F1B; no engine here starts such a run yet.'

const TERMS: readonly Term<'within' | 'crossing'>[] = [
  { key: 'within', name: 'within pools', colour: 'k1' },
  { key: 'crossing', name: 'waited for between pools', colour: 'k6' },
]

export function togetherHtml({ link, result }: Together, layers: number): Html {
  const { plans, impossible, best } = result
  const names = plans.map(({ way, parts }) => `${way}: ${parts.map(({ pool }) => pool).join(' + ')}`)
  return html`<h2>Pools together</h2>
${best === undefined ? html`<p class="alert">No way fits.</p>` : html`<p><b>Best:</b> ${bestText(result)}.</p>`}
${
  plans.length === 0
    ? ''
    : html`${stackedBarsHtml({
        title: 'A step of each way',
        unit: 'seconds',
        of: 'Way',
        terms: TERMS,
        // what crosses in a pipeline does so beside the passes
        rows: plans.map(({ way, seconds: step, crossing }, i) => {
          const waited = way === 'replicas' ? crossing : 0
          return { name: names[i]!, terms: { within: step - waited, crossing: waited } }
        }),
        format: secondsFormat(plans.map((plan) => plan.seconds)),
        note: `Between pools: ${grouped(Math.round(link.bytesPerSecond / 1e9))} GB/s out of each, each way, ${seconds(link.latency)} a message. ${TOGETHER_NOTE}`,
      })}
<div class="numbers"><table><thead><tr><th scope="col">Way</th>${['Step', 'Days', 'Crossing'].map((head) => html`<th scope="col" class="n">${head}</th>`)}${['Pool', 'Does', 'Layout'].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${plans.map(
        ({ way, parts, seconds: step, days, crossing }) =>
          parts.map(
            (part, i) =>
              html`<tr>${
                i > 0
                  ? html`<th scope="row"></th><td></td><td></td><td></td>`
                  : html`<th scope="row">${way}</th>${[seconds(step), days === null ? 'unknown' : threeDigits(days), crossing === 0 ? 'none' : seconds(crossing)].map((cell) => html`<td class="n">${cell}</td>`)}`
              }<td>${part.pool}</td><td>${partText(part, way, layers)}</td><td class="layout">${layoutText(part.layout)}</td></tr>`,
          ),
      )}</tbody></table></div>`
}
${impossible.length === 0 ? '' : html`<ul>${impossible.map((text) => html`<li>${text}</li>`)}</ul>`}`
}
