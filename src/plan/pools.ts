/**
 * @file One run on pools of different chips, joined by a slower network.
 *
 * Three ways are compared. Alone: the best layout of each pool, exactly. Replicas: each pool trains its own part of every
 * batch by the best layout for it, and gradients are exchanged between the pools; parts are multiples of a 32nd of the
 * batch, and all that could be the best of these are tried. Pipeline: the first stages on one pool, the last on another.
 * Only two pools at a time take part in the latter two.
 */
import { type Issue, RegaugeError } from '../errors.ts'
import { decoderParameters } from '../model/index.ts'
import { amountIssues, machineIssues, workloadIssues } from '../simulate/index.ts'
import { stepDays } from './cost.ts'
import { pipeline, sidesOf } from './joint.ts'
import { bestLayout } from './plan.ts'
import type {
  PlannedLayout,
  PlanRequest,
  Pool,
  PoolPart,
  PoolsPlan,
  PoolsRequest,
  PoolsResult,
} from './types.ts'
import { secondsText } from './words.ts'

/** Most parts that a batch is divided into between pools. */
const PARTS = 32

/** Plans a run on one pool or on two of them, whichever way takes the least time. */
export function planPools(request: PoolsRequest): PoolsResult {
  check(request)
  const plans: PoolsPlan[] = []
  const impossible: string[] = []
  const note = (way: string, plan: PoolsPlan | undefined, problem: string) => {
    if (plan === undefined) impossible.push(`${way}: ${problem}`)
    else plans.push(plan)
  }
  const pools = request.pools
  const sides = pools.length < 2 ? [] : pools.map((pool) => sidesOf(request, pool))
  for (const pool of pools) note(`${pool.name} alone`, alone(request, pool), 'no layout fits')
  for (let i = 0; i < pools.length; i++) {
    for (let j = i + 1; j < pools.length; j++) {
      const [a, b] = [pools[i]!, pools[j]!]
      note(
        `replicas on ${a.name} and ${b.name}`,
        replicas(request, a, b),
        'the model does not fit on one of them',
      )
      for (const [front, back] of [
        [i, j],
        [j, i],
      ] as const)
        note(
          `a pipeline from ${pools[front]!.name} to ${pools[back]!.name}`,
          pipeline(request, sides[front]!, sides[back]!),
          'no layout fits',
        )
    }
  }
  plans.sort((a, b) => a.seconds - b.seconds)
  return { best: plans[0], plans, impossible }
}

function check({ workload, pools, link, tokens }: PoolsRequest): void {
  const issues: Issue[] = [
    ...workloadIssues(workload),
    ...(tokens === undefined ? [] : amountIssues('the number of tokens of the run', tokens)),
    ...pools.flatMap(({ name, machine }) =>
      machineIssues(machine).map((issue) => ({ ...issue, message: `${name}: ${issue.message}` })),
    ),
  ]
  if (pools.length === 0)
    issues.push({ code: 'FLEET_POOLS', message: 'no pool of chips', hint: 'give at least one' })
  const names = pools.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined)
    issues.push({
      code: 'FLEET_POOLS',
      message: `two pools are named ${twice}`,
      hint: 'name each differently',
    })
  if (!(Number.isFinite(link.bytesPerSecond) && link.bytesPerSecond > 0))
    issues.push({
      code: 'FLEET_LINK',
      message: `the bandwidth between pools is ${link.bytesPerSecond} bytes/s`,
      hint: 'give a number above 0',
    })
  if (!(Number.isFinite(link.latency) && link.latency >= 0))
    issues.push({
      code: 'FLEET_LINK',
      message: `the latency between pools is ${link.latency} s`,
      hint: 'give seconds from 0 on',
    })
  if (issues.length > 0) throw new RegaugeError('usage', issues)
}

function planned(
  { workload }: PoolsRequest,
  { machine, engine, constants }: Pool,
  batch: number,
  maximumSeconds?: number,
): PlannedLayout | undefined {
  const request: PlanRequest = {
    workload: { ...workload, globalBatch: batch },
    machine,
    engine,
    ...(constants === undefined ? {} : { constants }),
    ...(maximumSeconds === undefined ? {} : { maximumSeconds }),
  }
  return bestLayout(request)
}

