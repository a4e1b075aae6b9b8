/** @file The protobuf wire format, written and read with bounds: what ONNX models and event files are made of. */
import { RegaugeError } from '../errors.ts'

/** One field of a message. `bytes` holds a length-delimited, fixed32 or fixed64 payload; `varint` is unsigned. */
export interface WireField {
  readonly number: number
  readonly wireType: 0 | 1 | 2 | 5
  readonly varint: bigint
  readonly bytes: Uint8Array
  /** The message that the field lies in, for error messages. */
  readonly where: string
}

/** Collects the fields of one message in the order of the calls. */
export interface WireWriter {
  /** Bytes written so far, by all levels. */
  readonly byteLength: number
  /** int32, int64, bool and enum fields; negative values take ten bytes, as protobuf has it. */
  varint(field: number, value: number | bigint): void
  float(field: number, value: number): void
  double(field: number, value: number): void
  string(field: number, value: string): void
  bytes(field: number, value: Uint8Array): void
  /** A message inside: `fill` writes its fields. */
  message(field: number, fill: (inner: WireWriter) => void): void
  /** The bytes of the message. The writer is used up. */
  finish(): Uint8Array
}

const NO_BYTES = new Uint8Array(0)
const INT64_MIN = -(2n ** 63n)
const UINT64_MAX = 2n ** 64n - 1n
const MAX_FIELD_NUMBER = 2 ** 29 - 1

const ENCODER = new TextEncoder()
const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** `value` as 64 unsigned bits; negative values as their two's complement. */
function toUint64(value: number | bigint): bigint {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new Error(`${value} is not an integer that protobuf can hold exactly`)
  }
  const wide = BigInt(value)
  if (wide < INT64_MIN || wide > UINT64_MAX) throw new Error(`${value} does not fit 64 bits`)
  return BigInt.asUintN(64, wide)
}

/** Starts an empty message. All levels of it are written into one buffer, which grows beyond `expectedBytes`. */
export function createWireWriter(expectedBytes = 256): WireWriter {
  let buffer = new Uint8Array(expectedBytes)
  let numbers = view(buffer)
  let used = 0
  const reserve = (bytes: number): void => {
    if (used + bytes <= buffer.byteLength) return
    const larger = new Uint8Array(Math.max(2 * buffer.byteLength, used + bytes))
    larger.set(buffer.subarray(0, used))
    buffer = larger
    numbers = view(buffer)
  }
  const putVarint = (value: number | bigint): void => {
    reserve(10)
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31) {
      let rest = value
      for (; rest > 127; rest >>>= 7) buffer[used++] = (rest & 127) | 128
      buffer[used++] = rest
      return
    }
    let rest = toUint64(value)
    for (; rest > 127n; rest >>= 7n) buffer[used++] = Number(rest & 127n) | 128
    buffer[used++] = Number(rest)
  }
  const putTag = (field: number, wireType: number): void => putVarint(field * 8 + wireType)
  /** Writes a payload of unknown length: one byte is kept for the length, and the payload moved if it needs more. */
  const putDelimited = (field: number, fill: () => void): void => {
    putTag(field, 2)
    reserve(1)
    const begin = ++used
    fill()
    const end = used
    const length = end - begin
    let lengthBytes = 1
    for (let most = 128; length >= most; most *= 128) lengthBytes++
    reserve(10)
    if (lengthBytes > 1) buffer.copyWithin(begin + lengthBytes - 1, begin, end)
    used = begin - 1
    putVarint(length)
    used = end + lengthBytes - 1
  }
  const writer: WireWriter = {
    get byteLength() {
      return used
    },
    varint(field, value) {
      putTag(field, 0)
      putVarint(value)
    },
    float(field, value) {
      putTag(field, 5)
      reserve(4)
      numbers.setFloat32(used, value, true)
      used += 4
    },
    double(field, value) {
      putTag(field, 1)
      reserve(8)
      numbers.setFloat64(used, value, true)
      used += 8
    },
    string(field, value) {
      putDelimited(field, () => {
        reserve(3 * value.length) // the most bytes that UTF-8 takes for a UTF-16 unit
        used += ENCODER.encodeInto(value, buffer.subarray(used)).written
      })
    },
    bytes(field, value) {
      putTag(field, 2)
      putVarint(value.byteLength)
      reserve(value.byteLength)
      buffer.set(value, used)
      used += value.byteLength
    },
    message: (field, fill) => putDelimited(field, () => fill(writer)),
    finish: () => buffer.subarray(0, used),
  }
  return writer
}

/** An error about bytes that are not what `where` promises. */
export function wireError(where: string, problem: string): RegaugeError {
  return new RegaugeError('data', {
    code: 'PROTOBUF_INVALID',
    message: `${where}: ${problem}`,
    hint: 'the file is damaged or of another format; write or fetch it again',
  })
}

