/** @file An upper bound of the micro-batch that fits, by the memory of one layer's attention and of the head alone. */
import {
  createMemoryModel,
  LIBRARY_BYTES,
  type MemoryModel,
  type Recompute,
  type Simulator,
} from '../simulate/index.ts'
import { divisorsOf, layoutOf, type Share, WHOLE } from './space.ts'

/**
 * Lower bound of a layout's memory: every layout has a stage with the head and a layer with attention, and keeps at least
 * the inputs of that layer and what its attention or the logits take. Weights, and all that replicas could share, are left
 * out. The layer's MLP has no width: experts in its place, with the gathered input of the head that their last stage
 * keeps, take no less.
 */
class BareMemory {
  readonly #model: MemoryModel
  readonly #bytes: number
  readonly #batch: number
  /** Divisors of the batch. */
  readonly #microBatches: readonly number[]
  /** Recomputation that may take the least memory: where scores are stored, that of attention or that of the whole layer. */
  readonly #recomputes: readonly Recompute[]
  readonly #known = new Map<number, number>()

  constructor({ workload, engine, machine }: Simulator) {
    const decoder = {
      ...workload.decoder,
      layers: 1,
      windows: [workload.decoder.windows[0]],
      experts: null,
      expertLayers: [false],
      intermediateSize: 0,
      predictionLayers: 0,
    }
    this.#model = createMemoryModel({ ...workload, decoder }, { ...engine, dropout: false })
    this.#bytes = machine.memoryBytes
    this.#batch = workload.globalBatch
    this.#microBatches = divisorsOf(workload.globalBatch)
    this.#recomputes = engine.fusedAttention ? ['full'] : ['full', 'selective']
  }

  /** The largest micro-batch that may fit; 0 without any. */
  largest(share: Share): number {
    const { tensorParallel, sequenceParallel, contextParallel, contextMethod } = share
    const flags = (sequenceParallel ? 1 : 0) + (contextMethod === 'ring' ? 2 : 0)
    const key = (tensorParallel * 2 ** 24 + contextParallel) * 4 + flags
    let largest = this.#known.get(key)
    if (largest === undefined) {
      const counts = this.#recomputes.map((recompute) => this.#count(share, recompute))
      largest = this.#microBatches[Math.max(...counts) - 1] ?? 0
      this.#known.set(key, largest)
    }
    return largest
  }

  /** Number of micro-batches, from the smallest on, that may fit. */
  #count(share: Share, recompute: Recompute): number {
    const [first, second] = this.#microBatches
    const least = this.#bytesOf(share, first!, recompute)
    if (least > this.#bytes) return 0
    const next = second === undefined ? Number.POSITIVE_INFINITY : this.#bytesOf(share, second, recompute)
    if (next > this.#bytes) return 1
    // a maximum of linear functions is convex: nowhere below the line through two earlier points
    const each = (next - least) / (second! - first!)
    const over = this.#microBatches.findIndex(
      (microBatch) => least + each * (microBatch - first!) > this.#bytes,
    )
    let count = over < 0 ? this.#microBatches.length : over
    while (count > 2 && this.#bytesOf(share, this.#microBatches[count - 1]!, recompute) > this.#bytes) count--
    return count
  }

  #bytesOf(share: Share, microBatch: number, recompute: Recompute): number {
    const alone = { ...share, expertParallel: 1, expertTensorParallel: 1 }
    const again = { recompute, layers: undefined }
    const sharing = { zeroStage: 1, offloadOptimizer: true } as const
    const layout = layoutOf(alone, microBatch, 1, this.#batch / microBatch, WHOLE, again, sharing)
    const { activations, logits, transient } = this.#model.stages(layout)[0]!.terms
    return activations + logits + transient + LIBRARY_BYTES
  }
}

const known = new WeakMap<Simulator, BareMemory>()

/** The bound of a simulator, made once for all searches with it. */
export function bareMemoryOf(simulator: Simulator): BareMemory {
  let bare = known.get(simulator)
  if (bare === undefined) {
    bare = new BareMemory(simulator)
    known.set(simulator, bare)
  }
  return bare
}
