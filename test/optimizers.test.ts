/** @file What holds for each row of OPTIMIZERS: kept, written, loaded, estimated, compared, set and safe, by its rule alone. */
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { readSafetensorsHeader } from '../src/formats/index.ts'
import { evaluate } from '../src/graph/index.ts'
import { parameterCount, parametersOf, readArchitecture, uniform } from '../src/model/index.ts'
import { createRuntime } from '../src/runtime/index.ts'
import {
  OPTIMIZER_KINDS,
  type Optimizer,
  type OptimizerKind,
  optimizerState,
  optimizerStateBytes,
  ruleOf,
  stateNames,
  trainStep,
} from '../src/steps/index.ts'
import { exactSettings } from '../src/train/checkpoint/exactness.ts'
import {
  allocateState,
  type Batch,
  checkRun,
  completeRun,
  createTrainer,
  initializeState,
  plannedSteps,
  type ResolvedRun,
  type Run,
  runJsonSchema,
  type TrainerOptions,
  type TrainingState,
  trainerOptions,
} from '../src/train/index.ts'
import { verifyRuntimes } from '../src/verify/index.ts'
import { tenSteps, updateProgram } from './optimizer-steps.ts'
import { bits, fails, openRuns } from './whole-runs.ts'

const runtime = createRuntime({ name: 'cpu', threads: 1 })
afterAll(() => runtime.dispose())
const runs = openRuns()

