/**
 * @file One run on pools of different chips, joined by a slower network.
 *
 * Three ways are compared. Alone: the best layout of each pool, exactly. Replicas: each pool trains its own part of every
 * batch by the best layout for it, and gradients are exchanged between the pools; parts are multiples of a 32nd of the
 * batch, searched as if a larger one took its pool no less, which parts that divide less well can break. Pipeline: the first stages on one pool, the last on another,
 * over the coarse space of either (one data-parallel degree for both, 1F1B, even stages within a pool, experts within it,
 * ZeRO 1, no context parallelism, micro-batches of 8 at most, more than a quarter of each pool). Only two pools at a time take part in the latter two.
 */
import { type Issue, RegaugeError } from '../errors.ts'
import { decoderParameters } from '../model/index.ts'
import {
  type Constants,
  createSimulator,
  dataSeconds,
  type Engine,
  hopSeconds,
  type Layout,
  type Machine,
  optimizerSeconds,
  type PassSeconds,
  type PassTimes,
  pipelineSeconds,
  type Simulator,
  type TransferTimes,
  type Workload,
} from '../simulate/index.ts'
import { planLayouts } from './plan.ts'
import { chipsOf, divisorsOf, evenStages, spaceOf } from './space.ts'
import type { PlannedLayout, PlanRequest } from './types.ts'
import { secondsText } from './words.ts'

/** Chips of one kind in one place. */
export interface Pool {
  readonly name: string
  readonly machine: Machine
  readonly engine: Engine
  readonly constants?: Constants
}

/** The network between pools: bytes/s out of a pool, all its chips together, each way. */
export interface PoolLink {
  readonly bytesPerSecond: number
  readonly latency: number
}

export interface FleetRequest {
  readonly workload: Workload
  readonly pools: readonly Pool[]
  readonly link: PoolLink
  /** Makes days of it. */
  readonly tokens?: number
}

/** What one pool does of a step. */
export interface PoolPart {
  readonly pool: string
  readonly layout: Layout
  readonly chips: number
  /** Sequences of a batch that it trains. */
  readonly batch: number
  /** Layers that it holds. */
  readonly layers: number
  /** Seconds that it is at work or waits within itself. */
  readonly seconds: number
}

export interface FleetPlan {
  readonly way: 'alone' | 'replicas' | 'pipeline'
  /** Seconds of a step. */
  readonly seconds: number
  /** Of these, what crosses between pools and is waited for. */
  readonly crossing: number
  readonly parts: readonly PoolPart[]
  readonly days: number | null
  readonly why: string
}

export interface FleetResult {
  readonly best: FleetPlan | undefined
  /** The best of each way and pools, least seconds first. */
  readonly plans: readonly FleetPlan[]
  /** Ways that are not possible, with the reason. */
  readonly impossible: readonly string[]
}

/** Parts that a batch is divided into between pools, at most. */
const PARTS = 32

/** Pipelines over two pools are worked out where they could take at most so many times what the best pool takes alone. */
const WORTH = 1.25

/** Plans a run on all pools, or on one of them where the others would hold it up. */
export function planFleet(request: FleetRequest): FleetResult {
  check(request)
  const plans: FleetPlan[] = []
  const impossible: string[] = []
  const note = (way: string, plan: FleetPlan | undefined, problem: string) => {
    if (plan === undefined) impossible.push(`${way}: ${problem}`)
    else plans.push(plan)
  }
  const pools = request.pools
  for (const pool of pools) note(`${pool.name} alone`, alone(request, pool), 'no layout fits')
  const limit = WORTH * Math.min(...plans.map(({ seconds }) => seconds), Number.POSITIVE_INFINITY)
  for (let i = 0; i < pools.length; i++) {
    for (let j = i + 1; j < pools.length; j++) {
      const [a, b] = [pools[i]!, pools[j]!]
      note(
        `replicas on ${a.name} and ${b.name}`,
        replicas(request, a, b),
        'the model does not fit on one of them',
      )
      for (const [front, back] of [
        [a, b],
        [b, a],
      ] as const)
        note(
          `a pipeline from ${front.name} to ${back.name}`,
          pipeline(request, front, back, limit),
          limit === Number.POSITIVE_INFINITY ? 'no layout fits' : `none ends within ${secondsText(limit)}`,
        )
    }
  }
  plans.sort((a, b) => a.seconds - b.seconds)
  return { best: plans[0], plans, impossible }
}

