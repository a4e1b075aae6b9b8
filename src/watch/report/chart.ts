/** @file A chart as HTML: SVG paths that stretch with the page, labels and read-out that do not. */
import { type Html, html } from './html.ts'

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Series {
  readonly name: string
  /** Colour, by its CSS class: `a`, `b` or `c`. */
  readonly colour: 'a' | 'b' | 'c'
  /** `faint` stands behind; `dots` are joined by a thin line. */
  readonly look: 'line' | 'faint' | 'dots'
  readonly points: readonly Point[]
}

export interface Chart {
  readonly title: string
  /** What the numbers are, behind the title. */
  readonly unit: string
  readonly series: readonly Series[]
  readonly format: (value: number) => string
  readonly tall?: boolean
}

/** What the page's script needs of a chart for its read-out. */
export interface ChartData {
  readonly series: readonly {
    readonly name: string
    readonly xs: readonly number[]
    readonly texts: readonly string[]
  }[]
  readonly range: readonly [number, number]
}

/** More points than these are drawn in buckets. */
const MAX_POINTS = 2000
const BUCKETS = 1000
/** Units of the drawing across and down; it is stretched to the page. */
const WIDTH = 1000
const HEIGHT = 400

/** Neighbouring points drawn as one, from the least to the greatest. */
interface Bucket {
  readonly from: number
  readonly to: number
  readonly low: number
  readonly high: number
  readonly last: number
}

/** Each bucket holds at least one point; a point that is not finite is left out (the page tells how many). */
export function bucketed(points: readonly Point[]): Bucket[] {
  const finite = points.filter(({ y }) => Number.isFinite(y))
  const count = finite.length > MAX_POINTS ? BUCKETS : finite.length
  return Array.from({ length: count }, (_, i) => {
    const inside = finite.slice(
      Math.floor((i * finite.length) / count),
      Math.floor(((i + 1) * finite.length) / count),
    )
    const ys = inside.map(({ y }) => y)
    return {
      from: inside[0]!.x,
      to: inside.at(-1)!.x,
      low: Math.min(...ys),
      high: Math.max(...ys),
      last: ys.at(-1)!,
    }
  })
}

/** The chart and its data; undefined when there is nothing to draw. */
export function chartHtml(chart: Chart, index: number): { html: Html; data: ChartData } | undefined {
  const drawn = chart.series.map((series) => ({ ...series, buckets: bucketed(series.points) }))
  const buckets = drawn.flatMap((series) => series.buckets)
  if (buckets.length === 0) return undefined
  const extent = (values: readonly number[]): [number, number] => [
    values.reduce((a, b) => Math.min(a, b)),
    values.reduce((a, b) => Math.max(a, b)),
  ]
  const [x0, x1] = extent(buckets.flatMap(({ from, to }) => [from, to]))
  const yTicks = niceTicks(
    ...padded(extent(buckets.flatMap(({ low, high }) => [low, high]))),
    chart.tall ? 6 : 4,
  )
  const [y0, y1] = [yTicks[0]!, yTicks.at(-1)!]
  const left = (x: number): number => (x1 === x0 ? 0.5 : (x - x0) / (x1 - x0))
  const top = (y: number): number => 1 - (y - y0) / (y1 - y0)
  const xTicks = niceTicks(x0, x1, chart.tall ? 6 : 4).filter(
    (x) => x >= x0 && x <= x1 && Number.isInteger(x),
  )
  const percent = (share: number): string => `${(share * 100).toFixed(3)}%`

  const many = drawn.filter(
    ({ points, buckets: made }) => made.length < points.length && points.length > MAX_POINTS,
  )
  const lost = drawn.reduce(
    (sum, { points }) => sum + points.filter(({ y }) => !Number.isFinite(y)).length,
    0,
  )
  const remarks = [
    ...(many.length > 0
      ? [
          `${many[0]!.points.length.toLocaleString('en-US')} points in ${BUCKETS} groups${chart.tall ? ', each drawn from its least to its greatest value' : ''}`,
        ]
      : []),
    ...(lost > 0 ? [`${lost} values were not finite and are gaps`] : []),
  ]
  const id = `chart${index}`
  return {
    html: html`<figure class="chart${chart.tall ? ' tall' : ''}">
<figcaption><b id="${id}-title">${chart.title}</b> <span>${chart.unit}</span>
<span class="legend">${drawn.length > 1 ? drawn.map((one) => html`<i class="key ${one.colour} ${one.look}"></i>${one.name} `) : ''}</span></figcaption>
<div class="plot" data-chart="${index}" tabindex="0" role="group" aria-labelledby="${id}-title" aria-describedby="${id}-readout">
${yTicks.map((y) => html`<span class="y" style="top:${percent(top(y))}">${chart.format(y)}</span><hr style="top:${percent(top(y))}">`)}
${xTicks.map((x) => html`<span class="x" style="left:${percent(left(x))}">${x.toLocaleString('en-US')}</span>`)}
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">${drawn.map(
      (one) =>
        html`<path class="${one.colour} ${one.look}" d="${pathOf(one.buckets, left, top)}"/>${
          one.look === 'dots'
            ? html`<path class="${one.colour} points" d="${dotsOf(one.buckets, left, top)}"/>`
            : ''
        }`,
    )}</svg>
<div class="cross" hidden></div>
</div>
<output id="${id}-readout" class="readout" aria-live="polite">${remarks.join('; ')}</output>
</figure>`,
    data: {
      range: [x0, x1],
      series: drawn.map(({ name, buckets: made }) => readout(name, made, chart.format)),
    },
  }
}

