/** @file Writes an ONNX model as protobuf bytes, fields in the order of their numbers. */
import { RegaugeError } from '../../errors.ts'
import { createWireWriter, type WireWriter } from '../wire.ts'
import {
  ONNX_DTYPES,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from './types.ts'

/** Protobuf readers refuse messages of 2 GiB and more. */
const MAX_MODEL_BYTES = 2 ** 31 - 1

/** Number of each attribute kind in `AttributeProto.AttributeType`. */
const ATTRIBUTE_TYPE: Readonly<Record<OnnxAttribute['kind'], number>> = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  floats: 6,
  ints: 7,
  strings: 8,
}

/**
 * Writes a model as the bytes of an `.onnx` file. Equal models give equal bytes.
 *
 * Throws `RegaugeError('data')` when the file would reach 2 GiB, and an `Error` when the model contradicts
 * itself (a tensor's data does not fit its shape, a node's domain has no operator set version).
 */
export function encodeOnnx(model: OnnxModel): Uint8Array {
  const constants = model.graph.initializers.reduce((sum, { data }) => sum + data.byteLength, 0)
  requireSize(constants, model)
  const out = createWireWriter(constants + model.graph.nodes.length * 100 + 1000)
  out.varint(1, model.irVersion)
  if (model.producerName !== '') out.string(2, model.producerName)
  if (model.producerVersion !== '') out.string(3, model.producerVersion)
  out.message(7, (graph) => writeGraph(graph, model.graph))
  const opsets = { '': model.opset, ...model.otherOpsets }
  for (const node of model.graph.nodes) {
    if (!Object.hasOwn(opsets, node.domain ?? '')) {
      throw new Error(`node ${node.opType} is of domain ${node.domain}, for which the model gives no version`)
    }
  }
  for (const [domain, version] of Object.entries(opsets)) {
    out.message(8, (opset) => {
      opset.string(1, domain)
      opset.varint(2, version)
    })
  }
  for (const [key, value] of Object.entries(model.metadata ?? {})) {
    out.message(14, (entry) => {
      entry.string(1, key)
      entry.string(2, value)
    })
  }
  requireSize(out.byteLength, model)
  return out.finish()
}

function requireSize(bytes: number, model: OnnxModel): void {
  if (bytes <= MAX_MODEL_BYTES) return
  throw new RegaugeError('data', {
    code: 'ONNX_TOO_LARGE',
    message: `model ${model.graph.name} takes ${bytes} bytes, more than the ${MAX_MODEL_BYTES} an ONNX file can hold`,
    hint: 'pass large tensors as inputs instead of constants',
  })
}

function writeGraph(out: WireWriter, graph: OnnxGraph): void {
  for (const node of graph.nodes) out.message(1, (inner) => writeNode(inner, node))
  out.string(2, graph.name)
  for (const tensor of graph.initializers) out.message(5, (inner) => writeTensor(inner, tensor))
  for (const value of graph.inputs) out.message(11, (inner) => writeValueInfo(inner, value))
  for (const value of graph.outputs) out.message(12, (inner) => writeValueInfo(inner, value))
  for (const value of graph.valueInfo ?? []) out.message(13, (inner) => writeValueInfo(inner, value))
}

function writeNode(out: WireWriter, node: OnnxNode): void {
  for (const input of node.inputs) out.string(1, input)
  for (const output of node.outputs) out.string(2, output)
  if (node.name !== undefined) out.string(3, node.name)
  out.string(4, node.opType)
  for (const [name, attribute] of Object.entries(node.attributes ?? {})) {
    out.message(5, (inner) => writeAttribute(inner, name, attribute))
  }
  if (node.domain !== undefined) out.string(7, node.domain)
}

function writeAttribute(out: WireWriter, name: string, attribute: OnnxAttribute): void {
  out.string(1, name)
  switch (attribute.kind) {
    case 'float':
      out.float(2, attribute.value)
      break
    case 'int':
      out.varint(3, attribute.value)
      break
    case 'string':
      out.string(4, attribute.value)
      break
    case 'tensor':
      out.message(5, (inner) => writeTensor(inner, attribute.value))
      break
    case 'floats':
      for (const value of attribute.value) out.float(7, value)
      break
    case 'ints':
      for (const value of attribute.value) out.varint(8, value)
      break
    case 'strings':
      for (const value of attribute.value) out.string(9, value)
      break
  }
  out.varint(20, ATTRIBUTE_TYPE[attribute.kind])
}

function writeTensor(out: WireWriter, tensor: OnnxTensor): void {
  const dtype = ONNX_DTYPES[tensor.dtype]
  const bytes = tensor.shape.reduce((product, size) => product * size, dtype.bytes)
  if (bytes !== tensor.data.byteLength) {
    throw new Error(
      `tensor ${tensor.name} of ${tensor.dtype}[${tensor.shape}] needs ${bytes} bytes, not ${tensor.data.byteLength}`,
    )
  }
  for (const size of tensor.shape) out.varint(1, size)
  out.varint(2, dtype.code)
  out.string(8, tensor.name)
  out.bytes(9, tensor.data)
}

function writeValueInfo(out: WireWriter, value: OnnxValueInfo): void {
  out.string(1, value.name)
  out.message(2, (type) => {
    type.message(1, (tensorType) => {
      tensorType.varint(1, ONNX_DTYPES[value.dtype].code)
      const { shape } = value
      if (shape === null) return
      tensorType.message(2, (inner) => {
        for (const size of shape) {
          inner.message(1, (dim) => {
            if (typeof size === 'number') dim.varint(1, size)
            else if (size !== '') dim.string(2, size)
          })
        }
      })
    })
  })
}
