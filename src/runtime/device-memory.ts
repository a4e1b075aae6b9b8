/** @file Tensors in a device's own memory, which is found by way of a session: nothing here knows the device. */
import { byteLength, type TensorSpec } from '../graph/index.ts'
import { type Api, addressOf, cells, type Pointer } from './api.ts'
import { arenaUse } from './arena.ts'
import { ownModel } from './own-model.ts'
import { hostMemoryInfo } from './providers.ts'
import type { Queue } from './queue.ts'
import type { MemoryUse, Traffic } from './runtime.ts'
import { checkShape, describe, elementType, type OrtTensor, tensorPart } from './tensor.ts'

export interface DeviceMemory {
  allocate(spec: TensorSpec): OrtTensor
  /** Bytes that were copied since the memory was opened. */
  readonly traffic: Traffic
  use(): MemoryUse | null
  /** Releases the memory as soon as the device is idle, and before it the tensors that are left. */
  dispose(): void
}

/** Makes a session of the runtime's provider. */
export type SessionMaker = (model: Uint8Array) => Pointer

/**
 * Opens the memory in which a provider's sessions take their inputs. Throws when the library is older than 1.23,
 * which cannot tell it.
 */
export function openDeviceMemory(
  api: Api,
  environment: Pointer,
  makeSession: SessionMaker,
  copies: 'environment' | 'session',
  queue: Queue,
): DeviceMemory {
  const out = cells()
  const probe = makeSession(identityModel({ dtype: 'float32', shape: [1] }))
  const allocator = allocatorOf(api, probe)
  const tensors = new Set<OrtTensor>()
  const host = hostMemoryInfo(api)
  const traffic = { toDevice: 0, toHost: 0 }
  const copy =
    copies === 'environment'
      ? environmentCopies(api, environment, queue)
      : sessionCopies(api, makeSession, queue)

  /** Host bytes as a value of ONNX Runtime; `bytes` must outlive it. */
  const hostValue = (spec: TensorSpec, bytes: Uint8Array): Pointer => {
    const dimensions = dimensionsOf(spec)
    const { byteLength: size } = bytes
    const { length: rank } = spec.shape
    const type = elementType(spec.dtype)
    api.CreateTensorWithDataAsOrtValue(host, addressOf(bytes), size, dimensions, rank, type, out)
    return out[0]!
  }
  const transfer = async (
    spec: TensorSpec,
    device: Pointer,
    bytes: Uint8Array,
    way: keyof Traffic,
  ): Promise<void> => {
    const value = hostValue(spec, bytes)
    try {
      await (way === 'toDevice' ? copy.later(spec, value, device) : copy.later(spec, device, value))
      // which also keeps the bytes from the garbage collector until here
      traffic[way] += bytes.byteLength
    } finally {
      api.ReleaseValue(value)
    }
  }

  /** The device gives memory as it was left. */
  const fillWithZeros = (spec: TensorSpec, device: Pointer, length: number): void => {
    const zeros = new Uint8Array(new ArrayBuffer(length))
    const value = hostValue(spec, zeros)
    try {
      copy.now(spec, value, device)
      traffic.toDevice += zeros.byteLength
    } finally {
      api.ReleaseValue(value)
    }
  }

  return {
    traffic,
    use: () => arenaUse(api, allocator),
    allocate(spec) {
      if (queue.busy) throw new Error('a tensor was allocated while the device runs')
      checkShape(spec)
      const length = byteLength(spec)
      api.CreateTensorAsOrtValue(
        allocator,
        dimensionsOf(spec),
        spec.shape.length,
        elementType(spec.dtype),
        out,
      )
      const value = out[0]!
      try {
        if (length > 0) fillWithZeros(spec, value, length)
      } catch (error) {
        api.ReleaseValue(value)
        throw error
      }
      let alive = true
      const check = (): void => {
        if (!alive) throw new Error('a tensor was used after it was disposed of')
      }
      const readAll = async (): Promise<Uint8Array> => {
        const bytes = new Uint8Array(new ArrayBuffer(length))
        if (length > 0) await transfer(spec, value, bytes, 'toHost')
        return bytes
      }
      const tensor: OrtTensor = {
        dtype: spec.dtype,
        shape: [...spec.shape],
        byteLength: length,
        value,
        get memory() {
          return alive ? value : null
        },
        async write(bytes, offset) {
          check()
          const { start, end } = tensorPart(tensor, bytes.byteLength, offset)
          if (length === 0) return
          // a whole tensor moves at a time; C reads the bytes where V8 does not move them
          const whole = end - start === length ? new Uint8Array(new ArrayBuffer(length)) : await readAll()
          whole.set(bytes, start)
          check()
          await transfer(spec, value, whole, 'toDevice')
        },
        async read(offset = 0, size = length - offset) {
          check()
          const { start, end } = tensorPart(tensor, size, offset)
          return (await readAll()).slice(start, end)
        },
        hostView: () => null,
        dispose() {
          if (!alive) return
          alive = false
          tensors.delete(tensor)
          queue.whenIdle(() => api.ReleaseValue(value))
        },
      }
      tensors.add(tensor)
      return tensor
    },
    dispose() {
      // a value gives its memory back through the allocator, which belongs to the session
      for (const tensor of tensors) tensor.dispose()
      queue.whenIdle(() => {
        copy.dispose()
        api.ReleaseAllocator(allocator)
        api.ReleaseMemoryInfo(host)
        api.ReleaseSession(probe)
      })
    },
  }
}

