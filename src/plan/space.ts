/**
 * @file The space of a search: the values that each parameter of a layout can take, and the number of layouts. On all chips
 * or fewer. Degrees are all divisors; those of tensor parallelism only where groups fill domains of links, or domains
 * groups. Sharding over a part of the replicas (`shardGroup`) is left out: the time that it saves is not predicted, and it
 * takes more memory.
 */

import { type Abilities, chunksDivide } from '../engines/index.ts'
import {
  countsGo,
  evenShare,
  type Layout,
  type PipelineSchedule,
  PLAIN_SCHEDULE,
  type Recompute,
  SCHEDULES,
  stageSize,
} from '../simulate/index.ts'
import type { Fixed, PlanRequest } from './types.ts'

/** Layers by which the first and the last stage, with embedding, head and lighter layers, may differ from an even share. */
const FIRST_STAGE = [-2, -1, 0, 1, 2] as const
const LAST_STAGE = [-3, -2, -1, 0, 1] as const

/** How a layer and its tokens are spread over chips. */
export interface Share {
  readonly tensorParallel: number
  readonly sequenceParallel: boolean
  readonly contextParallel: number
  readonly contextMethod: Layout['contextMethod']
  readonly expertParallel: number
  readonly expertTensorParallel: number
}

/** A schedule with a split of the layers into stages. */
export interface Split {
  readonly schedule: PipelineSchedule
  readonly virtualPipeline: number
  readonly stageLayers: readonly number[] | undefined
  /** Layers of each stage. */
  readonly sizes: readonly number[]
  /** Layers of the stage that has the most. */
  readonly most: number
  /** Recomputations of layers, ascending: none, some, all. */
  readonly recomputes: readonly Recomputation[]
  /** Recomputation of attention alone, where it is possible. */
  readonly selective: readonly Recomputation[]
}

/** Stages as even as can be, one pass after another. */
export const WHOLE = { schedule: PLAIN_SCHEDULE, virtualPipeline: 1, stageLayers: undefined } as const

/** What is recomputed, in `layers` of each stage; in all where that is undefined. */
export interface Recomputation {
  readonly recompute: Recompute
  readonly layers: number | undefined
}

/** Nothing is recomputed. */
export const NONE: Recomputation = { recompute: 'none', layers: undefined }

/** Sharding over replicas (ZeRO), and the place of the optimizer's state. */
export interface Sharing {
  readonly zeroStage: Layout['zeroStage']
  readonly offloadOptimizer: boolean
}

/** No sharding, no offloading. */
export const PLAIN: Sharing = { zeroStage: 0, offloadOptimizer: false }

/** The values that a request allows, computed once. */
export interface Space {
  readonly request: PlanRequest
  readonly abilities: Abilities
  readonly chips: number
  readonly shares: readonly Share[]
  readonly microBatches: readonly number[]
  readonly pipelines: readonly number[]
  /** Numbers of replicas by micro-batch, most first. */
  readonly replicas: (microBatch: number) => readonly number[]
  readonly splits: (pipelineParallel: number) => readonly Split[]
  readonly sharings: (pipelineParallel: number) => readonly Sharing[]
  /** Schedules by the number of stages, each with the most chunks a stage that it can have there. */
  readonly schedules: (pipelineParallel: number) => readonly Pick<Split, 'schedule' | 'virtualPipeline'>[]
  /** First layers of windows of a size: one window for each different mix of kinds of layers. */
  readonly windows: (size: number) => readonly number[]
}

/**
 * The space of a request.
 * @param coarse Leaves out refinements: uneven stages, recomputation of some layers, micro-batches that are no power of two,
 * numbers of stages that neither divide the layers nor are a power of two.
 */