function partOf(
  { workload }: PoolsRequest,
  pool: Pool,
  batch: number,
  { layout, chips, seconds }: PlannedLayout,
): PoolPart {
  return { pool: pool.name, layout, chips, batch, layers: workload.decoder.layers, seconds }
}

function alone(request: PoolsRequest, pool: Pool): PoolsPlan | undefined {
  const batch = request.workload.globalBatch
  const best = pool.alone ?? planned(request, pool, batch)
  if (best === undefined) return undefined
  return {
    way: 'alone',
    seconds: best.seconds,
    crossing: 0,
    parts: [partOf(request, pool, batch, best)],
    days: stepDays(request, best.seconds),
    why: `${pool.name} alone takes ${secondsText(best.seconds)} a step; nothing crosses between pools`,
  }
}

/** Replicas on both pools: each trains the part of the batch that lets both end together, as nearly as parts allow. */
function replicas(request: PoolsRequest, a: Pool, b: Pool): PoolsPlan | undefined {
  const { workload, link } = request
  const batch = workload.globalBatch
  const { total, predictionLayers } = decoderParameters(workload.decoder)
  const bytes =
    (total + predictionLayers) * Math.max(a.engine.behaviour.gradientBytes, b.engine.behaviour.gradientBytes)
  // one pool's sums go to the other, which adds its own and sends them back: each way once, one after the other
  const crossing = (2 * bytes) / link.bytesPerSecond + 2 * link.latency
  const quantum = Math.max(1, Math.ceil(batch / PARTS))
  const parts = Array.from({ length: Math.ceil(batch / quantum) - 1 }, (_, i) => (i + 1) * quantum)
  let best: PoolsPlan | undefined
  const tried = new Set<number>()
  /** Seconds of each pool for its part; where one alone takes longer than the best, the other is not planned. */
  const attempt = (part: number, limited: boolean): { x?: number; y?: number } => {
    tried.add(part)
    const most = limited && best !== undefined ? best.seconds - crossing : undefined
    if (most !== undefined && most <= 0) return {}
    const x = planned(request, a, part, most)
    if (x === undefined && limited) return {}
    const y = planned(request, b, batch - part, most)
    if (x === undefined || y === undefined) {
      return { ...(x !== undefined && { x: x.seconds }), ...(y !== undefined && { y: y.seconds }) }
    }
    const seconds = Math.max(x.seconds, y.seconds) + crossing
    if (best === undefined || seconds < best.seconds) {
      const waits = Math.abs(x.seconds - y.seconds)
      best = {
        way: 'replicas',
        seconds,
        crossing,
        parts: [partOf(request, a, part, x), partOf(request, b, batch - part, y)],
        days: stepDays(request, seconds),
        why: `${a.name} trains ${part} of ${batch} sequences in ${secondsText(x.seconds)}, ${b.name} the others in ${secondsText(y.seconds)}: one waits ${secondsText(waits)} for the other, and exchanging ${(bytes / 1e9).toFixed(0)} GB of gradients there and back takes ${secondsText(crossing)}`,
      }
    }
    return { x: x.seconds, y: y.seconds }
  }
  if (parts.length === 0) return undefined
  // a larger part takes its pool no less time: search towards where both end together, as if time were linear in the part
  let [low, high] = [0, parts.length - 1]
  let guess = (a.alone && b.alone && together(batch, a.alone.seconds, b.alone.seconds)) ?? batch / 2
  while (low < high) {
    const at = Math.min(high - 1, Math.max(low, Math.round(guess / quantum) - 1))
    const part = parts[at]!
    const { x, y } = attempt(part, false)
    if (x !== undefined && (y === undefined || x >= y)) high = at
    else low = at + 1
    guess =
      x === undefined || y === undefined
        ? ((low + high + 1) / 2) * quantum
        : together(batch, (x / part) * batch, (y / (batch - part)) * batch)
  }
  for (const i of [low, low - 1, low + 1, low - 2]) {
    if (parts[i] !== undefined && !tried.has(parts[i])) attempt(parts[i], true)
  }
  return best
}

/** The part of a batch at which both pools end together, by the seconds that each takes for the whole batch. */
function together(batch: number, x: number, y: number): number {
  return (batch * y) / (x + y)
}
