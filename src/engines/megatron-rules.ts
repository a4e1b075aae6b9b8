/** @file Rules of Megatron-LM's `validate_args`, `TransformerConfig` and `parallel_state`, which engines made from it keep. */
import type { Rule } from './types.ts'

export const MEGATRON_RULES: readonly Rule[] = [
  ({ layout: l, decoder: d }) =>
    d.attention.heads % l.tensorParallel === 0
      ? undefined
      : `${d.attention.heads} attention heads do not divide by tensor parallelism ${l.tensorParallel}`,
  ({ layout: l, decoder: { attention: a } }) => {
    if (a.kind !== 'heads') return undefined
    return a.keyValueHeads % l.tensorParallel === 0 || l.tensorParallel % a.keyValueHeads === 0
      ? undefined
      : `${a.keyValueHeads} key-value heads are neither a multiple nor a divisor of tensor parallelism ${l.tensorParallel}`
  },
  ({ layout: { tensorParallel: t }, decoder: d }) => {
    const widths = [
      ...(d.expertLayers.every(Boolean) ? [] : [d.intermediateSize]),
      ...(d.experts === null ? [] : [d.experts.sharedIntermediateSize]),
    ]
    const wrong = widths.find((width) => width % t !== 0)
    return wrong === undefined ? undefined : `an MLP ${wrong} wide does not divide by tensor parallelism ${t}`
  },
  ({ layout: { expertTensorParallel: t }, decoder: { experts } }) => {
    if (t === 1) return undefined
    if (experts === null) return 'expert-tensor parallelism needs a model with experts'
    return experts.intermediateSize % t === 0
      ? undefined
      : `experts ${experts.intermediateSize} wide do not divide by expert-tensor parallelism ${t}`
  },
  ({ layout: l, workload: w }) =>
    l.sequenceParallel && (w.sequenceLength / l.contextParallel) % l.tensorParallel !== 0
      ? `${w.sequenceLength / l.contextParallel} tokens a chip do not divide by tensor parallelism ${l.tensorParallel}, as sequence parallelism needs`
      : undefined,
  ({ layout: l, workload: w }) => {
    if (l.contextParallel === 1) return undefined
    const pieces = l.contextMethod === 'ring' ? 2 * l.contextParallel : l.contextParallel
    return w.sequenceLength % pieces === 0
      ? undefined
      : `a sequence of ${w.sequenceLength} tokens does not divide into ${pieces} pieces for context parallelism ${l.contextParallel}`
  },
  ({ layout: l, decoder: d }) =>
    l.contextParallel > 1 &&
    l.contextMethod === 'all-to-all' &&
    d.attention.heads % (l.contextParallel * l.tensorParallel) !== 0
      ? `all-to-all context parallelism needs heads that divide by ${l.contextParallel} x ${l.tensorParallel}, there are ${d.attention.heads}`
      : undefined,
  ({ layout: l, decoder: d }) => {
    if (l.expertParallel === 1) return undefined
    if (d.experts === null) return 'expert parallelism needs a model with experts'
    return d.experts.count % l.expertParallel === 0
      ? undefined
      : `${d.experts.count} experts do not divide by expert parallelism ${l.expertParallel}`
  },
  ({ layout: l, chips }) => {
    const grid = l.expertTensorParallel * l.expertParallel * l.pipelineParallel
    return chips % grid === 0
      ? undefined
      : `${chips} chips do not divide by expert-tensor ${l.expertTensorParallel} x expert ${l.expertParallel} x pipeline ${l.pipelineParallel}`
  },
]
