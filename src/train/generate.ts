/** @file Text from a model: prompts read in chunks, then a token at a time against a cache. */
import { RegaugeError } from '../errors.ts'
import { type DType, toOnnx } from '../graph/index.ts'
import { type Architecture, uniform } from '../model/index.ts'
import type { Binding, DeviceTensor, Program, Runtime } from '../runtime/index.ts'
import { cacheNames, decodeStep, IDS } from '../steps/index.ts'

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
 * Makes a generator. `parameter` gives the tensor that holds a parameter now; `maxLength` is the number of
 * positions that the cache has room for.
 */
export function createGenerator(
  runtime: Runtime,
  a: Architecture,
  parameter: (name: string) => DeviceTensor,
  maxLength: number,
): Generator {
  const cacheLength = Math.ceil(maxLength / PREFILL) * PREFILL
  const cacheShape = [1, a.keyValueHeads, cacheLength, a.headSize]
  const caches = Array.from({ length: a.layers }, () => ({
    keys: runtime.allocate({ dtype: 'float32', shape: cacheShape }),
    values: runtime.allocate({ dtype: 'float32', shape: cacheShape }),
  }))
  const compiled = new Map<number, Reader>()

  const reader = async (tokens: number): Promise<Reader> => {
    const made =
      compiled.get(tokens) ?? (await compileReader(runtime, a, parameter, caches, { tokens, cacheLength }))
    compiled.set(tokens, made)
    return made
  }

  /** Reads tokens from `position` on; gives the logits of the last one. */
  const read = async (ids: ArrayLike<number>, position: number): Promise<Float32Array> => {
    let logits: Float32Array | undefined
    for (let done = 0; done < ids.length; ) {
      const chunk = ids.length - done === 1 ? 1 : PREFILL
      const count = Math.min(chunk, ids.length - done)
      const part = Int32Array.from({ length: chunk }, (_, i) => ids[done + i] ?? 0)
      logits = await (await reader(chunk)).run(part, count, position + done)
      done += count
    }
    return logits!
  }

  return {
    maxLength: cacheLength,
    async *generate(prompt, count, sampling, stopIds = new Set()) {
      if (prompt.length === 0) throw new RangeError('a prompt needs at least one token')
      if (prompt.length + count > cacheLength) {
        throw new RangeError(
          `${prompt.length} prompt tokens and ${count} new ones exceed ${cacheLength} positions`,
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
      for (const made of compiled.values()) made.dispose()
      compiled.clear()
      for (const { keys, values } of caches) {
        keys.dispose()
        values.dispose()
      }
    },
  }
}

interface Reader {
  run(ids: Int32Array, count: number, position: number): Promise<Float32Array>
  dispose(): void
}

interface Cache {
  readonly keys: DeviceTensor
  readonly values: DeviceTensor
}

async function compileReader(
  runtime: Runtime,
  a: Architecture,
  parameter: (name: string) => DeviceTensor,
  caches: readonly Cache[],
  shape: { tokens: number; cacheLength: number },
): Promise<Reader> {
  const program: Program = await runtime.load(toOnnx(decodeStep(a, shape).graph, 'decode'))
  const own: DeviceTensor[] = []
  const allocate = (dtype: DType, dimensions: readonly number[]) => {
    const tensor = runtime.allocate({ dtype, shape: dimensions })
    own.push(tensor)
    return tensor
  }
  const ids = allocate(IDS, [1, shape.tokens])
  const position = allocate(IDS, [])
  const last = allocate(IDS, [1])
  const logits = allocate('float32', [1, a.vocabularySize])
  const inputs = new Map([
    ['ids', ids],
    ['position', position],
    ['last', last],
  ])
  const outputs = new Map([['logits', logits]])
  const rows = caches.map((cache, layer) => {
    const dimensions = [1, a.keyValueHeads, shape.tokens, a.headSize]
    const fresh = { keys: allocate('float32', dimensions), values: allocate('float32', dimensions) }
    inputs.set(cacheNames.keys(layer), cache.keys)
    inputs.set(cacheNames.values(layer), cache.values)
    outputs.set(cacheNames.newKeys(layer), fresh.keys)
    outputs.set(cacheNames.newValues(layer), fresh.values)
    return { cache, fresh }
  })
  // parameters may move between two tensors while the model trains, so each combination has its binding
  let bound: { tensors: readonly DeviceTensor[]; binding: Binding } | undefined
  const names = [...program.inputs.keys()].filter((name) => !inputs.has(name))
  const bind = (): Binding => {
    const tensors = names.map(parameter)
    if (bound?.tensors.every((tensor, i) => tensor === tensors[i])) return bound.binding
    bound?.binding.dispose()
    const all = new Map(inputs)
    names.forEach((name, i) => void all.set(name, tensors[i]!))
    bound = { tensors, binding: program.bind(all, outputs) }
    return bound.binding
  }
  return {
    async run(tokens, count, start) {
      await ids.write(bytesOf(tokens))
      await position.write(bytesOf(Int32Array.of(start)))
      await last.write(bytesOf(Int32Array.of(count - 1)))
      await bind().run()
      for (const { cache, fresh } of rows) {
        await placeRows(fresh.keys, cache.keys, count, start)
        await placeRows(fresh.values, cache.values, count, start)
      }
      const view = logits.hostView() ?? (await logits.read())
      return new Float32Array(view.slice().buffer)
    },
    dispose() {
      bound?.binding.dispose()
      for (const tensor of own) tensor.dispose()
      program.dispose()
    },
  }
}

/** Copies the first `count` rows of each head of `fresh` (1, K, t, d) into `cache` (1, K, L, d) from row `start` on. */
async function placeRows(
  fresh: DeviceTensor,
  cache: DeviceTensor,
  count: number,
  start: number,
): Promise<void> {
  const source = fresh.hostView() ?? (await fresh.read())
  const view = cache.hostView()
  const target = view ?? (await cache.read())
  const row = cache.shape[3]! * 4
  for (let head = 0; head < cache.shape[1]!; head++) {
    const from = head * fresh.shape[2]! * row
    target.set(source.subarray(from, from + count * row), (head * cache.shape[2]! + start) * row)
  }
  if (view === null) await cache.write(target)
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

function bytesOf(array: Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}
