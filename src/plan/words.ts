/** @file Numbers and names of a plan in the words of a report. */
import type { Layout, MemoryTerms, TimeTerms } from '../simulate/index.ts'
import { gibibytes } from '../words.ts'
import type { Aspect, MemoryShortage, TermDifference } from './types.ts'

const ASPECTS: Readonly<Record<Aspect, string>> = {
  tensorParallel: 'tensor parallelism',
  sequenceParallel: 'sequence parallelism',
  contextParallel: 'context parallelism',
  pipelineParallel: 'pipeline parallelism',
  virtualPipeline: 'chunks a stage',
  expertParallel: 'expert parallelism',
  expertTensorParallel: 'expert-tensor parallelism',
  zeroStage: 'ZeRO stage',
  microBatch: 'micro-batches of',
  recompute: 'recompute',
  offloadOptimizer: 'optimizer with the host',
  schedule: 'schedule',
}

const TIMES: Readonly<Record<keyof TimeTerms, string>> = {
  compute: 'compute',
  recompute: 'recomputation',
  tensorCommunication: 'tensor communication',
  contextCommunication: 'context communication',
  expertCommunication: 'expert communication',
  pipelineCommunication: 'sends between stages',
  pipelineBubble: 'the bubble of the pipeline',
  dataCommunication: 'gradients and weights of replicas',
  optimizer: 'the optimizer',
  overhead: 'waiting for each other',
}

const MEMORY: Readonly<Record<keyof MemoryTerms, string>> = {
  weights: 'weights',
  gradients: 'gradients',
  optimizer: 'optimizer',
  activations: 'activations',
  logits: 'logits',
  transient: 'transient',
  communication: 'communication',
  reserve: 'reserve',
}

export function aspectText(aspect: Aspect, value: Layout[Aspect]): string {
  if (typeof value === 'boolean') return `${value ? 'with' : 'without'} ${ASPECTS[aspect]}`
  return `${ASPECTS[aspect]} ${value}`
}

export function shortageText({ over, stage, term, termBytes }: MemoryShortage): string {
  return `${gibibytes(over)} GiB over on stage ${stage}: ${MEMORY[term]} ${gibibytes(termBytes)} GiB`
}

export function secondsText(seconds: number): string {
  return seconds >= 100 ? `${seconds.toFixed(0)} s` : `${seconds.toPrecision(3)} s`
}

/** The terms that make most of a difference. */
export function lostText(lost: readonly TermDifference[]): string {
  return lost
    .slice(0, 2)
    .map(({ term, seconds }) => `${secondsText(seconds)} more in ${TIMES[term]}`)
    .join(', ')
}

export function termText({ term, seconds }: TermDifference): string {
  return `${TIMES[term]}: ${secondsText(Math.abs(seconds))} ${seconds > 0 ? 'more' : 'less'}`
}