export function spaceOf(request: PlanRequest, coarse = false): Space {
  const { workload, machine, engine, fixed = {} } = request
  const { decoder, globalBatch } = workload
  const abilities = coarse
    ? { ...engine.abilities, recomputeLayers: fixed.recomputeLayers !== undefined }
    : engine.abilities
  const chips = machine.count
  const divisors = divisorsOf(globalBatch)
  const replicas = memoize((microBatch) =>
    only(
      fixed.dataParallel,
      divisors.filter((n) => n <= chips && globalBatch % (n * microBatch) === 0).reverse(),
    ),
  )
  const splits = memoize((p) => splitsOf(decoder.layers, p, abilities, decoder.tiedEmbeddings, fixed, coarse))
  return {
    request,
    abilities,
    chips,
    shares: sharesOf(request, abilities),
    microBatches: only(
      fixed.microBatch,
      coarse && fixed.microBatch === undefined ? divisors.filter(isPowerOfTwo) : divisors,
    ),
    pipelines: only(
      fixed.pipelineParallel,
      abilities.pipelineParallel
        ? upTo(Math.min(decoder.layers, chips)).filter(
            (p) => !coarse || fixed.pipelineParallel === p || isPowerOfTwo(p) || decoder.layers % p === 0,
          )
        : [1],
    ),
    replicas,
    splits,
    schedules: memoize((p) => {
      const chunks = new Map<PipelineSchedule, number>()
      for (const { schedule, virtualPipeline } of splits(p))
        chunks.set(schedule, Math.max(chunks.get(schedule) ?? 1, virtualPipeline))
      return [...chunks].map(([schedule, virtualPipeline]) => ({ schedule, virtualPipeline }))
    }),
    windows: memoize((size) => {
      const kinds = decoder.windows.map((window, layer) => `${window} ${decoder.expertLayers[layer]}`)
      const first = new Map<string, number>()
      for (let from = 0; from + size <= decoder.layers; from++) {
        const mix = kinds
          .slice(from, from + size)
          .sort()
          .join()
        if (!first.has(mix)) first.set(mix, from)
      }
      return [...first.values()]
    }),
    sharings: memoize((p) => sharingsOf(p, abilities, fixed)),
  }
}

function sharesOf({ workload, machine, fixed = {} }: PlanRequest, abilities: Abilities): Share[] {
  const { decoder, sequenceLength } = workload
  const { experts, attention } = decoder
  const chips = machine.count
  const domain = machine.links[0]!.size
  /** Whether groups fill domains, or domains groups: other groups would lie across the ends of domains. */
  const aligned = (n: number) => domain === Number.POSITIVE_INFINITY || domain % n === 0 || n % domain === 0
  const tensors = abilities.tensorParallel
    ? divisorsOf(attention.heads).filter((t) => t <= chips && aligned(t) && tensorFits(t))
    : [1]
  function tensorFits(t: number): boolean {
    if (attention.kind === 'heads' && attention.keyValueHeads % t !== 0 && t % attention.keyValueHeads !== 0)
      return false
    if (!decoder.expertLayers.every(Boolean) && decoder.intermediateSize % t !== 0) return false
    return experts === null || experts.sharedIntermediateSize % t === 0
  }
  const contexts = (t: number): (readonly [number, Layout['contextMethod']])[] => [
    [1, 'ring'],
    ...abilities.contextMethods.flatMap((method) =>
      divisorsOf(sequenceLength)
        .filter((c) => c > 1 && c * t <= chips)
        .filter((c) => (method === 'ring' ? sequenceLength % (2 * c) === 0 : attention.heads % (c * t) === 0))
        .map((c) => [c, method] as const),
    ),
  ]
  const expertDegrees =
    experts !== null && abilities.expertParallel ? divisorsOf(experts.count).filter((e) => e <= chips) : [1]
  const expertTensors =
    experts !== null && abilities.expertTensorParallel
      ? divisorsOf(experts.intermediateSize).filter((t) => t <= Math.min(domain, chips) && aligned(t))
      : [1]
  const shares: Share[] = []
  for (const tensorParallel of only(fixed.tensorParallel, tensors)) {
    for (const [contextParallel, contextMethod] of contexts(tensorParallel)) {
      if (fixed.contextParallel !== undefined && fixed.contextParallel !== contextParallel) continue
      if (fixed.contextMethod !== undefined && contextParallel > 1 && fixed.contextMethod !== contextMethod)
        continue
      const sequences =
        tensorParallel === 1
          ? [false]
          : [true, false].filter(
              (on) =>
                (on && (sequenceLength / contextParallel) % tensorParallel === 0) ||
                (!on && !(abilities.expertsNeedSequence && experts !== null)),
            )
      for (const sequenceParallel of only(fixed.sequenceParallel, sequences)) {
        for (const expertParallel of only(fixed.expertParallel, expertDegrees)) {
          for (const expertTensorParallel of only(fixed.expertTensorParallel, expertTensors)) {
            if (abilities.expertTensorWhole && ![1, tensorParallel].includes(expertTensorParallel)) continue
            shares.push({
              tensorParallel,
              sequenceParallel,
              contextParallel,
              contextMethod,
              expertParallel,
              expertTensorParallel,
            })
          }
        }
      }
    }
  }
  return shares
}

/** Chips of one stage of one replica. */
export function widthOf({ tensorParallel, contextParallel }: Share): number {
  return tensorParallel * contextParallel
}

/** Chips that the experts of a layer are spread over. */
export function gridOf({ expertParallel, expertTensorParallel }: Share): number {
  return expertParallel * expertTensorParallel
}