const a = readArchitecture({
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
const parameters = parametersOf(a)

/** A run that says nothing of its optimizer but the kind and what is given. */
function runOf(kind: OptimizerKind, extra: Record<string, unknown> = {}): ResolvedRun {
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
const optimizerOf = (kind: OptimizerKind, extra = {}): Optimizer =>
  trainerOptions(runOf(kind, extra)).optimizer

const shape = { microBatch: 2, sequenceLength: 12, recompute: 'selective' } as const
const trainer: Omit<TrainerOptions, 'optimizer'> = { ...shape, batchSize: 4, microBatchSize: 2 }

function batch(step: number): Batch {
  const ids = Int32Array.from({ length: 48 }, (_, i) => (i * i + 7 * step) % 50)
  return { ids, labels: ids.map((id, i) => (i % 7 === 0 ? -100 : (id * 3 + 1) % 50)) }
}

async function bytesOf(state: TrainingState): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for (const name of state.names) found.set(name, Buffer.from(await state.current(name).read()))
  return found
}

async function trained(kind: OptimizerKind, extra: Partial<TrainerOptions> = {}, steps = 3) {
  const state = allocateState(runtime, a, kind)
  await initializeState(state, a, 3)
  const made = await createTrainer(runtime, a, state, { ...trainer, optimizer: optimizerOf(kind), ...extra })
  const losses: number[] = []
  for (let step = 1; step <= steps; step++) losses.push((await made.step(batch(step), step, 3e-3)).loss)
  return { state, trainer: made, losses }
}

describe.each(OPTIMIZER_KINDS)('%s', (kind) => {
  const rule = ruleOf(kind)

  test('names what it keeps in words that are of no weight and no gradient', () => {
    for (const { state, words, name, parameter } of optimizerState(kind, parameters)) {
      expect(state).toMatch(/^[a-z][a-z0-9_]*$/)
      expect(name).toBe(`${state}/${parameter}`)
      expect(['weight', 'gradient', '']).not.toContain(words)
    }
  })

  test.each([
    ['norm', Number.NaN],
    ['norm', Number.POSITIVE_INFINITY],
    ['loss', Number.NaN],
    ['loss', Number.NEGATIVE_INFINITY],
  ])('nothing changes when the %s is %d', (which, value) => {
    const graph = updateProgram(optimizerOf(kind))
    const next = uniform(5, 'state')
    const given = new Map<string, number[]>()
    for (const [name, { shape }] of graph.inputs) {
      const count = shape.reduce((n, size) => n * size, 1)
      // a second moment is no less than 0, nor is a scalar
      const low = name.includes('_sq') || shape.length === 0 ? 0.1 : -1
      given.set(
        name,
        Array.from({ length: count }, () => Math.fround(low + (1 - low) * next())),
      )
    }
    given.set(which, [value])
    for (const [name, values] of given) if (name.endsWith('.gradient')) values.fill(value, 0, 2)
    const results = evaluate(graph, given)
    expect(results.size).toBeGreaterThan(4)
    for (const [name, values] of results)
      expect([...values], name).toEqual(given.get(name.slice('next/'.length)))
  })

  test('a step that is not finite leaves the bits of all of its state', async () => {
    const { state, trainer } = await trained(kind)
    await state.current('model.norm.weight').write(new Uint8Array(Float32Array.of(Number.NaN).buffer), 8)
    const before = await bytesOf(state)
    await expect(trainer.step(batch(4), 4, 3e-3)).rejects.toMatchObject({ kind: 'diverged' })
    for (const [name, bytes] of await bytesOf(state)) expect(bytes.equals(before.get(name)!), name).toBe(true)
    trainer.dispose()
    state.dispose()
  })

  test('everything is proven safe to write in place, which gives the bits of two sets of buffers', async () => {
    const kept = optimizerState(kind, parameters)
    const { state } = trainStep(a, { ...shape, accumulates: true, optimizer: optimizerOf(kind) })
    expect(state.flatMap(({ input, inPlace }) => (inPlace ? [] : [input]))).toEqual([])
    expect(state.map(({ input }) => input).sort()).toEqual(
      [...parameters, ...kept].map(({ name }) => name).sort(),
    )
    const [over, beside] = [await trained(kind, { inPlace: true }), await trained(kind, { inPlace: false })]
    expect(over.losses).toEqual(beside.losses)
    expect(await bytesOf(over.state)).toEqual(await bytesOf(beside.state))
    for (const one of [over, beside]) {
      one.trainer.dispose()
      one.state.dispose()
    }
  })

  test('in float16 a step that overflows is done again, of the state as it was', async () => {
    // a power of two more or less in the scale leaves the bits of what does not overflow
    const usual = await trained(kind, { precision: 'float16' })
    const high = await trained(kind, { precision: 'float16', lossScale: { scale: 2 ** 40, steps: 0 } })
    expect(high.trainer.lossScale!.scale).toBeLessThan(2 ** 40)
    for (const [i, loss] of high.losses.entries())
      expect(Math.abs(loss / usual.losses[i]! - 1)).toBeLessThan(1e-3)
    for (const one of [usual, high]) {
      one.trainer.dispose()
      one.state.dispose()
    }
  })

  describe('each option', () => {
    const options = { ...rule.options, weightDecay: z.number().min(0), clipNorm: z.number().nullable() }
    const usual = optimizerOf(kind) as unknown as Record<string, unknown>
    const cases = Object.entries(options).flatMap(([key, schema]) =>
      othersThan(usual[key], schema).map((other) => [key, other] as const),
    )

    test.each(cases)('%s: %j is known to the schema, the record of settings and the update', (key, other) => {
      // the schema of run files, for editors
      const { optimizer } = runJsonSchema().properties as Record<string, { oneOf: JsonSchema[] }>
      const own = optimizer!.oneOf.find(({ properties }) => properties.kind!.const === kind)
      expect(own!.properties[key]).toMatchObject({ description: expect.stringMatching(/.\.$/) })
      // a run with it
      const run = runOf(kind, { [key]: other })
      expect((run.optimizer as Record<string, unknown>)[key]).toEqual(other)
      // what a run that goes on must not change
      const record = (one: ResolvedRun) =>
        exactSettings(one, a, plannedSteps(one, 1000), { tokenizer: '', trainingTokens: '' })
      const [before, after] = [record(runOf(kind)), record(run)]
      const name = `optimizer.${key}`
      expect(Object.keys(before)).toContain(name)
      expect(after).toEqual({ ...before, [name]: after[name] })
      expect(after[name]).not.toEqual(before[name])
      // the update itself
      const steps = (extra: object) => tenSteps(optimizerOf(kind, extra), () => {}).ours
      expect(steps({ [key]: other })).not.toEqual(steps({}))
    })
  })

  test('its kind is part of the record, but where it is what all runs of the first version had', () => {
    const run = runOf(kind)
    const { 'optimizer.kind': recorded } = exactSettings(run, a, plannedSteps(run, 1000), {
      tokenizer: '',
      trainingTokens: '',
    })
    expect(recorded).toBe(kind === 'adamw' ? undefined : kind)
  })

  test('what is allocated is what is written, loaded and estimated; 3 steps and 3 more are 6, bit for bit', async () => {
    const extra = { optimizer: { kind }, train: { steps: 6, batchSize: 4 } } as Partial<Run>
    const plan = await checkRun(runs.runOf(kind, extra), { threads: 1 })
    const whole = await runs.start(`${kind}-whole`, extra)
    const first = await runs.stopped(kind, 3, extra)
    expect(first.step).toBe(3)
    const second = await runs.start(kind, extra)
    expect(second.events.find(({ type }) => type === 'start')).toMatchObject({ startStep: 3 })
    expect(await bits(second)).toEqual(await bits(whole))

    const kept = optimizerState(kind, parametersOf(plan.architecture))
    const file = await readSafetensorsHeader(join(second.checkpoint!, 'optimizer.safetensors'))
    expect([...file.tensors].map(([name, { shape }]) => [name, shape])).toEqual(
      kept.map(({ name, shape }) => [name, shape]),
    )
    const bytes = optimizerStateBytes(kind, parametersOf(plan.architecture))
    expect(bytes).toBe([...file.tensors.values()].reduce((sum, { end, begin }) => sum + end - begin, 0))
    expect(plan.estimate.memory.moments).toBe(bytes)
    expect(plan.estimate.checkpointBytes).toBe(4 * parameterCount(plan.architecture) + bytes)

    // and with another optimizer it does not go on
    const other = OPTIMIZER_KINDS.find((one) => one !== kind)!
    const error = await fails(runs.start(kind, { ...extra, optimizer: { kind: other } }))
    expect(error).toMatchObject({ kind: 'usage' })
    expect(error.message).toContain(`optimizer.kind was ${kind} when this run began and is ${other} now`)
  })

  test('two runtimes are compared in all that it keeps', async () => {
    const run = runs.runOf(`${kind}-verified`, { optimizer: { kind } as Run['optimizer'] })
    const cpu = { name: 'cpu', index: 0 } as const
    const { verdict, comparisons } = await verifyRuntimes(run, { on: [cpu, cpu], steps: 3 })
    expect(verdict).toBe('same')
    const seen = new Set(comparisons[0]!.tensors.map(({ kind, name }) => `${kind} ${name}`))
    const { architecture } = await checkRun(run, { threads: 1 })
    for (const { words, parameter } of optimizerState(kind, parametersOf(architecture)))
      expect(seen).toContain(`${words} ${parameter}`)
  })
})

test('a tensor that no state has is said by its name', () => {
  const state = allocateState(runtime, a, 'adamw')
  expect(() => state.current(stateNames.accumulated('model.norm.weight'))).toThrow(
    'the state has no tensor grad/model.norm.weight',
  )
  state.dispose()
})

interface JsonSchema {
  readonly properties: Readonly<Record<string, { readonly const?: string; readonly description?: string }>>
}

/** Values that differ from the usual one and are allowed: one, or of a list one for each place. */
function othersThan(usual: unknown, schema: z.ZodType): unknown[] {
  if (Array.isArray(usual)) {
    return usual.flatMap((item, i) => {
      const all = othersThan(item, z.any()).map((other) => usual.with(i, other))
      return all.filter((one) => schema.safeParse(one).success).slice(0, 1)
    })
  }
  const inner = (schema instanceof z.ZodDefault ? schema.unwrap() : schema) as z.ZodType
  const candidates =
    typeof usual === 'number'
      ? [usual / 2, usual * 2, usual + 1, 0.5]
      : typeof usual === 'boolean'
        ? [!usual]
        : inner instanceof z.ZodEnum
          ? inner.options
          : []
  const found = candidates.filter((one) => one !== usual && inner.safeParse(one).success)
  if (found.length === 0) throw new Error(`no other value than ${usual} is known to this test`)
  return inner instanceof z.ZodEnum ? found : found.slice(0, 1)
}
