/** @file Rotary position embeddings and the ways to stretch them to longer sequences. */
import type { HfConfig } from '../formats/index.ts'

/** Scaling of the rotary frequencies. `originalPositions` is the length that the model was trained on. */
export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | { readonly type: 'dynamic'; readonly factor: number; readonly maxPositions: number }
  | {
      readonly type: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      readonly originalPositions: number
    }
  | {
      readonly type: 'yarn'
      readonly factor: number
      readonly betaFast: number
      readonly betaSlow: number
      readonly attentionFactor: number
      readonly truncate: boolean
      readonly originalPositions: number
    }
  | {
      readonly type: 'longrope'
      readonly shortFactors: readonly number[]
      readonly longFactors: readonly number[]
      readonly attentionFactor: number
      readonly originalPositions: number
    }

/** Rotary embedding of a model: base frequency and scaling. */
export interface Rope {
  readonly theta: number
  readonly scaling: RopeScaling
}

const SCALING_TYPES = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope'] as const

/**
 * Reads `rope_parameters` (transformers 5) or `rope_theta` with `rope_scaling` (before).
 * `report` takes each problem; what is returned is of use only when there was none.
 */
export function readRope(
  config: HfConfig,
  maxPositions: number,
  headSize: number,
  report: (code: string, message: string, hint?: string) => void,
): Rope {
  const source = config.rope_parameters ?? config.rope_scaling ?? {}
  const name = config.rope_parameters == null ? 'rope_scaling' : 'rope_parameters'
  if (typeof source !== 'object' || Array.isArray(source)) {
    report('CONFIG_VALUE', `${name} must be an object, got ${JSON.stringify(source)}`)
    return { theta: 10000, scaling: { type: 'default' } }
  }
  const keys = source as Readonly<Record<string, unknown>>

  const number = (key: string, fallback?: number): number => {
    const value = keys[key] ?? fallback
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
    const problem =
      value === undefined ? 'is missing' : `must be a positive number, got ${JSON.stringify(value)}`
    report('CONFIG_VALUE', `${name}.${key} ${problem}`)
    return 1
  }
  const factors = (key: string): readonly number[] => {
    const value = keys[key]
    if (
      Array.isArray(value) &&
      value.length === headSize / 2 &&
      value.every((x) => typeof x === 'number' && x > 0)
    )
      return value
    report('CONFIG_VALUE', `${name}.${key} must be a list of ${headSize / 2} positive numbers`)
    return []
  }

  const theta = keys.rope_theta === undefined ? (config.rope_theta ?? 10000) : keys.rope_theta
  if (typeof theta !== 'number' || !(theta > 0) || !Number.isFinite(theta)) {
    report('CONFIG_VALUE', `rope_theta must be a positive number, got ${JSON.stringify(theta)}`)
    return { theta: 10000, scaling: { type: 'default' } }
  }
  const partial = keys.partial_rotary_factor ?? config.partial_rotary_factor ?? 1
  if (partial !== 1) report('CONFIG_VALUE', `partial_rotary_factor must be 1, got ${JSON.stringify(partial)}`)

  const asked = keys.rope_type ?? keys.type ?? 'default'
  const type = SCALING_TYPES.find((known) => known === asked)
  const given =
    config.original_max_position_embeddings ?? keys.original_max_position_embeddings ?? maxPositions
  const originalPositions = typeof given === 'number' && given > 0 ? given : maxPositions
  const scaling = (): RopeScaling => {
    switch (type) {
      case 'default':
        return { type }
      case 'linear':
        return { type, factor: number('factor') }
      case 'dynamic':
        return { type, factor: number('factor'), maxPositions }
      case 'llama3': {
        const lowFrequencyFactor = number('low_freq_factor')
        const highFrequencyFactor = number('high_freq_factor')
        return { type, factor: number('factor'), lowFrequencyFactor, highFrequencyFactor, originalPositions }
      }
      case 'yarn': {
        const factor = keys.factor == null ? maxPositions / originalPositions : number('factor')
        const scale = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1)
        // as in the YaRN paper, or the ratio that DeepSeek's models ask for
        const inferred =
          keys.mscale && keys.mscale_all_dim
            ? scale(number('mscale')) / scale(number('mscale_all_dim'))
            : scale(1)
        return {
          type,
          factor,
          betaFast: number('beta_fast', 32),
          betaSlow: number('beta_slow', 1),
          attentionFactor: number('attention_factor', inferred),
          truncate: keys.truncate !== false,
          originalPositions,
        }
      }
      case 'longrope': {
        const factor = keys.factor == null ? maxPositions / originalPositions : number('factor')
        const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions))
        return {
          type,
          shortFactors: factors('short_factor'),
          longFactors: factors('long_factor'),
          attentionFactor: number('attention_factor', inferred),
          originalPositions,
        }
      }
      case undefined:
        report(
          'CONFIG_VALUE',
          `${name}.rope_type ${JSON.stringify(asked)} is not supported`,
          `supported are ${SCALING_TYPES.join(', ')}`,
        )
        return { type: 'default' }
    }
  }
  return { theta, scaling: scaling() }
}

