/** @file Seconds of a step whose stages and replicas are on chips of several kinds. */
import { pathOf, reduceSeconds } from './collectives.ts'
import type { CostModel } from './costs.ts'
import { type Pipeline, pipelineSeconds } from './pipeline/index.ts'
import { PLAIN_SCHEDULE } from './schedules/index.ts'
import {
  type HeldWeights,
  heldWeights,
  hopSeconds,
  optimizerSeconds,
  overheadSeconds,
  stageSeconds,
} from './step.ts'
import type { Layout } from './types.ts'
import { sharesTable } from './work.ts'

/** Costs and layout of one stage of one replica. */
export interface Place {
  readonly model: CostModel
  /** The layout of the whole run, with the tensor parallelism of this place. */
  readonly layout: Layout
}

/** A stage: its layers, and the place of each replica. */
export interface MixedStage {
  readonly layers: number
  readonly replicas: readonly Place[]
}

/**
 * Seconds of a step: the slowest replica's pipeline; then the all-reduce of gradients, each stage's over its replicas at
 * the rate of the slowest network among them; then the update.
 */
export function mixedStepSeconds(stages: readonly MixedStage[], microBatches: readonly number[]): number {
  const replicas = stages[0]?.replicas.length ?? 0
  let passes = 0
  for (let replica = 0; replica < replicas; replica++) {
    passes = Math.max(passes, replicaSeconds(stages, replica, microBatches[replica]!))
  }
  let from = 0
  let exchange = 0
  let update = 0
  const latest = { straggling: 0, step: 0 }
  for (const { layers, replicas: places } of stages) {
    const sums = places.map((place) => {
      const { model, layout } = place
      const { decoder } = model.workload
      const elements = model.elements(layout, from, layers, from === 0, from + layers === decoder.layers)
      const weights = heldWeights(layout, elements)
      update = Math.max(update, optimizerSeconds(model, layout, weights))
      latest.straggling = Math.max(latest.straggling, model.rates.straggling)
      latest.step = Math.max(latest.step, model.rates.step)
      return exchangeSeconds(place, weights)
    })
    exchange = Math.max(exchange, ...sums)
    from += layers
  }
  const ideal = passes + exchange + tableSeconds(stages) + update
  return ideal + overheadSeconds(ideal, latest, stages.length * replicas)
}

/** Seconds of the all-reduce of a stage's gradients; those of experts over the chips that have the same ones. */
function exchangeSeconds({ model, layout }: Place, { dense, expert }: HeldWeights): number {
  const { machine, rates, engine } = model
  // replicas are on servers of their own, on each of which copies are as far apart as leaves room for all of them
  const domain = Math.max(layout.tensorParallel, machine.links[0]!.size)
  let seconds = 0
  for (const { held, chips, copies } of [dense, expert]) {
    if (held === 0 || copies === 1) continue
    const stride = Math.max(chips, (domain * chips) / layout.tensorParallel)
    const path = pathOf(machine, rates, { size: copies, stride })
    seconds += reduceSeconds(path, held * engine.gradientBytes)
  }
  return seconds
}

/** Seconds of the all-reduce of a table's gradients between the ends of a replica, at the rate of the slower end. */
function tableSeconds(stages: readonly MixedStage[]): number {
  const ends = [stages[0]!, stages.at(-1)!].flatMap(({ replicas }) => replicas)
  if (stages.length === 1 || !sharesTable(ends[0]!.model.workload.decoder)) return 0
  return Math.max(
    ...ends.map(({ model, layout }) => {
      const { machine, rates, engine } = model
      const stride = Math.max(layout.tensorParallel, machine.links[0]!.size)
      const path = pathOf(machine, rates, { size: 2, stride })
      return reduceSeconds(path, model.parts(layout).table * engine.gradientBytes)
    }),
  )
}

/** Seconds of the passes of one replica. */
function replicaSeconds(stages: readonly MixedStage[], replica: number, microBatches: number): number {
  let from = 0
  const hops: { forward: number; backward: number }[] = []
  const passes = stages.map(({ layers, replicas }, stage) => {
    const { model, layout } = replicas[replica]!
    const { forward, backward, weight } = stageSeconds(model, layout, stage, from, layers)
    from += layers
    if (stage + 1 < stages.length) {
      // a message goes at the pace of the slower end
      const next = stages[stage + 1]!.replicas[replica]!
      const hop = Math.max(hopSeconds(model, layout), hopSeconds(next.model, next.layout))
      // what holds a stage is its backward send: where sends take turns, it waits for the message that comes as well
      hops.push(
        model.engine.sendsInTurn ? { forward: 0, backward: 2 * hop } : { forward: hop, backward: hop },
      )
    }
    return [{ forward, backward: backward - weight, weight }]
  })
  const pipeline: Pipeline = {
    schedule: PLAIN_SCHEDULE,
    microBatches,
    passes,
    links: hops,
    overlapsTransfers: false,
  }
  return pipelineSeconds(pipeline)
}
