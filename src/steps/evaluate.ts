/** @file The programs that look at a model without training it: loss over a batch, and logits. */
import { Graph, optimize, reshape } from '../graph/index.ts'
import { type Architecture, parametersOf } from '../model/index.ts'
import { decoderHidden } from './decoder.ts'
import { headOf, logitsOf } from './head.ts'
import { linearCrossEntropy } from './loss.ts'
import { parameterInputs } from './modules.ts'
import { type BatchShape, IDS, type StepProgram } from './train-step.ts'

/**
 * Loss of a batch. Inputs: the parameters, `ids` and `labels` (microBatch, sequenceLength) int32, `loss_scale`.
 * Output: `loss`, loss_scale times the sum of nats over the labels that are not negative.
 */
export function evaluateStep(a: Architecture, shape: BatchShape): StepProgram {
  const graph = new Graph()
  const tensors = parameterInputs(graph, parametersOf(a))
  const dimensions = [shape.microBatch, shape.sequenceLength]
  const ids = graph.input('ids', { dtype: IDS, shape: dimensions })
  const labels = graph.input('labels', { dtype: IDS, shape: dimensions })
  const scale = graph.input('loss_scale', { dtype: 'float32', shape: [] })
  const hidden = decoderHidden(a, tensors, ids)
  const rows = reshape(labels, [shape.microBatch * shape.sequenceLength])
  const { weight, cap } = headOf(a, tensors)
  graph.output('loss', linearCrossEntropy(hidden, weight, rows, scale, { gradient: false, cap }))
  return { name: 'evaluate', graph: optimize(graph), state: [] }
}

/** Logits (microBatch, sequenceLength, V) of `ids`: the plain forward pass, for checking and for other programs. */
export function logitsStep(a: Architecture, shape: BatchShape): StepProgram {
  const graph = new Graph()
  const tensors = parameterInputs(graph, parametersOf(a))
  const ids = graph.input('ids', { dtype: IDS, shape: [shape.microBatch, shape.sequenceLength] })
  const logits = logitsOf(decoderHidden(a, tensors, ids), headOf(a, tensors))
  graph.output('logits', reshape(logits, [shape.microBatch, shape.sequenceLength, a.vocabularySize]))
  return { name: 'logits', graph: optimize(graph), state: [] }
}
