/** @file The simulation and the planner in a real browser: the same answers as in Node, to ten digits. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { catalogChips } from '../src/chips/index.ts'
import { answers, type Question } from './browser-questions.ts'

const place = mkdtempSync(join(tmpdir(), 'regauge-browser-'))
afterAll(() => rmSync(place, { recursive: true, force: true }))

const BROWSER = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync)

const question = (model: string, chip: string, count: number, more: Partial<Question> = {}): Question => ({
  config: JSON.parse(readFileSync(resolve(`examples/models/${model}/config.json`), 'utf8')),
  chip: catalogChips().find(({ id }) => id === chip)!,
  count,
  engine: 'megatron-lm',
  sequenceLength: 4096,
  globalBatch: 512,
  ...more,
})
const QUESTIONS = [
  question('llama-3-70b', 'h100-sxm', 256),
  question('gpt3-175b', 'a100-80gb-sxm', 64, { sequenceLength: 2048, globalBatch: 1536 }),
  question('deepseek-v3', 'ascend-910b2', 1024, { engine: 'mindspeed-llm', globalBatch: 4096 }),
]

/** Engines differ in the last bit of exponentials and logarithms. */
function rounded(value: unknown): unknown {
  const text = JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'number' ? Number(one.toPrecision(10)) : one,
  )
  return JSON.parse(text)
}

async function bundled(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [resolve(import.meta.dirname, file)],
    bundle: true,
    format: 'iife',
    globalName: 'asked',
    platform: 'browser',
    external: ['node:*'],
    write: false,
    logLevel: 'error',
  })
  return outputFiles[0]!.text
}

let bundle: string
beforeAll(async () => {
  bundle = await bundled('browser-questions.ts')
})

test('a bundle of it, and of the whole entry, asks for nothing of Node', async () => {
  for (const text of [bundle, await bundled('../src/planner.ts')]) {
    expect(text).toContain('layerParameters')
    expect(text.match(/['"]node:\w+['"]|\bprocess\.|\bBuffer\b|\brequire\(/g)).toBeNull()
  }
})

test.skipIf(BROWSER === undefined)(
  'a page gives the answers of Node',
  () => {
    const page = join(place, 'page.html')
    const escaped = JSON.stringify(QUESTIONS).replaceAll('<', '\\u003c')
    writeFileSync(
      page,
      `<!doctype html><meta charset="utf-8"><pre id="out"></pre><script>${bundle.replaceAll('</script', '<\\/script')}</script>
<script>
try { document.getElementById('out').textContent = JSON.stringify(asked.answers(${escaped})) }
catch (error) { document.getElementById('out').textContent = String(error.stack) }
</script>`,
    )
    const dumped = execFileSync(
      BROWSER!,
      [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--virtual-time-budget=60000',
        '--dump-dom',
        `file://${page}`,
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 120_000, maxBuffer: 1 << 26 },
    )
    const text = /<pre id="out">(.*?)<\/pre>/s.exec(dumped)?.[1] ?? ''
    const unescaped = text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
    expect(unescaped).toMatch(/^\[/)
    expect(rounded(JSON.parse(unescaped))).toEqual(rounded(answers(QUESTIONS)))
  },
  180_000,
)
