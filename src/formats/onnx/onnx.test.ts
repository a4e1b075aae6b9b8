import fc from 'fast-check'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { RegaugeError } from '../../errors.ts'
import { createWireWriter, type WireWriter } from '../wire.ts'
import {
  decodeOnnx,
  encodeOnnx,
  ONNX_DTYPES,
  type OnnxAttribute,
  type OnnxDType,
  type OnnxModel,
  type OnnxTensor,
} from './index.ts'

const bytesOf = (values: Float32Array | BigInt64Array | Int32Array) => new Uint8Array(values.buffer)
const float32 = (...values: number[]) => bytesOf(Float32Array.from(values))

/** A model around some nodes, with float32 input x[n, 2] and output y. */
function model(graph: Partial<OnnxModel['graph']>): OnnxModel {
  return {
    irVersion: 8,
    opset: 18,
    producerName: 'regauge',
    producerVersion: '0.1.0',
    graph: {
      name: 'test',
      nodes: [{ opType: 'Identity', inputs: ['x'], outputs: ['y'] }],
      initializers: [],
      inputs: [{ name: 'x', dtype: 'float32', shape: ['n', 2] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: ['n', 2] }],
      ...graph,
    },
  }
}

describe('ONNX Runtime runs what is written', () => {
  test('initializers, integer attributes with negative values, symbolic sizes', async () => {
    const bytes = encodeOnnx(
      model({
        nodes: [
          { opType: 'MatMul', inputs: ['x', 'w'], outputs: ['xw'] },
          {
            opType: 'Concat',
            name: 'twice',
            inputs: ['xw', 'x'],
            outputs: ['xwx'],
            attributes: { axis: { kind: 'int', value: -1 } },
          },
          { opType: 'Slice', inputs: ['xwx', 'from', 'to', 'axes'], outputs: ['cut'] },
          {
            opType: 'Transpose',
            inputs: ['cut'],
            outputs: ['y'],
            attributes: { perm: { kind: 'ints', value: [1, 0] } },
          },
        ],
        initializers: [
          { name: 'w', dtype: 'float32', shape: [2, 2], data: float32(1, 2, 3, 4) },
          { name: 'from', dtype: 'int64', shape: [1], data: bytesOf(BigInt64Array.of(-3n)) },
          { name: 'to', dtype: 'int64', shape: [1], data: bytesOf(BigInt64Array.of(2n ** 63n - 1n)) },
          { name: 'axes', dtype: 'int64', shape: [1], data: bytesOf(BigInt64Array.of(-1n)) },
        ],
        outputs: [{ name: 'y', dtype: 'float32', shape: [3, 'n'] }],
      }),
    )
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
    const { y } = await session.run({ x: new Tensor('float32', [1, 1, 2, 0], [2, 2]) })
    expect(y!.dims).toEqual([3, 2])
    expect([...(y!.data as Float32Array)]).toEqual([6, 4, 1, 2, 1, 0]) // x w = [[4, 6], [2, 4]]
    await session.release()
  })

  test('every kind of attribute that a constant can have', async () => {
    const constant = (attributes: Record<string, OnnxAttribute>, i: number) => ({
      opType: 'Constant',
      inputs: [],
      outputs: [`c${i}`],
      attributes,
    })
    const tensor: OnnxTensor = { name: '', dtype: 'int32', shape: [2], data: bytesOf(Int32Array.of(-1, 2)) }
    const bytes = encodeOnnx(
      model({
        nodes: [
          constant({ value_int: { kind: 'int', value: -(2n ** 63n) } }, 0),
          constant({ value_ints: { kind: 'ints', value: [-1, 2n ** 63n - 1n] } }, 1),
          constant({ value_float: { kind: 'float', value: -1.5 } }, 2),
          constant({ value_floats: { kind: 'floats', value: [Number.NaN, 2.5] } }, 3),
          constant({ value: { kind: 'tensor', value: tensor } }, 4),
          constant({ value_string: { kind: 'string', value: 'Grüße' } }, 5),
          constant({ value_strings: { kind: 'strings', value: ['', 'b'] } }, 6),
        ],
        inputs: [],
        outputs: [
          { name: 'c0', dtype: 'int64', shape: [] },
          { name: 'c1', dtype: 'int64', shape: [2] },
          { name: 'c2', dtype: 'float32', shape: [] },
          { name: 'c3', dtype: 'float32', shape: [2] },
          { name: 'c4', dtype: 'int32', shape: [2] },
        ],
      }),
    )
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
    const out = await session.run({})
    expect(Object.values(out).map((value) => [...(value.data as Float32Array)])).toEqual([
      [-(2n ** 63n)],
      [-1n, 2n ** 63n - 1n],
      [-1.5],
      [Number.NaN, 2.5],
      [-1, 2],
    ])
    await session.release()
  })
})

