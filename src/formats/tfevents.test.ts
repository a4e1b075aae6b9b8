import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { crc32c, maskedCrc32c } from './crc32c.ts'
import { createEventWriter, readEvents } from './tfevents.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tfevents-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

// RFC 3720, appendix B.4.
test.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of ones', new Uint8Array(32).fill(255), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['the check string', new TextEncoder().encode('123456789'), 0xe3069283],
])('crc32c of %s', (_, bytes, expected) => expect(crc32c(bytes)).toBe(expected))

/** One run's file: two scalars, a text. */
function write(dir: string, startStep?: number): Buffer {
  const writer = createEventWriter(dir, startStep === undefined ? {} : { startStep })
  writer.scalars(1, 1_700_000_000.5, { 'train/loss': 2.5, 'train/lr': 1e-3 })
  writer.text(2, 1_700_000_001, 'sample', 'Grüße\n**bold**')
  writer.close()
  return readFileSync(writer.path)
}

test('the bytes of a record are those of the format', () => {
  const bytes = write(join(folder, 'bytes'))
  const length = bytes.readBigUInt64LE(0)
  expect(length).toBe(26n) // wall time 9, step 2, version 15
  expect(bytes.readUInt32LE(8)).toBe(maskedCrc32c(bytes.subarray(0, 8)))
  expect(bytes.subarray(21, 38).toString('latin1')).toBe('\x10\0\x1a\rbrain.Event:2')
  expect(bytes.readUInt32LE(38)).toBe(maskedCrc32c(bytes.subarray(12, 38)))
})

test('events come back as they were written', () => {
  const { events, intactBytes } = readEvents(write(join(folder, 'back')), 'back')
  expect(events[0]).toMatchObject({ step: 0, fileVersion: 'brain.Event:2', values: [] })
  expect(events.slice(1)).toEqual([
    {
      step: 1,
      wallTimeSeconds: 1_700_000_000.5,
      values: [
        { tag: 'train/loss', kind: 'scalar', value: 2.5 },
        { tag: 'train/lr', kind: 'scalar', value: Math.fround(1e-3) },
      ],
    },
    {
      step: 2,
      wallTimeSeconds: 1_700_000_001,
      values: [{ tag: 'sample', kind: 'text', text: 'Grüße\n**bold**' }],
    },
  ])
  expect(intactBytes).toBe(readFileSync(join(folder, 'back', readdirSync(join(folder, 'back'))[0]!)).length)
})

test('any scalars come back, with every step and NaN', () => {
  const values = fc.dictionary(fc.string(), fc.float(), { maxKeys: 3, noNullPrototype: true })
  const points = fc.array(fc.tuple(fc.maxSafeInteger(), fc.double(), values), { maxLength: 5 })
  fc.assert(
    fc.property(points, (written) => {
      const writer = createEventWriter(join(folder, 'any'))
      for (const [step, time, scalars] of written) writer.scalars(step, time, scalars)
      writer.close()
      const { events } = readEvents(readFileSync(writer.path), writer.path)
      rmSync(writer.path)
      const expected = written.map(([step, wallTimeSeconds, scalars]) => ({
        step,
        wallTimeSeconds,
        values: Object.entries(scalars).map(([tag, value]) => ({ tag, kind: 'scalar', value })),
      }))
      expect(events.slice(1)).toEqual(expected)
    }),
    { numRuns: 50 },
  )
})

test('a resumed run writes a new file, sorted behind the others, that says from which step it counts', () => {
  const dir = join(folder, 'resumed')
  write(dir)
  const writer = createEventWriter(dir, { startStep: 7 })
  writer.close()
  expect(readdirSync(dir)).toHaveLength(2)
  expect(readdirSync(dir).sort().at(-1)).toBe(basename(writer.path))
  const { events } = readEvents(readFileSync(writer.path), writer.path)
  expect(events.map(({ step, sessionStart }) => [step, sessionStart])).toEqual([
    [7, undefined],
    [7, true],
  ])
})

test('a folder that cannot be made is named', () => {
  writeFileSync(join(folder, 'a-file'), '')
  expect(() => createEventWriter(join(folder, 'a-file', 'events'))).toThrow(RegaugeError)
})

test('each call is in the file when it returns', () => {
  const writer = createEventWriter(join(folder, 'flushed'))
  writer.scalars(3, 0, { loss: 1 })
  expect(readEvents(readFileSync(writer.path), writer.path).events.at(-1)?.step).toBe(3)
  writer.close()
})

describe('damaged files', () => {
  test('cut anywhere: the whole records before the cut', () => {
    const bytes = write(join(folder, 'cut'))
    const ends = [0]
    for (let at = 0; at < bytes.length; ends.push(at)) at += Number(bytes.readBigUInt64LE(at)) + 16
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { events, intactBytes } = readEvents(bytes.subarray(0, cut), 'cut')
      expect(intactBytes).toBe(ends.filter((end) => end <= cut).at(-1))
      expect(events).toHaveLength(ends.indexOf(intactBytes))
    }
  })

  test('a byte changed anywhere is found', () => {
    const bytes = write(join(folder, 'changed'))
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes)
      changed[at]! ^= 64
      expect(() => readEvents(changed, 'changed')).toThrow(
        /changed {2}the checksum of the record at byte \d+ does not hold/,
      )
    }
  })

  test('random bytes, with good checksums or not, give events or a RegaugeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (data, framed) => {
        const record = Buffer.alloc(data.length + 16)
        record.writeBigUInt64LE(BigInt(data.length))
        record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8)
        record.set(data, 12)
        record.writeUInt32LE(maskedCrc32c(data), 12 + data.length)
        try {
          readEvents(framed ? record : data, 'random')
        } catch (error) {
          expect(error).toBeInstanceOf(RegaugeError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