function check({ pools, link }: FleetRequest): void {
  const issues: Issue[] = []
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
  { workload }: FleetRequest,
  { machine, engine, constants }: Pool,
  batch: number,
): PlannedLayout | undefined {
  const request: PlanRequest = {
    workload: { ...workload, globalBatch: batch },
    machine,
    engine,
    ...(constants === undefined ? {} : { constants }),
    top: 1,
    reasons: false,
  }
  return planLayouts(request).best[0]
}

function partOf(
  { workload }: FleetRequest,
  pool: Pool,
  batch: number,
  { layout, chips, seconds }: PlannedLayout,
): PoolPart {
  return { pool: pool.name, layout, chips, batch, layers: workload.decoder.layers, seconds }
}

function daysOf({ tokens, workload }: FleetRequest, seconds: number): number | null {
  if (tokens === undefined) return null
  return (tokens / (workload.globalBatch * workload.sequenceLength)) * (seconds / 86_400)
}

function alone(request: FleetRequest, pool: Pool): FleetPlan | undefined {
  const batch = request.workload.globalBatch
  const best = planned(request, pool, batch)
  if (best === undefined) return undefined
  return {
    way: 'alone',
    seconds: best.seconds,
    crossing: 0,
    parts: [partOf(request, pool, batch, best)],
    days: daysOf(request, best.seconds),
    why: `${pool.name} alone takes ${secondsText(best.seconds)} a step; nothing crosses between pools`,
  }
}

/** Each pool a part of the batch, so that they end together as nearly as parts allow. */
function replicas(request: FleetRequest, a: Pool, b: Pool): FleetPlan | undefined {
  const { workload, link } = request
  const batch = workload.globalBatch
  const { total, predictionLayers } = decoderParameters(workload.decoder)
  const bytes = (total + predictionLayers) * Math.max(a.engine.gradientBytes, b.engine.gradientBytes)
  // one pool's sums go to the other, which adds its own and sends them back: each way once, one after the other
  const crossing = (2 * bytes) / link.bytesPerSecond + 2 * link.latency
  const quantum = Math.max(1, Math.ceil(batch / PARTS))
  const cache = new Map<string, PlannedLayout | undefined>()
  const at = (pool: Pool, part: number) => {
    const key = `${pool.name} ${part}`
    if (!cache.has(key)) cache.set(key, planned(request, pool, part))
    return cache.get(key)
  }
  let best: FleetPlan | undefined
  const attempt = (part: number) => {
    const [x, y] = [at(a, part), at(b, batch - part)]
    if (x === undefined || y === undefined) return { x: x?.seconds, y: y?.seconds }
    const seconds = Math.max(x.seconds, y.seconds) + crossing
    if (best === undefined || seconds < best.seconds) {
      const waits = Math.abs(x.seconds - y.seconds)
      best = {
        way: 'replicas',
        seconds,
        crossing,
        parts: [partOf(request, a, part, x), partOf(request, b, batch - part, y)],
        days: daysOf(request, seconds),
        why: `${a.name} trains ${part} of ${batch} sequences in ${secondsText(x.seconds)}, ${b.name} the others in ${secondsText(y.seconds)}: one waits ${secondsText(waits)} for the other, and exchanging ${(bytes / 1e9).toFixed(0)} GB of gradients there and back takes ${secondsText(crossing)}`,
      }
    }
    return { x: x.seconds, y: y.seconds }
  }
  // where both end together, and around it: how a part divides matters as well
  const parts = Array.from({ length: Math.ceil(batch / quantum) - 1 }, (_, i) => (i + 1) * quantum)
  if (parts.length === 0) return undefined
  let [low, high] = [0, parts.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    const { x, y } = attempt(parts[middle]!)
    if (x !== undefined && (y === undefined || x >= y)) high = middle
    else low = middle + 1
  }
  for (const i of [low - 2, low - 1, low, low + 1]) if (parts[i] !== undefined) attempt(parts[i]!)
  return best
}

