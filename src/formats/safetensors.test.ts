import { createHash } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { toFloat32 } from './float.ts'
import {
  hashFile,
  openSafetensorsFolder,
  readSafetensor,
  readSafetensorChunks,
  readSafetensorsHeader,
} from './safetensors.ts'
import { SAFETENSORS_BITS, type SafetensorsDType, tensorBytes } from './safetensors-header.ts'
import { type SafetensorsTensor, writeSafetensors } from './safetensors-write.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'safetensors-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The bytes of a file with this header text and this many bytes of data. */
function file(header: string | Uint8Array, dataBytes: number, claimed?: bigint): Buffer {
  const json = Buffer.from(header as string)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimed ?? BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)])
}

describe('round trip', () => {
  const tensor = fc
    .record({
      name: fc.string({ unit: 'binary', maxLength: 8 }).filter((name) => name !== '__metadata__'),
      dtype: fc.constantFrom(...(Object.keys(SAFETENSORS_BITS) as SafetensorsDType[])),
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
      seed: fc.nat(255),
    })
    .filter(({ dtype, shape }) => tensorBytes(dtype, shape) !== undefined)
    .map(({ seed, ...rest }) => {
      const bytes = tensorBytes(rest.dtype, rest.shape)!
      return { ...rest, data: Uint8Array.from({ length: bytes }, (_, i) => (seed * (i + 3)) & 255) }
    })
  const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 })
  const metadata = fc.dictionary(fc.string(), fc.string({ unit: 'binary' }), {
    maxKeys: 3,
    noNullPrototype: true,
  })

  test('any tensors come back, aligned, with the hash of the file', async () => {
    const path = join(folder, 'any.safetensors')
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (written, notes) => {
        const { bytes, sha256 } = await writeSafetensors(path, written, notes)
        const whole = readFileSync(path)
        expect(whole.length).toBe(bytes)
        expect(createHash('sha256').update(whole).digest('hex')).toBe(sha256)
        expect(await hashFile(path)).toBe(sha256)
        const read = await readSafetensorsHeader(path)
        expect(read.metadata).toEqual(notes)
        expect([...read.tensors.keys()].sort()).toEqual(written.map(({ name }) => name).sort())
        for (const { name, dtype, shape, data } of written) {
          const entry = read.tensors.get(name)!
          expect({ dtype: entry.dtype, shape: entry.shape }).toEqual({ dtype, shape })
          expect(entry.begin % Math.ceil(SAFETENSORS_BITS[dtype] / 8)).toBe(0)
          expect(await readSafetensor(read, name)).toEqual(data)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('data given late, whole and in parts, and read in parts', async () => {
    const path = join(folder, 'late.safetensors')
    const asked: string[] = []
    async function* inParts() {
      asked.push('parts')
      yield Uint8Array.of(1, 2, 3)
      yield Uint8Array.of()
      yield Uint8Array.of(4, 5)
    }
    await writeSafetensors(path, [
      { name: 'parts', dtype: 'U8', shape: [5], data: inParts },
      {
        name: 'whole',
        dtype: 'U8',
        shape: [2],
        data: async () => {
          asked.push('whole')
          return Uint8Array.of(6, 7)
        },
      },
    ])
    expect(asked).toEqual(['parts', 'whole'])
    const read = await readSafetensorsHeader(path)
    const chunks: number[][] = []
    for await (const chunk of readSafetensorChunks(read, 'parts', 2)) chunks.push([...chunk])
    expect(chunks).toEqual([[1, 2], [3, 4], [5]])
    expect([...(await readSafetensor(read, 'whole'))]).toEqual([6, 7])
  })

  test('a tensor beyond 4 GiB is found and read', async () => {
    const path = join(folder, 'large.safetensors')
    const large = 5 * 2 ** 30
    const header = JSON.stringify({
      large: { dtype: 'U8', shape: [large], data_offsets: [0, large] },
      behind: { dtype: 'U8', shape: [4], data_offsets: [large, large + 4] },
    })
    writeFileSync(path, file(header, 0))
    truncateSync(path, 8 + header.length + large) // a hole in the file, which takes no space
    appendFileSync(path, Uint8Array.of(9, 8, 7, 6))
    const read = await readSafetensorsHeader(path)
    expect([...(await readSafetensor(read, 'behind'))]).toEqual([9, 8, 7, 6])
    for await (const first of readSafetensorChunks(read, 'large', 10)) {
      expect(first).toEqual(new Uint8Array(10))
      break
    }
    rmSync(path)
  })
})

describe('writing', () => {
  const one: SafetensorsTensor = { name: 'a', dtype: 'F32', shape: [2], data: new Uint8Array(8) }
  test('the header is as the reference writes it', async () => {
    const path = join(folder, 'header.safetensors')
    await writeSafetensors(path, [one], { format: 'pt' })
    const expected = '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    expect(readFileSync(path)).toEqual(file(expected.padEnd(Math.ceil(expected.length / 8) * 8), 8))
  })

  test.each<[string, SafetensorsTensor[], string]>([
    ['too little data', [{ ...one, data: new Uint8Array(7) }], 'tensor "a" needs 8 bytes, its data has 7'],
    ['too much data', [{ ...one, data: new Uint8Array(9) }], 'tensor "a" needs 8 bytes, its data has more'],
    ['a name twice', [one, one], 'two tensors are named "a"'],
    ['the name of the metadata', [{ ...one, name: '__metadata__' }], 'two tensors are named'],
    ['half a byte', [{ ...one, dtype: 'F4', shape: [3] }], 'no size in whole bytes'],
  ])('%s is refused and leaves no file', async (_, tensors, message) => {
    const path = join(folder, 'refused.safetensors')
    await expect(writeSafetensors(path, tensors)).rejects.toThrow(message)
    expect(existsSync(path)).toBe(false)
  })

  test('a path that cannot be written is named', async () => {
    await expect(writeSafetensors(join(folder, 'no', 'a.safetensors'), [one])).rejects.toThrow(
      /a\.safetensors {2}the file does not exist/,
    )
    const locked = join(folder, 'locked')
    mkdirSync(locked)
    chmodSync(locked, 0o500)
    if (process.getuid?.() !== 0) {
      await expect(writeSafetensors(join(locked, 'a'), [one])).rejects.toThrow(
        'may not be opened by this user',
      )
    }
    if (existsSync('/dev/full')) {
      const error = await writeSafetensors('/dev/full', [one], undefined).catch((thrown) => thrown)
      expect(error.message).toMatch(/disk is full/)
      expect(existsSync('/dev/full')).toBe(true)
    }
  })
})

describe('a hostile header gives one clear error', () => {
  const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  })
  const json = (tensors: object, dataBytes: number) => file(JSON.stringify(tensors), dataBytes)
  const cases: [string, Buffer, RegExp][] = [
    ['an empty file', Buffer.alloc(0), /has 0 bytes/],
    ['a length only', Buffer.alloc(8), /does not begin with \{/],
    [
      'a huge length',
      file('{}', 0, 2n ** 64n - 1n),
      /a header of 18446744073709551615 bytes, the most is 100000000/,
    ],
    ['a length beyond the file', file('{}', 0, 3n), /a header of 3 bytes in a file of 10/],
    ['no object', file('[]', 0), /does not begin with \{/],
    ['spaces first', file(' {}', 0), /does not begin with \{/],
    ['invalid UTF-8', file(Uint8Array.of(0x7b, 0xff, 0x7d), 0), /not valid UTF-8/],
    ['invalid JSON', file('{"a":', 0), /not valid JSON/],
    ['deep nesting', file(`{"a":${'['.repeat(100_000)}`, 0), /not valid JSON/],
    [
      'a name twice',
      file(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        1,
      ),
      /names "a" twice/,
    ],
    ['a name twice by an escape', file('{"a":{},"\\u0061":{}}', 0), /names "a" twice/],
    ['a field twice', file('{"a":{"dtype":"U8","dtype":"U8"}}', 0), /names "dtype" twice/],
    ['a tensor that is no object', json({ a: 1 }, 0), /tensor "a" is not an object/],
    ['an unknown type', json({ a: entry('F33', [1], 0, 1) }, 1), /element type "F33", known are BOOL/],
    [
      "a type from an object's own names",
      json({ a: entry('constructor', [1], 0, 1) }, 1),
      /element type "constructor"/,
    ],
    ['no shape', json({ a: { dtype: 'U8', data_offsets: [0, 1] } }, 1), /no valid shape/],
    ['a negative size', json({ a: entry('U8', [-1], 0, 1) }, 1), /no valid shape/],
    ['a size that is no integer', json({ a: entry('U8', [0.5], 0, 1) }, 1), /no valid shape/],
    ['a size that is null (NaN)', json({ a: entry('U8', [Number.NaN], 0, 1) }, 1), /no valid shape/],
    [
      'a size beyond 2^53',
      file('{"a":{"dtype":"U8","shape":[1e300],"data_offsets":[0,1]}}', 1),
      /no valid shape/,
    ],
    [
      'a product beyond 2^53',
      json({ a: entry('U8', [2 ** 30, 2 ** 30, 2 ** 30, 0], 0, 0) }, 0),
      /no size in whole bytes/,
    ],
    ['bytes beyond 2^53', json({ a: entry('F64', [2 ** 52], 0, 0) }, 0), /no size in whole bytes/],
    ['a part of a byte', json({ a: entry('F4', [1], 0, 1) }, 1), /no size in whole bytes/],
    [
      'three offsets',
      json({ a: { dtype: 'U8', shape: [1], data_offsets: [0, 1, 2] } }, 1),
      /no valid data_offsets/,
    ],
    ['a negative offset', json({ a: entry('U8', [1], -1, 0) }, 1), /no valid data_offsets/],
    [
      'offsets the wrong way',
      json({ a: entry('U8', [1], 1, 0) }, 1),
      /ends at offset 0 before it begins at 1/,
    ],
    [
      'another size than the shape',
      json({ a: entry('F32', [2], 0, 4) }, 4),
      /F32\[2\] needs 8 bytes, its offsets hold 4/,
    ],
    [
      'an end beyond the file',
      json({ a: entry('U8', [2], 0, 2) }, 1),
      /tensor "a" ends at byte 63, the file has 62/,
    ],
    [
      'an overlap',
      json({ a: entry('U8', [2], 0, 2), b: entry('U8', [2], 1, 3) }, 3),
      /tensor "b" begins at byte \d+, inside tensor "a"/,
    ],
    [
      'the same place twice',
      json({ a: entry('U8', [1], 0, 1), b: entry('U8', [1], 0, 1) }, 1),
      /tensor "b" begins at byte \d+, inside/,
    ],
    [
      'a hole',
      json({ a: entry('U8', [1], 0, 1), b: entry('U8', [1], 2, 3) }, 3),
      /no tensor covers bytes \d+ to \d+, before "b"/,
    ],
    ['a hole at the beginning', json({ a: entry('U8', [1], 1, 2) }, 2), /no tensor covers bytes/],
    [
      'bytes behind the last tensor',
      json({ a: entry('U8', [1], 0, 1) }, 2),
      /the tensors end at byte 62, the file has 63/,
    ],
    ['metadata that is no object', json({ __metadata__: ['x'] }, 0), /__metadata__ is not an object/],
    [
      'metadata that is no string',
      json({ __metadata__: { step: 3 } }, 0),
      /__metadata__ "step" is not a string/,
    ],
  ]
  test.each(cases)('%s', async (_, bytes, message) => {
    const path = join(folder, 'hostile.safetensors')
    writeFileSync(path, bytes)
    const error = await readSafetensorsHeader(path).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(RegaugeError)
    expect(error.kind).toBe('data')
    expect(error.issues).toHaveLength(1)
    expect(error.message).toMatch(message)
  })

  test('a tensor named __proto__ is a tensor like others', async () => {
    const path = join(folder, 'proto.safetensors')
    writeFileSync(path, file('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1))
    expect([...(await readSafetensorsHeader(path)).tensors.keys()]).toEqual(['__proto__'])
  })

  test('random and changed bytes give a file or a RegaugeError', async () => {
    const path = join(folder, 'random.safetensors')
    const good = json({ a: entry('U8', [2], 0, 2), b: entry('F32', [1], 2, 6) }, 6)
    const changed = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
      const bytes = Uint8Array.from(good)
      bytes[at] = byte
      return bytes
    })
    await fc.assert(
      fc.asyncProperty(fc.oneof(changed, fc.uint8Array({ maxLength: 60 })), async (bytes) => {
        writeFileSync(path, bytes)
        const error = await readSafetensorsHeader(path).catch((thrown) => thrown)
        if (error instanceof Error) expect(error).toBeInstanceOf(RegaugeError)
      }),
      { numRuns: 200 },
    )
  })

  test('a file that shrinks after its header was read', async () => {
    const path = join(folder, 'shrinks.safetensors')
    await writeSafetensors(path, [{ name: 'a', dtype: 'U8', shape: [9], data: new Uint8Array(9) }])
    const read = await readSafetensorsHeader(path)
    truncateSync(path, read.fileBytes - 4)
    await expect(readSafetensor(read, 'a')).rejects.toThrow(/ends at byte \d+, 4 bytes too early/)
  })
})

describe('folders', () => {
  const shard = (name: string, value: number): SafetensorsTensor => ({
    name,
    dtype: 'U8',
    shape: [1],
    data: Uint8Array.of(value),
  })
  async function shardedFolder(name: string, index: unknown): Promise<string> {
    const dir = join(folder, name)
    mkdirSync(dir)
    await writeSafetensors(join(dir, 'one.safetensors'), [shard('a', 1)])
    await writeSafetensors(join(dir, 'two.safetensors'), [shard('b', 2), shard('c', 3)])
    const text = typeof index === 'string' ? index : JSON.stringify(index)
    writeFileSync(join(dir, 'model.safetensors.index.json'), text)
    return dir
  }

  test('shards', async () => {
    const map = { c: 'two.safetensors', a: 'one.safetensors', b: 'two.safetensors' }
    const model = await openSafetensorsFolder(
      await shardedFolder('sharded', { metadata: {}, weight_map: map }),
    )
    expect(model.files).toHaveLength(2)
    expect([...model.tensors.keys()]).toEqual(['c', 'a', 'b'])
    const { file } = model.tensors.get('c')!
    expect([...(await readSafetensor(file, 'c'))]).toEqual([3])
  })

  test('one file', async () => {
    const dir = join(folder, 'single')
    mkdirSync(dir)
    await writeSafetensors(join(dir, 'model.safetensors'), [shard('a', 1)])
    expect([...(await openSafetensorsFolder(dir)).tensors.keys()]).toEqual(['a'])
  })

  test('neither', async () => {
    const dir = join(folder, 'neither')
    mkdirSync(dir)
    await expect(openSafetensorsFolder(dir)).rejects.toThrow(/neither model\.safetensors nor/)
  })

  const cases: [string, unknown, RegExp][] = [
    [
      'escape',
      { weight_map: { a: '../sharded/one.safetensors' } },
      /"a" lies in "\.\.\/sharded\/one\.safetensors", which is not/,
    ],
    [
      'absolute',
      { weight_map: { a: '/etc/passwd.safetensors' } },
      /which is not a \.safetensors file of this folder/,
    ],
    ['backslash', { weight_map: { a: '..\\one.safetensors' } }, /which is not/],
    ['other-file', { weight_map: { a: 'config.json' } }, /which is not/],
    ['number', { weight_map: { a: 1 } }, /"a" lies in "1", which is not/],
    ['missing-tensor', { weight_map: { z: 'one.safetensors' } }, /one\.safetensors holds no tensor "z"/],
    [
      'missing-shard',
      { weight_map: { a: 'three.safetensors' } },
      /three\.safetensors {2}the file does not exist/,
    ],
    ['no-map', { metadata: {} }, /no object weight_map/],
    ['twice', '{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}', /names "a" twice/],
    ['no-json', '{', /not valid JSON/],
  ]
  test.each(cases)('index: %s', async (name, index, message) => {
    const error = await openSafetensorsFolder(await shardedFolder(name, index)).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(RegaugeError)
    expect(error.message).toMatch(message)
  })
})

describe('toFloat32', () => {
  const of = (array: Uint16Array | Uint32Array | Float64Array | Float32Array) => new Uint8Array(array.buffer)
  test('float16: normal, subnormal, infinite, NaN, signed zero', () => {
    const halves = Uint16Array.of(
      0x3c00,
      0xc500,
      0x7bff,
      0x0400,
      0x0001,
      0x83ff,
      0x7c00,
      0xfc00,
      0x7e00,
      0x8000,
    )
    const values = [1, -5, 65504, 2 ** -14, 2 ** -24, -1023 * 2 ** -24, Infinity, -Infinity, NaN, -0]
    expect([...toFloat32(of(halves), 'F16')]).toEqual(values)
  })

  test('every float16 is its own value by the formula', () => {
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i)
    const got = toFloat32(of(all), 'F16')
    const wrong = [...all].filter((half) => {
      const exponent = (half >> 10) & 31
      const fraction = half & 1023
      const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15)
      const value = exponent < 31 ? size : fraction === 0 ? Infinity : NaN
      return !Object.is(got[half], half & 0x8000 ? -value : value)
    })
    expect(wrong).toEqual([])
  })

  test('bfloat16 and float64', () => {
    const brains = Uint16Array.of(0x3f80, 0xc0a0, 0x0001, 0x7f80, 0x7fc0)
    expect([...toFloat32(of(brains), 'BF16')]).toEqual([1, -5, 2 ** -133, Infinity, NaN])
    const doubles = Float64Array.of(1, 1 + 2 ** -30, 1e300, -0)
    expect([...toFloat32(of(doubles), 'F64')]).toEqual([1, 1, Infinity, -0])
  })

  test('float32 keeps the bits of a NaN, and bytes need not be aligned', () => {
    const bits = Uint32Array.of(0x7f800001, 0xffc01234)
    const shifted = Buffer.concat([Buffer.alloc(1), of(bits)]).subarray(1)
    for (const bytes of [of(bits), shifted, new Uint8Array([0, ...of(bits)]).subarray(1)]) {
      const floats = toFloat32(bytes, 'F32')
      expect([...new Uint32Array(floats.buffer, floats.byteOffset, 2)]).toEqual([...bits])
    }
  })

  test('other types and ragged bytes are refused', () => {
    expect(() => toFloat32(new Uint8Array(8), 'I64')).toThrow('I64 is not one of F32, F16, BF16, F64')
    expect(() => toFloat32(new Uint8Array(3), 'F16')).toThrow('3 bytes')
  })
})
