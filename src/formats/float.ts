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
