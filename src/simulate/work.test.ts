/** @file Work of layers held against the model's FLOPs, and against how it must split. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type Decoder, decoderFlops, meanSeen, readDecoder } from '../model/index.ts'
import { ENGINES } from './engines.ts'
import { type Engine, ONE_CHIP } from './types.ts'
import { headWork, layerWork, type Passes, type Share } from './work.ts'

const engine = ENGINES['megatron-lm']

function decoder(name: string): Decoder {
  return readDecoder(JSON.parse(readFileSync(`examples/models/${name}/config.json`, 'utf8')))
}

function share(change: Partial<Share> = {}): Share {
  return { ...ONE_CHIP, ...change }
}

const flopsOf = ({ forward, input, weight }: Passes) =>
  [forward, input, weight].reduce(
    (sum, work) => sum + work.flops + work.groupedFlops + work.attentionFlops,
    0,
  )

describe.each(['gpt3-175b', 'llama-3-70b', 'mixtral-8x7b', 'deepseek-v3'])('%s', (name) => {
  const d = { ...decoder(name), predictionLayers: 0 }
  const sequenceLength = 4096
  const layers = (s: Share) =>
    d.expertLayers.map((expert, layer) =>
      layerWork(d, engine, s, sequenceLength, { expert, window: d.windows[layer] }),
    )

  test('does the FLOPs of the model, and the scores of attention once more backward', () => {
    const own = layers(share()).reduce((sum, passes) => sum + flopsOf(passes), 0)
    const head = flopsOf(headWork(d, engine, share(), sequenceLength))
    const published = decoderFlops(d, sequenceLength)
    // backward computes the scores again: a sixth more of the core
    const again = published.attentionCore / 6
    const padded = (published.head * Math.ceil(d.vocabularySize / 128) * 128) / d.vocabularySize
    const expected = published.total - published.head + padded + again
    expect((own + head) / sequenceLength / expected).toBeCloseTo(1, 2)
  })

  test('splits products over tensor, context and micro-batch', () => {
    const sum = (s: Share) =>
      layers(s).reduce((total, { forward }) => total + forward.flops + forward.groupedFlops, 0)
    const whole = sum(share())
    expect(sum(share({ microBatch: 2 })) / whole).toBeCloseTo(2, 10)
    expect(sum(share({ contextParallel: 2 })) / whole).toBeCloseTo(0.5, 10)
    // projections to latents and key heads fewer than chips are not split
    const half = sum(share({ tensorParallel: 2 })) / whole
    expect(half).toBeGreaterThanOrEqual(0.5 - 1e-9)
    expect(half).toBeLessThan(d.attention.kind === 'latent' ? 0.56 : 0.501)
  })

  test('does the same with experts spread over chips', () => {
    const grouped = (s: Share) => layers(s).reduce((total, { forward }) => total + forward.groupedFlops, 0)
    const spread = grouped(share({ expertParallel: 8 }))
    expect(spread).toBeCloseTo(grouped(share()), -6)
  })
})

test('attention without fusion sees all keys and moves its scores', () => {
  const d = decoder('gpt3-175b')
  const kind = { expert: false, window: undefined }
  const fused = layerWork(d, engine, share(), 2048, kind).forward
  const plain = layerWork(d, { ...engine, fusedAttention: false }, share(), 2048, kind).forward
  const products = plain.flops - fused.flops
  expect(products / fused.attentionFlops).toBeCloseTo(2048 / meanSeen(2048, undefined), 10)
  const operands = plain.operandBytes - fused.operandBytes
  // scores of 96 heads: written, and read and written by the softmax, and read
  expect(plain.elementwiseBytes + operands - fused.elementwiseBytes).toBe(96 * 2048 * 2048 * 8)
})

test('a mask apart from softmax moves scores again: in fp32 where they have 16 bits, by copies where all is one format', () => {
  const d = decoder('gpt3-175b')
  const kind = { expert: false, window: undefined }
  const scores = 96 * 2048 * 2048
  const extra = (wideBytes: 2 | 4) => {
    const stored: Engine = { ...engine, fusedAttention: false, wideBytes }
    const fused = layerWork(d, stored, share(), 2048, kind)
    const apart = layerWork(d, { ...stored, fusedMask: false }, share(), 2048, kind)
    return [
      apart.forward.elementwiseBytes - fused.forward.elementwiseBytes,
      apart.input.elementwiseBytes - fused.input.elementwiseBytes,
    ]
  }
  expect(extra(4)).toEqual([24 * scores, 34 * scores])
  // two passes forward, and ten backward
  expect(extra(2)).toEqual([4 * scores, 20 * scores])
})

test('a loss in the format of all else casts nothing', () => {
  const d = decoder('gpt3-175b')
  const logits = 2048 * d.vocabularySize
  const bytes = (wideBytes: 2 | 4) => {
    const { forward, input } = headWork(
      d,
      { ...engine, fusedLoss: false, vocabularyMultiple: 1, wideBytes },
      share(),
      2048,
    )
    return forward.elementwiseBytes + input.elementwiseBytes
  }
  expect(bytes(4) - bytes(2)).toBe(logits * (42 + 18 - 18 - 8))
})

describe('experts by engine', () => {
  const d = decoder('mixtral-8x7b')
  const kind = { expert: true, window: undefined }
  const split = share({ tensorParallel: 8, expertTensorParallel: 8 })
  const work = (change: Partial<Engine>) => layerWork(d, { ...engine, ...change }, split, 4096, kind)
  // each of the 8 chips sees all 4096 tokens, each of them for two experts
  const row = d.hiddenSize * 2
  const routed = 2 * 4096

  test('in turn they do the same as plain products, and copy gradients for each', () => {
    const together = work({})
    const apart = work({ groupsExperts: false })
    expect(flopsOf(apart)).toBeCloseTo(flopsOf(together), -3)
    expect(apart.forward.groupedFlops).toBe(0)
    expect(apart.forward.elementwiseBytes - together.forward.elementwiseBytes).toBe(3 * routed * row)
    expect(apart.input.elementwiseBytes - together.input.elementwiseBytes).toBe(50 * routed * row)
  })

  test('with all tokens on every chip, rows of own experts move more often', () => {
    const moved = (gathersTokens: boolean) => work({ gathersTokens }).forward.elementwiseBytes
    const exchanged = ((4096 / 8) * 6 + 4 * routed) * row
    expect(moved(true) - moved(false)).toBe((18 * routed + 5 * 4096) * row - exchanged)
  })
})

test('attention through latents is padded to one size of heads', () => {
  const d = decoder('deepseek-v3')
  const kind = { expert: false, window: undefined }
  const flops = (headPadding: number) =>
    layerWork(d, { ...engine, headPadding }, share(), 4096, kind).forward.attentionFlops
  // 192 of keys and 128 of values
  expect(flops(256) / flops(0)).toBeCloseTo(512 / 320, 12)
})

test('gates that are written out move more, and compute the same', () => {
  const d = decoder('llama-3-70b')
  const kind = { expert: false, window: undefined }
  const work = (composedGates: boolean) =>
    layerWork(d, { ...engine, composedGates }, share(), 4096, kind).forward
  const values = 4096 * d.intermediateSize
  expect(work(true).elementwiseBytes - work(false).elementwiseBytes).toBe((21 - 3) * 2 * values)
  expect(work(true).flops).toBe(work(false).flops)
})

test('keys that a query sees', () => {
  expect(meanSeen(4, undefined)).toBe((1 + 2 + 3 + 4) / 4)
  expect(meanSeen(4, 2)).toBe((1 + 2 + 2 + 2) / 4)
  expect(meanSeen(4, 9)).toBe(2.5)
})
