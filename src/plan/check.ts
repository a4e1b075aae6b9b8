/** @file Checks a request for a plan; every problem is told at once. */

import { type Issue, RegaugeError } from '../errors.ts'
import { amountIssues, countIssues, MOST, machineIssues, workloadIssues } from '../simulate/index.ts'
import { type Space, spaceOf } from './space.ts'
import { type Aspect, OBJECTIVES, type PlanRequest } from './types.ts'

/** Most layers of a model that is planned for: the ways to cut them into stages grow with their square. */
export const MOST_LAYERS = 512
/** Most layouts that an answer may list. */
export const MOST_LAYOUTS = 1000

/** The space of a request. Throws a `usage` error where the request cannot be planned at all. */
export function checkedSpace(request: PlanRequest): Space {
  const { workload, machine, fixed = {}, top, tokens, pricePerChipHour, maximumSeconds, objective } = request
  const given = (value: number | undefined, check: (value: number) => Issue[]) =>
    value === undefined ? [] : check(value)
  const { layers } = workload.decoder
  const issues: Issue[] = [
    ...machineIssues(machine),
    ...workloadIssues(workload),
    ...countIssues('the number of layers to plan for', layers, MOST_LAYERS),
    ...given(top, (n) => countIssues('the number of layouts to answer', n, MOST_LAYOUTS)),
    ...given(tokens, (n) => amountIssues('the number of tokens of the run', n)),
    ...given(pricePerChipHour, (n) => amountIssues('the price of a chip-hour', n)),
    ...given(maximumSeconds, (n) => amountIssues('the longest step', n)),
  ]
  if (objective !== undefined && !OBJECTIVES.includes(objective)) {
    issues.push({
      code: 'PLAN_VALUE',
      message: `the objective is ${objective}`,
      hint: `give one of ${OBJECTIVES.join(', ')}`,
    })
  }
  for (const [name, value] of Object.entries(fixed)) {
    if (typeof value === 'number' && name !== 'zeroStage')
      issues.push(...countIssues(name, value, MOST.chips))
  }
  const { decoder, globalBatch } = workload
  const divides = (name: Aspect | 'dataParallel', whole: number, what: string) => {
    const value = fixed[name]
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || whole % value === 0) return
    issues.push({
      code: 'PLAN_DIVISION',
      message: `${name} ${value} does not divide ${what}, ${whole}`,
      hint: `${nearestDivisors(whole, value)} do`,
    })
  }
  divides('tensorParallel', decoder.attention.heads, 'the attention heads')
  divides('dataParallel', globalBatch, 'the global batch')
  divides('microBatch', globalBatch, 'the global batch')
  if (decoder.experts !== null) divides('expertParallel', decoder.experts.count, 'the experts')
  if (issues.length > 0) throw new RegaugeError('usage', issues)

  const space = spaceOf(request)
  const lacks = emptyParts(space)
  if (lacks.length > 0) {
    throw new RegaugeError(
      'usage',
      lacks.map((part) => ({
        code: 'PLAN_NO_LAYOUT',
        message: `no layout has ${part} on ${machine.count} chips with ${request.engine.name}`,
        hint: abilitiesHint(request),
      })),
    )
  }
  return space
}

/** Fixed parameters that leave no layout, as text. */
function emptyParts(space: Space): string[] {
  const { fixed = {} } = space.request
  const named = (names: readonly string[]) =>
    names
      .filter((name) => (fixed as Record<string, unknown>)[name] !== undefined)
      .map((name) => `${name} ${(fixed as Record<string, unknown>)[name]}`)
      .join(' with ')
  const parts: string[] = []
  if (space.shares.length === 0)
    parts.push(
      named([
        'tensorParallel',
        'sequenceParallel',
        'contextParallel',
        'contextMethod',
        'expertParallel',
        'expertTensorParallel',
      ]),
    )
  if (space.pipelines.length === 0) parts.push(named(['pipelineParallel']))
  else if (space.pipelines.every((p) => space.splits(p).length === 0))
    parts.push(named(['pipelineParallel', 'schedule', 'virtualPipeline']))
  else if (
    space.pipelines.every((p) => space.splits(p).every((s) => s.recomputes.length + s.selective.length === 0))
  )
    parts.push(named(['recompute', 'recomputeLayers']))
  if (space.pipelines.length > 0 && space.pipelines.every((p) => space.sharings(p).length === 0))
    parts.push(named(['zeroStage', 'offloadOptimizer', 'pipelineParallel']))
  if (space.microBatches.every((n) => space.replicas(n).length === 0))
    parts.push(named(['microBatch', 'dataParallel']))
  return parts
}

function abilitiesHint({ engine }: PlanRequest): string {
  const { schedules, zeroStages } = engine.abilities
  return `leave it open; this engine runs ${schedules.join(', ')} and ZeRO stages ${zeroStages.join(', ')}`
}

function nearestDivisors(whole: number, value: number): string {
  let below = Math.min(value, whole)
  while (whole % below !== 0) below--
  let above = value
  while (above < whole && whole % above !== 0) above++
  return above <= whole && whole % above === 0 ? `${below} and ${above}` : `${below}`
}
