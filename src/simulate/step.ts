/** @file Seconds of a training step: layers, stages, the pipeline, what data-parallel chips exchange, the update. */
import type { Decoder } from '../model/index.ts'
import { exchangeSeconds, gatherSeconds, type Path, pathOf, reduceSeconds, sendSeconds } from './collectives.ts'
import { deviceSeconds, type Rates } from './rates.ts'
import type { Engine, Layout, Machine, Workload } from './types.ts'
import { attentionWidths, embeddingWork, HALF, headWork, layerWork, type Passes, type Share, shareOf } from './work.ts'

/** Seconds of one micro-batch on one stage or in one layer, and what of them is communication. */
export interface PassSeconds {
  forward: number
  /** Backward, with what is recomputed. */
  backward: number
  /** Of backward: gradients of weights, which nothing waits for. */
  weight: number
  recompute: number
  tensor: number
  context: number
  expert: number
}

const NOTHING: PassSeconds = { forward: 0, backward: 0, weight: 0, recompute: 0, tensor: 0, context: 0, expert: 0 }

/** Layers that cost the same. */
interface LayerKind {
  readonly expert: boolean
  readonly window: number | undefined
}

export interface StepTerms {
  seconds: number
  compute: number
  recompute: number
  tensor: number
  context: number
  expert: number
  send: number
  bubble: number
  data: number
  optimizer: number
  overhead: number
}

/** A model on a machine under an engine: what a search asks many layouts of. */
export class StepModel {
  readonly #workload: Workload
  readonly #machine: Machine
  readonly #engine: Engine
  readonly #rates: Rates
  readonly #kinds: readonly LayerKind[]
  /** For each kind, how many of the first n layers are of it. */
  readonly #counts: readonly (readonly number[])[]
  readonly #shares = new Map<string, { layers: PassSeconds[]; first: PassSeconds; last: PassSeconds }>()
  readonly #parameters: readonly { dense: number; expert: number }[]

