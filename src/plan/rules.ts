/** @file What engines demand of a layout, so that what is planned can be launched. */
import type { Decoder } from '../model/index.ts'
import type { Engine, Layout, Workload } from '../simulate/index.ts'

/** What a rule sees. */
interface Case {
  readonly layout: Layout
  readonly decoder: Decoder
  readonly workload: Workload
  readonly chips: number
  readonly engine: Engine
}

/** Says what is wrong, with the numbers and what would do; undefined when nothing is. */
type Rule = (c: Case) => string | undefined

/**
 * Rules of Megatron-LM's `validate_args`, `TransformerConfig` and `parallel_state` at commit d98e8a64, which
 * MindSpeed-LLM (commit c77308a1) keeps and adds to; and of torch's FSDP2.
 */
const RULES: readonly Rule[] = [
  ({ layout: l, chips }) => {
    const product = l.tensorParallel * l.contextParallel * l.pipelineParallel * l.dataParallel
    return product === chips
      ? undefined
      : `tensor ${l.tensorParallel} x context ${l.contextParallel} x pipeline ${l.pipelineParallel} x data ${l.dataParallel} is ${product} chips, not ${chips}`
  },
  ({ layout: l, workload: w }) =>
    w.globalBatch % (l.microBatch * l.dataParallel) === 0
      ? undefined
      : `a batch of ${w.globalBatch} sequences does not divide into micro-batches of ${l.microBatch} on ${l.dataParallel} data-parallel replicas`,
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
  ({ layout: l }) =>
    l.sequenceParallel && l.tensorParallel === 1
      ? 'sequence parallelism needs tensor parallelism above 1'
      : undefined,
  ({ layout: l, decoder: d }) =>
    l.pipelineParallel * l.virtualPipeline <= d.layers
      ? undefined
      : `${d.layers} layers are too few for ${l.pipelineParallel} stages of ${l.virtualPipeline} chunks`,
  ({ layout: l, decoder: d }) => {
    if (l.stageLayers === undefined) return undefined
    const total = l.stageLayers.reduce((sum, n) => sum + n, 0)
    if (l.stageLayers.length !== l.pipelineParallel)
      return `${l.stageLayers.length} stages are described, but pipeline parallelism is ${l.pipelineParallel}`
    if (total !== d.layers) return `stages of ${l.stageLayers.join('+')} layers are ${total}, not ${d.layers}`
    return l.stageLayers.every((n) => Number.isInteger(n) && n > 0) ? undefined : 'every stage needs a layer'
  },
  ({ layout: l, decoder: d }) =>
    l.virtualPipeline > 1 && d.layers % (l.pipelineParallel * l.virtualPipeline) !== 0
      ? `${d.layers} layers do not divide into ${l.pipelineParallel} stages of ${l.virtualPipeline} chunks`
      : undefined,
  ({ layout: l }) =>
    l.virtualPipeline > 1 && l.pipelineParallel < 2
      ? 'several chunks a stage need pipeline parallelism above 1'
      : undefined,
  ({ layout: l, workload: w }) => {
    const micro = w.globalBatch / (l.microBatch * l.dataParallel)
    return l.virtualPipeline > 1 && micro % l.pipelineParallel !== 0
      ? `interleaving needs micro-batches in multiples of ${l.pipelineParallel} stages, there are ${micro}`
      : undefined
  },
  ({ layout: l }) =>
    (l.schedule === 'interleaved') === l.virtualPipeline > 1
      ? undefined
      : `${l.virtualPipeline} chunk${l.virtualPipeline === 1 ? '' : 's'} a stage do not go with the schedule ${l.schedule}`,
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
  ({ layout: l, workload: w, decoder: d }) => {
    if (l.schedule !== 'dualpipe') return undefined
    const micro = w.globalBatch / (l.microBatch * l.dataParallel)
    if (l.pipelineParallel < 2) return 'the schedule dualpipe needs pipeline parallelism above 1'
    if (d.layers < 2 * l.pipelineParallel)
      return `the schedule dualpipe needs 2 x ${l.pipelineParallel} layers, there are ${d.layers}`
    if (d.tiedEmbeddings) return 'the schedule dualpipe needs untied embeddings'
    if (l.contextParallel > 1) return 'the schedule dualpipe excludes context parallelism'
    return micro > 2 * l.pipelineParallel - 1
      ? undefined
      : `the schedule dualpipe needs at least ${2 * l.pipelineParallel} micro-batches, there are ${micro}`
  },
  ({ layout: l }) =>
    l.zeroStage >= 2 && l.pipelineParallel > 1
      ? `ZeRO stage ${l.zeroStage} with pipeline parallelism gathers weights or scatters gradients for every micro-batch, and no engine here runs it`
      : undefined,
  ({ layout: l }) => {
    if (l.shardGroup === undefined) return undefined
    const replicas = l.dataParallel * l.contextParallel
    return replicas % l.shardGroup === 0
      ? undefined
      : `${replicas} replicas do not divide into groups of ${l.shardGroup} that share`
  },
]

/** Everything that keeps an engine from running a layout; nothing where it can be launched. */
export function violations(layout: Layout, workload: Workload, chips: number, engine: Engine): string[] {
  const c: Case = { layout, workload, chips, engine, decoder: workload.decoder }
  return RULES.flatMap((rule) => rule(c) ?? [])
}
