/** @file The header of a safetensors file: names, types, shapes and places of its tensors, read with bounds. */
import { contentError } from './files.ts'
import { isObject, JsonError, parseJson, quote } from './json.ts'

/** Bits of one element, by the type's name in the file. Source: github.com/huggingface/safetensors 0.8. */
export const SAFETENSORS_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E5M2FNUZ: 8,
  F8_E4M3FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const satisfies Readonly<Record<string, number>>

/** Element type of a tensor in a safetensors file. */
export type SafetensorsDType = keyof typeof SAFETENSORS_BITS

/** Where a tensor lies: bytes `begin` to `end` of the whole file. */
export interface SafetensorsEntry {
  readonly dtype: SafetensorsDType
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/** The most bytes that a header may have, as in the reference. */
export const MAX_HEADER_BYTES = 100_000_000

/** Bytes of a tensor, or undefined when they are not whole or beyond 2^53. */
export function tensorBytes(dtype: SafetensorsDType, shape: readonly number[]): number | undefined {
  let elements = 1
  for (const size of shape) {
    elements *= size
    if (!Number.isSafeInteger(elements)) return undefined
  }
  const bits = elements * SAFETENSORS_BITS[dtype]
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined
}

/** An error about the content of a safetensors file. */
export function safetensorsError(path: string, message: string): Error {
  return contentError(
    'SAFETENSORS_INVALID',
    path,
    message,
    'the file is damaged or not a safetensors file; fetch or write it again',
  )
}

/**
 * Reads the JSON header, whose tensors must cover the data behind it: from its first to its last byte, without
 * a hole or an overlap. Tensors come in the order of their places.
 */
export function parseHeader(
  path: string,
  header: Uint8Array,
  fileBytes: number,
): { metadata: Record<string, string>; tensors: Map<string, SafetensorsEntry> } {
  const fail = (message: string): never => {
    throw safetensorsError(path, message)
  }
  const root = parseRoot(path, header)
  const dataBegin = 8 + header.byteLength
  const entries: [string, SafetensorsEntry][] = []
  for (const [name, value] of Object.entries(root)) {
    if (name !== '__metadata__') entries.push([name, parseEntry(name, value, dataBegin, fail)])
  }
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  let end = dataBegin
  let before = 'the header'
  for (const [name, entry] of entries) {
    if (entry.end > fileBytes) {
      fail(`tensor ${quote(name)} ends at byte ${entry.end}, the file has ${fileBytes}`)
    }
    if (entry.begin < end)
      fail(`tensor ${quote(name)} begins at byte ${entry.begin}, inside ${before} that ends at ${end}`)
    if (entry.begin > end) fail(`no tensor covers bytes ${end} to ${entry.begin}, before ${quote(name)}`)
    end = entry.end
    before = `tensor ${quote(name)}`
  }
  if (end !== fileBytes) fail(`the tensors end at byte ${end}, the file has ${fileBytes}`)
  return { metadata: parseMetadata(root.__metadata__, fail), tensors: new Map(entries) }
}

type Fail = (message: string) => never

function parseRoot(path: string, header: Uint8Array): Record<string, unknown> {
  if (header[0] !== 0x7b) throw safetensorsError(path, 'the header does not begin with {')
  try {
    const root = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(header))
    if (isObject(root)) return root
  } catch (error) {
    if (error instanceof JsonError) throw safetensorsError(path, `the header ${error.message}`)
    if (!(error instanceof TypeError)) throw error
    throw safetensorsError(path, 'the header is not valid UTF-8')
  }
  throw safetensorsError(path, 'the header is not an object')
}

function parseMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (value === undefined) return {}
  if (!isObject(value)) return fail('__metadata__ is not an object')
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') fail(`__metadata__ ${quote(key)} is not a string`)
  }
  return value as Record<string, string>
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function parseEntry(name: string, value: unknown, dataBegin: number, fail: Fail): SafetensorsEntry {
  const what = `tensor ${quote(name)}`
  if (!isObject(value)) return fail(`${what} is not an object`)
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string' || !Object.hasOwn(SAFETENSORS_BITS, dtype)) {
    const known = Object.keys(SAFETENSORS_BITS).join(', ')
    return fail(`${what} has the element type ${quote(String(dtype))}, known are ${known}`)
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) return fail(`${what} has no valid shape`)
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    return fail(`${what} has no valid data_offsets`)
  }
  const [begin, end] = offsets as [number, number]
  if (begin > end) return fail(`${what} ends at offset ${end} before it begins at ${begin}`)
  const bytes = tensorBytes(dtype as SafetensorsDType, shape)
  if (bytes === undefined)
    return fail(`${what} of ${dtype}[${shape.slice(0, 8)}] has no size in whole bytes below 2^53`)
  if (bytes !== end - begin) {
    return fail(
      `${what} of ${dtype}[${shape.slice(0, 8)}] needs ${bytes} bytes, its offsets hold ${end - begin}`,
    )
  }
  return { dtype: dtype as SafetensorsDType, shape, begin: dataBegin + begin, end: dataBegin + end }
}
