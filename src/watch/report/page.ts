/** @file A page that needs nothing else: its head, its style, the script of its charts. */
import { createHash } from 'node:crypto'
import type { ChartData } from './chart.ts'
import { embeddedJson, type Html, html } from './html.ts'
import { SCRIPT } from './script.ts'
import { STYLE } from './style.ts'

/** The whole page around a body; `charts` are the data of the charts in it, in their order, `style` more of its look. */
export function pageHtml(
  title: string,
  version: string,
  body: Html,
  charts: readonly ChartData[],
  style = '',
): string {
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src ${hash(SCRIPT)}`
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="regauge ${version}">
<title>${title}</title>
<style>${{ html: STYLE + style }}</style>
</head>
<body>
<main>
${body}
</main>
<script type="application/json" id="data">${embeddedJson(charts)}</script>
<script>${{ html: SCRIPT }}</script>
</body>
</html>
`
  return page.html
}