/**
 * Cosines and sines for positions 0 to `length` - 1, each (length, headSize), the second half of a row
 * repeating the first, as in the reference implementation of transformers' `modeling_rope_utils`. Scalings
 * that follow the length of the text (dynamic, longrope) take `textLength`.
 */
export function ropeTables(
  rope: Rope,
  headSize: number,
  length: number,
  textLength = length,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const { frequencies, scale } = ropeFrequencies(rope, headSize, textLength)
  const cos = new Float32Array(length * headSize)
  const sin = new Float32Array(length * headSize)
  for (let position = 0; position < length; position++) {
    for (let i = 0; i < headSize; i++) {
      const angle = f32(position * frequencies[i % (headSize / 2)]!)
      cos[position * headSize + i] = Math.cos(angle) * scale
      sin[position * headSize + i] = Math.sin(angle) * scale
    }
  }
  return { cos, sin }
}

/**
 * Angle per position of each pair of a head, in radians, and the factor on cosines and sines. Each step is
 * rounded to float32 as in the reference: at position 4096 the last bit of a frequency moves an angle by 3e-4.
 */
function ropeFrequencies(
  rope: Rope,
  headSize: number,
  length: number,
): { readonly frequencies: readonly number[]; readonly scale: number } {
  const { theta, scaling } = rope
  const powers = (base: number) =>
    Array.from({ length: headSize / 2 }, (_, i) => f32(f32(base) ** f32((2 * i) / headSize)))
  const plain = (base: number) => powers(base).map((power) => f32(1 / power))
  switch (scaling.type) {
    case 'default':
      return { frequencies: plain(theta), scale: 1 }
    case 'linear':
      return { frequencies: plain(theta).map((f) => f32(f / scaling.factor)), scale: 1 }
    case 'dynamic': {
      // NTK-aware: the base grows with the sequence, once it is longer than the model was made for
      if (length <= scaling.maxPositions) return { frequencies: plain(theta), scale: 1 }
      const ratio = f32(f32(scaling.factor * length) / scaling.maxPositions)
      const stretch = f32(f32(ratio - (scaling.factor - 1)) ** (headSize / (headSize - 2)))
      return { frequencies: plain(theta * stretch), scale: 1 }
    }
    case 'llama3': {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling
      const frequencies = plain(theta).map((f) => {
        const wavelength = f32((2 * Math.PI) / f)
        if (wavelength > originalPositions / low) return f32(f / factor)
        if (wavelength < originalPositions / high) return f
        const smooth = f32(f32(f32(originalPositions / wavelength) - low) / (high - low))
        return f32(f32(f32(f32(1 - smooth) * f) / factor) + f32(smooth * f))
      })
      return { frequencies, scale: 1 }
    }
    case 'yarn': {
      // dimension at which a frequency makes the given number of turns over the original length
      const dimension = (turns: number) =>
        (headSize * Math.log(scaling.originalPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
      const round = (f: (x: number) => number, x: number) => (scaling.truncate ? f(x) : x)
      const low = Math.max(round(Math.floor, dimension(scaling.betaFast)), 0)
      const high = Math.min(round(Math.ceil, dimension(scaling.betaSlow)), headSize - 1)
      const width = high === low ? 0.001 : high - low
      const frequencies = powers(theta).map((power, i) => {
        const ramp = Math.min(Math.max(f32(f32(i - low) / width), 0), 1)
        const kept = f32(1 - ramp)
        const stretched = f32(1 / f32(scaling.factor * power))
        return f32(f32(stretched * f32(1 - kept)) + f32(f32(1 / power) * kept))
      })
      return { frequencies, scale: scaling.attentionFactor }
    }
    case 'longrope': {
      const factors = length > scaling.originalPositions ? scaling.longFactors : scaling.shortFactors
      const frequencies = powers(theta).map((power, i) => f32(1 / f32(f32(factors[i]!) * power)))
      return { frequencies, scale: scaling.attentionFactor }
    }
  }
}

const f32 = Math.fround
