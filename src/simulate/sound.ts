/** @file What nothing can be predicted of: numbers that are none, or larger than any run. Asked at the entrances alone. */
import { type Issue, RegaugeError } from '../errors.ts'
import type { Experts } from '../model/index.ts'
import { SCHEDULE_NAMES } from './schedules/index.ts'
import { type Layout, type Machine, PRECISIONS, type Precision, RECOMPUTES, type Workload } from './types.ts'

/** The largest that is taken; more is a mistake. */
export const MOST = { chips: 1e7, sequenceLength: 2 ** 24, globalBatch: 2 ** 24, degree: 1e8 } as const

/** Throws one `usage` error that holds all issues, where there are any. */
export function throwUnsound(...issues: readonly (readonly Issue[])[]): void {
  const all = issues.flat()
  if (all.length > 0) throw new RegaugeError('usage', all)
}

/** An integer from `least` to `most`. */
export function countIssues(what: string, value: unknown, most: number, least = 1): Issue[] {
  if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) return []
  return [issueOf(what, value, `give an integer from ${least} to ${most}`)]
}

/** A finite number above 0, or from 0 on. */
export function amountIssues(what: string, value: unknown, zero = false): Issue[] {
  if (Number.isFinite(value) && (Number(value) > 0 || (zero && value === 0))) return []
  return [issueOf(what, value, zero ? 'give a number, 0 or more' : 'give a number above 0')]
}

function choiceIssues(what: string, value: unknown, choices: readonly unknown[]): Issue[] {
  return choices.includes(value) ? [] : [issueOf(what, value, `give one of ${choices.join(', ')}`)]
}

function issueOf(what: string, value: unknown, hint: string): Issue {
  return { code: 'PLAN_VALUE', message: `${what} is ${String(value).slice(0, 60)}`, hint }
}

export function precisionIssues(precision: Precision): Issue[] {
  return choiceIssues('the precision', precision, PRECISIONS)
}

export function workloadIssues({ decoder, sequenceLength, globalBatch, precision }: Workload): Issue[] {
  const { attention, experts, layers, expertLayers, windows } = decoder
  const sizes = (what: string, from: object) =>
    Object.entries(from).flatMap(([name, value]) =>
      // 0 stands for what a model does not have
      typeof value === 'number' ? countIssues(`${what}${name}`, value, Number.MAX_SAFE_INTEGER, 0) : [],
    )
  const each = (what: string, of: readonly unknown[]) =>
    of.length === layers
      ? []
      : [issueOf(`the length of ${what}`, of.length, `give an entry for each of ${layers} layers`)]
  return [
    ...countIssues('the sequence length', sequenceLength, MOST.sequenceLength),
    ...countIssues('the global batch', globalBatch, MOST.globalBatch),
    ...precisionIssues(precision),
    ...sizes('decoder.', decoder),
    ...sizes('decoder.attention.', attention),
    ...(experts === null ? [] : [...sizes('decoder.experts.', experts), ...groupIssues(experts)]),
    ...[decoder.hiddenSize, layers, attention.heads].flatMap((size, i) =>
      size === 0 ? [issueOf(['hiddenSize', 'layers', 'attention.heads'][i]!, 0, 'give 1 or more')] : [],
    ),
    ...each('decoder.expertLayers', expertLayers),
    ...each('decoder.windows', windows),
  ]
}

function groupIssues({ count, groups, activeGroups }: Experts): Issue[] {
  const issues = countIssues('decoder.experts.groups', groups, count)
  if (issues.length > 0) return issues
  return [
    ...(count % groups === 0
      ? []
      : [issueOf('decoder.experts.groups', groups, `give a divisor of ${count} experts`)]),
    ...countIssues('decoder.experts.activeGroups', activeGroups, groups),
  ]
}

export function machineIssues(machine: Machine): Issue[] {
  const { count, links, watts, effectiveWatts } = machine
  return [
    ...chipsIssues(count),
    ...(['flops', 'halfFlops', 'memoryBytes', 'memoryBytesPerSecond'] as const).flatMap((name) =>
      amountIssues(`machine.${name}`, machine[name]),
    ),
    ...(watts === null ? [] : amountIssues('machine.watts', watts)),
    ...(effectiveWatts === null ? [] : amountIssues('machine.effectiveWatts', effectiveWatts)),
    ...links.flatMap(({ size, bytesPerSecond, latency }, i) => [
      ...(size >= 1 ? [] : [issueOf(`machine.links[${i}].size`, size, 'give chips, 1 or more')]),
      ...amountIssues(`machine.links[${i}].bytesPerSecond`, bytesPerSecond),
      ...amountIssues(`machine.links[${i}].latency`, latency, true),
    ]),
    ...(links.length > 0 ? [] : [issueOf('the number of machine.links', 0, 'give one or more')]),
  ]
}

export function chipsIssues(count: number): Issue[] {
  return countIssues('the number of chips', count, MOST.chips)
}

/** Parameters of a layout that count something, and that each layout has. */
export const DEGREES = [
  'tensorParallel',
  'contextParallel',
  'pipelineParallel',
  'virtualPipeline',
  'dataParallel',
  'expertParallel',
  'expertTensorParallel',
  'microBatch',
] as const

/** What is no layout of a decoder of so many layers; whether an engine runs it is not asked. */
export function layoutIssues(layout: Layout, layers: number): Issue[] {
  const { pipelineParallel, stageLayers, shardGroup, recomputeLayers } = layout
  const total = stageLayers?.reduce((sum, size) => sum + size, 0)
  return [
    ...DEGREES.flatMap((name) => countIssues(name, layout[name], MOST.degree)),
    ...(shardGroup === undefined ? [] : countIssues('shardGroup', shardGroup, MOST.degree)),
    ...(recomputeLayers === undefined ? [] : countIssues('recomputeLayers', recomputeLayers, MOST.degree)),
    ...choiceIssues('zeroStage', layout.zeroStage, [0, 1, 2, 3]),
    ...choiceIssues('recompute', layout.recompute, RECOMPUTES),
    ...choiceIssues('schedule', layout.schedule, SCHEDULE_NAMES),
    ...choiceIssues('contextMethod', layout.contextMethod, ['ring', 'all-to-all']),
    ...(pipelineParallel > layers
      ? [issueOf('pipelineParallel', pipelineParallel, `there are ${layers} layers`)]
      : []),
    ...(stageLayers?.flatMap((size, i) => countIssues(`stageLayers[${i}]`, size, layers)) ?? []),
    ...(stageLayers !== undefined && stageLayers.length !== pipelineParallel
      ? [issueOf('the length of stageLayers', stageLayers.length, `pipelineParallel is ${pipelineParallel}`)]
      : []),
    ...(total !== undefined && total !== layers
      ? [issueOf('the sum of stageLayers', total, `there are ${layers} layers`)]
      : []),
  ]
}
