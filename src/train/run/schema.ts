/** @file The run file's one schema: every key with its meaning, bounds and default. */
import { z } from 'zod'
import { FAMILY_NAMES, PRESET_NAMES } from '../../model/index.ts'
import {
  DEFAULT_OPTIMIZER,
  OPTIMIZER_KINDS,
  type OPTIMIZERS,
  type OptimizerKind,
  ruleOf,
} from '../../steps/index.ts'

/** Groups of keys of which exactly one is given, by the section that they are in. */
export const EXCLUSIVE = {
  model: ['preset', 'config', 'from'],
  tokenizer: ['train', 'file'],
  train: ['steps', 'tokens', 'epochs'],
} as const

const exactlyOne = (section: keyof typeof EXCLUSIVE) => ({
  oneOf: EXCLUSIVE[section].map((key) => ({ required: [key] })),
})

const count = (max = Number.MAX_SAFE_INTEGER) => z.int().min(1).max(max)
const path = () => z.string().min(1)
const paths = (text: string) => z.union([path(), z.array(path()).min(1)]).describe(text)
const share = () => z.number().gt(0).lt(1)

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])

const overrides = z
  .strictObject({
    model_type: z.enum(FAMILY_NAMES).describe('Family of a preset; llama unless given.'),
    hidden_size: count(1 << 20),
    intermediate_size: count(1 << 22),
    num_hidden_layers: count(1024),
    num_attention_heads: count(4096),
    num_key_value_heads: count(4096),
    head_dim: count(4096),
    vocab_size: count(1 << 24),
    max_position_embeddings: count(1 << 24),
    rope_theta: z.number().gt(0),
    rope_scaling: z.record(z.string(), z.union([scalar, z.array(scalar)])).nullable(),
    rms_norm_eps: z.number().gt(0).lt(1),
    initializer_range: z.number().gt(0).max(1),
    tie_word_embeddings: z.boolean(),
    attention_bias: z.boolean(),
    mlp_bias: z.boolean(),
  })
  .partial()
  .describe('Keys of Hugging Face config.json that replace those of the preset or config.')

const model = z
  .strictObject({
    preset: z.enum(PRESET_NAMES).optional().describe('A ready-made model by size.'),
    config: path().optional().describe('Path of a Hugging Face config.json; weights start at random.'),
    from: path()
      .optional()
      .describe('Folder of a Hugging Face checkpoint to go on from (continue or fine-tune).'),
    overrides: overrides.optional(),
  })
  .meta(exactlyOne('model'))
  .describe('What to train: exactly one of preset, config, from.')

const tokenizer = z
  .strictObject({
    train: z
      .strictObject({
        vocabSize: z
          .int()
          .min(257)
          .max(1_000_000)
          .default(8192)
          .describe('Tokens, the special ones included.'),
        minFrequency: count().default(2).describe('A pair seen less often is not merged.'),
        maxBytes: count().optional().describe('Bytes of training text to learn from; default all.'),
      })
      .optional()
      .describe('Train a byte-level BPE tokenizer on the training text.'),
    file: path().optional().describe('Path of an existing tokenizer.json.'),
  })
  .meta(exactlyOne('tokenizer'))
  .optional()
  .describe('Exactly one of train, file. With model.from, left out: the tokenizer.json of that folder.')

const data = z
  .strictObject({
    train: paths(
      'Text to train on: file, folder or glob, or a list of them; .jsonl and .json (an object a line), .parquet, else text; plain, .gz or .zst.',
    ),
    heldout: z
      .union([path(), z.array(path()).min(1), z.strictObject({ fraction: share() })])
      .default({ fraction: 0.01 })
      .describe(
        'Text that is never trained on: paths, or a fraction of the documents of data.train (of few documents, the end of the longest).',
      ),
    field: z
      .string()
      .min(1)
      .default('text')
      .describe('Key or column that holds the text of jsonl and parquet.'),
    sequenceLength: z.int().min(2).max(1_048_576).default(256).describe('Tokens of one sequence.'),
  })
  .describe('The text.')

const train = z
  .strictObject({
    steps: count().optional().describe('Optimizer steps to train for.'),
    tokens: count().optional().describe('Tokens to train on.'),
    epochs: z.number().gt(0).max(1_000_000).optional().describe('Passes over the training text.'),
    batchSize: count(1 << 20)
      .default(16)
      .describe('Sequences of one optimizer step.'),
    microBatchSize: count(1 << 20)
      .optional()
      .describe(
        'Sequences computed at once; divides batchSize. Smaller takes less memory. Default batchSize.',
      ),
    recompute: z
      .enum(['none', 'selective', 'layer'])
      .default('selective')
      .describe(
        'Activations that the backward pass computes again: none, those that are cheap, or whole layers.',
      ),
    precision: z
      .enum(['float32', 'float16', 'bfloat16'])
      .default('float32')
      .describe(
        'Number type of matrix products; weights and moments stay float32. float16 scales the loss as it needs.',
      ),
  })
  .meta(exactlyOne('train'))
  .describe('How long and in which batches: exactly one of steps, tokens, epochs.')

