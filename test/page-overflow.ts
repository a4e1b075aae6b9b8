/** @file A page in a real browser: what of it is wider than the window shows without scrolling. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const BROWSER = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)

/** Heads of tables that are cut in a window of 1,280 pixels; undefined where there is no browser. */
export function tablesCut(path: string): string[] | undefined {
  if (BROWSER === undefined) return undefined
  const copy = `${path}.looked-at.html`
  const script = `<script>
document.body.textContent = JSON.stringify([...document.querySelectorAll('.numbers')]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.querySelector('thead').innerText))
</script>`
  const page = readFileSync(path, 'utf8').replaceAll(/<meta http-equiv="Content-Security-Policy"[^>]*>/g, '')
  writeFileSync(copy, page.replace(/<\/body>|$/, script))
  const dumped = execFileSync(
    BROWSER,
    ['--headless', '--no-sandbox', '--disable-gpu', '--window-size=1280,900', '--dump-dom', `file://${copy}`],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 120_000, maxBuffer: 1 << 26 },
  )
  return JSON.parse(/<body[^>]*>(\[.*?\])\s*<\/body>/s.exec(dumped)![1]!) as string[]
}
