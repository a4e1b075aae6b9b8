/** @file What every runtime offers: tensors on a device, and programs that run over them without copies. */
import type { TensorSpec } from '../graph/index.ts'
import type { ProviderName } from './names.ts'

/** A tensor in the memory of a device. It lives until it is disposed of. */
export interface DeviceTensor extends TensorSpec {
  readonly byteLength: number
  /**
   * Copies host bytes (little endian, row major) onto the device: the whole tensor, or the part that starts at byte
   * `offset`. Throws when the length differs, or the part ends outside.
   */
  write(bytes: Uint8Array, offset?: number): Promise<void>
  /** Copies the tensor, or `size` bytes of it from byte `offset`, to the host. */
  read(offset?: number, size?: number): Promise<Uint8Array>
  /**
   * The device's memory itself where the host can address it (CPU), else null. Valid until disposal. Above 4 GiB ask
   * for parts: Node 20 has no longer views.
   */
  hostView(offset?: number, size?: number): Uint8Array | null
  dispose(): void
}

/** A program with each input and output tied to a tensor. An output may be tied to an input's tensor. */
export interface Binding {
  /**
   * Runs the program once. The event loop stays free. Rejects when a run is already under way. A device may still be at
   * work when the promise resolves: whoever reads a tensor, or runs again, waits for it.
   */
  run(): Promise<void>
  /** Makes the run under way stop soon and reject with an error of kind `interrupted`; outputs are then undefined. */
  interrupt(): void
  dispose(): void
}

/** Bytes in the arena that serves the intermediate tensors of all programs; bound tensors are not in it. */
export interface MemoryUse {
  readonly inUse: number
  /** The most that was ever in use. */
  readonly peak: number
  /** Taken from the system, kept for later runs. */
  readonly reserved: number
}

/** Where tensors lie, and for how many bytes there is room. */
export interface Capacity {
  readonly on: 'host' | 'device'
  /** Of the host what is free, of a device its size; null where nobody tells. */
  readonly bytes: number | null
}

/** Bytes copied between host and device. */
export interface Traffic {
  toDevice: number
  toHost: number
}

/** An ONNX model, compiled for the device. */
export interface Program {
  readonly inputs: ReadonlyMap<string, TensorSpec>
  readonly outputs: ReadonlyMap<string, TensorSpec>
  /** Ties every input and output to a tensor; throws when one is missing, unknown, or of another type. */
  bind(inputs: ReadonlyMap<string, DeviceTensor>, outputs: ReadonlyMap<string, DeviceTensor>): Binding
  /** Ends profiling and returns the path of the trace (Chrome's trace format); null when no profile was asked for. */
  endProfile(): string | null
  dispose(): void
}

/** One device, ready to hold tensors and run programs. */
export interface Runtime {
  /** The execution provider: `cpu`, `webgpu`, `cuda` or `cann`. */
  readonly name: ProviderName
  /** Whether state may be written over itself here, where the graph proves it safe. */
  readonly inPlace: boolean
  /** For people: library version and device, for instance `ONNX Runtime 1.30.0, cpu, 2 threads`. */
  readonly description: string
  /** Allocates a zero-filled tensor. */
  allocate(spec: TensorSpec): DeviceTensor
  /** Compiles an ONNX model, given as bytes or as the path of a file. */
  load(model: Uint8Array | string): Promise<Program>
  /**
   * Bytes that tensors were given and asked for since the runtime was made; null where host and device share their
   * memory. Programs copy nothing by themselves, unless nodes run on the host, which `load` refuses.
   */
  traffic(): Readonly<Traffic> | null
  /** Memory of intermediate tensors; null before the first `load`, and where the library keeps no statistics. */
  memory(): MemoryUse | null
  /** The memory in which tensors lie. May ask a vendor's tool. */
  capacity(): Capacity
  dispose(): void
}