/** Keys of `optimizer` that a kind has beside `kind` and its own options. */
const common = ({ title, defaults }: ReturnType<typeof ruleOf>) => ({
  learningRate: z
    .number()
    .gt(0)
    .max(10)
    .default(defaults.learningRate)
    .describe(`Peak learning rate of ${title}.`),
  weightDecay: z
    .number()
    .min(0)
    .max(10)
    .default(defaults.weightDecay)
    .describe('Decoupled; none on norms and biases.'),
  clipNorm: z
    .number()
    .gt(0)
    .nullable()
    .default(1)
    .describe('Largest global gradient norm; null turns it off.'),
})

type Common = z.ZodObject<ReturnType<typeof common>>
type Own<K extends OptimizerKind> = z.ZodObject<(typeof OPTIMIZERS)[K]['options']>
type OptimizerInput = {
  [K in OptimizerKind]: (K extends typeof DEFAULT_OPTIMIZER ? { kind?: K } : { kind: K }) &
    z.input<Common> &
    z.input<Own<K>>
}[OptimizerKind]
type OptimizerOutput = {
  [K in OptimizerKind]: { kind: K } & z.output<Common> & z.output<Own<K>>
}[OptimizerKind]

/** The keys that go with one kind. */
function optimizerOf(kind: OptimizerKind) {
  const rule = ruleOf(kind)
  const { learningRate, ...rest } = common(rule)
  const name = z.literal(kind)
  return z.strictObject({
    kind: (kind === DEFAULT_OPTIMIZER ? name.default(kind) : name).describe(rule.title),
    learningRate,
    ...rule.options,
    ...rest,
  })
}

const [first, ...others] = OPTIMIZER_KINDS.map(optimizerOf)
const optimizer = (
  z.discriminatedUnion('kind', [first!, ...others]) as unknown as z.ZodType<OptimizerOutput, OptimizerInput>
)
  .prefault({})
  .describe(`The update rule, by kind (${OPTIMIZER_KINDS.join(', ')}), each with its own options.`)

const schedule = z
  .strictObject({
    kind: z
      .enum(['constant', 'linear', 'cosine', 'wsd'])
      .default('cosine')
      .describe('Course of the learning rate after warm-up; wsd: stable, then a decay at the end.'),
    warmupSteps: z
      .number()
      .min(0)
      .default(0.05)
      .describe('Steps of linear warm-up; below 1, a share of all steps.'),
    finalFraction: z.number().min(0).max(1).default(0.1).describe('Last learning rate over the peak.'),
    decaySteps: z
      .number()
      .gt(0)
      .optional()
      .describe('wsd only: steps of the decay at the end; below 1, a share of all steps. Default 0.2.'),
  })
  .prefault({})
  .describe('Course of the learning rate.')

const evaluate = z
  .strictObject({
    everySteps: count()
      .default(100)
      .describe('Steps between evaluations; there is one at the end in any case.'),
    batches: count().default(32).describe('Most batches of held-out text for one evaluation while training.'),
    samples: z.array(z.string()).max(100).default([]).describe('Prompts to continue at each evaluation.'),
    sampleTokens: count(1 << 20)
      .default(64)
      .describe('Tokens of one sample.'),
    temperature: z.number().min(0).max(100).default(0.8).describe('0 takes the likeliest token.'),
    topK: count().optional().describe('Sample from the k likeliest tokens only.'),
    topP: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe('Sample from the likeliest tokens of this total probability.'),
  })
  .prefault({})
  .describe('Held-out loss and sample texts while training.')

const checkpoint = z
  .strictObject({
    everySteps: count()
      .default(500)
      .describe('Steps between checkpoints; there is one at the end in any case.'),
    keepLast: count().default(2).describe('Newest checkpoints to keep.'),
    keepEvery: count().optional().describe('Keep each checkpoint whose step is a multiple of this for good.'),
  })
  .prefault({})
  .describe('When to save and what to keep.')

const log = z
  .strictObject({
    everySteps: count().default(10).describe('Steps between printed lines; the event log has every step.'),
  })
  .prefault({})
  .describe('Progress.')

/** The whole run file. Objects are strict at every depth. */
export const runSchema = z
  .strictObject({
    $schema: z.string().optional().describe('Schema of this file, for editors of JSON.'),
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/)
      .default('run')
      .describe('Name of the run: letters, digits, dot, dash and underscore. Names its folder.'),
    seed: z.int().min(0).max(0xffff_ffff).default(1).describe('Same seed, same run.'),
    model,
    tokenizer,
    data,
    train,
    optimizer,
    schedule,
    evaluate,
    checkpoint,
    log,
    output: path().default('runs').describe('Folder that holds the folders of runs.'),
  })
  .describe('A training run of regauge. Relative paths start at the folder of this file.')

/** A run as a person writes it: what has a default may be left out. */
export type Run = z.input<typeof runSchema>

/** A run with every default filled in. Paths are absolute once it is resolved. */
export type ResolvedRun = Omit<z.output<typeof runSchema>, '$schema'> & { train: { microBatchSize: number } }
