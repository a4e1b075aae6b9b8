/** @file Generation against the ids that transformers generates, and the choice of tokens. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readHfConfig, readSafetensor, readSafetensorsHeader } from '../../formats/index.ts'
import { readArchitecture, uniform } from '../../model/index.ts'
import { createRuntime } from '../../runtime/index.ts'
import { allocateState, loadWeights } from '../state.ts'
import { chooseToken, createGenerator } from './generate.ts'

const GOLDEN = join(import.meta.dirname, '../../../test/golden/models')

describe('createGenerator', () => {
  it.each(readdirSync(GOLDEN))('continues the prompt of %s as transformers does', async (name) => {
    const folder = join(GOLDEN, name)
    const a = readArchitecture(await readHfConfig(join(folder, 'config.json')))
    const runtime = createRuntime({ name: 'cpu', threads: 1 })
    const state = allocateState(runtime, a)
    await loadWeights(state, a, folder)
    const golden = await readSafetensorsHeader(join(folder, 'golden.safetensors'))
    const ids = async (key: string) =>
      Array.from(new BigInt64Array((await readSafetensor(golden, key)).slice().buffer), Number)
    const [prompt, expected] = [await ids('generate.prompt'), await ids('generate.ids')]
    const generator = createGenerator(runtime, a, state, prompt.length + expected.length)
    const made: number[] = []
    for await (const id of generator.generate(prompt, expected.length, { temperature: 0, seed: 0 }))
      made.push(id)
    expect(made).toEqual(expected)
    // a second prompt does not see the first one's cache
    const again: number[] = []
    for await (const id of generator.generate(prompt, 3, { temperature: 0, seed: 0 })) again.push(id)
    expect(again).toEqual(expected.slice(0, 3))
    generator.dispose()
    runtime.dispose()
  })
})

it('has no more positions than a model has learned', async () => {
  const a = readArchitecture(await readHfConfig(join(GOLDEN, 'gpt2', 'config.json')))
  const runtime = createRuntime({ name: 'cpu', threads: 1 })
  const generator = createGenerator(runtime, a, allocateState(runtime, a), 100)
  expect(generator.maxLength).toBe(a.maxPositions)
  await expect(generator.generate([1], a.maxPositions, { temperature: 0, seed: 0 }).next()).rejects.toThrow(
    `exceed ${a.maxPositions} positions`,
  )
  generator.dispose()
  runtime.dispose()
})

describe('chooseToken', () => {
  const logits = Float32Array.of(0, 3, 1, 2, -1)

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses a logit of %f', (bad) => {
    for (const temperature of [0, 1])
      expect(() => chooseToken(Float32Array.of(1, bad, 2), { temperature, seed: 1 }, () => 0.5)).toThrow(
        'logits that are not finite',
      )
  })

  it('takes the likeliest token at temperature 0', () => {
    expect(chooseToken(logits, { temperature: 0, seed: 0 }, () => 0.99)).toBe(1)
  })

  it('stays within top-k and top-p', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 5 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (seed, topK, topP) => {
          const order = [1, 3, 2, 0, 4]
          const token = chooseToken(logits, { temperature: 0.8, topK, topP, seed }, uniform(seed, 'test'))
          expect(order.slice(0, topK)).toContain(token)
          if (topP < 0.5) expect(token).toBe(1)
        },
      ),
    )
  })

  it('draws tokens as often as the softmax says', () => {
    const random = uniform(1, 'test')
    const counts = new Array<number>(5).fill(0)
    for (let i = 0; i < 20_000; i++) counts[chooseToken(logits, { temperature: 1, seed: 0 }, random)]!++
    const weights = Array.from(logits, Math.exp)
    const total = weights.reduce((sum, w) => sum + w)
    counts.forEach((count, i) => void expect(count / 20_000).toBeCloseTo(weights[i]! / total, 1.5))
  })
})
