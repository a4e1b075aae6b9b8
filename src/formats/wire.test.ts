import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  asBytes,
  asDouble,
  asFloat,
  asInt64,
  asInteger,
  asString,
  createWireWriter,
  readFields,
} from './wire.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

// The examples of protobuf.dev/programming-guides/encoding.
test('the documented examples', () => {
  const out = createWireWriter()
  out.varint(1, 150)
  out.string(2, 'testing')
  out.message(3, (inner) => inner.varint(1, 150))
  out.varint(4, -2)
  expect(hex(out.finish())).toBe('089601' + '120774657374696e67' + '1a03089601' + '20feffffffffffffffff01')
})

test('every 64-bit integer comes back, numbers and bigints alike', () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  fc.assert(
    fc.property(fc.oneof(int64, fc.maxSafeInteger()), (value) => {
      const out = createWireWriter()
      out.varint(7, value)
      const [field] = readFields(out.finish(), 'test')
      expect(asInt64(field!)).toBe(BigInt(value))
      if (typeof value === 'number') expect(asInteger(field!)).toBe(value)
    }),
  )
})

test.each([0.5, Number.NaN, 2 ** 53, 2n ** 64n, -(2n ** 63n) - 1n])('%s is no integer field', (value) => {
  expect(() => createWireWriter().varint(1, value)).toThrow()
})

test('floats and doubles come back, not a number and signed zero included', () => {
  fc.assert(
    fc.property(fc.float(), fc.double(), (float, double) => {
      const out = createWireWriter()
      out.float(1, float)
      out.double(2, double)
      const [first, second] = readFields(out.finish(), 'test')
      expect([asFloat(first!), asDouble(second!)]).toEqual([float, double])
    }),
  )
})

test('payloads of every length around the sizes of their prefix, nested', () => {
  for (const length of [0, 1, 127, 128, 129, 16_381, 16_383, 16_384, 2_097_150, 2_097_152]) {
    const out = createWireWriter()
    out.message(1, (outer) =>
      outer.message(2, (inner) => inner.string(3, 'é'.repeat(length / 2) + 'x'.repeat(length % 2))),
    )
    out.varint(4, 1)
    const [outer, last] = readFields(out.finish(), 'test')
    const [inner] = readFields(asBytes(outer!), 'test')
    const [text] = readFields(asBytes(inner!), 'test')
    expect(asBytes(text!).byteLength).toBe(2 * Math.floor(length / 2) + (length % 2))
    expect(asString(text!).length).toBe(Math.ceil(length / 2))
    expect(asInteger(last!)).toBe(1)
  }
})
