/** @file TensorBoard event files: scalars and texts, appended record by record; and a reader of the same. */
import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { maskedCrc32c } from './crc32c.ts'
import { contentError, fileError } from './files.ts'
import {
  asBytes,
  asDouble,
  asFloat,
  asInt64,
  asInteger,
  asString,
  createWireWriter,
  readFields,
  view,
  type WireWriter,
} from './wire.ts'

// Field numbers: event.proto, summary.proto, tensor.proto and record_writer.cc of github.com/tensorflow/tensorflow.
const SESSION_START = 1
const DT_STRING = 7
const RECORD_HEAD_BYTES = 12
const RECORD_TAIL_BYTES = 4

/** Appends events; each call is in the file when it returns. */
export interface EventWriter {
  readonly path: string
  /** One point for each name. `step` is a whole number; values are stored as float32, NaN and infinities too. */
  scalars(step: number, wallTimeSeconds: number, values: Readonly<Record<string, number>>): void
  /** A text, shown as Markdown. */
  text(step: number, wallTimeSeconds: number, tag: string, text: string): void
  close(): void
}

/** A value in an event file. Kinds other than these two are left out when read. */
export type EventValue =
  | { readonly tag: string; readonly kind: 'scalar'; readonly value: number }
  | { readonly tag: string; readonly kind: 'text'; readonly text: string }

/** One record of an event file. */
export interface TfEvent {
  readonly step: number
  readonly wallTimeSeconds: number
  /** `brain.Event:2` in the first event of a file. */
  readonly fileVersion?: string
  /** Set where a resumed run began: earlier events from this step on no longer count. */
  readonly sessionStart?: true
  readonly values: readonly EventValue[]
}

/**
 * Starts a new event file in `dir`, which is made where it is missing. With `startStep`, TensorBoard drops what
 * earlier files of the folder hold from that step on: for a run that is resumed from a checkpoint.
 *
 * Throws `RegaugeError('environment')` when the folder cannot be written or the disk is full.
 */
export function createEventWriter(dir: string, options: { readonly startStep?: number } = {}): EventWriter {
  const attempt = <T>(path: string, work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw fileError(path, error)
    }
  }
  const path = attempt(dir, () => {
    mkdirSync(dir, { recursive: true })
    return join(dir, nextName(readdirSync(dir)))
  })
  const fd = attempt(path, () => openSync(path, 'ax'))
  const append = (step: number, wallTimeSeconds: number, fill: (event: WireWriter) => void): void => {
    const event = createWireWriter()
    event.double(1, wallTimeSeconds)
    event.varint(2, step)
    fill(event)
    const bytes = record(event.finish())
    attempt(path, () => {
      for (let done = 0; done < bytes.byteLength; ) done += writeSync(fd, bytes, done)
    })
  }
  const { startStep } = options
  append(startStep ?? 0, Date.now() / 1000, (event) => event.string(3, 'brain.Event:2'))
  if (startStep !== undefined) {
    append(startStep, Date.now() / 1000, (event) => {
      event.message(7, (session) => session.varint(1, SESSION_START))
    })
  }
  return {
    path,
    scalars(step, wallTimeSeconds, values) {
      append(step, wallTimeSeconds, (event) => {
        event.message(5, (summary) => {
          for (const [tag, value] of Object.entries(values)) {
            summary.message(1, (entry) => {
              entry.string(1, tag)
              entry.float(2, value)
            })
          }
        })
      })
    },
    text(step, wallTimeSeconds, tag, text) {
      append(step, wallTimeSeconds, (event) => {
        event.message(5, (summary) => summary.message(1, (entry) => writeText(entry, tag, text)))
      })
    },
    close: () => closeSync(fd),
  }
}

function writeText(entry: WireWriter, tag: string, text: string): void {
  entry.string(1, tag)
  entry.message(8, (tensor) => {
    tensor.varint(1, DT_STRING)
    tensor.message(2, (shape) => shape.message(2, (dim) => dim.varint(1, 1)))
    tensor.string(8, text)
  })
  entry.message(9, (metadata) => metadata.message(1, (plugin) => plugin.string(1, 'text')))
}

