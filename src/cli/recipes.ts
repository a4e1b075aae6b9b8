/** @file Run files to begin with: each a whole, valid run with a word on every value one may want to change. */
import { stringify } from 'yaml'
import { DEFAULT_OPTIMIZER, OPTIMIZER_KINDS } from '../steps/index.ts'

const otherKinds = OPTIMIZER_KINDS.filter((kind) => kind !== DEFAULT_OPTIMIZER).join(', ')

export type Recipe = 'scratch' | 'jsonl' | 'continue'

export interface RecipeChoices {
  readonly name: string
  /** Paths of text; empty for the recipe's placeholder. */
  readonly data: readonly string[]
  /** Folder to go on from. */
  readonly from?: string
}

/** A value as it stands in a flow of YAML. */
function value(data: unknown): string {
  return stringify(data, { defaultStringType: 'PLAIN', lineWidth: 0, collectionStyle: 'flow' }).trimEnd()
}

export function recipeText(recipe: Recipe, { name, data, from }: RecipeChoices): string {
  const text =
    data.length === 0
      ? recipe === 'jsonl'
        ? 'data/*.jsonl'
        : 'data/*.txt'
      : data.length === 1
        ? data[0]
        : data
  const model =
    recipe === 'continue'
      ? [
          'model:',
          `  from: ${value(from ?? 'model')}  # folder with config.json, model.safetensors and tokenizer.json`,
          '                # the tokenizer is the one of that folder',
        ]
      : [
          'model:',
          '  preset: tiny  # nano, tiny, small or base; or "config: path/to/config.json"',
          '',
          'tokenizer:',
          '  train:',
          '    vocabSize: 8192  # more tokens: shorter text, larger model',
        ]
  return `${[
    '# A training run. Paths start at the folder of this file. All keys: regauge schema',
    '# Other values for once: regauge train --set train.steps=100',
    '',
    `name: ${value(name)}`,
    'seed: 1  # same seed, same run',
    '',
    ...model,
    '',
    'data:',
    `  train: ${value(text)}  # file, folder, glob or a list of them; also .gz and .zst`,
    ...(recipe === 'jsonl' ? ['  field: text  # key that holds the text of a line'] : []),
    '  heldout: { fraction: 0.01 }  # documents never trained on, to measure by; or paths',
    '  sequenceLength: 256  # tokens that the model sees at once',
    '',
    'train:',
    recipe === 'continue'
      ? '  epochs: 1  # passes over the text; or "steps" or "tokens"'
      : '  steps: 1000  # or "tokens" or "epochs"',
    '  batchSize: 16  # sequences of one step',
    '  # microBatchSize: 4  # sequences computed at once: less memory, same result',
    '',
    'optimizer:',
    `  kind: ${DEFAULT_OPTIMIZER}  # or ${otherKinds}, with options of their own`,
    `  learningRate: ${recipe === 'continue' ? '2e-5' : '1e-3'}`,
    '',
    'schedule:',
    '  kind: cosine  # constant, linear, cosine or wsd',
    '  warmupSteps: 0.05  # a share of all steps below 1, else steps',
    '',
    'evaluate:',
    '  everySteps: 100',
    '  samples: ["The "]  # texts to continue while training',
    '',
    'checkpoint:',
    '  everySteps: 500',
    '  keepLast: 2',
  ].join('\n')}\n`
}
