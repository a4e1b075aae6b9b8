/**
 * @file Generation speed beside transformers' `generate`: the 97M model, greedy, one sequence, in turn.
 *
 *     REGAUGE_PYTHON=venv/bin/python npm run bench:generate -- [--rounds 3]
 */
import { parseArgs } from 'node:util'
import { type Contender, interleave, median, printTable } from './children.ts'

interface Line {
  readonly version: string
  readonly params: number
  readonly tokensPerSecond: number
  readonly peakRssBytes: number
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } })
const python = process.env.REGAUGE_PYTHON
const peer = (name: string, ...flags: string[]): Contender => ({
  name,
  command: [
    python ?? 'python3',
    'bench/peers/transformers_generate.py',
    '--prompt',
    '64',
    '--new',
    '128',
    ...flags,
  ],
  ...(python === undefined ? { missing: 'set REGAUGE_PYTHON' } : {}),
})
const OURS = 'regauge'
const results = await interleave<Line>(
  [
    { name: OURS, command: ['node', 'bench/peers/regauge_generate.mjs', '--prompt', '64', '--new', '128'] },
    peer('transformers'),
    peer('transformers, static cache', '--mode', 'static'),
  ],
  Number(values.rounds),
)
const speedOf = (lines: readonly Line[]) => median(lines.map((line) => line.tokensPerSecond))
const speed = speedOf(results.get(OURS)!)
console.log('\n97M parameters, float32, 64 tokens of prompt, 128 new ones, batch 1')
printTable(
  ['', 'tok/s', 'ours/it', 'peak MiB', 'version'],
  [...results].map(([name, lines]) => [
    name,
    speedOf(lines).toFixed(1),
    `${(speed / speedOf(lines)).toFixed(2)} x`,
    (median(lines.map((line) => line.peakRssBytes)) / 2 ** 20).toFixed(0),
    lines[0]!.version,
  ]),
)