/** A name that sorts behind the event files that are there, as TensorBoard reads a folder in that order. */
function nextName(names: readonly string[]): string {
  const latest = names.map((name) => Number(/^events\.out\.tfevents\.(\d{1,12})\./.exec(name)?.[1] ?? 0))
  const seconds = latest.reduce((most, value) => Math.max(most, value + 1), Math.floor(Date.now() / 1000))
  return `events.out.tfevents.${String(seconds).padStart(10, '0')}.${hostname()}.${process.pid}.0`
}

/** Length, checksum of the length, data, checksum of the data. */
function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEAD_BYTES + data.byteLength + RECORD_TAIL_BYTES)
  const out = view(bytes)
  out.setBigUint64(0, BigInt(data.byteLength), true)
  out.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true)
  bytes.set(data, RECORD_HEAD_BYTES)
  out.setUint32(RECORD_HEAD_BYTES + data.byteLength, maskedCrc32c(data), true)
  return bytes
}

/**
 * Reads the bytes of an event file. A record that is cut off at the end, as a kill leaves it, is no error:
 * `intactBytes` says where the last whole record ends. `path` is for messages only.
 *
 * Throws `RegaugeError('data')` for a record whose checksum does not hold, or whose data is no event.
 */
export function readEvents(bytes: Uint8Array, path: string): { events: TfEvent[]; intactBytes: number } {
  const events: TfEvent[] = []
  const numbers = view(bytes)
  let at = 0
  while (bytes.byteLength - at >= RECORD_HEAD_BYTES) {
    const length = numbers.getBigUint64(at, true)
    checkSum(bytes.subarray(at, at + 8), numbers.getUint32(at + 8, true), path, at)
    const left = bytes.byteLength - at - RECORD_HEAD_BYTES - RECORD_TAIL_BYTES
    if (length > BigInt(Math.max(left, 0)) || left < 0) break
    const begin = at + RECORD_HEAD_BYTES
    const end = begin + Number(length)
    const data = bytes.subarray(begin, end)
    checkSum(data, numbers.getUint32(end, true), path, at)
    events.push(readEvent(data, `${path}, record at byte ${at}`))
    at = end + RECORD_TAIL_BYTES
  }
  return { events, intactBytes: at }
}

function checkSum(data: Uint8Array, expected: number, path: string, at: number): void {
  if (maskedCrc32c(data) === expected) return
  const hint = 'the file is damaged or no event file; remove it'
  throw contentError('TFEVENTS_INVALID', path, `the checksum of the record at byte ${at} does not hold`, hint)
}

function readEvent(bytes: Uint8Array, where: string): TfEvent {
  let step = 0
  let wallTimeSeconds = 0
  let fileVersion: string | undefined
  let sessionStart = false
  const values: EventValue[] = []
  for (const field of readFields(bytes, where)) {
    switch (field.number) {
      case 1:
        wallTimeSeconds = asDouble(field)
        break
      case 2:
        step = asInteger(field)
        break
      case 3:
        fileVersion = asString(field)
        break
      case 5:
        for (const inner of readFields(asBytes(field), where)) {
          const value = inner.number === 1 ? readValue(asBytes(inner), where) : null
          if (value !== null) values.push(value)
        }
        break
      case 7:
        for (const inner of readFields(asBytes(field), where)) {
          if (inner.number === 1) sessionStart = asInt64(inner) === BigInt(SESSION_START)
        }
        break
    }
  }
  return {
    step,
    wallTimeSeconds,
    ...(fileVersion !== undefined && { fileVersion }),
    ...(sessionStart && { sessionStart }),
    values,
  }
}

/** Reads a Summary.Value; null when it is neither a scalar nor a text. */
function readValue(bytes: Uint8Array, where: string): EventValue | null {
  let tag = ''
  let scalar: number | undefined
  let text: string | undefined
  for (const field of readFields(bytes, where)) {
    if (field.number === 1) tag = asString(field)
    else if (field.number === 2) scalar = asFloat(field)
    else if (field.number === 8) {
      for (const inner of readFields(asBytes(field), where)) {
        if (inner.number === 8 && text === undefined) text = asString(inner)
      }
    }
  }
  if (scalar !== undefined) return { tag, kind: 'scalar', value: scalar }
  return text === undefined ? null : { tag, kind: 'text', text }
}
