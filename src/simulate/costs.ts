/** @file Seconds of a micro-batch in a layer and on a stage, on one kind of chip under one engine. */
import { HALF, SINGLE } from './bytes.ts'
import { dispatchSeconds, exchangeSeconds, gatherSeconds, pathOf, reduceSeconds } from './collectives.ts'
import { deviceSeconds, later, type Rates } from './fitted/rates.ts'
import { degreesKey, tokensKey } from './share-key.ts'
import type { Behaviour, Layout, Machine, Workload } from './types.ts'
import { type PartElements, partElements, type StageElements, stageElements } from './weights.ts'
import {
  attentionWidths,
  domainsReached,
  embeddingWork,
  headWork,
  layerWork,
  type Passes,
  predictionWork,
  type Share,
  streamTokens,
  type Work,
} from './work.ts'

/** Seconds of one micro-batch on one stage or in one layer, and how many of them are communication. */
export interface PassSeconds {
  forward: number
  /** Backward, with what is recomputed. */
  backward: number
  /** Of backward: gradients of weights, which nothing waits for. */
  weight: number
  /** Of backward: done again. */
  recompute: number
  tensor: number
  context: number
  expert: number
}

export function noSeconds(): PassSeconds {
  return { forward: 0, backward: 0, weight: 0, recompute: 0, tensor: 0, context: 0, expert: 0 }
}

/** Layers that cost the same. */
interface LayerKind {
  readonly expert: boolean
  readonly window: number | undefined
}

interface LayerCosts extends EndCosts {
  /** By kind. */
  readonly layers: readonly LayerSeconds[]
}

/** A layer, and the part of its forward pass that selective recomputation does again. */
interface LayerSeconds {
  readonly plain: PassSeconds
  readonly core: number
}

/** Costs that do not depend on how experts are spread. */
interface PlainCosts {
  readonly ends: EndCosts
  /** By kind, where they have no experts. */
  readonly layers: readonly (LayerSeconds | undefined)[]
}

interface EndCosts {
  readonly first: PassSeconds
  readonly last: PassSeconds
  /** In front of a prediction layer. */
  readonly prediction: PassSeconds
}

interface ShareWork {
  readonly layers: readonly Passes[]
  readonly first: Passes
  readonly last: Passes
  readonly prediction: Passes
}

/** Cost of a model's layers on a machine, memoized by the share of the work that a layout gives a chip. */
export class CostModel {
  readonly workload: Workload
  readonly machine: Machine
  readonly engine: Behaviour
  readonly rates: Rates
  readonly #kinds: readonly LayerKind[]
  /** For each kind, how many of the first n layers are of it. */
  readonly #counts: readonly (readonly number[])[]
  /** Of the first n layers, those with experts. */
  readonly #experts: readonly number[]
  /** Work by share, memoized for models that share it with this one; costs are each model's own. */
  #works: KeptByShare<ShareWork> | undefined
  readonly #costs: KeptByShare<LayerCosts> = new KeptByShare()
  readonly #plain: KeptByShare<PlainCosts> = new KeptByShare(false)
  readonly #parts: Map<number, PartElements>
  readonly #lastKind: number

  /** @param like A model of the same workload, machine and engine at other rates, whose counted work is used again. */
  constructor(workload: Workload, machine: Machine, engine: Behaviour, rates: Rates, like?: CostModel) {
    this.workload = workload
    this.machine = machine
    this.engine = engine
    this.rates = rates
    if (like !== undefined) {
      like.#works ??= new KeptByShare()
      this.#works = like.#works
    }
    this.#parts = like === undefined ? new Map() : like.#parts
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
    this.#lastKind = kindOf.at(-1)!
    let experts = 0
    this.#experts = [0, ...d.expertLayers.map((own) => (own ? ++experts : experts))]
  }

