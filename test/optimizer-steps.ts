/** @file Steps of an optimizer's rule on random gradients by the reference interpreter, beside a textbook in double precision. */
import { evaluate, Graph, optimize } from '../src/graph/index.ts'
import { readArchitecture, uniform } from '../src/model/index.ts'
import {
  kindOf,
  type Optimizer,
  type OptimizerKind,
  ruleOf,
  stepScalarNames,
  stepScalars,
  updateParameters,
} from '../src/steps/index.ts'
import { completeRun, type ResolvedRun, type Run, trainerOptions } from '../src/train/index.ts'

/** A matrix that is wide, one that is tall, an embedding, a vector. */
export const SHAPES = {
  wide: { kind: 'matrix', shape: [3, 4] },
  tall: { kind: 'residual', shape: [5, 3] },
  table: { kind: 'embedding', shape: [6, 2] },
  vector: { kind: 'norm', shape: [5] },
} as const

export type Name = keyof typeof SHAPES
/** Values of parameters under their names, and of what is kept for them under `<parameter>.<state>`. */
export type Values = Record<string, number[]>

const names = Object.keys(SHAPES) as Name[]
export const sizeOf = (name: Name) => SHAPES[name].shape.reduce((n: number, size) => n * size, 1)

/** What an optimizer keeps for a parameter. */
export function statesOf(optimizer: Optimizer, name: Name): string[] {
  return Object.keys(ruleOf(kindOf(optimizer)).partOf(SHAPES[name]).state)
}

/** One update of all parameters: inputs and outputs are named as `Values` are; gradients are `<parameter>.gradient`. */
export function updateProgram(optimizer: Optimizer): Graph {
  const graph = new Graph()
  const float = (name: string, shape: readonly number[] = []) =>
    graph.input(name, { dtype: 'float32', shape })
  const trained = names.map((name) => {
    const { kind, shape } = SHAPES[name]
    const state = statesOf(optimizer, name).map((state) => [state, float(`${name}.${state}`, shape)] as const)
    return {
      kind,
      value: float(name, shape),
      gradient: float(`${name}.gradient`, shape),
      state: Object.fromEntries(state),
    }
  })
  const scalars = stepScalarNames(kindOf(optimizer)).map((name) => [name, float(name)] as const)
  const updated = updateParameters(optimizer, trained, {
    norm: float('norm'),
    loss: float('loss'),
    learningRate: float('learning_rate'),
    scalars: Object.fromEntries(scalars),
  })
  names.forEach((name, i) => {
    graph.output(`next/${name}`, updated[i]!.value)
    for (const state of statesOf(optimizer, name)) {
      graph.output(`next/${name}.${state}`, updated[i]!.state[state]!)
    }
  })
  return optimize(graph)
}

/** One step as a textbook has it: changes the values, of gradients that are clipped already. */
export type Textbook = (values: Values, gradients: Values, step: number, learningRate: number) => void

/** Ten steps of growing gradients, ours and those of the textbook. */
export function tenSteps(optimizer: Optimizer, textbook: Textbook): { ours: Values; theirs: Values } {
  const graph = updateProgram(optimizer)
  const next = uniform(1, 'steps')
  const random = (name: Name, width: number) =>
    Array.from({ length: sizeOf(name) }, () => (next() - 0.5) * width)
  const ours: Values = {}
  for (const name of names) {
    ours[name] = random(name, 2)
    for (const state of statesOf(optimizer, name)) ours[`${name}.${state}`] = new Array(sizeOf(name)).fill(0)
  }
  const theirs = structuredClone(ours)
  for (let step = 1; step <= 10; step++) {
    const learningRate = 0.01 * step
    const gradients = Object.fromEntries(names.map((name) => [name, random(name, step)]))
    const norm = Math.hypot(...Object.values(gradients).flat())
    const clip = typeof optimizer.clipNorm === 'number' ? Math.min(1, optimizer.clipNorm / (norm + 1e-6)) : 1
    const clipped = Object.entries(gradients).map(([name, g]) => [name, g.map((x) => x * clip)])
    textbook(theirs, Object.fromEntries(clipped), step, learningRate)
    const given = new Map<string, number[]>([
      ...Object.entries(ours),
      ...Object.entries(gradients).map(([name, g]): [string, number[]] => [`${name}.gradient`, g]),
      ...stepScalars(optimizer, step, learningRate).map(([name, x]): [string, number[]] => [name, [x]]),
      ['learning_rate', [learningRate]],
      ['norm', [norm]],
      ['loss', [2]],
    ])
    for (const [name, values] of evaluate(graph, given)) ours[name.slice('next/'.length)] = [...values]
  }
  return { ours, theirs }
}

/** Weight decay of a parameter in a textbook: none of those with one axis. */
export function decayOf(optimizer: Pick<Optimizer, 'weightDecay'>, name: Name): number {
  return SHAPES[name].shape.length >= 2 ? optimizer.weightDecay : 0
}

/** A step of AdamW of one parameter: Loshchilov and Hutter 2019, algorithm 2. */
export function adamwStep(
  o: Omit<Optimizer<'adamw'>, 'kind'>,
  name: Name,
  ...[values, gradients, step, rate]: Parameters<Textbook>
): void {
  const [beta1, beta2] = o.betas
  const [p, m, v] = [values[name]!, values[`${name}.exp_avg`]!, values[`${name}.exp_avg_sq`]!]
  gradients[name]!.forEach((g, i) => {
    p[i]! -= rate * decayOf(o, name) * p[i]!
    m[i] = beta1 * m[i]! + (1 - beta1) * g
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g
    p[i]! -= (rate * (m[i]! / (1 - beta1 ** step))) / (Math.sqrt(v[i]! / (1 - beta2 ** step)) + o.epsilon)
  })
}

/** A model with matrices of both shapes, biases and an output matrix of its own. */
export const MODEL = readArchitecture({
  model_type: 'llama',
  vocab_size: 50,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  attention_bias: true,
  tie_word_embeddings: false,
})

/** A run that says nothing of its optimizer but the kind and what is given. */
export function runOf(kind: OptimizerKind, extra: Record<string, unknown> = {}): ResolvedRun {
  const optimizer = { kind, ...extra } as Run['optimizer']
  return completeRun({
    model: { preset: 'nano' },
    tokenizer: { train: {} },
    data: { train: 'text' },
    train: { steps: 9 },
    optimizer,
  })
}

/** An optimizer as a run has it that says nothing else. */
export const optimizerOf = (kind: OptimizerKind, extra = {}): Optimizer =>
  trainerOptions(runOf(kind, extra)).optimizer
