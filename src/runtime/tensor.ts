/** @file Tensors in host memory, wrapped as ONNX Runtime values that share that memory. */
import { RegaugeError } from '../errors.ts'
import { ONNX_DTYPES } from '../formats/index.ts'
import { byteLength, type DType, sameShape, type TensorSpec } from '../graph/index.ts'
import { type Api, addressOf, cells, type Pointer } from './api.ts'
import type { DeviceTensor } from './runtime.ts'

/** `ONNXTensorElementDataType` of a type: its number in ONNX files. */
export function elementType(dtype: DType): number {
  return ONNX_DTYPES[dtype].code
}

/** A tensor of this runtime; `value` is its `OrtValue`. */
export interface OrtTensor extends DeviceTensor {
  readonly value: Pointer
  /** What must stay referenced while a run may use it; null after disposal. */
  readonly memory: ArrayBuffer | Pointer | null
}

/** Bytes to which data is aligned: a cache line and the widest vector. */
const ALIGNMENT = 64

/** Allocates a zero-filled tensor. `memoryInfo` is the `OrtMemoryInfo` of the host. */
export function allocateHostTensor(api: Api, memoryInfo: Pointer, spec: TensorSpec): OrtTensor {
  const { dtype } = spec
  const shape = [...spec.shape]
  const length = byteLength(spec)
  checkShape(spec)
  let memory: ArrayBuffer | null = allocateMemory(length + ALIGNMENT, spec)
  const start = (ALIGNMENT - Number(addressOf(new Uint8Array(memory, 0, 1)) % BigInt(ALIGNMENT))) % ALIGNMENT
  const dimensions = cells(shape.length)
  dimensions.set(shape.map(BigInt))
  const out = cells()
  const data = addressOf(new Uint8Array(memory, start, 1))
  api.CreateTensorWithDataAsOrtValue(
    memoryInfo,
    data,
    length,
    dimensions,
    shape.length,
    elementType(dtype),
    out,
  )
  const value = out[0]!

  const part = (offset: number, size: number): Uint8Array => {
    if (memory === null) throw new Error('a tensor was used after it was disposed of')
    tensorPart(tensor, size, offset)
    return new Uint8Array(memory, start + offset, size)
  }
  const tensor: OrtTensor = {
    dtype,
    shape,
    byteLength: length,
    value,
    get memory() {
      return memory
    },
    async write(bytes, offset) {
      const { start: from, end } = tensorPart(tensor, bytes.byteLength, offset)
      part(from, end - from).set(bytes)
    },
    async read(offset = 0, size = length - offset) {
      return part(offset, size).slice()
    },
    hostView(offset = 0, size = length - offset) {
      return part(offset, size)
    },
    dispose() {
      if (memory === null) return
      memory = null
      api.ReleaseValue(value)
    },
  }
  return tensor
}

/** Throws RangeError when the shape, or the size in bytes, is not a whole number that can be counted. */
export function checkShape(spec: TensorSpec): void {
  const { shape } = spec
  if (
    shape.some((size) => !Number.isSafeInteger(size) || size < 0) ||
    !Number.isSafeInteger(byteLength(spec))
  )
    throw new RangeError(`not a shape: [${shape}]`)
}

/**
 * The bytes of a tensor that `size` bytes at `offset` are; without an offset they must be all of it. Throws RangeError
 * when they are not, or lie outside.
 */
export function tensorPart(
  tensor: TensorSpec & { readonly byteLength: number },
  size: number,
  offset?: number,
): { readonly start: number; readonly end: number } {
  const { byteLength: length } = tensor
  if (offset === undefined && size !== length)
    throw new RangeError(`a tensor of ${length} bytes (${describe(tensor)}) was given ${size} bytes`)
  const start = offset ?? 0
  if (!(start >= 0 && size >= 0 && start + size <= length))
    throw new RangeError(`bytes ${start} to ${start + size} do not lie in a tensor of ${length} bytes`)
  return { start, end: start + size }
}

/** For instance `float32[2,3]`. */
export function describe(spec: TensorSpec): string {
  return `${spec.dtype}[${spec.shape.join(',')}]`
}

/** True when both have the same type and shape. */
export function sameSpec(a: TensorSpec, b: TensorSpec): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape)
}

function allocateMemory(bytes: number, spec: TensorSpec): ArrayBuffer {
  try {
    // Zeroed lazily by the operating system: pages that are never touched cost nothing.
    return new ArrayBuffer(bytes)
  } catch (cause) {
    const issue = {
      code: 'RUNTIME_OUT_OF_MEMORY',
      message: `no memory for a tensor ${describe(spec)} of ${(bytes / 2 ** 20).toFixed(0)} MiB`,
      hint: 'use a smaller model, micro-batch or sequence',
    }
    throw new RegaugeError('memory', issue, { cause })
  }
}
