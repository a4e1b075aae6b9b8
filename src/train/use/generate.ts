/** @file Text from a model: prompts read in chunks, then a token at a time against a cache. */
import { RegaugeError } from '../../errors.ts'
import { type Architecture, uniform } from '../../model/index.ts'
import type { Runtime } from '../../runtime/index.ts'
import { cacheNames, decodeStep } from '../../steps/index.ts'
import { createDevice, type Device } from '../device.ts'
import { allocateSlots, type TensorSlots } from '../state.ts'

/** How the next token is chosen. */
export interface SamplingOptions {
  /** 0 takes the likeliest token each time. */
  readonly temperature: number
  /** Only so many of the likeliest tokens are considered. */
  readonly topK?: number
  /** Only the likeliest tokens that together reach this probability are considered. */
  readonly topP?: number
  readonly seed: number
}

/** Makes tokens with one model. Programs are compiled on first use and kept. */
export interface Generator {
  /** Longest prompt and continuation together. */
  readonly maxLength: number
  /**
   * Yields up to `count` tokens that continue the prompt; ends early after one of `stopIds`, which is
   * yielded as well. Reads the parameters as they are at each step. One generation at a time, and none
   * under way when it is disposed of.
   */
  generate(
    prompt: ArrayLike<number>,
    count: number,
    sampling: SamplingOptions,
    stopIds?: ReadonlySet<number>,
  ): AsyncGenerator<number, void, void>
  dispose(): void
}

/** Tokens of a prompt that are read at once. */
const PREFILL = 64

/**
 * Makes a generator. `state` holds the parameters, and stays the caller's; `maxLength` is the number of positions that
 * a prompt and its continuation may take, at most those that the model has learned where it learned them one by one.
 */
export function createGenerator(
  runtime: Runtime,
  a: Architecture,
  state: TensorSlots,
  maxLength: number,
): Generator {
  const textLength = a.positions > 0 ? Math.min(maxLength, a.maxPositions) : maxLength
  const cacheLength = Math.ceil(textLength / PREFILL) * PREFILL
  const cacheShape = [1, a.attention.keyValueHeads, cacheLength, a.attention.headSize]
  const names = Array.from({ length: a.layers }, (_, i) => [cacheNames.keys(i), cacheNames.values(i)]).flat()
  const caches = allocateSlots(runtime, new Map(names.map((name) => [name, cacheShape])))
  const compiled = new Map<number, Reader>()

  const readerOf = async (tokens: number): Promise<Reader> => {
    const known = compiled.get(tokens)
    if (known !== undefined) return known
    const device = createDevice(runtime, runtime.inPlace)
    device.hold(state)
    device.hold(caches)
    const reader = { device, run: await device.prepare(decodeStep(a, { tokens, cacheLength, textLength })) }
    compiled.set(tokens, reader)
    return reader
  }

  /** Reads tokens from `position` on, which go into the caches; gives the logits of the last one. */
  const read = async (ids: ArrayLike<number>, position: number): Promise<Float32Array> => {
    let logits: Uint8Array | undefined
    for (let done = 0; done < ids.length; ) {
      const chunk = ids.length - done === 1 ? 1 : PREFILL
      const count = Math.min(chunk, ids.length - done)
      const { device, run } = await readerOf(chunk)
      await device.write(
        'ids',
        Int32Array.from({ length: chunk }, (_, i) => ids[done + i] ?? 0),
      )
      await device.write('position', Int32Array.of(position + done))
      if (chunk > 1) await device.write('last', Int32Array.of(count - 1))
      await run()
      done += count
      if (done === ids.length) logits = await device.read('logits')
    }
    return new Float32Array(logits!.buffer, logits!.byteOffset, a.vocabularySize)
  }

  return {
    maxLength: textLength,
    async *generate(prompt, count, sampling, stopIds = new Set()) {
      if (prompt.length === 0) throw new RangeError('a prompt needs at least one token')
      if (prompt.length + count > textLength) {
        throw new RangeError(
          `${prompt.length} prompt tokens and ${count} new ones exceed ${textLength} positions`,
        )
      }
      const random = uniform(sampling.seed, 'sample')
      let logits = await read(prompt, 0)
      for (let made = 0; made < count; made++) {
        const token = chooseToken(logits, sampling, random)
        yield token
        if (stopIds.has(token) || made + 1 === count) return
        logits = await read([token], prompt.length + made)
      }
    },
    dispose() {
      for (const { device } of compiled.values()) device.dispose()
      compiled.clear()
      caches.dispose()
    },
  }
}

/** A compiled program, which reads so many tokens. */
interface Reader {
  readonly device: Device
  run(): Promise<void>
}

/**
 * The next token by the sampling options; `random` gives uniform numbers in [0, 1). Throws RegaugeError of kind `data`
 * when a logit is not finite.
 */
export function chooseToken(logits: Float32Array, options: SamplingOptions, random: () => number): number {
  if (!logits.every(Number.isFinite)) {
    const message = 'the model gives logits that are not finite: its weights hold NaN or infinity, or give it'
    const hint = 'take another checkpoint, or fetch the model again'
    throw new RegaugeError('data', { code: 'LOGITS_NOT_FINITE', message, hint })
  }
  if (options.temperature === 0) return argmax(logits)
  const top = logits[argmax(logits)]!
  const weights = Float64Array.from(logits, (x) => Math.exp((x - top) / options.temperature))
  const { topK = logits.length, topP = 1 } = options
  if (topK >= logits.length && topP >= 1) return draw(weights, undefined, random)
  const order = Uint32Array.from(logits, (_, i) => i)
    .sort((i, j) => weights[j]! - weights[i]!)
    .subarray(0, topK)
  const total = order.reduce((sum, i) => sum + weights[i]!, 0)
  let kept = 0
  for (let sum = 0; kept < order.length && sum < topP * total; kept++) sum += weights[order[kept]!]!
  return draw(weights, order.subarray(0, kept), random)
}

function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

/** Draws an index, or one of `among`, with probability proportional to its weight. */
function draw(weights: Float64Array, among: Uint32Array | undefined, random: () => number): number {
  const count = among?.length ?? weights.length
  let total = 0
  for (let i = 0; i < count; i++) total += weights[among?.[i] ?? i]!
  let left = random() * total
  for (let i = 0; i < count - 1; i++) {
    left -= weights[among?.[i] ?? i]!
    if (left < 0) return among?.[i] ?? i
  }
  return among?.[count - 1] ?? count - 1
}
