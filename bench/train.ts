/**
 * @file Training speed and memory beside PyTorch, llm.c and jax-js: same model, same tokens, same cores, in turn.
 *
 *     REGAUGE_PYTHON=venv/bin/python npm run bench:train -- [--model 12m|97m] [--rounds 3] [--threads 2]
 *
 * REGAUGE_PYTHON is a Python with torch 2.13 or newer; REGAUGE_LLMC a checkout of karpathy/llm.c; REGAUGE_JAXJS a
 * folder whose node_modules has @jax-js/jax. What is not given is skipped, and said to be.
 */
import { parseArgs } from 'node:util'
import { createRuntime, measureMatmul } from '../src/runtime/index.ts'
import { type Contender, interleave, median, printTable } from './children.ts'

interface Line {
  readonly params: number
  readonly version: string
  readonly tokensPerStep: number
  readonly compileSeconds: number
  readonly stepSeconds: readonly number[]
  readonly peakRssBytes: number
}

const MODELS = {
  '12m': { hidden: 384, layers: 6, heads: 6, intermediate: 1024, vocab: 4096, seq: 256, batch: 8, steps: 10 },
  '97m': {
    hidden: 768,
    layers: 12,
    heads: 12,
    intermediate: 2048,
    vocab: 16384,
    seq: 512,
    batch: 4,
    steps: 4,
  },
} as const

/** What a row has that differs from the others. */
const DIFFERS: Readonly<Record<string, string>> = {
  'PyTorch bf16': 'products in bfloat16 (autocast), weights and AdamW in float32',
  'llm.c':
    'a GPT-2 of the same size: LayerNorm, learned positions, biases, GELU MLP; no clipping; few steps, one round',
  'jax-js': 'two threads by way of a Worker made for it; few steps, one round',
}

/** Peers that take minutes for what the others do in seconds run in the first round alone, a few steps. */
const FEW = ['--steps', '3', '--warmup', '1']

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
  },
})
const names = (values.model === undefined ? Object.keys(MODELS) : [values.model]) as (keyof typeof MODELS)[]
const python = process.env.REGAUGE_PYTHON
const needs = (name: string, value: string | undefined) =>
  value === undefined ? { missing: `set ${name}` } : {}

for (const name of names) {
  const { heads, ...model } = MODELS[name]
  const flags = Object.entries({ ...model, heads, threads: values.threads }).flatMap(([key, value]) => [
    `--${key}`,
    String(value),
  ])
  const torch = (mode: string): Contender => ({
    name: `PyTorch ${mode}`,
    command: [
      python ?? 'python3',
      'bench/peers/torch_train.py',
      '--mode',
      mode,
      '--kv-heads',
      String(heads),
      ...flags,
    ],
    ...needs('REGAUGE_PYTHON', python),
  })
  const own = (recompute: string): Contender => ({
    name: `regauge (recompute ${recompute})`,
    command: [
      'node',
      'bench/peers/regauge_train.mjs',
      '--kv-heads',
      String(heads),
      '--recompute',
      recompute,
      ...flags,
    ],
  })
  const small = name === '12m'
  const contenders: Contender[] = [
    own('selective'),
    torch('eager'),
    torch('compile'),
    own('none'),
    torch('bf16'),
    ...(small
      ? [
          {
            name: 'llm.c',
            command: [python ?? 'python3', 'bench/peers/llmc_train.py', ...flags, ...FEW],
            once: true,
            ...needs('REGAUGE_LLMC', process.env.REGAUGE_LLMC),
          },
          {
            name: 'jax-js',
            command: ['node', 'bench/peers/jaxjs_train.mjs', ...flags, ...FEW],
            once: true,
            ...needs('REGAUGE_JAXJS', process.env.REGAUGE_JAXJS),
          },
        ]
      : []),
  ]
  const results = await interleave<Line>(contenders, Number(values.rounds))
  const runtime = createRuntime({ name: 'cpu', threads: Number(values.threads) })
  const limit = (await measureMatmul(runtime)).best
  runtime.dispose()

  const speedOf = (lines: readonly Line[]) =>
    lines[0]!.tokensPerStep / median(lines.flatMap((line) => line.stepSeconds))
  const ours = results.get('regauge (recompute selective)')!
  const [speed, memory] = [speedOf(ours), median(ours.map((line) => line.peakRssBytes))]
  // 6 N for the products with weights, forward and backward, and 12 L D T for those of attention, causal or not
  const flopsPerToken = 6 * ours[0]!.params + 12 * model.layers * model.hidden * model.seq
  const rows = [...results].map(([peer, lines]) => {
    const tokens = speedOf(lines)
    const bytes = median(lines.map((line) => line.peakRssBytes))
    return [
      peer,
      (lines[0]!.params / 1e6).toFixed(1),
      tokens.toFixed(0),
      ((tokens * flopsPerToken) / 1e9).toFixed(0),
      `${((100 * tokens * flopsPerToken) / limit).toFixed(0)} %`,
      `${(speed / tokens).toFixed(2)} x`,
      (bytes / 2 ** 20).toFixed(0),
      `${(memory / bytes).toFixed(2)} x`,
      Math.max(...lines.map((line) => line.compileSeconds)).toFixed(1),
    ]
  })
  console.log(
    `\n${name}: ${ours[0]!.tokensPerStep} tokens a step, ${ours[0]!.version}; float32 unless it says bf16`,
  )
  console.log(
    `matmul limit ${(limit / 1e9).toFixed(0)} GFLOP/s; medians over ${values.rounds} rounds in turn`,
  )
  const header = [
    '',
    'M params',
    'tok/s',
    'GFLOP/s',
    'of limit',
    'ours/it',
    'peak MiB',
    'ours/it',
    'compile s',
  ]
  printTable(header, rows)
  for (const [peer, lines] of results) {
    const faster = speedOf(lines) / speed
    const lost =
      peer.startsWith('regauge') || faster <= 1 ? [] : [`lost, it is ${faster.toFixed(2)} x as fast`]
    const notes = [...lost, ...(DIFFERS[peer] === undefined ? [] : [DIFFERS[peer]])]
    if (notes.length > 0) console.log(`${peer}: ${notes.join('; ')}`)
  }
}