/** What a pool of a pipeline may be: its stages, and how a layer lies on the chips of one. */
interface Side {
  readonly pool: Pool
  readonly simulator: Simulator
  readonly stages: number
  readonly layout: Layout
}

/** The first layers on one pool and the last on another. */
function pipeline(request: FleetRequest, front: Pool, back: Pool, limit: number): FleetPlan | undefined {
  const { workload, link } = request
  const { layers, hiddenSize } = workload.decoder
  const [fronts, backs] = [sidesOf(request, front), sidesOf(request, back)]
  const pairs: {
    readonly first: Side
    readonly last: Side
    readonly n: number
    readonly transfer: number
    readonly bound: number
  }[] = []
  for (const first of fronts) {
    for (const last of backs) {
      const { dataParallel, microBatch } = first.layout
      if (last.layout.dataParallel !== dataParallel || last.layout.microBatch !== microBatch) continue
      if (first.stages + last.stages > layers) continue
      const steps = workload.globalBatch / (microBatch * dataParallel)
      // all replicas send at once, forward and backward each way
      const transfer =
        (dataParallel * microBatch * workload.sequenceLength * hiddenSize * 2) / link.bytesPerSecond +
        link.latency
      const [x, y] = [layerSeconds(first, 0, layers), layerSeconds(last, 0, layers)]
      // n layers on the first pool, the others on the second: slowest stages at least, as a mean
      const balanced = Math.round((layers * y * first.stages) / (y * first.stages + x * last.stages))
      for (const n of new Set([-2, -1, 0, 1, 2].map((more) => balanced + more))) {
        if (n < first.stages || layers - n < last.stages) continue
        const [near, far] = [layerSeconds(first, 0, n), layerSeconds(last, n, layers - n)]
        const slowest = Math.max(near / first.stages, far / last.stages)
        const bound = Math.max((steps - 1) * slowest + near + far, steps * transfer)
        pairs.push({ first, last, n, transfer, bound })
      }
    }
  }
  let best: FleetPlan | undefined
  for (const { first, last, n, transfer, bound } of pairs.sort((x, y) => x.bound - y.bound)) {
    if (bound > (best?.seconds ?? limit)) break
    const plan = joined(request, first, last, n, transfer)
    if (plan !== undefined && (best === undefined || plan.seconds < best.seconds)) best = plan
  }
  return best
}

/** Seconds of a micro-batch in some layers alone, without embedding and head. */
function layerSeconds({ simulator, layout }: Side, from: number, size: number): number {
  const again = layout.recompute === 'full' ? size : 0
  const { forward, backward } = simulator.costs.stage(layout, from, size, again, false, false)
  return forward + backward
}

function sidesOf({ workload }: FleetRequest, pool: Pool): Side[] {
  const { machine, engine, constants } = pool
  const simulator = createSimulator(workload, machine, engine, constants)
  const request = { workload, machine, engine }
  const space = spaceOf(request, true)
  const { abilities } = space
  if (!abilities.pipelineParallel || !abilities.unevenStages) return []
  const sides: Side[] = []
  for (const share of space.shares) {
    if (share.contextParallel > 1 || share.sequenceParallel !== share.tensorParallel > 1) continue
    const width = share.tensorParallel
    const grid = share.expertParallel * share.expertTensorParallel
    for (const microBatch of space.microBatches.filter((n) => n <= 8)) {
      for (const stages of space.pipelines) {
        // as many replicas as there are chips for, and half as many: the other pool may have fewer
        for (const dataParallel of divisorsOf(workload.globalBatch / microBatch)) {
          const chips = width * stages * dataParallel
          if (chips > machine.count || chips * 4 <= machine.count || (width * dataParallel) % grid !== 0)
            continue
          for (const recompute of ['none', 'selective', 'full'] as const) {
            const layout: Layout = {
              ...share,
              pipelineParallel: stages,
              virtualPipeline: 1,
              dataParallel,
              zeroStage: 1,
              microBatch,
              recompute,
              offloadOptimizer: false,
              schedule: '1f1b',
            }
            sides.push({ pool, simulator, stages, layout })
          }
        }
      }
    }
  }
  return sides
}

