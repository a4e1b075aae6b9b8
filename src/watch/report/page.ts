/** @file A page that needs nothing else: its head, its style, the script of its charts. */
import { createHash } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { RegaugeError } from '../../errors.ts'
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

/**
 * Writes a page beside its place and renames it; a link stays one, and what is no file, such as /dev/stdout, is written
 * to. Throws RegaugeError of kind `environment`.
 */
export function writePage(path: string, text: string, hint: string): void {
  let beside: string | undefined
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found !== undefined && !found.isFile()) {
      writeFileSync(path, text)
      return
    }
    const target = found === undefined ? path : realpathSync(path)
    beside = `${target}.tmp`
    writeFileSync(beside, text)
    renameSync(beside, target)
  } catch (cause) {
    if (beside !== undefined) rmSync(beside, { force: true })
    throw unwritable(path, cause, hint)
  }
}

/**
 * Throws RegaugeError when a page cannot be written there, `environment`, or would take the place of a file that is no
 * page, `usage`: to be asked before the work of which the page tells.
 */
export function requirePagePlace(path: string, hint: string): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found?.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    if (found === undefined || found.isFile()) accessSync(dirname(path), constants.W_OK)
    if (!found?.isFile() || found.size === 0 || startOf(path) === DOCTYPE) return
  } catch (cause) {
    throw unwritable(path, cause, hint)
  }
  const message = 'is there and is no page; it would be lost'
  throw new RegaugeError('usage', { code: 'REPORT_IN_THE_WAY', message, file: path, hint })
}

const DOCTYPE = '<!doctype html>'

function startOf(path: string): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(DOCTYPE.length)
    return bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, 0)).toLowerCase()
  } finally {
    closeSync(file)
  }
}

function unwritable(file: string, cause: unknown, hint: string): RegaugeError {
  const message = `cannot be written (${(cause as NodeJS.ErrnoException).code})`
  return new RegaugeError('environment', { code: 'REPORT_UNWRITABLE', message, file, hint }, { cause })
}
