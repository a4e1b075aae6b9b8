/** @file An ONNX model as plain data: the part of the standard's messages that regauge writes and reads. */

/**
 * Element types, with their number in `TensorProto.DataType` and their size in bytes.
 * Source: onnx.proto of ONNX 1.12 (github.com/onnx/onnx).
 */
export const ONNX_DTYPES = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  uint16: { code: 4, bytes: 2 },
  int16: { code: 5, bytes: 2 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
  float64: { code: 11, bytes: 8 },
  uint32: { code: 12, bytes: 4 },
  uint64: { code: 13, bytes: 8 },
  bfloat16: { code: 16, bytes: 2 },
} as const satisfies Readonly<Record<string, { readonly code: number; readonly bytes: number }>>

/** Element type of a tensor in an ONNX file. */
export type OnnxDType = keyof typeof ONNX_DTYPES

/** An attribute of a node. Integers beyond 2^53 are bigints. */
export type OnnxAttribute =
  | { readonly kind: 'int'; readonly value: number | bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'ints'; readonly value: readonly (number | bigint)[] }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensor'; readonly value: OnnxTensor }

/** A constant tensor. */
export interface OnnxTensor {
  readonly name: string
  readonly dtype: OnnxDType
  readonly shape: readonly number[]
  /** Little endian, row major; a bool is one byte. */
  readonly data: Uint8Array
}

/** The type of a graph's input, output or inner value. */
export interface OnnxValueInfo {
  readonly name: string
  readonly dtype: OnnxDType
  /** A string names a size that is known only when the model runs ('' when it has no name); null: rank unknown. */
  readonly shape: readonly (number | string)[] | null
}

/** One operation. An empty input name means that an optional input is left out. */
export interface OnnxNode {
  readonly opType: string
  readonly name?: string
  /** Operator set; left out for the standard's own. */
  readonly domain?: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>
}

/** Nodes in an order in which they can run, with constants, inputs and outputs. */
export interface OnnxGraph {
  readonly name: string
  readonly nodes: readonly OnnxNode[]
  readonly initializers: readonly OnnxTensor[]
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
  readonly valueInfo?: readonly OnnxValueInfo[]
}

/** A whole model. */
export interface OnnxModel {
  readonly irVersion: number
  /** Version of the standard's operator set. */
  readonly opset: number
  /** Versions of other operator sets, by domain. */
  readonly otherOpsets?: Readonly<Record<string, number>>
  readonly producerName: string
  readonly producerVersion: string
  readonly graph: OnnxGraph
  readonly metadata?: Readonly<Record<string, string>>
}