/** Reads one varint at `at`: its unsigned 64-bit value and the offset behind it. */
function readVarint(bytes: Uint8Array, at: number, where: string): { value: bigint; next: number } {
  let low = 0 // 28 bits, which cover nearly every varint without bigint arithmetic
  let high = 0n
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) throw wireError(where, `ends inside a number at byte ${at}`)
    if (i < 4) low |= (byte & 127) << (7 * i)
    else high |= BigInt(byte & 127) << BigInt(7 * i)
    if (byte < 128) {
      const value = i < 4 ? BigInt(low) : high | BigInt(low)
      if (value > UINT64_MAX) break
      return { value, next: at + i + 1 }
    }
  }
  throw wireError(where, `holds a number of more than 64 bits at byte ${at}`)
}

/**
 * Yields the fields of a message, unknown ones included. Payloads are views of `bytes`, not copies.
 * Throws `RegaugeError('data')` when a length points outside the message or a wire type is unknown.
 */
export function* readFields(bytes: Uint8Array, where: string): Generator<WireField> {
  let at = 0
  while (at < bytes.byteLength) {
    const tag = readVarint(bytes, at, where)
    const number = Number(tag.value >> 3n)
    const wireType = Number(tag.value & 7n)
    if (number < 1 || number > MAX_FIELD_NUMBER)
      throw wireError(where, `field number ${number} at byte ${at}`)
    at = tag.next
    if (wireType === 0) {
      const { value, next } = readVarint(bytes, at, where)
      yield { number, wireType, varint: value, bytes: NO_BYTES, where }
      at = next
      continue
    }
    if (wireType !== 1 && wireType !== 2 && wireType !== 5) {
      throw wireError(where, `wire type ${wireType} of field ${number} at byte ${at}`)
    }
    let length = wireType === 1 ? 8 : 4
    if (wireType === 2) {
      const size = readVarint(bytes, at, where)
      if (size.value > BigInt(bytes.byteLength - size.next)) {
        const left = bytes.byteLength - size.next
        throw wireError(where, `field ${number} claims ${size.value} bytes where ${left} are left`)
      }
      length = Number(size.value)
      at = size.next
    }
    if (at + length > bytes.byteLength) throw wireError(where, `ends inside field ${number}`)
    yield { number, wireType, varint: 0n, bytes: bytes.subarray(at, at + length), where }
    at += length
  }
}

function expectWire(field: WireField, wireType: number): void {
  if (field.wireType !== wireType) {
    throw wireError(field.where, `field ${field.number} has wire type ${field.wireType}, not ${wireType}`)
  }
}

/** A signed 64-bit field. */
export function asInt64(field: WireField): bigint {
  expectWire(field, 0)
  return BigInt.asIntN(64, field.varint)
}

/** An integer field that must be exact as a number. */
export function asInteger(field: WireField): number {
  const value = Number(asInt64(field))
  if (!Number.isSafeInteger(value)) {
    throw wireError(field.where, `field ${field.number} is ${asInt64(field)}, beyond 2^53`)
  }
  return value
}

/** The payload of a bytes or message field. */
export function asBytes(field: WireField): Uint8Array {
  expectWire(field, 2)
  return field.bytes
}

/** A string field; invalid UTF-8 is an error. */
export function asString(field: WireField): string {
  expectWire(field, 2)
  try {
    return DECODER.decode(field.bytes)
  } catch {
    throw wireError(field.where, `field ${field.number} is not valid UTF-8`)
  }
}

/** A float field, widened. */
export function asFloat(field: WireField): number {
  expectWire(field, 5)
  return view(field.bytes).getFloat32(0, true)
}

/** A double field. */
export function asDouble(field: WireField): number {
  expectWire(field, 1)
  return view(field.bytes).getFloat64(0, true)
}

/** The values of one occurrence of a repeated integer field, packed or not, as unsigned 64-bit values. */
export function* asVarints(field: WireField): Generator<bigint> {
  if (field.wireType === 0) {
    yield field.varint
    return
  }
  let at = 0
  const packed = asBytes(field)
  while (at < packed.byteLength) {
    const { value, next } = readVarint(packed, at, field.where)
    yield value
    at = next
  }
}

/** The raw bytes of one occurrence of a repeated float (width 4) or double (width 8) field, packed or not. */
export function asFixed(field: WireField, width: 4 | 8): Uint8Array {
  if (field.wireType === (width === 4 ? 5 : 1)) return field.bytes
  const packed = asBytes(field)
  if (packed.byteLength % width !== 0) {
    throw wireError(
      field.where,
      `field ${field.number} packs ${packed.byteLength} bytes, not a multiple of ${width}`,
    )
  }
  return packed
}

/** A view for reading numbers out of a byte array that need not be aligned. */
export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
