/** @file Models that a runtime writes for itself, to copy, to measure and to ask. */
import { encodeOnnx } from '../formats/index.ts'
import { OPSET } from '../graph/index.ts'

type Graph = Parameters<typeof encodeOnnx>[0]['graph']

/** A model without weights, as ONNX. */
export function ownModel(graph: Omit<Graph, 'initializers'>): Uint8Array {
  return encodeOnnx({
    irVersion: 8,
    opset: OPSET,
    producerName: 'regauge',
    producerVersion: '',
    graph: { ...graph, initializers: [] },
  })
}
