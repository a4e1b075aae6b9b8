/** @file Rotary tables against those of transformers (scripts/golden-rope.py), and what is refused. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { HfConfig } from '../formats/index.ts'
import { readRope, ropeTables } from './rope.ts'

interface Golden {
  readonly config: HfConfig & { readonly max_position_embeddings: number }
  readonly headSize: number
  readonly length: number
  readonly positions: readonly number[]
  readonly cos: readonly number[]
  readonly sin: readonly number[]
}

const GOLDEN = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../test/golden/rope.json'), 'utf8'),
) as Record<string, Golden>

function read(config: HfConfig, maxPositions: number, headSize: number) {
  const problems: string[] = []
  const rope = readRope(config, maxPositions, headSize, (_, message) => void problems.push(message))
  return { rope, problems }
}

describe('tables are those of transformers', () => {
  test.each(Object.entries(GOLDEN))('%s', (_, { config, headSize, length, positions, ...golden }) => {
    const { rope, problems } = read(config, config.max_position_embeddings, headSize)
    expect(problems).toEqual([])
    const tables = ropeTables(rope, headSize, length)
    for (const which of ['cos', 'sin'] as const) {
      expect(tables[which]).toHaveLength(length * headSize)
      positions.forEach((position, p) => {
        for (let i = 0; i < headSize; i++) {
          const ours = tables[which][position * headSize + i]!
          const theirs = golden[which][(p * headSize) / 2 + (i % (headSize / 2))]!
          // here and there torch's power is off by the last bit, which 4095 positions multiply
          expect(Math.abs(ours - theirs), `${which} of position ${position}, pair ${i}`).toBeLessThan(1e-5)
        }
      })
    }
  })
})

describe('reading', () => {
  const problemsOf = (config: HfConfig) => read(config, 512, 8).problems

  test('takes both spellings, and the defaults', () => {
    const scaling = { type: 'linear', factor: 2 } as const
    expect(read({}, 512, 8).rope).toEqual({ theta: 10000, scaling: { type: 'default' } })
    expect(read({ rope_theta: 5e5, rope_scaling: null }, 512, 8).rope.theta).toBe(5e5)
    for (const rope_scaling of [scaling, { rope_type: 'linear', factor: 2 }]) {
      expect(read({ rope_theta: 100, rope_scaling }, 512, 8).rope).toEqual({ theta: 100, scaling })
    }
    const rope_parameters = { rope_theta: 100, rope_type: 'linear', factor: 2 }
    expect(read({ rope_parameters, rope_theta: 7 }, 512, 8).rope).toEqual({ theta: 100, scaling })
  })

  test('reports every problem, with the key and the value', () => {
    expect(problemsOf({ rope_scaling: { rope_type: 'llama3', factor: -1, low_freq_factor: 'x' } })).toEqual([
      'rope_scaling.low_freq_factor must be a positive number, got "x"',
      'rope_scaling.high_freq_factor is missing',
      'rope_scaling.factor must be a positive number, got -1',
    ])
    expect(
      problemsOf({ rope_scaling: { type: 'longrope', short_factor: [1, 2, 3, 4], long_factor: [1] } }),
    ).toEqual(['rope_scaling.long_factor must be a list of 4 positive numbers'])
    expect(problemsOf({ rope_parameters: { rope_type: 'spiral' } })).toEqual([
      'rope_parameters.rope_type "spiral" is not supported',
    ])
    expect(problemsOf({ rope_scaling: [2] })).toEqual(['rope_scaling must be an object, got [2]'])
    expect(problemsOf({ rope_theta: 0 })).toEqual(['rope_theta must be a positive number, got 0'])
    expect(problemsOf({ partial_rotary_factor: 0.5 })).toEqual(['partial_rotary_factor must be 1, got 0.5'])
  })
})