/** A whole pipeline over two pools, of which the first has so many layers; undefined where it does not fit. */
function joined(
  request: FleetRequest,
  first: Side,
  last: Side,
  layers: number,
  transfer: number,
): FleetPlan | undefined {
  const { workload } = request
  const total = workload.decoder.layers
  const stages = first.stages + last.stages
  const stageLayers = [...evenStages(layers, first.stages), ...evenStages(total - layers, last.stages)]
  const steps = workload.globalBatch / (first.layout.microBatch * first.layout.dataParallel)
  const passes: (readonly PassTimes[])[] = []
  const links: TransferTimes[] = []
  let after = 0
  let domains = 0
  let straggling = 0
  let fixed = 0
  let from = 0
  const parts: PoolPart[] = []
  for (const side of [first, last]) {
    const { simulator, layout, pool } = side
    const whole: Layout = { ...layout, pipelineParallel: stages, stageLayers }
    const own = side === first ? [0, first.stages] : [first.stages, stages]
    const held = simulator.memory.stages(whole).slice(own[0], own[1])
    if (held.some(({ peak }) => peak > pool.machine.memoryBytes)) return undefined
    const hop = hopSeconds(simulator.costs, layout)
    let slowest: { pass: PassSeconds; from: number; size: number } | undefined
    let busy = 0
    for (let stage = own[0]!; stage < own[1]!; stage++) {
      const size = stageLayers[stage]!
      const again = layout.recompute === 'full' ? size : 0
      const pass = simulator.costs.stage(layout, from, size, again, stage === 0, stage === stages - 1)
      passes.push([{ forward: pass.forward, backward: pass.backward - pass.weight, weight: pass.weight }])
      const between = stage === first.stages - 1 ? transfer : hop
      if (stage < stages - 1) links.push({ forward: between, backward: between })
      busy = Math.max(busy, steps * (pass.forward + pass.backward))
      if (
        slowest === undefined ||
        pass.forward + pass.backward > slowest.pass.forward + slowest.pass.backward
      )
        slowest = { pass, from, size }
      from += size
    }
    const { pass, from: start, size } = slowest!
    const parameters = simulator.costs.parameters(start, size, start === 0, start + size === total)
    const seconds = pass.forward + pass.backward
    after = Math.max(
      after,
      dataSeconds(simulator.costs, layout, parameters, seconds, steps) +
        optimizerSeconds(simulator.costs, layout, parameters),
    )
    const { rates } = simulator.costs
    domains += Math.max(1, chipsOf(layout) / pool.machine.links[0]!.size)
    straggling = Math.max(straggling, rates.straggling)
    fixed = Math.max(fixed, rates.step)
    parts.push({
      pool: pool.name,
      layout: whole,
      chips: chipsOf(layout),
      batch: workload.globalBatch,
      layers: side === first ? layers : total - layers,
      seconds: busy,
    })
  }
  // a link carries one message at a time each way: it can hold up the stages even where they compute meanwhile
  const ideal =
    Math.max(
      pipelineSeconds({ schedule: '1f1b', microBatches: steps, passes, links, overlapsTransfers: true }),
      steps * transfer,
    ) + after
  const seconds = ideal * (1 + straggling * Math.log2(domains)) + fixed
  return {
    way: 'pipeline',
    seconds,
    crossing: steps * transfer,
    parts,
    days: daysOf(request, seconds),
    why: `${first.pool.name} has the first ${layers} of ${total} layers, ${last.pool.name} the others; activations of ${steps} micro-batches cross in ${secondsText(transfer)} each, beside the passes`,
  }
}
