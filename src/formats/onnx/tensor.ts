/** @file Reads an ONNX TensorProto, whichever of its fields the values lie in, into raw little-endian bytes. */
import { RegaugeError } from '../../errors.ts'
import { quote } from '../json.ts'
import {
  asBytes,
  asFixed,
  asInteger,
  asString,
  asVarints,
  readFields,
  type WireField,
  wireError,
} from '../wire.ts'
import { ONNX_DTYPES, type OnnxDType, type OnnxTensor } from './types.ts'

const DTYPE_OF_CODE = new Map(
  Object.entries(ONNX_DTYPES).map(([name, { code }]) => [code as number, name as OnnxDType]),
)

/** The typed field that holds the values of each element type where `raw_data` does not. */
const TYPED_FIELD: Readonly<Record<OnnxDType, 4 | 5 | 7 | 10 | 11>> = {
  float32: 4, // float_data
  uint8: 5, // int32_data
  int8: 5,
  uint16: 5,
  int16: 5,
  int32: 5,
  bool: 5,
  float16: 5, // bit patterns
  bfloat16: 5,
  int64: 7, // int64_data
  float64: 10, // double_data
  uint32: 11, // uint64_data
  uint64: 11,
}

/** An error about a part of the standard that regauge does not read. */
export function unsupported(where: string, what: string): RegaugeError {
  return new RegaugeError('data', {
    code: 'ONNX_UNSUPPORTED',
    message: `${where}: ${what} is not supported`,
    hint: 'export the model without it',
  })
}

/** The element type with this number; an error names what is supported. */
export function dtypeOfCode(code: number, where: string): OnnxDType {
  const dtype = DTYPE_OF_CODE.get(code)
  if (dtype === undefined) {
    throw unsupported(where, `element type ${code} (known: ${[...DTYPE_OF_CODE.values()].join(', ')})`)
  }
  return dtype
}

/** Reads a TensorProto. `data` is a view of `bytes` where the file holds raw data. */
export function readTensor(bytes: Uint8Array, where: string): OnnxTensor {
  let name = ''
  let code = 0
  let raw: Uint8Array | undefined
  const shape: number[] = []
  const typed = new Map<number, WireField[]>()
  for (const field of readFields(bytes, where)) {
    switch (field.number) {
      case 1:
        for (const size of asVarints(field)) shape.push(toSize(size, where))
        break
      case 2:
        code = asInteger(field)
        break
      case 3:
        throw unsupported(where, 'a tensor in segments')
      case 6:
        throw unsupported(where, 'a tensor of strings')
      case 8:
        name = asString(field)
        break
      case 9:
        raw = asBytes(field)
        break
      case 13:
        throw unsupported(where, 'a tensor whose data lies in another file')
      case 14:
        if (asInteger(field) !== 0) throw unsupported(where, 'a tensor whose data lies in another file')
        break
      case 4:
      case 5:
      case 7:
      case 10:
      case 11: {
        const parts = typed.get(field.number)
        if (parts === undefined) typed.set(field.number, [field])
        else parts.push(field)
        break
      }
    }
  }
  const place = `${where} ${quote(name)}`
  const dtype = dtypeOfCode(code, place)
  const width = ONNX_DTYPES[dtype].bytes
  const length = shape.reduce((product, size) => product * size, width)
  const filled = [...typed].filter(([, parts]) =>
    parts.some((part) => part.wireType !== 2 || part.bytes.length > 0),
  )
  if (raw !== undefined && filled.length > 0) throw wireError(place, 'holds its values twice')
  const wrong = filled.find(([number]) => number !== TYPED_FIELD[dtype])
  if (wrong !== undefined) throw wireError(place, `holds ${dtype} values in field ${wrong[0]}`)
  const data = raw ?? packTyped(filled[0]?.[1] ?? [], dtype)
  if (data.byteLength !== length) {
    throw wireError(place, `${dtype}[${shape}] needs ${length} bytes, the file holds ${data.byteLength}`)
  }
  return { name, dtype, shape, data }
}

/** A dimension of a tensor: not negative and exact as a number. */
function toSize(value: bigint, where: string): number {
  const size = BigInt.asIntN(64, value)
  if (size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER)) throw wireError(where, `a dimension of ${size}`)
  return Number(size)
}

/** The values of a typed field as raw bytes. Floats are moved as bytes, so that every NaN keeps its payload. */
function packTyped(fields: readonly WireField[], dtype: OnnxDType): Uint8Array {
  const width = ONNX_DTYPES[dtype].bytes
  const field = TYPED_FIELD[dtype]
  if (field === 4 || field === 10) {
    const parts = fields.map((part) => asFixed(part, field === 4 ? 4 : 8))
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
    let at = 0
    for (const part of parts) {
      whole.set(part, at)
      at += part.byteLength
    }
    return whole
  }
  // A varint takes at least one byte, so this is never too small.
  const most = fields.reduce((sum, part) => sum + Math.max(1, part.bytes.byteLength), 0)
  const whole = new Uint8Array(most * width)
  const out = new DataView(whole.buffer)
  let at = 0
  for (const part of fields) {
    for (const value of asVarints(part)) {
      if (width === 8) out.setBigUint64(at, value, true)
      else {
        const low = Number(value & 0xffffffffn)
        if (width === 4) out.setUint32(at, low, true)
        else if (width === 2) out.setUint16(at, low, true)
        else out.setUint8(at, low)
      }
      at += width
    }
  }
  return whole.subarray(0, at)
}
