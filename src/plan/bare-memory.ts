/** @file The largest micro-batches that could fit, whatever the rest of a layout: attention and the head alone. */
import { createMemoryModel, LIBRARY_BYTES, type MemoryModel, type Simulator } from '../simulate/index.ts'
import { layoutOf, type Share, WHOLE } from './space.ts'

/**
 * Every layout has a stage with the head and a layer with attention, and keeps at least the inputs of that layer and
 * what its attention or the logits take. Weights and all that replicas could share are left out.
 */
export class BareMemory {
  readonly #model: MemoryModel
  readonly #bytes: number
  readonly #batch: number
  readonly #microBatches: readonly number[]
  readonly #known = new Map<string, number>()

  /** @param microBatches Least first. */
  constructor({ workload, engine, machine }: Simulator, microBatches: readonly number[]) {
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
    this.#microBatches = microBatches
  }

  /** How many of the micro-batches may fit: the first so many. */
  mostMicroBatches(share: Share): number {
    const { tensorParallel, sequenceParallel, contextParallel, contextMethod } = share
    const key = `${tensorParallel} ${sequenceParallel} ${contextParallel} ${contextMethod}`
    let most = this.#known.get(key)
    if (most === undefined) {
      let [low, high] = [0, this.#microBatches.length]
      while (low < high) {
        const middle = (low + high + 1) >> 1
        if (this.#bytesOf(share, this.#microBatches[middle - 1]!) <= this.#bytes) low = middle
        else high = middle - 1
      }
      most = low
      this.#known.set(key, most)
    }
    return most
  }

  #bytesOf(share: Share, microBatch: number): number {
    const alone = { ...share, expertParallel: 1, expertTensorParallel: 1 }
    const again = { recompute: 'full', layers: undefined } as const
    const sharing = { zeroStage: 1, offloadOptimizer: true } as const
    const layout = layoutOf(alone, microBatch, 1, this.#batch / microBatch, WHOLE, again, sharing)
    const { activations, logits, transient } = this.#model.stages(layout)[0]!.terms
    return activations + logits + transient + LIBRARY_BYTES
  }
}
