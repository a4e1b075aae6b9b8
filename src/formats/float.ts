/** @file Floating-point bytes of any width as float32. */
import type { SafetensorsDType } from './safetensors-header.ts'

let halfBits: Uint32Array | undefined

/** The float32 bits of each of the 65,536 float16 values. */
function halfTable(): Uint32Array {
  if (halfBits !== undefined) return halfBits
  halfBits = new Uint32Array(2 ** 16)
  const value = new Float32Array(1)
  const bits = new Uint32Array(value.buffer)
  for (let half = 0; half < 2 ** 16; half++) {
    const sign = (half & 0x8000) << 16
    const exponent = (half >> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0) {
      value[0] = fraction * 2 ** -24 // zero or subnormal
      halfBits[half] = bits[0]! | sign
    } else {
      const wide = exponent === 31 ? 255 : exponent - 15 + 127
      halfBits[half] = sign | (wide << 23) | (fraction << 13)
    }
  }
  return halfBits
}

/** 16-bit floats, by their names in ONNX: their bit patterns as float32, exact. */
export function fromHalf(bits: Uint16Array, type: 'float16' | 'bfloat16'): Float32Array {
  const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength)
  return toFloat32(bytes, type === 'float16' ? 'F16' : 'BF16')
}

/** Float32 as the bit patterns of 16-bit floats: to the nearest, ties to even; too large becomes infinity. */
export function toHalf(values: Float32Array, type: 'float16' | 'bfloat16'): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.slice().buffer)
  const out = new Uint16Array(bits.length)
  const convert = type === 'float16' ? float16Bits : bfloat16Bits
  for (let i = 0; i < bits.length; i++) out[i] = convert(bits[i]!)
  return out
}

const NAN_LIMIT = 0x7f800000

function bfloat16Bits(bits: number): number {
  if ((bits & 0x7fffffff) > NAN_LIMIT) return (bits >>> 16) | 0x40 // stays NaN when its low bits go
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

function float16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > NAN_LIMIT) return sign | 0x7e00
  if (magnitude >= 0x47800000) return sign | 0x7c00 // 65536 and above
  if (magnitude < 0x38800000) {
    // below 2^-14: a multiple of 2^-24, which adding and removing 0.5 rounds to in float32
    scratch[0] = magnitude
    scratchFloat[0] = scratchFloat[0]! + 0.5
    return sign | (scratch[0]! - 0x3f000000)
  }
  // the exponent from bias 127 to 15, then the 13 low bits rounded away; a carry goes on into the exponent
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

const scratchFloat = new Float32Array(1)
const scratch = new Uint32Array(scratchFloat.buffer)

/** The element types that `toFloat32` reads, with their widths in bytes. */
const WIDTHS = { F32: 4, F16: 2, BF16: 2, F64: 8 } as const satisfies Partial<
  Record<SafetensorsDType, number>
>

/**
 * Little-endian values of type F32, F16, BF16 or F64 as float32, exact but for F64, which is rounded. F32 is
 * not copied where `bytes` is aligned: the result then shares its memory. Throws for another type.
 */
export function toFloat32(bytes: Uint8Array, dtype: SafetensorsDType): Float32Array {
  if (!Object.hasOwn(WIDTHS, dtype))
    throw new Error(`${dtype} is not one of ${Object.keys(WIDTHS).join(', ')}`)
  const type = dtype as keyof typeof WIDTHS
  const width = WIDTHS[type]
  if (bytes.byteLength % width !== 0)
    throw new Error(`${bytes.byteLength} bytes are no whole number of ${dtype}`)
  const count = bytes.byteLength / width
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes)
  const { buffer, byteOffset } = aligned
  if (type === 'F32') return new Float32Array(buffer, byteOffset, count)
  if (type === 'F64') return Float32Array.from(new Float64Array(buffer, byteOffset, count))
  const stored = new Uint16Array(buffer, byteOffset, count)
  const out = new Float32Array(count)
  const bits = new Uint32Array(out.buffer)
  if (type === 'BF16') for (let i = 0; i < count; i++) bits[i] = stored[i]! << 16
  else {
    const table = halfTable()
    for (let i = 0; i < count; i++) bits[i] = table[stored[i]!]!
  }
  return out
}
