/** @file The script of a report: one cross-hair over all charts, by pointer or arrow keys, and its read-out. */

/** Runs in the browser; the page shows everything without it. */
export const SCRIPT = `
'use strict'
const charts = JSON.parse(document.getElementById('data').textContent)
const plots = [...document.querySelectorAll('.plot')]
const remarks = plots.map((plot) => plot.parentNode.querySelector('output').textContent)
const nearest = (xs, x) => {
  let low = 0, high = xs.length - 1
  while (high - low > 1) { const mid = (low + high) >> 1; if (xs[mid] < x) low = mid; else high = mid }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high
}
const longest = (chart) => chart.series.reduce((a, b) => (b.xs.length > a.xs.length ? b : a))
const show = (x) => plots.forEach((plot, i) => {
  const chart = charts[plot.dataset.chart], [from, to] = chart.range
  const cross = plot.querySelector('.cross'), output = plot.parentNode.querySelector('output')
  cross.hidden = x === null
  if (x === null) { output.textContent = remarks[i]; return }
  cross.style.left = (to === from ? 50 : Math.min(100, Math.max(0, (x - from) / (to - from) * 100))) + '%'
  const texts = chart.series.filter((one) => one.xs.length > 0).map((one) => {
    const at = nearest(one.xs, x)
    return (chart.series.length > 1 ? one.name + ' ' : '') + one.texts[at] + (one.xs[at] === x ? '' : ' @' + one.xs[at].toLocaleString('en-US'))
  })
  output.textContent = 'step ' + x.toLocaleString('en-US') + ': ' + texts.join(' \\u00b7 ')
})
for (const plot of plots) {
  const chart = charts[plot.dataset.chart], xs = longest(chart).xs
  let at = xs.length - 1
  const move = (event) => {
    const box = plot.getBoundingClientRect(), [from, to] = chart.range
    at = nearest(xs, from + (event.clientX - box.left) / box.width * (to - from))
    show(xs[at])
  }
  plot.addEventListener('pointermove', move)
  plot.addEventListener('pointerdown', move)
  plot.addEventListener('pointerleave', () => show(null))
  plot.addEventListener('blur', () => show(null))
  plot.addEventListener('focus', () => { if (plot.matches(':focus-visible')) show(xs[at]) })
  plot.addEventListener('keydown', (event) => {
    const far = Math.max(1, Math.round(xs.length / 20))
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, PageDown: at - far, PageUp: at + far, Home: 0, End: xs.length - 1 }
    if (event.key === 'Escape') { show(null); return }
    if (!(event.key in moves)) return
    event.preventDefault()
    at = Math.min(xs.length - 1, Math.max(0, moves[event.key]))
    show(xs[at])
  })
}
let closed = []
addEventListener('beforeprint', () => { closed = [...document.querySelectorAll('details:not([open])')]; for (const one of closed) one.open = true })
addEventListener('afterprint', () => { for (const one of closed) one.open = false })
`
