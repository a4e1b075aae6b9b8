/** @file Pipelines over two pools: what bounds leave out is never better than what they find. */

import { expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import { type Decoder, readDecoder } from '../model/index.ts'
import { machineOf } from '../simulate/index.ts'
import { joined, jointsOf, pipeline, sidesOf } from './joint.ts'
import type { Pool, PoolsRequest } from './types.ts'

const dense = readDecoder({
  model_type: 'llama',
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 8,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  vocab_size: 32_000,
})
const pool = (id: string, count: number): Pool => ({
  name: id,
  machine: machineOf(catalogChips().find((chip) => chip.id === id)!, count, 'bf16', {
    networkBytesPerSecond: 25e9,
  }),
  engine: ENGINES['megatron-lm'],
})

function requestOf(decoder: Decoder, counts: readonly [number, number]): PoolsRequest {
  return {
    workload: { decoder, sequenceLength: 32_768, globalBatch: 8, precision: 'bf16' },
    pools: [pool('a100-80gb-sxm', counts[0]), pool('h100-sxm', counts[1])],
    link: { bytesPerSecond: 400e9, latency: 1e-5 },
  }
}

/** The least seconds of all pairs of sides, at all divisions of layers that a search looks at. */
function leastOfAll(request: PoolsRequest, front: Pool, back: Pool): number {
  const backs = sidesOf(request, back)
  let least = Number.POSITIVE_INFINITY
  for (const first of sidesOf(request, front))
    for (const last of backs) {
      if (first.layout.dataParallel !== last.layout.dataParallel) continue
      if (first.layout.microBatch !== last.layout.microBatch) continue
      for (const joint of jointsOf(request, first, last, new Map())) {
        const { seconds } = joined(request, joint)
        if (seconds < joint.bound) expect(joint.bound).toBeLessThanOrEqual(seconds)
        least = Math.min(least, seconds)
      }
    }
  return least
}

/** Layers that attend to few tokens, as many as are said at either end. */
const local = (first: number, last: number): Decoder => ({
  ...dense,
  windows: dense.windows.map((_, i) => (i < first || i >= dense.layers - last ? 64 : undefined)),
})

test.each([
  ['layers that are alike', dense],
  ['lighter layers first', local(3, 0)],
  ['lighter layers last', local(0, 3)],
  ['lighter layers at both ends', local(2, 2)],
])('finds what trying all finds: %s', (_, decoder) => {
  for (const counts of [
    [2, 2],
    [4, 2],
  ] as const) {
    const request = requestOf(decoder, counts)
    for (const [front, back] of [request.pools, request.pools.toReversed()]) {
      const found = pipeline(request, sidesOf(request, front!), sidesOf(request, back!))
      expect(found!.seconds).toBe(leastOfAll(request, front!, back!))
    }
  }
})

test('waits for the gradients of a table that both pools have', () => {
  const least = (tiedEmbeddings: boolean) => {
    const request = requestOf({ ...dense, tiedEmbeddings }, [2, 2])
    const slow = { ...request, link: { bytesPerSecond: 1e9, latency: 0 } }
    const [front, back] = request.pools.map((pool) => sidesOf(request, pool))
    return pipeline(slow, front!, back!)!
  }
  // 32,000 rows of 1024 values, 4 bytes each
  const seconds = (32_000 * 1024 * 4) / 1e9
  expect(least(true).crossing - least(false).crossing).toBeCloseTo(seconds, 6)
  expect(least(true).seconds - least(false).seconds).toBeGreaterThanOrEqual(seconds * 0.9)
})
