/** @file The table of engines: each row by its id, and the one that is chosen for a chip. */
import { expect, test } from 'vitest'
import { catalogChips, RUNTIMES } from '../chips/index.ts'
import { ENGINE_IDS, ENGINES, engineFor } from './index.ts'

test('a row is found by its own id', () => {
  expect(Object.values(ENGINES).map(({ id }) => id)).toEqual(Object.keys(ENGINES))
  expect(Object.keys(ENGINES)).toEqual([...ENGINE_IDS])
})

test.each(RUNTIMES)('one engine at most is the first choice on %s', (runtime) => {
  const first = Object.values(ENGINES).filter(({ firstChoiceOn }) => firstChoiceOn.includes(runtime))
  expect(first.length).toBeLessThanOrEqual(1)
})

test('chips are planned with the engine of their runtime, all others with what runs on any', () => {
  const of = (id: string) => engineFor(catalogChips().find((chip) => chip.id === id)!).id
  expect(of('h100-sxm')).toBe('megatron-lm')
  expect(of('ascend-910b2')).toBe('mindspeed-llm')
  expect(of('tpu-v4')).toBe('torch')
  const [chip] = catalogChips()
  expect(engineFor({ ...chip!, software: { ...chip!.software, runtime: null } }).id).toBe('torch')
})
