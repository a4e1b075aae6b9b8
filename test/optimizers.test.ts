/** @file What holds for the rule of each row of OPTIMIZERS: safe where not finite and in place, and its options reach all. */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { evaluate } from '../src/graph/index.ts'
import { parametersOf, uniform } from '../src/model/index.ts'
import { OPTIMIZER_KINDS, optimizerState, ruleOf, trainStep } from '../src/steps/index.ts'
import { exactSettings } from '../src/train/checkpoint/exactness.ts'
import { plannedSteps, type ResolvedRun, runJsonSchema } from '../src/train/index.ts'
import { MODEL as a, optimizerOf, runOf, tenSteps, updateProgram } from './optimizer-steps.ts'

const parameters = parametersOf(a)

describe.each(OPTIMIZER_KINDS)('%s', (kind) => {
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

  test('everything is proven safe to write in place', () => {
    const kept = optimizerState(kind, parameters)
    const { state } = trainStep(a, {
      microBatch: 2,
      sequenceLength: 12,
      recompute: 'selective',
      accumulates: true,
      optimizer: optimizerOf(kind),
    })
    expect(state.flatMap(({ input, inPlace }) => (inPlace ? [] : [input]))).toEqual([])
    expect(state.map(({ input }) => input).sort()).toEqual(
      [...parameters, ...kept].map(({ name }) => name).sort(),
    )
  })

  describe('each option', () => {
    const options = {
      ...ruleOf(kind).options,
      weightDecay: z.number().min(0),
      clipNorm: z.number().nullable(),
    }
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