/** Number of layouts in a space, counted without making any. */
export function sizeOf(space: Space): number {
  const { shares, microBatches, pipelines, chips } = space
  // a count depends on a share by the chips of a stage, the chips that experts are spread over, and whether context is split
  const widths = new Map<string, { width: number; grid: number; context: number; count: number }>()
  for (const share of shares) {
    const width = widthOf(share)
    const grid = gridOf(share)
    const context = share.contextParallel > 1 ? 2 : 1
    const key = `${width} ${grid} ${context}`
    const known = widths.get(key)
    if (known === undefined) widths.set(key, { width, grid, context, count: 1 })
    else known.count++
  }
  const globalBatch = space.request.workload.globalBatch
  /** Ways to split layers into `p` stages, by schedule. */
  const ways = pipelines.map((p) => {
    const counts = new Map<PipelineSchedule, number>()
    for (const { schedule, recomputes, selective } of space.splits(p))
      counts.set(schedule, (counts.get(schedule) ?? 0) + recomputes.length + selective.length)
    return { p, sharings: space.sharings(p).length, counts: [...counts] }
  })
  /** Prefix sums of layouts over numbers of stages, by micro-batches of a replica: with context on one chip, and split. */
  const sums = memoize((steps) => {
    const [whole, split] = [[0], [0]]
    for (const [i, { p, sharings, counts }] of ways.entries()) {
      const those = (contextParallel: number) =>
        counts.reduce(
          (sum, [schedule, count]) => sum + (scheduleGoes(schedule, p, contextParallel, steps) ? count : 0),
          0,
        )
      whole.push(whole[i]! + sharings * those(1))
      split.push(split[i]! + sharings * those(2))
    }
    return { whole, split }
  })
  const within = Array.from(
    { length: (pipelines.at(-1) ?? 0) + 1 },
    (_, most) => pipelines.filter((p) => p <= most).length,
  )
  let size = 0
  for (const microBatch of microBatches) {
    for (const n of space.replicas(microBatch)) {
      const { whole, split } = sums(globalBatch / (microBatch * n))
      for (const { width, grid, context, count } of widths.values()) {
        if ((n * width) % grid !== 0) continue
        const stages = within[Math.min(Math.floor(chips / (n * width)), within.length - 1)]!
        size += count * (context === 1 ? whole : split)[stages]!
      }
    }
  }
  return size
}

/** Whether a schedule goes with a number of micro-batches and the chips of a replica. */
export function scheduleGoes(
  schedule: PipelineSchedule,
  p: number,
  contextParallel: number,
  microBatches: number,
): boolean {
  if (contextParallel > 1 && !SCHEDULES[schedule].needs.contextParallel) return false
  return countsGo(schedule, p, microBatches)
}

function splitsOf(
  layers: number,
  p: number,
  abilities: Abilities,
  tiedEmbeddings: boolean,
  fixed: Fixed,
  coarse: boolean,
): Split[] {
  const splits: Split[] = []
  const add = (schedule: PipelineSchedule, virtualPipeline: number, stageLayers?: readonly number[]) => {
    if (fixed.schedule !== undefined && fixed.schedule !== schedule) return
    if (fixed.virtualPipeline !== undefined && fixed.virtualPipeline !== virtualPipeline) return
    const sizes =
      stageLayers ??
      Array.from({ length: p }, (_, stage) => stageSize(layers, { schedule, pipelineParallel: p }, stage))
    const most = Math.max(...sizes)
    const recomputes = recomputesOf(most, virtualPipeline, abilities, fixed)
    const selective = recomputes.filter(({ recompute }) => recompute === 'selective')
    splits.push({
      schedule,
      virtualPipeline,
      stageLayers,
      sizes,
      most,
      recomputes: recomputes.filter((one) => !selective.includes(one)),
      selective,
    })
  }
  const uneven = p > 1 && abilities.unevenStages && !coarse ? unevenStages(layers, p) : []
  for (const schedule of abilities.schedules) {
    const { chunks, needs } = SCHEDULES[schedule]
    if (p < needs.leastStages || p % needs.stagesMultiple !== 0 || layers < needs.layersPerStage * p) continue
    if (tiedEmbeddings && !needs.tiedEmbeddings) continue
    if (chunks === 'virtual') {
      for (let v = 2; p * v <= layers + 2; v++) if (chunksDivide(layers, p * v, abilities)) add(schedule, v)
      continue
    }
    if (layers % p !== 0 && !abilities.unevenStages) continue
    add(schedule, 1)
    if (needs.givenStages) for (const stages of uneven) add(schedule, 1, stages)
  }
  return splits
}