  constructor(workload: Workload, machine: Machine, engine: Engine, rates: Rates) {
    this.#workload = workload
    this.#machine = machine
    this.#engine = engine
    this.#rates = rates
    const d = workload.decoder
    const kinds: LayerKind[] = []
    const kindOf = d.windows.map((window, layer) => {
      const expert = d.expertLayers[layer] === true
      const at = kinds.findIndex((kind) => kind.expert === expert && kind.window === window)
      return at >= 0 ? at : kinds.push({ expert, window }) - 1
    })
    this.#kinds = kinds
    this.#counts = kinds.map((_, kind) => {
      let count = 0
      return [0, ...kindOf.map((own) => (own === kind ? ++count : count))]
    })
    this.#parameters = kinds.map((kind) => layerParameterCounts(d, kind.expert))
  }

  /** Seconds of a step, with where they go. */
  step(layout: Layout): StepTerms {
    const { decoder, sequenceLength, globalBatch } = this.#workload
    const machine = this.#machine
    const rates = this.#rates
    const engine = this.#engine
    const t = layout.tensorParallel
    const cp = layout.contextParallel
    const p = layout.pipelineParallel
    const v = layout.virtualPipeline
    const dp = layout.dataParallel
    const m = globalBatch / (layout.microBatch * dp)
    const costs = this.#costs(layout)

    // stages: layers by kind, the first with the embeddings, the last with the head
    let from = 0
    let slowest = NOTHING
    let slowestSeconds = 0
    let all = 0
    let slowestParameters = { dense: 0, expert: 0 }
    for (let stage = 0; stage < p; stage++) {
      const size = layout.stageLayers?.[stage] ?? evenShare(decoder.layers, p, stage)
      const sum = { ...NOTHING }
      const parameters = { dense: 0, expert: 0 }
      for (const [kind, layer] of costs.layers.entries()) {
        const counts = this.#counts[kind]!
        const times = counts[from + size]! - counts[from]!
        add(sum, layer, times)
        parameters.dense += this.#parameters[kind]!.dense * times
        parameters.expert += this.#parameters[kind]!.expert * times
      }
      from += size
      if (stage === 0) {
        add(sum, costs.first, 1)
        parameters.dense += decoder.vocabularySize * decoder.hiddenSize
      }
      if (stage === p - 1) {
        add(sum, costs.last, 1)
        if (p > 1 || !decoder.tiedEmbeddings) parameters.dense += decoder.vocabularySize * decoder.hiddenSize
      }
      const seconds = sum.forward + sum.backward
      all += seconds
      if (seconds > slowestSeconds) {
        slowest = sum
        slowestSeconds = seconds
        slowestParameters = parameters
      }
    }

    // activations between stages, from each of the chunks
    const tokens = (layout.microBatch * sequenceLength) / cp
    const stride = t * cp * dp
    const boundary = (tokens * decoder.hiddenSize * HALF) / (layout.sequenceParallel ? t : 1)
    const hop = p > 1 ? sendSeconds(machine, rates, stride, boundary) : 0
    const sends = p > 1 ? 2 * v * hop * (engine.overlapsPipeline && v > 1 ? rates.exposed : 1) : 0
    const steady = m * (slowestSeconds + sends)
    const fill = (all - slowestSeconds + (p - 1) * 2 * hop) / v

    // gradients of weights that data-parallel chips hold copies of
    const copies = { size: dp * cp, stride: t }
    const dense = pathOf(machine, rates, copies)
    const expertCopies = Math.max(1, (dp * cp * t) / (layout.expertParallel * layout.expertTensorParallel))
    const expert = pathOf(machine, rates, {
      size: expertCopies,
      stride: layout.expertParallel * layout.expertTensorParallel,
    })
    const denseHeld = slowestParameters.dense / t
    const expertHeld = slowestParameters.expert / (layout.expertParallel * layout.expertTensorParallel)
    const exchange = (path: Path, held: number): number => {
      if (held === 0) return 0
      if (layout.zeroStage === 0) return reduceSeconds(path, held * engine.gradientBytes)
      if (layout.zeroStage < 3)
        return gatherSeconds(path, held * engine.gradientBytes) + gatherSeconds(path, held * HALF)
      // weights gathered forward and backward, gradients scattered, for each micro-batch
      return m * (2 * gatherSeconds(path, held * HALF) + gatherSeconds(path, held * engine.gradientBytes))
    }
    const whole = exchange(dense, denseHeld) + exchange(expert, expertHeld)
    const beside = layout.zeroStage === 3 ? m * slowestSeconds : slowestSeconds
    const data = engine.overlapsData
      ? Math.max(whole - beside, 0) + rates.exposed * Math.min(whole, beside)
      : whole

    // the update: gradients read for their norm and for the update, master weights and moments read and written
    const shardDense = layout.zeroStage > 0 ? (layout.shardGroup ?? dp * cp) : 1
    const shardExpert = layout.zeroStage > 0 ? Math.min(layout.shardGroup ?? expertCopies, expertCopies) : 1
    const updated = denseHeld / shardDense + expertHeld / shardExpert
    const optimizer =
      (updated * (2 * engine.gradientBytes + 6 * 4 + HALF)) /
      (machine.memoryBytesPerSecond * rates.bandwidth)

    const domains = Math.max(1, machine.count / machine.links[0]!.size)
    const ideal = steady + fill + data + optimizer
    const straggling = ideal * rates.straggling * Math.log2(domains)
    const seconds = ideal + straggling + rates.step
    const communication = slowest.tensor + slowest.context + slowest.expert
    return {
      seconds,
      compute: m * (slowestSeconds - communication - slowest.recompute),
      recompute: m * slowest.recompute,
      tensor: m * slowest.tensor,
      context: m * slowest.context,
      expert: m * slowest.expert,
      send: m * sends,
      bubble: fill,
      data,
      optimizer,
      overhead: straggling + rates.step,
    }
  }

  #costs(layout: Layout) {
    const share = shareOf(layout)
    const key = `${share.microBatch} ${share.tensorParallel} ${share.sequenceParallel} ${share.contextParallel} ${layout.contextMethod} ${share.expertParallel} ${share.expertTensorParallel} ${layout.recompute}`
    let costs = this.#shares.get(key)
    if (costs === undefined) {
      const { decoder, sequenceLength } = this.#workload
      const engine = this.#engine
      costs = {
        layers: this.#kinds.map((kind) =>
          this.#layer(layout, share, layerWork(decoder, engine, share, sequenceLength, kind), kind.expert),
        ),
        first: this.#plain(embeddingWork(decoder, engine, share, sequenceLength)),
        last: this.#plain(headWork(decoder, engine, share, sequenceLength)),
      }
      this.#shares.set(key, costs)
    }
    return costs
  }

  #plain(passes: Passes): PassSeconds {
    const seconds = (kind: 'forward' | 'input' | 'weight') =>
      later(
        deviceSeconds(passes[kind], this.#machine, this.#rates, false),
        passes[kind].kernels * this.#rates.host,
      )
    const weight = seconds('weight')
    return { ...NOTHING, forward: seconds('forward'), backward: seconds('input') + weight, weight }
  }

  #layer(layout: Layout, share: Share, passes: Passes, isExpert: boolean): PassSeconds {
    const { decoder, sequenceLength, precision } = this.#workload
    const machine = this.#machine
    const rates = this.#rates
    const engine = this.#engine
    const t = share.tensorParallel
    const cp = share.contextParallel
    const tokens = (share.microBatch * sequenceLength) / cp
    const eighth = precision === 'fp8'

    // twice a layer, forward and backward: activations summed over the tensor-parallel chips, or gathered and
    // scattered, which moves as many bytes
    const activations = tokens * decoder.hiddenSize * HALF
    const tensorPath = pathOf(machine, rates, { size: t, stride: 1 })
    const once = t > 1 ? reduceSeconds(tensorPath, activations) : 0
    // experts' tokens are exchanged rather than summed over these chips
    const times = isExpert && decoder.experts?.sharedIntermediateSize === 0 ? 1 : 2
    const hidden = engine.overlapsTensor ? rates.exposed : 1
    const tensor = times * once * hidden
    // the input is gathered again for the gradient of weights, beside that of the input
    const tensorBackward = tensor + (share.sequenceParallel && t > 1 ? times * gatherSeconds(tensorPath, activations) * rates.exposed : 0)

    let context = 0
    const widths = attentionWidths(decoder)
    const core = deviceSeconds(passes.core, machine, rates, eighth)
    if (cp > 1) {
      const path = pathOf(machine, rates, { size: cp, stride: t })
      if (layout.contextMethod === 'ring') {
        const bytes = tokens * ((widths.key + widths.value) / t) * HALF * cp
        const whole = gatherSeconds(path, bytes)
        context = Math.max(whole - core, 0) + rates.exposed * Math.min(whole, core)
      } else {
        const bytes = tokens * ((widths.query + widths.key + widths.value + widths.output) / t) * HALF
        context = exchangeSeconds(path, bytes)
      }
    }
    let expert = 0
    if (isExpert && decoder.experts !== null) {
      const ranks = share.expertParallel * share.expertTensorParallel
      const path = pathOf(machine, rates, { size: ranks, stride: 1 })
      const sent = (tokens / t) * decoder.experts.active * decoder.hiddenSize * HALF
      expert = 2 * exchangeSeconds(path, sent) * (engine.overlapsExperts ? rates.exposed : 1)
    }

    const work = (kind: 'forward' | 'input' | 'weight' | 'core') =>
      deviceSeconds(passes[kind], machine, rates, eighth)
    const messages = (t > 1 ? 2 : 0) + (cp > 1 ? 1 : 0) + (expert > 0 ? 2 : 0)
    const floor = (kernels: number) => kernels * rates.host
    const forward = later(
      work('forward') + tensor + context + expert,
      floor(passes.forward.kernels + messages),
    )
    const weight = work('weight')
    const recompute = layout.recompute === 'full' ? forward : layout.recompute === 'selective' ? work('core') : 0
    const backward = later(
      work('input') + weight + tensorBackward + 2 * context + expert,
      floor(passes.input.kernels + passes.weight.kernels + messages),
    )
    return {
      forward,
      backward: backward + recompute,
      weight,
      recompute,
      tensor: tensor + tensorBackward,
      context: 3 * context,
      expert: 2 * expert,
    }
  }
}

