/** @file 16-bit floats there and back. */
import { expect, test } from 'vitest'
import { fromHalf, toHalf } from './index.ts'

const ALL = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i)

test.each(['float16', 'bfloat16'] as const)('every %s comes back as it went, NaN as NaN', (type) => {
  const values = fromHalf(ALL, type)
  const back = toHalf(values, type)
  for (let i = 0; i < ALL.length; i++) {
    if (Number.isNaN(values[i]!)) expect(fromHalf(back.subarray(i, i + 1), type)[0]).toBeNaN()
    else if (back[i] !== i) throw new Error(`${i} came back as ${back[i]}`)
  }
})

test.each(['float16', 'bfloat16'] as const)('rounds to the nearest %s, ties to even', (type) => {
  const values = fromHalf(ALL, type)
  const finite = [...ALL].filter((i) => Number.isFinite(values[i]!) && i < 0x8000)
  for (let i = 0; i + 1 < finite.length; i++) {
    const [low, high] = [values[finite[i]!]!, values[finite[i + 1]!]!]
    const middle = (low + high) / 2 // exact in double, and in float32 for these types
    const even = finite[i]! % 2 === 0 ? finite[i]! : finite[i + 1]!
    const near = [middle, middle - (high - low) / 64, middle + (high - low) / 64]
    expect([...toHalf(Float32Array.from(near), type)]).toEqual([even, finite[i], finite[i + 1]])
  }
})

test('what is too large becomes infinity', () => {
  const large = Float32Array.of(65519, 65520, 1e30, -1e30)
  expect([...fromHalf(toHalf(large, 'float16'), 'float16')]).toEqual([65504, Infinity, Infinity, -Infinity])
})
