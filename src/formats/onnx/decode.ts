/** @file Reads an ONNX model from protobuf bytes, with bounds: nothing in the file is trusted or executed. */
import { quote } from '../json.ts'
import {
  asBytes,
  asFixed,
  asFloat,
  asInt64,
  asInteger,
  asString,
  asVarints,
  readFields,
  view,
  wireError,
} from '../wire.ts'
import { dtypeOfCode, readTensor, unsupported } from './tensor.ts'
import type { OnnxAttribute, OnnxGraph, OnnxModel, OnnxNode, OnnxTensor, OnnxValueInfo } from './types.ts'

/**
 * Reads the bytes of an `.onnx` file. Tensors are views of `bytes`; documentation strings, annotations and
 * values that are not tensors inside the graph (`value_info`) are left out.
 *
 * Throws `RegaugeError('data')` for damaged bytes, and for what regauge does not read: subgraphs (`If`,
 * `Loop`, `Scan`), functions, sparse and string tensors, inputs that are not tensors, data in other files.
 */
export function decodeOnnx(bytes: Uint8Array): OnnxModel {
  const where = 'onnx model'
  let irVersion = 0
  let producerName = ''
  let producerVersion = ''
  let graph: OnnxGraph | undefined
  const opsets = new Map<string, number>()
  const metadata = new Map<string, string>()
  for (const field of readFields(bytes, where)) {
    switch (field.number) {
      case 1:
        irVersion = asInteger(field)
        break
      case 2:
        producerName = asString(field)
        break
      case 3:
        producerVersion = asString(field)
        break
      case 7:
        if (graph !== undefined) throw wireError(where, 'holds two graphs')
        graph = readGraph(asBytes(field))
        break
      case 8: {
        const [domain, version] = readOpset(asBytes(field))
        opsets.set(domain, version)
        break
      }
      case 14: {
        const [key, value] = readEntry(asBytes(field))
        metadata.set(key, value)
        break
      }
      case 20:
        throw unsupported(where, 'training_info')
      case 25:
        throw unsupported(where, 'a model with functions')
    }
  }
  if (graph === undefined) throw wireError(where, 'holds no graph')
  const opset = opsets.get('')
  if (opset === undefined)
    throw unsupported(where, "a model without a version of the standard's operator set")
  opsets.delete('')
  return {
    irVersion,
    opset,
    ...(opsets.size > 0 && { otherOpsets: Object.fromEntries(opsets) }),
    producerName,
    producerVersion,
    graph,
    ...(metadata.size > 0 && { metadata: Object.fromEntries(metadata) }),
  }
}

function readOpset(bytes: Uint8Array): [domain: string, version: number] {
  let domain = ''
  let version = 0
  for (const field of readFields(bytes, 'onnx opset_import')) {
    if (field.number === 1) domain = asString(field)
    else if (field.number === 2) version = asInteger(field)
  }
  // 'ai.onnx' is the long name of the standard's own domain.
  return [domain === 'ai.onnx' ? '' : domain, version]
}

function readEntry(bytes: Uint8Array): [key: string, value: string] {
  let key = ''
  let value = ''
  for (const field of readFields(bytes, 'onnx metadata_props')) {
    if (field.number === 1) key = asString(field)
    else if (field.number === 2) value = asString(field)
  }
  return [key, value]
}

function readGraph(bytes: Uint8Array): OnnxGraph {
  const where = 'onnx graph'
  let name = ''
  const nodes: OnnxNode[] = []
  const initializers: OnnxTensor[] = []
  const inputs: OnnxValueInfo[] = []
  const outputs: OnnxValueInfo[] = []
  const valueInfo: OnnxValueInfo[] = []
  for (const field of readFields(bytes, where)) {
    switch (field.number) {
      case 1:
        nodes.push(readNode(asBytes(field), `onnx node ${nodes.length}`))
        break
      case 2:
        name = asString(field)
        break
      case 5:
        initializers.push(readTensor(asBytes(field), `onnx initializer ${initializers.length}`))
        break
      case 11:
        inputs.push(readTensorInfo(asBytes(field), `onnx input ${inputs.length}`))
        break
      case 12:
        outputs.push(readTensorInfo(asBytes(field), `onnx output ${outputs.length}`))
        break
      case 13: {
        const value = readValueInfo(asBytes(field), 'onnx value_info')
        if (value !== null) valueInfo.push(value)
        break
      }
      case 15:
        throw unsupported(where, 'a sparse initializer')
    }
  }
  return { name, nodes, initializers, inputs, outputs, ...(valueInfo.length > 0 && { valueInfo }) }
}

