/** @file What can be wrong with a request, all of it at once. */
import { type Issue, RegaugeError } from '../errors.ts'
import { abilitiesOf } from './abilities.ts'
import { type Space, spaceOf } from './space.ts'
import { type Aspect, OBJECTIVES, type PlanRequest } from './types.ts'

/** The space of a request. Throws a `usage` error where the request cannot be planned at all. */
export function checkedSpace(request: PlanRequest): Space {
  const { workload, machine, fixed = {}, top, tokens, pricePerChipHour, maximumSeconds, objective } = request
  const issues: Issue[] = []
  const count = (name: string, value: number | undefined, most: number) => {
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return
    issues.push({
      code: 'PLAN_COUNT',
      message: `${name} is ${value}`,
      hint: `give an integer from 1 to ${most}`,
    })
  }
  const positive = (name: string, value: number | undefined) => {
    if (value === undefined || (Number.isFinite(value) && value > 0)) return
    issues.push({ code: 'PLAN_VALUE', message: `${name} is ${value}`, hint: 'give a number above 0' })
  }
  count('the number of chips', machine.count, 1e7)
  count('the global batch', workload.globalBatch, 2 ** 24)
  count('the sequence length', workload.sequenceLength, 2 ** 24)
  count('the number of layouts to answer', top, 1000)
  positive('the tokens of the run', tokens)
  positive('the price of a chip-hour', pricePerChipHour)
  positive('the longest step', maximumSeconds)
  if (objective !== undefined && !OBJECTIVES.includes(objective)) {
    issues.push({
      code: 'PLAN_VALUE',
      message: `the objective is ${objective}`,
      hint: `give one of ${OBJECTIVES.join(', ')}`,
    })
  }
  for (const [name, value] of Object.entries(fixed)) {
    if (typeof value === 'number' && name !== 'zeroStage') count(name, value, 1e7)
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

/** Parameters whose fixed values leave nothing, as text. */
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
  const { schedules, zeroStages } = abilitiesOf(engine)
  return `leave it open; this engine runs ${schedules.join(', ')} and ZeRO stages ${zeroStages.join(', ')}`
}

function nearestDivisors(whole: number, value: number): string {
  let below = Math.min(value, whole)
  while (whole % below !== 0) below--
  let above = value
  while (above < whole && whole % above !== 0) above++
  return above <= whole && whole % above === 0 ? `${below} and ${above}` : `${below}`
}
