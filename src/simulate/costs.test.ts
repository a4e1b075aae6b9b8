/** @file Messages of a stage, in bytes: links have no latency and all of their rate here, and nothing is hidden. */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { catalogChips } from '../chips/index.ts'
import { ENGINES } from '../engines/index.ts'
import { type Decoder, readDecoder } from '../model/index.ts'
import { CostModel, FITTED, type Layout, machineOf, ONE_CHIP, ratesOf } from './index.ts'

const CHIP = catalogChips().find(({ id }) => id === 'h100-sxm')!
const ENGINE = ENGINES['megatron-lm'].behaviour
const TOKENS = 4096

function decoder(name: string): Decoder {
  return readDecoder(JSON.parse(readFileSync(`examples/models/${name}/config.json`, 'utf8')))
}

function costsOf(decoder: Decoder): CostModel {
  const machine = machineOf(CHIP, 64, 'bf16', { networkBytesPerSecond: 25e9 })
  const links = machine.links.map((link) => ({ ...link, latency: 0 }))
  const workload = { decoder, sequenceLength: TOKENS, globalBatch: 64, precision: 'bf16' } as const
  const rates = { ...ratesOf(FITTED, machine, ENGINE), linkShare: 1, networkShare: 1, exposed: 0 }
  return new CostModel(workload, { ...machine, links }, ENGINE, {
    ...rates,
    linkLatency: 0,
    networkLatency: 0,
  })
}

const split: Layout = { ...ONE_CHIP, tensorParallel: 8 }
const sequence: Layout = { ...split, sequenceParallel: true }

describe.each(['gpt3-175b', 'llama-3-70b', 'deepseek-v3'])('tensor-parallel messages of %s', (name) => {
  const d = decoder(name)
  const costs = costsOf({ ...d, predictionLayers: 0 })
  const { bytesPerSecond } = costs.machine.links[0]!
  /** Bytes that a chip sends at an end of the model, which has no layers of its own here. */
  const sent = (layout: Layout, end: 'first' | 'last', model = costs) =>
    model.stage(layout, 0, 0, 0, end === 'first', end === 'last').tensor * bytesPerSecond
  /** What 8 chips send to gather the stream of all tokens, each 7 eighths of it. */
  const stream = (7 / 8) * TOKENS * d.hiddenSize * 2
  // the largest logit, that of the next token, and the sum, in 4 bytes each, to be known on all chips
  const loss = 2 * (7 / 8) * TOKENS * 3 * 4

  test('none on one chip', () => {
    expect(sent(ONE_CHIP, 'first')).toBe(0)
    expect(sent(ONE_CHIP, 'last')).toBe(0)
  })

  test('rows of the table that another chip has', () => {
    expect(sent(split, 'first')).toBeCloseTo(2 * stream, 0)
    // forward and backward; learned positions are added to whole rows, before they are split
    expect(sent(sequence, 'first')).toBeCloseTo(d.positions > 0 ? 3 * stream : 2 * stream, 0)
  })

  test("the gradient of the head's input and the loss, however large the vocabulary is", () => {
    for (const layout of [split, sequence]) {
      expect(sent(layout, 'last')).toBeCloseTo(2 * stream + loss, 0)
      const larger = costsOf({ ...d, predictionLayers: 0, vocabularySize: 2 * d.vocabularySize })
      expect(sent(layout, 'last', larger)).toBeCloseTo(2 * stream + loss, 0)
    }
  })

  test('of a prediction layer: of its layer, its embedding, its head, and what joins them', () => {
    const without = costs.stage(sequence, 0, d.layers, 0, true, true).tensor
    const { tensor } = costsOf({ ...d, predictionLayers: 1 }).stage(sequence, 0, d.layers, 0, true, true)
    const layer = costs.stage(sequence, d.layers - 1, 1, 0, false, false).tensor
    const more = (tensor - without - layer) * bytesPerSecond
    // and two streams gathered for the projection that joins them, its output, and both ways back
    expect(more - sent(sequence, 'first') - sent(sequence, 'last')).toBeCloseTo(6 * stream, -1)
  })
})