  /**
   * Sum of `size` layers from layer `from` on, with embeddings and head where asked. The first `recomputed` layers are
   * computed again; prediction layers, which come last on the last stage, only where `recomputed` exceeds the other layers.
   */
  stage(
    layout: Layout,
    from: number,
    size: number,
    recomputed: number,
    isFirst: boolean,
    isLast: boolean,
  ): PassSeconds {
    const costs = this.#costsOf(layout)
    const sum = noSeconds()
    const { layers } = costs
    const selective = layout.recompute === 'selective'
    const again = from + Math.min(recomputed, size)
    for (let kind = 0; kind < layers.length; kind++) {
      const counts = this.#counts[kind]!
      const { plain, core } = layers[kind]!
      const times = counts[again]! - counts[from]!
      if (times > 0) add(sum, plain, times, plain.forward)
      const rest = counts[from + size]! - counts[again]!
      if (rest > 0) add(sum, plain, rest, selective ? core : 0)
    }
    if (isFirst) add(sum, costs.first, 1)
    if (isLast) {
      // each prediction layer is one more of the last kind with a head of its own
      const { predictionLayers } = this.workload.decoder
      if (predictionLayers > 0) {
        const more = Math.min(Math.max(recomputed - size, 0), predictionLayers)
        const { plain, core } = layers[this.#lastKind]!
        add(sum, plain, more, plain.forward)
        add(sum, plain, predictionLayers - more, selective ? core : 0)
        add(sum, costs.prediction, predictionLayers)
      }
      add(sum, costs.last, 1 + predictionLayers)
    }
    return sum
  }

  /** Prefix sums over layers: seconds of the first n both ways, n from 0 to all, nothing recomputed, without ends. */
  upTo(layout: Layout): number[] {
    const { layers } = this.#costsOf(layout)
    const each = layers.map(({ plain }) => plain.forward + plain.backward)
    const sums: number[] = []
    for (let n = 0; n <= this.workload.decoder.layers; n++) {
      let sum = 0
      for (let kind = 0; kind < each.length; kind++) sum += this.#counts[kind]![n]! * each[kind]!
      sums.push(sum)
    }
    return sums
  }

  /** Seconds to recompute a layer of the cheapest kind. */
  leastAgain(layout: Layout): number {
    return Math.min(...this.#costsOf(layout).layers.map(({ plain }) => plain.forward))
  }

  /** Whether `size` layers cost the same from either of two places on. */
  alike(from: number, other: number, size: number): boolean {
    return this.#counts.every(
      (counts) => counts[from + size]! - counts[from]! === counts[other + size]! - counts[other]!,
    )
  }

  /** What a chip holds of each part of the model. */
  parts(layout: Layout): PartElements {
    const { tensorParallel, expertParallel, expertTensorParallel } = layout
    const key = (tensorParallel * 2 ** 16 + expertParallel) * 2 ** 16 + expertTensorParallel
    let parts = this.#parts.get(key)
    if (parts === undefined) {
      parts = partElements(this.workload.decoder, this.engine, layout)
      this.#parts.set(key, parts)
    }
    return parts
  }

  /**
   * Elements that a chip holds of `size` layers from layer `from` on, with embeddings and head where asked; and of `more`
   * layers from another place on, where the chip has two stages or chunks.
   */
  elements(
    layout: Layout,
    from: number,
    size: number,
    isFirst: boolean,
    isLast: boolean,
    other = 0,
    more = 0,
  ): StageElements {
    const { decoder } = this.workload
    const counts = this.#experts
    const predictions = isLast ? decoder.predictionLayers : 0
    const experts =
      counts[from + size]! -
      counts[from]! +
      (counts[other + more]! - counts[other]!) +
      (this.#kinds[this.#lastKind]!.expert ? predictions : 0)
    return stageElements(decoder, this.parts(layout), size + more + predictions, experts, isFirst, isLast)
  }

  #costsOf(layout: Layout): LayerCosts {
    return this.#costs.find(layout) ?? this.#costs.keep(layout, this.#makeCosts(layout))
  }

  #makeCosts(layout: Layout): LayerCosts {
    const works =
      this.#works === undefined
        ? undefined
        : (this.#works.find(layout) ?? this.#works.keep(layout, this.#worksOf(layout)))
    const plain =
      this.#plain.find(layout) ??
      this.#plain.keep(layout, this.#makePlain(layout, works ?? this.#worksOf(layout)))
    const layers = this.#kinds.map(
      (kind, i) =>
        plain.layers[i] ?? this.#layer(layout, works?.layers[i] ?? this.#workOf(layout, kind), true),
    )
    const { first, last, prediction } = plain.ends
    return { layers, first, last, prediction }
  }

