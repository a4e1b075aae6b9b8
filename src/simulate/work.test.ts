/** @file Work of layers held against the model's FLOPs, and against how it must split. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ENGINES } from '../engines/index.ts'
import { type Decoder, decoderFlops, meanSeen, readDecoder } from '../model/index.ts'
import { extentOf } from './memory/extent.ts'
import { expertPasses } from './memory/feed-forward.ts'
import { type Behaviour, type Layout, ONE_CHIP } from './types.ts'
import { domainsReached, headWork, layerWork, type Passes, predictionWork, type Share } from './work.ts'

const engine = ENGINES['megatron-lm'].behaviour

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
    const half = sum(share({ tensorParallel: 2, sequenceParallel: true })) / whole
    expect(half).toBeGreaterThanOrEqual(0.5 - 1e-9)
    expect(half).toBeLessThan(d.attention.kind === 'latent' ? 0.56 : 0.501)
  })

  test('does the same with experts spread over chips', () => {
    const grouped = (s: Share) => layers(s).reduce((total, { forward }) => total + forward.groupedFlops, 0)
    const spread = grouped(share({ expertParallel: 8 }))
    expect(spread).toBeCloseTo(grouped(share()), -6)
  })
})

test('sequence parallelism splits every norm, and nothing else', () => {
  const d = decoder('deepseek-v3')
  const whole = share({ tensorParallel: 8 })
  const split = share({ tensorParallel: 8, sequenceParallel: true })
  const norm = (7 / 8) * 4096 * d.hiddenSize * 2
  /** Norms whose input is not read and whose output is not written, in 16 bits each. */
  const spared = (work: typeof headWork) => {
    const [before, after] = [whole, split].map((s) => work(d, engine, s, 4096))
    expect(after!.forward.flops).toBe(before!.forward.flops)
    return (before!.forward.elementwiseBytes - after!.forward.elementwiseBytes) / (2 * norm)
  }
  expect(spared(headWork)).toBeCloseTo(1, 10)
  expect(spared(predictionWork)).toBeCloseTo(2, 10)
})

test('experts compute for the tokens that memory keeps for them, sequence parallelism or not', () => {
  const d = decoder('mixtral-8x7b')
  const kind = { expert: true, window: undefined }
  for (const change of [{}, { expertParallel: 8 }, { expertTensorParallel: 8 }]) {
    const [whole, split] = [false, true].map((sequenceParallel) => {
      const layout: Layout = { ...ONE_CHIP, tensorParallel: 8, sequenceParallel, dataParallel: 8, ...change }
      const { groupedFlops } = layerWork(d, engine, layout, 4096, kind).forward
      const workload = { decoder: d, sequenceLength: 4096, globalBatch: 8, precision: 'bf16' } as const
      const passes = expertPasses(extentOf(workload, engine, layout), d.experts!)
      return { groupedFlops, kept: passes.find(({ name }) => name === 'experts, out')!.saves }
    })
    expect(whole!.groupedFlops / split!.groupedFlops).toBeCloseTo(whole!.kept / split!.kept, 10)
    expect(whole!.groupedFlops / split!.groupedFlops).toBe(8)
  }
})

describe('domains that a token reaches', () => {
  const experts = decoder('deepseek-v3').experts!

  test('are no more than the groups that its experts may be of, where each has one', () => {
    expect(domainsReached(experts, 8)).toBeLessThan(4)
    expect(domainsReached(experts, 8)).toBeGreaterThan(3.5)
    expect(domainsReached({ ...experts, groups: 1, activeGroups: 1 }, 8)).toBeGreaterThan(5)
    expect(domainsReached({ ...experts, activeGroups: 1 }, 8)).toBeCloseTo(1, 10)
    expect(domainsReached(experts, 1)).toBe(1)
  })

  test('are a number however many groups there are', () => {
    const many = { ...experts, count: 2 ** 26, groups: 2 ** 26, activeGroups: 2 ** 25 }
    const anyGroup = domainsReached({ ...experts, groups: 1, activeGroups: 1 }, 8)
    expect(domainsReached(many, 8)).toBeCloseTo(anyGroup, 5)
    expect(domainsReached({ ...many, activeGroups: 2 ** 26 }, 8)).toBeCloseTo(anyGroup, 10)
  })

  test.each([2, 4, 8, 16, 32])('are as many as when experts are drawn: %i', (domains) => {
    let seed = 1
    const draw = (below: number) => {
      seed = (seed * 48_271) % (2 ** 31 - 1)
      return Math.floor((seed / (2 ** 31 - 1)) * below)
    }
    const { count, active, groups, activeGroups } = experts
    let sum = 0
    const tokens = 20_000
    for (let token = 0; token < tokens; token++) {
      const chosen = new Set<number>()
      while (chosen.size < activeGroups) chosen.add(draw(groups))
      const own = [...chosen]
      const each = count / groups
      const reached = Array.from({ length: active }, () => {
        const expert = own[draw(activeGroups)]! * each + draw(each)
        return Math.floor((expert * domains) / count)
      })
      sum += new Set(reached).size
    }
    expect(sum / tokens / domainsReached(experts, domains)).toBeCloseTo(1, 2)
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
    const stored: Behaviour = { ...engine, fusedAttention: false, wideBytes }
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
  const split = share({ tensorParallel: 8, sequenceParallel: true, expertTensorParallel: 8 })
  const work = (change: Partial<Behaviour>) => layerWork(d, { ...engine, ...change }, split, 4096, kind)
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
