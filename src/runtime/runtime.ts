/** @file What every runtime offers: tensors on a device, and programs that run over them without copies. */
import type { TensorSpec } from '../graph/index.ts'

/** A tensor in the memory of a device. It lives until it is disposed of. */
export interface DeviceTensor extends TensorSpec {
  readonly byteLength: number
  /** Copies host bytes (little endian, row major) onto the device. Throws when the length differs. */
  write(bytes: Uint8Array): Promise<void>
  /** Copies the tensor to the host. */
  read(): Promise<Uint8Array>
  /** The device's memory itself where the host can address it (CPU), else null. Valid until disposal. */
  hostView(): Uint8Array | null
  dispose(): void
}

/** A program with each input and output tied to a tensor. An output may be tied to an input's tensor. */
export interface Binding {
  /** Runs the program once. The event loop stays free. Rejects when a run is already under way. */
  run(): Promise<void>
  dispose(): void
}

/** An ONNX model, compiled for the device. */
export interface Program {
  readonly inputs: ReadonlyMap<string, TensorSpec>
  readonly outputs: ReadonlyMap<string, TensorSpec>
  /** Ties every input and output to a tensor; throws when one is missing, unknown, or of another type. */
  bind(inputs: ReadonlyMap<string, DeviceTensor>, outputs: ReadonlyMap<string, DeviceTensor>): Binding
  dispose(): void
}

/** One device, ready to hold tensors and run programs. */
export interface Runtime {
  /** `cpu`, and later the other providers. */
  readonly name: string
  /** For people: library version and device, for instance `ONNX Runtime 1.30.0, cpu, 2 threads`. */
  readonly description: string
  /** Allocates a zero-filled tensor. */
  allocate(spec: TensorSpec): DeviceTensor
  /** Compiles an ONNX model, given as bytes or as the path of a file. */
  load(model: Uint8Array | string): Promise<Program>
  dispose(): void
}
