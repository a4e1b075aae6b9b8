/**
 * @file One pipeline over two pools of different chips, the first layers on one and the last on the other: over the
 * coarse space of either, with one data-parallel degree for both, 1F1B, even stages within a pool, experts within it,
 * ZeRO 1, no context parallelism.
 */
import {
  createSimulator,
  dataSeconds,
  type HeldWeights,
  heldWeights,
  hopSeconds,
  type Layout,
  optimizerSeconds,
  overheadSeconds,
  type PassTimes,
  PLAIN_SCHEDULE,
  pipelineSeconds,
  type Simulator,
  sharesTable,
  stageSeconds,
  type TransferTimes,
} from '../simulate/index.ts'
import { stepDays } from './cost.ts'
import { createPriorityQueue, ROUNDING } from './priority-queue.ts'
import { chipsOf, divisorsOf, evenStages, spaceOf } from './space.ts'
import type { Pool, PoolPart, PoolsPlan, PoolsRequest } from './types.ts'
import { secondsText } from './words.ts'

/** One pool as its side of a pipeline: the number of stages, and how a layer is spread over the chips of one. */
export interface Side {
  readonly pool: Pool
  /** Index among the sides of the pool. */
  readonly place: number
  readonly simulator: Simulator
  readonly stages: number
  readonly layout: Layout
  /** Prefix sums over layers: seconds of a micro-batch in the first n without the ends, both ways, and forward alone. */
  readonly upTo: readonly number[]
  readonly forwardUpTo: readonly number[]
  /** Whether the side fits, by the stages of the whole pipeline and the layers of the side. */
  readonly fitting: Map<number, boolean>
}

/**
 * The best pipeline with its first layers on one pool and its last on another: best-first branch and bound. A pair of sides
 * is bounded by its slowest stage over all divisions of the layers, as a minimum with all pairs after it; a division of a
 * pair by a closer bound. Nothing is evaluated whose bound is above the incumbent.
 */
export function pipeline(
  request: PoolsRequest,
  fronts: readonly Side[],
  backs: readonly Side[],
): PoolsPlan | undefined {
  const { layers } = request.workload.decoder
  const open = createPriorityQueue<Pairs | Joint>()
  const add = (pairs: Pairs) => {
    if (pairs.front < pairs.fronts.sides.length && pairs.back < pairs.backs.sides.length)
      open.push(leastOf(request, pairs), pairs)
  }
  const groups = alikeSides(backs, ({ upTo }, n) => upTo[layers]! - upTo[layers - n]!)
  for (const own of alikeSides(fronts, ({ upTo }, n) => upTo[n]!)) {
    const { layout, stages } = own.sides[0]!
    for (const other of groups) {
      const { layout: behind, stages: more } = other.sides[0]!
      if (layout.dataParallel !== behind.dataParallel || layout.microBatch !== behind.microBatch) continue
      if (stages + more <= layers) add({ fronts: own, backs: other, front: 0, back: 0 })
    }
  }
  const splits = new Map<number, readonly number[]>()
  let best: PoolsPlan | undefined
  let joint: Joint | undefined
  for (;;) {
    const next = open.pop(best?.seconds ?? Number.POSITIVE_INFINITY)
    if (next === undefined) return best
    if ('stageLayers' in next) {
      const plan = joined(request, next)
      const less = plan.seconds - (best?.seconds ?? Number.POSITIVE_INFINITY)
      // ties are broken by a fixed order
      if (less > 0 || (less === 0 && compareJoints(next, joint!) > 0)) continue
      best = plan
      joint = next
      continue
    }
    const { fronts, backs, front, back } = next
    add({ fronts, backs, front, back: back + 1 })
    if (back === 0) add({ fronts, backs, front: front + 1, back })
    for (const joint of jointsOf(request, fronts.sides[front]!, backs.sides[back]!, splits, best?.seconds))
      open.push(joint.bound, joint)
  }
}

/** Sides of one end that are alike, the fastest first. */
interface Group {
  readonly sides: readonly Side[]
  /** Lower bound of the seconds of a number of layers at that end, for each side and all sides after it. */
  readonly least: readonly (readonly number[])[]
}