test('a model of 2 GiB is refused', () => {
  const half = new Uint8Array(2 ** 30)
  const constant = (name: string): OnnxTensor => ({ name, dtype: 'uint8', shape: [2 ** 30], data: half })
  expect(() => encodeOnnx(model({ initializers: [constant('a'), constant('b')] }))).toThrow(
    'model test takes 2147483648 bytes, more than the 2147483647',
  )
})

test('equal models give equal bytes, and data that does not fit its shape is refused', () => {
  const tensor: OnnxTensor = { name: 'w', dtype: 'float32', shape: [2, 2], data: float32(1, 2, 3, 4) }
  expect(encodeOnnx(model({ initializers: [tensor] }))).toEqual(encodeOnnx(model({ initializers: [tensor] })))
  expect(() => encodeOnnx(model({ initializers: [{ ...tensor, shape: [2] }] }))).toThrow(
    'tensor w of float32[2] needs 8 bytes, not 16',
  )
  const contrib = { opType: 'Gelu', domain: 'com.example', inputs: ['x'], outputs: ['y'] }
  expect(() => encodeOnnx(model({ nodes: [contrib] }))).toThrow(
    'com.example, for which the model gives no version',
  )
})

describe('round trip', () => {
  const name = fc.string({ unit: 'binary', maxLength: 6 })
  const int = fc.oneof(
    fc.maxSafeInteger(),
    fc
      .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
      .filter((value) => !Number.isSafeInteger(Number(value))),
  )
  const float = fc.float()
  const tensor: fc.Arbitrary<OnnxTensor> = fc
    .record({
      name,
      dtype: fc.constantFrom(...(Object.keys(ONNX_DTYPES) as OnnxDType[])),
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
      seed: fc.nat(255),
    })
    .map(({ seed, ...rest }) => {
      const bytes = rest.shape.reduce((product, size) => product * size, ONNX_DTYPES[rest.dtype].bytes)
      return { ...rest, data: Uint8Array.from({ length: bytes }, (_, i) => (seed * (i + 7)) & 255) }
    })
  const attribute: fc.Arbitrary<OnnxAttribute> = fc.oneof(
    fc.record({ kind: fc.constant('int' as const), value: int }),
    fc.record({ kind: fc.constant('float' as const), value: float }),
    fc.record({ kind: fc.constant('string' as const), value: name }),
    fc.record({ kind: fc.constant('ints' as const), value: fc.array(int, { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('floats' as const), value: fc.array(float, { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('strings' as const), value: fc.array(name, { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('tensor' as const), value: tensor }),
  )
  const valueInfo = fc.record({
    name,
    dtype: fc.constantFrom(...(Object.keys(ONNX_DTYPES) as OnnxDType[])),
    shape: fc.option(fc.array(fc.oneof(fc.maxSafeInteger().map(Math.abs), name), { maxLength: 3 })),
  })
  const key = name.filter((text) => text !== '__proto__')
  const node = fc.record(
    {
      opType: fc.string({ minLength: 1, maxLength: 6 }),
      inputs: fc.array(name, { maxLength: 3 }),
      outputs: fc.array(name, { maxLength: 3 }),
      name,
      attributes: fc.dictionary(key, attribute, { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
    },
    { requiredKeys: ['opType', 'inputs', 'outputs'] },
  )
  const models: fc.Arbitrary<OnnxModel> = fc.record(
    {
      irVersion: fc.nat(),
      opset: fc.nat(),
      producerName: name,
      producerVersion: name,
      graph: fc.record({
        name,
        nodes: fc.array(node, { maxLength: 4 }),
        initializers: fc.array(tensor, { maxLength: 3 }),
        inputs: fc.array(valueInfo, { maxLength: 3 }),
        outputs: fc.array(valueInfo, { maxLength: 3 }),
      }),
      metadata: fc.dictionary(key, name, { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
    },
    { requiredKeys: ['irVersion', 'opset', 'producerName', 'producerVersion', 'graph'] },
  )

  test('any model comes back as it was', () => {
    fc.assert(
      fc.property(models, (written) => {
        expect(decodeOnnx(encodeOnnx(written))).toEqual(written)
      }),
      { numRuns: 300 },
    )
  })

  test('bytes changed or cut anywhere give a model or a RegaugeError', () => {
    const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(models, place, fc.nat(255), fc.boolean(), (written, where, byte, cut) => {
        const bytes = encodeOnnx(written)
        const at = Math.floor(where * bytes.length)
        bytes[at] = byte
        expectDataErrorOrNothing(() => decodeOnnx(cut ? bytes.subarray(0, at) : bytes))
      }),
      { numRuns: 500 },
    )
  })

  test('random bytes give a RegaugeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
        expectDataErrorOrNothing(() => decodeOnnx(bytes)),
      ),
      { numRuns: 500 },
    )
  })
})

function expectDataErrorOrNothing(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(RegaugeError)
    expect((error as RegaugeError).kind).toBe('data')
  }
}

/** The bytes of a model whose graph holds one initializer, written field by field. */
function withTensor(fill: (tensor: WireWriter) => void): Uint8Array {
  const out = createWireWriter()
  out.message(7, (graph) => graph.message(5, fill))
  out.message(8, (opset) => opset.varint(2, 18))
  return out.finish()
}

/** A packed repeated field. */
function packed(out: WireWriter, field: number, values: readonly (number | bigint)[]): void {
  const inner = createWireWriter()
  for (const value of values) inner.varint(1, value)
  const bytes = inner.finish()
  const payload: number[] = []
  for (let at = 0; at < bytes.length; ) {
    at++ // the tag of each value
    do payload.push(bytes[at]!)
    while (bytes[at++]! > 127)
  }
  out.bytes(field, Uint8Array.from(payload))
}

describe('tensors as others write them', () => {
  const read = (fill: (tensor: WireWriter) => void) => decodeOnnx(withTensor(fill)).graph.initializers[0]!
  // A signalling NaN, a quiet NaN with a payload, -0.
  const oddFloats = Uint8Array.from([1, 0, 0x80, 0x7f, 0x34, 0x12, 0xc0, 0xff, 0, 0, 0, 0x80])

  test('packed float_data keeps the bytes of every NaN', () => {
    const { data } = read((tensor) => {
      packed(tensor, 1, [3])
      tensor.varint(2, 1)
      tensor.bytes(4, oddFloats)
    })
    expect(data).toEqual(oddFloats)
  })

  test('float_data unpacked, and in two packed parts', () => {
    const expected = new Uint8Array(Float32Array.of(1.5, -2).buffer)
    const unpacked = read((tensor) => {
      tensor.varint(1, 2)
      tensor.varint(2, 1)
      tensor.float(4, 1.5)
      tensor.float(4, -2)
    })
    expect(unpacked.data).toEqual(expected)
    const parts = read((tensor) => {
      tensor.varint(1, 2)
      tensor.varint(2, 1)
      tensor.bytes(4, expected.subarray(0, 4))
      tensor.bytes(4, expected.subarray(4))
    })
    expect(parts.data).toEqual(expected)
  })

  const cases: [OnnxDType, number, (number | bigint)[], number[]][] = [
    ['int32', 5, [-2, 7], [254, 255, 255, 255, 7, 0, 0, 0]],
    ['int8', 5, [-2, 7], [254, 7]],
    ['bool', 5, [1, 0], [1, 0]],
    ['float16', 5, [0x3c00, 0xfe01], [0, 0x3c, 1, 0xfe]],
    ['bfloat16', 5, [0x3f80, 0xffff], [0x80, 0x3f, 255, 255]],
    ['int64', 7, [-(2n ** 63n), 5], [0, 0, 0, 0, 0, 0, 0, 0x80, 5, 0, 0, 0, 0, 0, 0, 0]],
    ['uint64', 11, [2n ** 64n - 1n, 5], [255, 255, 255, 255, 255, 255, 255, 255, 5, 0, 0, 0, 0, 0, 0, 0]],
  ]
  test.each(cases)('%s in field %d, packed and not', (dtype, field, values, expected) => {
    for (const isPacked of [true, false]) {
      const tensor = read((out) => {
        packed(out, 1, [2])
        out.varint(2, ONNX_DTYPES[dtype].code)
        if (isPacked) packed(out, field, values)
        else for (const value of values) out.varint(field, value)
      })
      expect(tensor).toEqual({ name: '', dtype, shape: [2], data: Uint8Array.from(expected) })
    }
  })

  const hostile: [string, (tensor: WireWriter) => void, RegExp][] = [
    [
      'too little data',
      (t) => {
        t.varint(1, 3)
        t.varint(2, 1)
        t.bytes(9, oddFloats.subarray(4))
      },
      /float32\[3\] needs 12 bytes, the file holds 8/,
    ],
    [
      'a product beyond 2^53',
      (t) => {
        packed(t, 1, [2 ** 40, 2 ** 40])
        t.varint(2, 1)
      },
      /the file holds 0/,
    ],
    [
      'a negative dimension',
      (t) => {
        t.varint(1, -1)
        t.varint(2, 1)
      },
      /a dimension of -1/,
    ],
    [
      'values twice',
      (t) => {
        t.varint(1, 1)
        t.varint(2, 1)
        t.float(4, 1)
        t.bytes(9, oddFloats.subarray(8))
      },
      /holds its values twice/,
    ],
    [
      'values in the wrong field',
      (t) => {
        t.varint(1, 1)
        t.varint(2, 1)
        t.varint(7, 1)
      },
      /holds float32 values in field 7/,
    ],
    ['an unknown element type', (t) => t.varint(2, 99), /element type 99 \(known: float32/],
    ['no element type', (t) => t.string(8, 'w'), /"w": element type 0/],
    [
      'external data',
      (t) => {
        t.varint(2, 1)
        t.varint(14, 1)
      },
      /data lies in another file is not supported/,
    ],
    [
      'ragged packed floats',
      (t) => {
        t.varint(1, 1)
        t.varint(2, 1)
        t.bytes(4, oddFloats.subarray(0, 3))
      },
      /packs 3 bytes/,
    ],
  ]
  test.each(hostile)('%s', (_, fill, message) => {
    expect(() => decodeOnnx(withTensor(fill))).toThrow(RegaugeError)
    expect(() => decodeOnnx(withTensor(fill))).toThrow(message)
  })
})

describe('models that are damaged or beyond what is read', () => {
  const message = (fill: (out: WireWriter) => void) => {
    const out = createWireWriter()
    fill(out)
    return out.finish()
  }
  const inNode = (fill: (node: WireWriter) => void) =>
    message((out) => out.message(7, (graph) => graph.message(1, fill)))
  const cases: [string, Uint8Array, RegExp][] = [
    ['no bytes', new Uint8Array(0), /holds no graph/],
    [
      'a length beyond the end',
      Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f),
      /field 7 claims 34359738367 bytes where 0 are left/,
    ],
    [
      'a length of 2^64 - 1',
      Uint8Array.of(0x3a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
      /claims 18446744073709551615 bytes/,
    ],
    ['a number without an end', new Uint8Array(30).fill(0xff), /more than 64 bits at byte 0/],
    ['field number 0', Uint8Array.of(0, 0), /field number 0/],
    ['a group', Uint8Array.of(0x0b), /wire type 3 of field 1/],
    ['a wrong wire type', message((out) => out.varint(7, 1)), /field 7 has wire type 0, not 2/],
    [
      'two graphs',
      message((out) => {
        out.bytes(7, new Uint8Array(0))
        out.bytes(7, new Uint8Array(0))
      }),
      /two graphs/,
    ],
    ['no operator set', message((out) => out.bytes(7, new Uint8Array(0))), /operator set is not supported/],
    ['functions', message((out) => out.bytes(25, new Uint8Array(0))), /functions is not supported/],
    ['invalid UTF-8', message((out) => out.bytes(2, Uint8Array.of(0xff))), /field 2 is not valid UTF-8/],
    ['a node without operator', inNode((node) => node.string(1, 'x')), /node 0: has no operator/],
    [
      'a subgraph',
      inNode((node) =>
        node.message(5, (attribute) => {
          attribute.string(1, 'body')
          attribute.bytes(6, new Uint8Array(0))
        }),
      ),
      /node 0, attribute "body": a subgraph is not supported/,
    ],
    [
      'an attribute twice',
      inNode((node) => {
        for (let i = 0; i < 2; i++)
          node.message(5, (attribute) => {
            attribute.string(1, 'axis')
            attribute.varint(20, 2)
          })
      }),
      /has attribute "axis" twice/,
    ],
    [
      'a sequence',
      message((out) =>
        out.message(7, (graph) =>
          graph.message(11, (value) => value.message(2, (type) => type.bytes(4, new Uint8Array(0)))),
        ),
      ),
      /input 0: a value that is not a tensor/,
    ],
  ]
  test.each(cases)('%s', (_, bytes, expected) => {
    expect(() => decodeOnnx(bytes)).toThrow(RegaugeError)
    expect(() => decodeOnnx(bytes)).toThrow(expected)
  })
})