/** Splits whose first and last stage hold some layers more or fewer than the others, which share the rest evenly. */
export function unevenStages(layers: number, p: number): readonly (readonly number[])[] {
  const even = Math.floor(layers / p)
  const found = new Map<string, readonly number[]>()
  const isEven = evenStages(layers, p).join()
  for (const more of FIRST_STAGE) {
    for (const less of LAST_STAGE) {
      const first = even + more
      const last = p === 2 ? layers - first : even + less
      const rest = layers - first - last
      if (first < 1 || last < 1 || (p > 2 && rest < p - 2)) continue
      const stages = [first, ...evenStages(rest, p - 2), last]
      const key = stages.join()
      if (key !== isEven && !found.has(key)) found.set(key, stages)
    }
  }
  return [...found.values()]
}

/** Layers of each of `p` stages, as even as can be. */
export function evenStages(layers: number, stages: number): number[] {
  return Array.from({ length: stages }, (_, stage) => evenShare(layers, stages, stage))
}

function recomputesOf(
  most: number,
  virtualPipeline: number,
  abilities: Abilities,
  fixed: Fixed,
): Recomputation[] {
  const all: Recomputation[] = [{ recompute: 'none', layers: undefined }]
  if (abilities.selectiveRecompute) all.push({ recompute: 'selective', layers: undefined })
  if (abilities.recomputeLayers) {
    for (let n = virtualPipeline; n < most; n += virtualPipeline) all.push({ recompute: 'full', layers: n })
  }
  all.push({ recompute: 'full', layers: undefined })
  return all.filter(
    ({ recompute, layers }) =>
      (fixed.recompute === undefined || fixed.recompute === recompute) &&
      (fixed.recomputeLayers === undefined || fixed.recomputeLayers === layers),
  )
}

function sharingsOf(p: number, { zeroStages, offloadFrom }: Abilities, fixed: Fixed): Sharing[] {
  return zeroStages
    .filter((zero) => (p === 1 || zero < 2) && (fixed.zeroStage === undefined || fixed.zeroStage === zero))
    .flatMap((zeroStage) =>
      (offloadFrom !== undefined && zeroStage >= offloadFrom ? [false, true] : [false])
        .filter((offload) => fixed.offloadOptimizer === undefined || fixed.offloadOptimizer === offload)
        .map((offloadOptimizer) => ({ zeroStage, offloadOptimizer })),
    )
}

/**
 * A layout of the space. All properties are there, also those that are undefined, so that code that reads layouts is
 * compiled for one shape of object. `plainLayout` makes one without them, for layouts that leave the search.
 */
export function layoutOf(
  share: Share,
  microBatch: number,
  pipelineParallel: number,
  dataParallel: number,
  split: Pick<Split, 'schedule' | 'virtualPipeline' | 'stageLayers'>,
  again: Recomputation,
  sharing: Sharing,
): Layout {
  // properties are named one by one: a spread makes an object that is slow to read, and a search makes millions
  return {
    tensorParallel: share.tensorParallel,
    sequenceParallel: share.sequenceParallel,
    contextParallel: share.contextParallel,
    contextMethod: share.contextMethod,
    pipelineParallel,
    virtualPipeline: split.virtualPipeline,
    dataParallel,
    expertParallel: share.expertParallel,
    expertTensorParallel: share.expertTensorParallel,
    zeroStage: sharing.zeroStage,
    microBatch,
    recompute: again.recompute,
    offloadOptimizer: sharing.offloadOptimizer,
    schedule: split.schedule,
    stageLayers: split.stageLayers,
    recomputeLayers: again.layers,
  } as Layout
}

/** The same layout without properties that are undefined. */
export function plainLayout({ stageLayers, recomputeLayers, ...rest }: Layout): Layout {
  return {
    ...rest,
    ...(stageLayers === undefined ? {} : { stageLayers }),
    ...(recomputeLayers === undefined ? {} : { recomputeLayers }),
  }
}

export function chipsOf(layout: Layout): number {
  return layout.tensorParallel * layout.contextParallel * layout.pipelineParallel * layout.dataParallel
}

/** All divisors, least first. */
export function divisorsOf(n: number): number[] {
  const low: number[] = []
  const high: number[] = []
  for (let d = 1; d * d <= n; d++) {
    if (n % d !== 0) continue
    low.push(d)
    if (d * d !== n) high.push(n / d)
  }
  return [...low, ...high.reverse()]
}

function isPowerOfTwo(n: number): boolean {
  return Number.isInteger(Math.log2(n))
}

function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i + 1)
}

/** The values that agree with a fixed one; all where none is fixed. */
function only<Value>(fixed: Value | undefined, values: readonly Value[]): readonly Value[] {
  return fixed === undefined ? values : values.filter((value) => value === fixed)
}

/** Memoizes a function of a number. */
export function memoize<Value>(make: (n: number) => Value): (n: number) => Value {
  const known = new Map<number, Value>()
  return (n) => {
    let value = known.get(n)
    if (value === undefined) {
      value = make(n)
      known.set(n, value)
    }
    return value
  }
}