/** The later of two that mostly run beside each other, with what each then waits for the other: a norm of order 4. */
function later(a: number, b: number): number {
  return Math.sqrt(Math.sqrt(a ** 4 + b ** 4))
}

function add(to: PassSeconds, from: PassSeconds, times: number): void {
  to.forward += from.forward * times
  to.backward += from.backward * times
  to.weight += from.weight * times
  to.recompute += from.recompute * times
  to.tensor += from.tensor * times
  to.context += from.context * times
  to.expert += from.expert * times
}

/** Layers of a stage when they are spread as evenly as can be, longer stages in the middle. */
export function evenShare(layers: number, stages: number, stage: number): number {
  const whole = Math.floor(layers / stages)
  const more = layers - whole * stages
  const before = Math.floor((stages - more) / 2)
  return whole + (stage >= before && stage < before + more ? 1 : 0)
}

/** Weights of a layer: of its experts, and of everything else. */
function layerParameterCounts(d: Decoder, isExpert: boolean): { dense: number; expert: number } {
  const a = d.attention
  const h = d.hiddenSize
  const attention =
    a.kind === 'heads'
      ? h * (2 * a.heads + 2 * a.keyValueHeads) * a.headSize
      : (a.queryRank > 0 ? h * a.queryRank + a.queryRank * a.heads * (a.plainHeadSize + a.rotaryHeadSize) : h * a.heads * (a.plainHeadSize + a.rotaryHeadSize)) +
        h * (a.keyValueRank + a.rotaryHeadSize) +
        a.keyValueRank * a.heads * (a.plainHeadSize + a.valueHeadSize) +
        a.heads * a.valueHeadSize * h
  const mats = d.gated ? 3 : 2
  if (!isExpert || d.experts === null) return { dense: attention + mats * h * d.intermediateSize, expert: 0 }
  return {
    dense: attention + h * d.experts.count + mats * h * d.experts.sharedIntermediateSize,
    expert: mats * h * d.experts.intermediateSize * d.experts.count,
  }
}
