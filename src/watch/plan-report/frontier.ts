/** @file Days of a run against chips: each point the best layout for so many, with its band. */
import { grouped } from '../../words.ts'
import { type Html, html } from '../report/html.ts'
import { threeDigits } from './terms.ts'

export interface FrontierPoint {
  /** Chips at hand. */
  readonly chips: number
  readonly days: number
  readonly low: number
  readonly high: number
  readonly layout: string
}

const [WIDTH, HEIGHT] = [1040, 340]
const [LEFT, RIGHT, TOP, BOTTOM] = [70, 30, 16, 46]

/** Both axes are logarithmic: twice the chips for half the days is a straight line. */
export function frontierHtml(points: readonly FrontierPoint[]): Html {
  const sorted = points.toSorted((a, b) => a.chips - b.chips)
  const [x0, x1] = around(sorted.map(({ chips }) => chips))
  const [y0, y1] = around(sorted.flatMap(({ low, high }) => [low, high]))
  const x = (chips: number): number =>
    LEFT + (Math.log(chips / x0) / Math.log(x1 / x0)) * (WIDTH - LEFT - RIGHT)
  const y = (days: number): number =>
    HEIGHT - BOTTOM - (Math.log(days / y0) / Math.log(y1 / y0)) * (HEIGHT - TOP - BOTTOM)
  const at = (value: number): string => value.toFixed(1)
  const bottom = HEIGHT - BOTTOM
  return html`<figure class="chart"><figcaption><b>Days against chips</b> <span>both logarithmic; lines through points are bands that hold in four of five cases</span></figcaption>
<div class="drawing"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${sorted.map(({ chips, days }) => `${grouped(chips)} chips: ${threeDigits(days)}`).join(', ')}">
${logTicks(y0, y1).map((tick) => html`<line class="tick" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(tick))}" y2="${at(y(tick))}"/><text x="${LEFT - 8}" y="${at(y(tick) + 4)}" text-anchor="end">${Number(tick.toPrecision(3)).toLocaleString('en-US')}</text>`)}
${sorted.map(({ chips }) => html`<line class="tick" x1="${at(x(chips))}" x2="${at(x(chips))}" y1="${TOP}" y2="${bottom}"/><text x="${at(x(chips))}" y="${bottom + 18}" text-anchor="middle">${grouped(chips)}</text>`)}
<text x="${at((LEFT + WIDTH - RIGHT) / 2)}" y="${HEIGHT - 6}" text-anchor="middle">chips</text>
<path class="curve" d="${sorted.map(({ chips, days }, i) => `${i === 0 ? 'M' : 'L'}${at(x(chips))} ${at(y(days))}`).join('')}"/>
${sorted.map(({ chips, days, low, high }) => html`<line class="band" x1="${at(x(chips))}" x2="${at(x(chips))}" y1="${at(y(low))}" y2="${at(y(high))}"/><circle class="point" cx="${at(x(chips))}" cy="${at(y(days))}" r="5"/>`)}</svg></div>
<div class="numbers"><table><thead><tr>${['Chips', 'Days', 'from', 'to'].map((head) => html`<th scope="col" class="n">${head}</th>`)}<th scope="col">Layout</th></tr></thead><tbody>${sorted.map(
    ({ chips, days, low, high, layout }) =>
      html`<tr><td class="n">${grouped(chips)}</td>${[days, low, high].map((one) => html`<td class="n">${threeDigits(one)}</td>`)}<td class="layout">${layout}</td></tr>`,
  )}</tbody></table></div></figure>`
}

/** The range of some values with a margin, none of it empty. */
function around(values: readonly number[]): [number, number] {
  return [Math.min(...values) / 1.15, Math.max(...values) * 1.15]
}

/** 1, 2 and 5 times powers of ten between two values; fewer where there are many. */
function logTicks(low: number, high: number): number[] {
  const ticks: number[] = []
  const factors = high / low > 200 ? [1] : [1, 2, 5]
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(12)))
  }
  const inside = ticks.filter((tick) => tick >= low && tick <= high)
  // a narrow range may lie between two of them
  return inside.length >= 2 ? inside : [low * 1.1, high / 1.1].map((tick) => Number(tick.toPrecision(2)))
}