/** The allocator of the memory in which a session takes its inputs. Releases the session when there is none. */
function allocatorOf(api: Api, session: Pointer): Pointer {
  const out = cells()
  try {
    api.SessionGetMemoryInfoForInputs(session, out, 1)
    api.CreateAllocator(session, out[0]!, out)
    return out[0]!
  } catch (error) {
    api.ReleaseSession(session)
    throw error
  }
}

/** Copies a value over another of the same type, now or on a worker thread; both must outlive the copy. */
interface Copies {
  now(spec: TensorSpec, from: Pointer, to: Pointer): void
  later(spec: TensorSpec, from: Pointer, to: Pointer): Promise<void>
  dispose(): void
}

function environmentCopies(api: Api, environment: Pointer, queue: Queue): Copies {
  const one = (value: Pointer) => {
    const list = cells()
    list[0] = value
    return list
  }
  return {
    now: (_, from, to) => api.CopyTensors(environment, one(from), one(to), 0n, 1),
    later: (_, from, to) => queue.later('CopyTensors', environment, one(from), one(to), 0n, 1),
    dispose: () => {},
  }
}

/** Sessions that give back their input: where either end lies elsewhere, ONNX Runtime copies on the way. */
function sessionCopies(api: Api, makeSession: SessionMaker, queue: Queue): Copies {
  const sessions = new Map<string, Pointer>()
  const prepare = (spec: TensorSpec, from: Pointer, to: Pointer) => {
    const key = describe(spec)
    const session = sessions.get(key) ?? makeSession(identityModel(spec))
    sessions.set(key, session)
    const out = cells()
    api.CreateIoBinding(session, out)
    const binding = out[0]!
    api.CreateRunOptions(out)
    const options = out[0]!
    const release = (): void => {
      api.ReleaseIoBinding(binding)
      api.ReleaseRunOptions(options)
    }
    try {
      api.BindInput(binding, 'from', from)
      api.BindOutput(binding, 'to', to)
    } catch (error) {
      release()
      throw error
    }
    return { arguments: [session, options, binding] as const, release }
  }
  return {
    now(spec, from, to) {
      const run = prepare(spec, from, to)
      try {
        api.RunWithBinding(...run.arguments)
      } finally {
        run.release()
      }
    },
    // to bind an input that lies elsewhere is a copy already
    later: (spec, from, to) =>
      queue.turn(async (later) => {
        const run = prepare(spec, from, to)
        try {
          await later('RunWithBinding', ...run.arguments)
        } finally {
          run.release()
        }
      }),
    dispose() {
      for (const session of sessions.values()) api.ReleaseSession(session)
    },
  }
}

function identityModel(spec: TensorSpec): Uint8Array {
  const { dtype, shape } = spec
  return ownModel({
    name: 'copy',
    nodes: [{ name: 'copy', opType: 'Identity', inputs: ['from'], outputs: ['to'] }],
    inputs: [{ name: 'from', dtype, shape }],
    outputs: [{ name: 'to', dtype, shape }],
  })
}

function dimensionsOf({ shape }: TensorSpec): BigInt64Array {
  const dimensions = cells(shape.length)
  dimensions.set(shape.map(BigInt))
  return dimensions
}