function readout(
  name: string,
  buckets: readonly Bucket[],
  format: (value: number) => string,
): ChartData['series'][number] {
  return {
    name,
    xs: buckets.map(({ to }) => to),
    texts: buckets.map(({ low, high }) => (low === high ? format(low) : `${format(low)} to ${format(high)}`)),
  }
}

type Scale = (value: number) => number

function pathOf(buckets: readonly Bucket[], left: Scale, top: Scale): string {
  const at = (x: number, y: number): string =>
    `${(left(x) * WIDTH).toFixed(1)} ${(top(y) * HEIGHT).toFixed(2)}`
  return buckets
    .map(({ to, low, high, last }, i) => {
      const start = `${i === 0 ? 'M' : 'L'}${at(to, low === high ? last : low)}`
      return low === high ? start : `${start}L${at(to, high)}L${at(to, last)}`
    })
    .join('')
}

/** Lines of no length with round ends: circles, however the drawing is stretched. */
function dotsOf(buckets: readonly Bucket[], left: Scale, top: Scale): string {
  return buckets
    .map(({ to, last }) => `M${(left(to) * WIDTH).toFixed(1)} ${(top(last) * HEIGHT).toFixed(2)}h0`)
    .join('')
}

/** A range with some height, also around a single value. */
function padded([low, high]: [number, number]): [number, number] {
  if (high > low) return [low, high]
  const half = Math.abs(low) * 0.05 || 1
  return [low - half, high + half]
}

/** Round numbers that span from `low` to `high` or a little beyond, about `count` of them. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count
  if (!(rough > 0)) return [low]
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10)
  const first = Math.floor(low / step + 1e-9)
  const last = Math.ceil(high / step - 1e-9)
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

/** Mean of each point and its neighbours, `window` of them where there are as many; fewer at the ends. */
export function smoothed(points: readonly Point[], window: number): Point[] {
  const finite = points.filter(({ y }) => Number.isFinite(y))
  const sums = [0]
  for (const { y } of finite) sums.push(sums.at(-1)! + y)
  return finite.map(({ x }, i) => {
    const left = Math.min(Math.floor(window / 2), i)
    // At the beginning as many on the right as on the left, so that a steep fall is not drawn late.
    const right = Math.min(left, finite.length - 1 - i)
    return { x, y: (sums[i + right + 1]! - sums[i - left]!) / (left + right + 1) }
  })
}