  #makePlain(layout: Layout, works: ShareWork): PlainCosts {
    return {
      ends: this.#ends(layout, works),
      layers: this.#kinds.map(({ expert }, i) =>
        expert ? undefined : this.#layer(layout, works.layers[i]!, false),
      ),
    }
  }

  #worksOf(share: Share): ShareWork {
    const { decoder, sequenceLength } = this.workload
    return {
      layers: this.#kinds.map((kind) => this.#workOf(share, kind)),
      first: embeddingWork(decoder, this.engine, share, sequenceLength),
      last: headWork(decoder, this.engine, share, sequenceLength),
      prediction: predictionWork(decoder, this.engine, share, sequenceLength),
    }
  }

  #workOf(share: Share, kind: LayerKind): Passes {
    return layerWork(this.workload.decoder, this.engine, share, this.workload.sequenceLength, kind)
  }

  /**
   * Costs of embeddings, head and prediction layers, with the messages of tensor-parallel chips there: rows of a table of
   * which each chip has a part, the input of products, its gradient, and what the loss needs of all logits of a token
   * (`VocabParallelEmbedding`, `ColumnParallelLinear`, `vocab_parallel_cross_entropy`, `MultiTokenPredictionLayer` of
   * github.com/NVIDIA/Megatron-LM).
   */
  #ends(layout: Layout, works: ShareWork): EndCosts {
    const { decoder, sequenceLength } = this.workload
    const { machine, rates, engine } = this
    const { tensorParallel: t, sequenceParallel } = layout
    const tokens = (layout.microBatch * sequenceLength) / layout.contextParallel
    const path = pathOf(machine, rates, { size: t, stride: 1 })
    const stream = tokens * decoder.hiddenSize * HALF
    // gathered, or scattered as sums: half of what summing on every chip takes
    const half = gatherSeconds(path, stream)
    // rows are summed, and scattered by tokens at once where no positions are to be added
    const rows = (sequenceParallel && decoder.positions === 0 ? 1 : 2) * half
    const rowsBackward = sequenceParallel ? half : 0
    // products gather their input, once more for the gradient of weights, and scatter the sum of its gradient; or sum that
    const gathered = sequenceParallel ? 1 : 0
    const back = sequenceParallel ? 1 + rates.exposed : 2
    // of each token the largest logit, that of the next token and the sum of exponentials; the last two at once where fused
    const loss = reduceSeconds(path, tokens * 3 * SINGLE, engine.fusedLoss ? 2 : 3)
    // two streams go into the product; its output, split by columns, is gathered, and then split by tokens again
    const both = gatherSeconds(path, 2 * stream)
    return {
      first: this.#end(works.first, rows, rowsBackward),
      last: this.#end(works.last, gathered * half + loss, back * half),
      prediction: this.#end(
        works.prediction,
        rows + gathered * both + half,
        rowsBackward + back * both + gathered * half,
      ),
    }
  }

  /** Seconds of passes with messages that nothing runs beside. */
  #end(passes: Passes, forward: number, backward: number): PassSeconds {
    const { machine, rates } = this
    const seconds = (work: Work, messages: number) =>
      later(deviceSeconds(work, machine, rates, false) + messages, work.kernels * rates.host)
    const weight = seconds(passes.weight, 0)
    const sum = noSeconds()
    sum.forward = seconds(passes.forward, forward)
    sum.backward = seconds(passes.input, backward) + weight
    sum.weight = weight
    sum.tensor = forward + backward
    return sum
  }

  #layer(layout: Layout, passes: Passes, isExpert: boolean): LayerSeconds {
    const { decoder, sequenceLength, precision } = this.workload
    const machine = this.machine
    const rates = this.rates
    const engine = this.engine
    const t = layout.tensorParallel
    const cp = layout.contextParallel
    const tokens = (layout.microBatch * sequenceLength) / cp
    const eighth = precision === 'fp8'

    // twice a layer, forward and backward: activations summed over the tensor-parallel chips, or gathered and
    // scattered, which moves as many bytes
    const activations = tokens * decoder.hiddenSize * HALF
    const tensorPath = pathOf(machine, rates, { size: t, stride: 1 })
    const once = t > 1 ? reduceSeconds(tensorPath, activations) : 0
    // experts' tokens are exchanged rather than summed over these chips
    const times = isExpert && decoder.experts?.sharedIntermediateSize === 0 ? 1 : 2
    const hidden = engine.overlapsTensor ? rates.exposedTensor : 1
    const tensor = times * once * hidden
    // the input is gathered again for the gradient of weights, beside that of the input
    const tensorBackward =
      tensor +
      (layout.sequenceParallel && t > 1 ? times * gatherSeconds(tensorPath, activations) * rates.exposed : 0)

    let context = 0
    let contextBackward = 0
    const widths = attentionWidths(decoder, t)
    const core = deviceSeconds(passes.core, machine, rates, eighth)
    if (cp > 1) {
      const path = pathOf(machine, rates, { size: cp, stride: t })
      if (layout.contextMethod === 'ring') {
        const bytes = tokens * (widths.key + widths.value) * HALF * cp
        const whole = gatherSeconds(path, bytes)
        context = Math.max(whole - core, 0) + rates.exposed * Math.min(whole, core)
        // keys and values go round again, and their gradients with them
        contextBackward = 2 * context
      } else {
        const bytes = tokens * (widths.query + widths.key + widths.value + widths.output) * HALF
        context = exchangeSeconds(path, bytes)
        contextBackward = context
      }
    }
    let expert = 0
    if (isExpert && decoder.experts !== null) {
      const { expertParallel, expertTensorParallel: etp } = layout
      const path = pathOf(machine, rates, { size: expertParallel, stride: etp })
      const token = streamTokens(layout, tokens) * decoder.hiddenSize * HALF
      const sent = token * decoder.experts.active
      const reached = domainsReached(decoder.experts, path.outer)
      // what arrives is gathered over the chips that an expert is split over, and scattered to them on its way back
      const split = gatherSeconds(pathOf(machine, rates, { size: etp, stride: 1 }), sent * etp)
      const ranks = expertParallel * etp
      const whole = engine.gathersTokens
        ? gatherSeconds(pathOf(machine, rates, { size: ranks, stride: 1 }), token * ranks)
        : split +
          (engine.dispatchesOnce ? dispatchSeconds(path, sent, token * reached) : exchangeSeconds(path, sent))
      expert = 2 * whole * (engine.overlapsExperts ? rates.exposed : 1)
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
    const backward = later(
      work('input') + weight + tensorBackward + contextBackward + expert,
      floor(passes.input.kernels + passes.weight.kernels + messages),
    )
    const plain = {
      forward,
      backward,
      weight,
      recompute: 0,
      tensor: tensor + tensorBackward,
      context: context + contextBackward,
      expert: 2 * expert,
    }
    // fused attention over several chips exchanges as it computes again
    return { plain, core: core + context }
  }
}