/** Pairs of sides of two groups, with the indices of the next pair. */
interface Pairs {
  readonly fronts: Group
  readonly backs: Group
  readonly front: number
  readonly back: number
}

/** The order of joints of equal time: by lower bound, then as sides and layers are listed. */
function compareJoints(a: Joint, b: Joint): number {
  return (
    a.bound - b.bound || a.first.place - b.first.place || a.last.place - b.last.place || a.layers - b.layers
  )
}

/**
 * Sides grouped by their micro-batches, in which both sides of a pipeline must agree, and by their stages.
 * @param secondsOf Seconds of a number of layers at an end of the model on a side.
 */
function alikeSides(sides: readonly Side[], secondsOf: (side: Side, layers: number) => number): Group[] {
  const groups = new Map<string, Side[]>()
  for (const side of sides) {
    const key = `${side.layout.dataParallel} ${side.layout.microBatch} ${side.stages}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [side])
    else group.push(side)
  }
  return [...groups.values()].map((group) => {
    group.sort((a, b) => a.upTo.at(-1)! - b.upTo.at(-1)!)
    const least: number[][] = []
    for (let i = group.length - 1; i >= 0; i--) {
      const after = least[i + 1]
      // where layers differ, a side that is slower with all of them may be faster with some
      least[i] = group[i]!.upTo.map((_, n) =>
        Math.min(secondsOf(group[i]!, n), after?.[n] ?? Number.POSITIVE_INFINITY),
      )
    }
    return { sides: group, least }
  })
}

/** Lower bound of the seconds of a pair and of all pairs after it, over all divisions of the layers. */
function leastOf({ workload }: PoolsRequest, { fronts, backs, front, back }: Pairs): number {
  const first = fronts.sides[front]!
  const last = backs.sides[back]!
  const [ahead, behind] = [fronts.least[front]!, backs.least[back]!]
  const { layers } = workload.decoder
  const steps = workload.globalBatch / (first.layout.microBatch * first.layout.dataParallel)
  let least = Number.POSITIVE_INFINITY
  for (let n = first.stages; n <= layers - last.stages; n++) {
    const own = ahead[n]!
    const rest = behind[layers - n]!
    const end = behind[Math.floor((layers - n) / last.stages)]!
    const seconds = Math.max(
      (steps * own) / first.stages,
      (steps * rest) / last.stages,
      own + rest + (steps - 1) * end,
    )
    if (seconds < least) least = seconds
  }
  return least * ROUNDING
}

/** Divisions of the layers between two sides that fit and whose lower bound is below a limit in seconds. */
export function jointsOf(
  { workload, link }: PoolsRequest,
  first: Side,
  last: Side,
  splits: Map<number, readonly number[]>,
  most = Number.POSITIVE_INFINITY,
): Joint[] {
  const { layers, hiddenSize } = workload.decoder
  const { dataParallel, microBatch } = first.layout
  const steps = workload.globalBatch / (microBatch * dataParallel)
  // all replicas send at once, forward and backward each way
  const transfer =
    (dataParallel * microBatch * workload.sequenceLength * hiddenSize * 2) / link.bytesPerSecond +
    link.latency
  const [x, y] = [first.upTo[layers]!, last.upTo[layers]!]
  // n layers on the first pool, the others on the second: a slowest stage takes at least the mean
  const balanced = Math.round((layers * y * first.stages) / (y * first.stages + x * last.stages))
  const joints: Joint[] = []
  for (let n = balanced - 2; n <= balanced + 2; n++) {
    if (n < first.stages || layers - n < last.stages) continue
    const key = (first.stages * 2 ** 16 + last.stages) * 2 ** 16 + n
    let stageLayers = splits.get(key)
    if (stageLayers === undefined) {
      stageLayers = [...evenStages(n, first.stages), ...evenStages(layers - n, last.stages)]
      // the same list for all that have it: memory keeps what it knows of one
      splits.set(key, stageLayers)
    }
    const bound = Math.max(boundOf(first, last, n, stageLayers, steps), steps * transfer)
    if (bound >= most) continue
    if (!fits(first, true, n, stageLayers) || !fits(last, false, n, stageLayers)) continue
    joints.push({ first, last, layers: n, stageLayers, transfer, bound })
  }
  return joints
}

/** Two sides of a pipeline with the layers divided between them. */
interface Joint {
  readonly first: Side
  readonly last: Side
  readonly layers: number
  /** Of each stage, on either. */
  readonly stageLayers: readonly number[]
  /** Seconds of a micro-batch between them. */
  readonly transfer: number
  /** Lower bound of the seconds of a step. */
  readonly bound: number
}

/**
 * Lower bound of the seconds of the passes: one micro-batch goes through all stages and back, and a stage runs the others
 * before or after it. The longest stage of the first pool has at most as many forwards after its first one as there are
 * stages; the last stage has none.
 */
function boundOf(
  first: Side,
  last: Side,
  layers: number,
  stageLayers: readonly number[],
  steps: number,
): number {
  const total = first.upTo.length - 1
  const own = first.upTo[layers]!
  const rest = last.upTo[total]! - last.upTo[layers]!
  const end = last.upTo[total]! - last.upTo[total - stageLayers.at(-1)!]!
  let [from, long] = [0, 0]
  for (let stage = 0, at = 0; stage < first.stages; at += stageLayers[stage++]!)
    if (stageLayers[stage]! > long) [from, long] = [at, stageLayers[stage]!]
  const start = first.upTo[from + long]! - first.upTo[from]!
  const forward = first.forwardUpTo[from + long]! - first.forwardUpTo[from]!
  const ahead = Math.min(stageLayers.length, steps) - 1
  const bound = Math.max(
    (steps * own) / first.stages,
    (steps * rest) / last.stages,
    own + rest + (steps - 1) * start - ahead * forward,
    own + rest + (steps - 1) * end,
  )
  return bound * ROUNDING
}

export function sidesOf({ workload }: PoolsRequest, pool: Pool): Side[] {
  const { machine, engine, constants } = pool
  const simulator = createSimulator(workload, machine, engine.behaviour, constants)
  const { layers } = workload.decoder
  const request = { workload, machine, engine }
  const space = spaceOf(request, true)
  const { abilities } = space
  if (!abilities.pipelineParallel || !abilities.unevenStages) return []
  /** Where a layer of each kind is, and which of them each layer is of. */
  const kinds = space.windows(1)
  const kindOf = Array.from({ length: layers }, (_, layer) =>
    kinds.findIndex((from) => simulator.costs.alike(from, layer, 1)),
  )
  const sides: Side[] = []
  for (const share of space.shares) {
    if (share.contextParallel > 1 || share.sequenceParallel !== share.tensorParallel > 1) continue
    const width = share.tensorParallel
    const grid = share.expertParallel * share.expertTensorParallel
    for (const microBatch of space.microBatches.filter((n) => n <= 8)) {
      for (const stages of [1, ...space.pipelines.filter((p) => p > 1)]) {
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
              schedule: PLAIN_SCHEDULE,
            }
            const again = recompute === 'full' ? 1 : 0
            const times = kinds.map((from) => simulator.costs.stage(layout, from, 1, again, false, false))
            const [upTo, forwardUpTo] = [[0], [0]]
            for (const [layer, kind] of kindOf.entries()) {
              const { forward, backward } = times[kind]!
              upTo.push(upTo[layer]! + forward + backward)
              forwardUpTo.push(forwardUpTo[layer]! + forward)
            }
            sides.push({
              pool,
              place: sides.length,
              simulator,
              stages,
              layout,
              upTo,
              forwardUpTo,
              fitting: new Map(),
            })
          }
        }
      }
    }
  }
  return sides
}

/** A whole pipeline over two pools. */
export function joined(
  request: PoolsRequest,
  { first, last, layers, stageLayers, transfer }: Joint,
): PoolsPlan {
  const { workload } = request
  const total = workload.decoder.layers
  const stages = first.stages + last.stages
  const steps = workload.globalBatch / (first.layout.microBatch * first.layout.dataParallel)
  const passes: (readonly PassTimes[])[] = []
  const links: TransferTimes[] = []
  // all stages wait for the norm of all gradients between the exchange and the update
  let exchange = 0
  let update = 0
  let domains = 0
  const latest = { straggling: 0, step: 0 }
  let from = 0
  const parts: PoolPart[] = []
  for (const side of [first, last]) {
    const { simulator, layout, pool } = side
    const whole: Layout = { ...layout, pipelineParallel: stages, stageLayers }
    const own = side === first ? [0, first.stages] : [first.stages, stages]
    const hop = hopSeconds(simulator.costs, layout)
    const weights: HeldWeights[] = []
    let slowest = 0
    for (let stage = own[0]!; stage < own[1]!; stage++) {
      const size = stageLayers[stage]!
      const pass = stageSeconds(simulator.costs, whole, stage, from, size)
      passes.push([{ forward: pass.forward, backward: pass.backward - pass.weight, weight: pass.weight }])
      const between = stage === first.stages - 1 ? transfer : hop
      if (stage < stages - 1) links.push({ forward: between, backward: between })
      slowest = Math.max(slowest, pass.forward + pass.backward)
      const elements = simulator.costs.elements(layout, from, size, stage === 0, stage === stages - 1)
      weights.push(heldWeights(layout, elements))
      from += size
    }
    for (const own of weights) {
      exchange = Math.max(exchange, dataSeconds(simulator.costs, layout, own, slowest, steps))
      update = Math.max(update, optimizerSeconds(simulator.costs, layout, own))
    }
    const { rates } = simulator.costs
    domains += Math.max(1, chipsOf(layout) / pool.machine.links[0]!.size)
    latest.straggling = Math.max(latest.straggling, rates.straggling)
    latest.step = Math.max(latest.step, rates.step)
    parts.push({
      pool: pool.name,
      layout: whole,
      chips: chipsOf(layout),
      batch: workload.globalBatch,
      layers: side === first ? layers : total - layers,
      seconds: steps * slowest,
    })
  }
  const table = tableTransfer(request, first, last)
  // a link carries one message at a time each way: it can hold up the stages even where they compute meanwhile
  const ideal =
    Math.max(
      pipelineSeconds({
        schedule: PLAIN_SCHEDULE,
        microBatches: steps,
        passes,
        links,
        overlapsTransfers: true,
      }),
      steps * transfer,
    ) +
    exchange +
    update +
    table
  const seconds = ideal + overheadSeconds(ideal, latest, domains)
  return {
    way: 'pipeline',
    seconds,
    crossing: steps * transfer + table,
    parts,
    days: stepDays(request, seconds),
    why: `${first.pool.name} has the first ${layers} of ${total} layers, ${last.pool.name} the others; activations of ${steps} micro-batches cross in ${secondsText(transfer)} each, beside the passes${table > 0 ? `; gradients of the table that both ends have in ${secondsText(table)}` : ''}`,
  }
}

/** Seconds to sum the gradients of a table of embeddings that both pools have: each sends its own once. */
function tableTransfer({ workload, link }: PoolsRequest, first: Side, last: Side): number {
  const { vocabularySize, hiddenSize } = workload.decoder
  if (!sharesTable(workload.decoder)) return 0
  const bytes = Math.max(first.pool.engine.behaviour.gradientBytes, last.pool.engine.behaviour.gradientBytes)
  return (vocabularySize * hiddenSize * bytes) / link.bytesPerSecond + link.latency
}

/** Whether the stages of a side fit, by the layers of the first one. Of the other side, only its number of stages matters. */
function fits(
  { layout, stages, simulator, pool, fitting }: Side,
  isFirst: boolean,
  layers: number,
  stageLayers: readonly number[],
): boolean {
  const count = stageLayers.length
  const key = (count * 2 ** 16 + layers) * 2 + (isFirst ? 1 : 0)
  let known = fitting.get(key)
  if (known === undefined) {
    const held = simulator.memory.stages({ ...layout, pipelineParallel: count, stageLayers })
    known = (isFirst ? held.slice(0, stages) : held.slice(count - stages)).every(
      ({ peak }) => peak <= pool.machine.memoryBytes,
    )
    fitting.set(key, known)
  }
  return known
}