function readNode(bytes: Uint8Array, where: string): OnnxNode {
  let opType = ''
  let name: string | undefined
  let domain: string | undefined
  const inputs: string[] = []
  const outputs: string[] = []
  const attributes = new Map<string, OnnxAttribute>()
  for (const field of readFields(bytes, where)) {
    switch (field.number) {
      case 1:
        inputs.push(asString(field))
        break
      case 2:
        outputs.push(asString(field))
        break
      case 3:
        name = asString(field)
        break
      case 4:
        opType = asString(field)
        break
      case 5: {
        const [key, attribute] = readAttribute(asBytes(field), where)
        if (attributes.has(key)) throw wireError(where, `has attribute ${quote(key)} twice`)
        attributes.set(key, attribute)
        break
      }
      case 7:
        domain = asString(field)
        break
    }
  }
  if (opType === '') throw wireError(where, 'has no operator')
  return {
    opType,
    ...(name !== undefined && { name }),
    ...(domain !== undefined && { domain: domain === 'ai.onnx' ? '' : domain }),
    inputs,
    outputs,
    ...(attributes.size > 0 && { attributes: Object.fromEntries(attributes) }),
  }
}

function readAttribute(bytes: Uint8Array, node: string): [name: string, attribute: OnnxAttribute] {
  let name = ''
  let type: number | undefined
  let float = 0
  let int: number | bigint = 0
  let string = ''
  let tensor: OnnxTensor | undefined
  const floats: number[] = []
  const ints: (number | bigint)[] = []
  const strings: string[] = []
  const where = `${node}, attribute`
  for (const field of readFields(bytes, where)) {
    switch (field.number) {
      case 1:
        name = asString(field)
        break
      case 2:
        float = asFloat(field)
        break
      case 3:
        int = exact(asInt64(field))
        break
      case 4:
        string = asString(field)
        break
      case 5:
        tensor = readTensor(asBytes(field), `${where} ${quote(name)}`)
        break
      case 7: {
        const values = view(asFixed(field, 4))
        for (let at = 0; at < values.byteLength; at += 4) floats.push(values.getFloat32(at, true))
        break
      }
      case 8:
        for (const value of asVarints(field)) ints.push(exact(BigInt.asIntN(64, value)))
        break
      case 9:
        strings.push(asString(field))
        break
      case 6:
      case 11:
        throw unsupported(`${where} ${quote(name)}`, 'a subgraph')
      case 20:
        type = asInteger(field)
        break
      case 21:
        throw unsupported(`${where} ${quote(name)}`, "a reference to a function's attribute")
    }
  }
  switch (type) {
    case 1:
      return [name, { kind: 'float', value: float }]
    case 2:
      return [name, { kind: 'int', value: int }]
    case 3:
      return [name, { kind: 'string', value: string }]
    case 4:
      if (tensor === undefined) throw wireError(where, `${quote(name)} holds no tensor`)
      return [name, { kind: 'tensor', value: tensor }]
    case 6:
      return [name, { kind: 'floats', value: floats }]
    case 7:
      return [name, { kind: 'ints', value: ints }]
    case 8:
      return [name, { kind: 'strings', value: strings }]
    default:
      throw unsupported(`${where} ${quote(name)}`, `attribute type ${type ?? 'left out'}`)
  }
}

/** The value as a number where that is exact. */
function exact(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** Reads the type of an input or output, which must be a tensor. */
function readTensorInfo(bytes: Uint8Array, where: string): OnnxValueInfo {
  const value = readValueInfo(bytes, where)
  if (value === null) throw unsupported(where, 'a value that is not a tensor')
  return value
}

/** Reads a ValueInfoProto; null when the value is not a tensor (a sequence, a map, an optional). */
function readValueInfo(bytes: Uint8Array, where: string): OnnxValueInfo | null {
  let name = ''
  let tensorType: Uint8Array | undefined
  for (const field of readFields(bytes, where)) {
    if (field.number === 1) name = asString(field)
    else if (field.number === 2) {
      for (const inner of readFields(asBytes(field), `${where} ${quote(name)}`)) {
        if (inner.number === 1) tensorType = asBytes(inner)
      }
    }
  }
  if (tensorType === undefined) return null
  const place = `${where} ${quote(name)}`
  let code = 0
  let shape: (number | string)[] | null = null
  for (const field of readFields(tensorType, place)) {
    if (field.number === 1) code = asInteger(field)
    else if (field.number === 2) shape = readShape(asBytes(field), place)
  }
  return { name, dtype: dtypeOfCode(code, place), shape }
}

function readShape(bytes: Uint8Array, where: string): (number | string)[] {
  const shape: (number | string)[] = []
  for (const field of readFields(bytes, where)) {
    if (field.number !== 1) continue
    let size: number | string = ''
    for (const inner of readFields(asBytes(field), where)) {
      if (inner.number === 1) {
        size = asInteger(inner)
        if (size < 0) throw wireError(where, `a dimension of ${size}`)
      } else if (inner.number === 2) size = asString(inner)
    }
    shape.push(size)
  }
  return shape
}