/** Most values that are memoized: searches ask for one share after the other, so more would only take memory. */
const KEPT = 8192

/** Values memoized by the parts of a layout that one chip's work depends on; keys are numbers, as text is slow to make. */
class KeptByShare<Value> {
  readonly #experts: boolean
  readonly #kept = new Map<number, Map<number, Value>>()
  #size = 0
  #lastDegrees = Number.NaN
  #lastRest = Number.NaN
  #last: Value | undefined

  /** @param experts Whether the values depend on how experts are spread. */
  constructor(experts = true) {
    this.#experts = experts
  }

  find(l: Layout): Value | undefined {
    const degrees = degreesKey(l, this.#experts)
    const rest = tokensKey(l, this.#experts)
    if (this.#lastDegrees !== degrees || this.#lastRest !== rest) {
      this.#lastDegrees = degrees
      this.#lastRest = rest
      this.#last = this.#kept.get(degrees)?.get(rest)
    }
    return this.#last
  }

  /** Adds a value under a new key. */
  keep(l: Layout, value: Value): Value {
    if (++this.#size > KEPT) {
      this.#kept.clear()
      this.#size = 1
    }
    const degrees = degreesKey(l, this.#experts)
    let kept = this.#kept.get(degrees)
    if (kept === undefined) {
      kept = new Map()
      this.#kept.set(degrees, kept)
    }
    const rest = tokensKey(l, this.#experts)
    kept.set(rest, value)
    this.#lastDegrees = degrees
    this.#lastRest = rest
    this.#last = value
    return value
  }
}

/**
 * Adds seconds so many times.
 * @param again Seconds of each that are done again in the backward pass.
 */
export function add(to: PassSeconds, from: PassSeconds, times: number, again = 0): void {
  to.forward += from.forward * times
  to.backward += (from.backward + again) * times
  to.weight += from.weight * times
  to.recompute += (from.recompute + again) * times
  to.tensor += from.tensor * times
  to.context += from.context * times
  to.expert += from.expert * times
}

/** Multiplies seconds. */
export function scale(seconds: PassSeconds, by: number): void {
  seconds.forward *= by
  seconds.backward *= by
  seconds.weight *= by
  seconds.recompute *= by
  seconds.tensor *= by
  seconds.context *= by
  seconds.expert *= by
}
