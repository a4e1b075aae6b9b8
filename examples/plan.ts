/** @file Plans a training of llama 3 70B, and asks why another layout is not the best: npx tsx examples/plan.ts [chip] [count] */
import { catalogChips, findChip } from 'regauge/chips'
import config from 'regauge/models/llama-3-70b' with { type: 'json' }
import {
  engineFor,
  explainLayout,
  layoutText,
  machineOf,
  parseLayout,
  planLayouts,
  readDecoder,
} from 'regauge/planner'

const { chip } = findChip(catalogChips(), process.argv[2] ?? '910b2')
const count = Number(process.argv[3] ?? 1024)

// Any config.json of Hugging Face will do, also of families that do not train here.
const decoder = readDecoder(config)
const engine = engineFor(chip)
const request = {
  workload: { decoder, sequenceLength: 8192, globalBatch: 1024, precision: 'bf16' },
  // Where nobody published the network of a chip, it is given here.
  machine: machineOf(chip, count, 'bf16', { networkBytesPerSecond: 25e9 }),
  engine,
  top: 3,
  tokens: 1e12,
} as const

const { best, rejected } = planLayouts(request)
console.log(`${count} ${chip.name}, ${engine.id}`)
for (const { layout, prediction, peakBytes, cost } of best) {
  const { low, high } = prediction.band
  const time = `${prediction.seconds.toFixed(2)} s (${low.toFixed(2)} to ${high.toFixed(2)})`
  console.log(
    `${layoutText(layout)}: ${time}, ${(peakBytes / 2 ** 30).toFixed(1)} GiB, ${cost.days?.toFixed(1)} days`,
  )
}
for (const { reason } of rejected.slice(0, 3)) console.log(`lost: ${reason}`)
console.log(explainLayout(request, parseLayout('tp8 pp8', count), best[0]).lines.join('\n'))
