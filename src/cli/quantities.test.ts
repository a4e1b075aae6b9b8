/** @file Quantities as they are typed: counts, bandwidths, pools, batches, prices, and what is none. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RegaugeError } from '../errors.ts'
import { countOf } from '../words.ts'
import { bandwidthOf, batchOf, hourlyPriceOf, poolOf, sequenceOf, tokensOf } from './quantities.ts'

describe('countOf', () => {
  it.each([
    ['4096', 4096],
    ['30K', 30_000],
    ['1.5T', 1.5e12],
    ['1.1k', 1100],
    ['15B', 15e9],
    ['15G', 15e9],
    ['1e13', 1e13],
    ['10_000', 10_000],
    ['0', 0],
  ])('reads %s', (text, value) => expect(countOf(text)).toBe(value))

  it.each(['', '-1', '1.5', 'NaN', 'Infinity', '1e30', '9e15K', '0x10', '1KK', 'K', '1,000', ' 1'])(
    'does not read "%s"',
    (text) => expect(countOf(text)).toBeUndefined(),
  )
})

describe('bandwidthOf', () => {
  it.each([
    ['50GB/s', 50e9],
    ['400Gb/s', 50e9],
    ['400 Gbit/s', 50e9],
    ['400Gbps', 50e9],
    ['1.6TB/s', 1.6e12],
  ])('reads %s', (text, value) => expect(bandwidthOf(text)).toBeCloseTo(value, 0))

  it('refuses what may be either, and what cannot be', () => {
    const hint = 'give bytes as 50GB/s or bits as 400Gb/s'
    expect(() => bandwidthOf('50gb/s')).toThrow(`"50gb/s" is not a bandwidth: ${hint}`)
    expect(() => bandwidthOf('50')).toThrow(`"50" is not a bandwidth: ${hint}`)
    expect(() => bandwidthOf('5B/s')).toThrow(
      `a bandwidth of 5B/s is not between 1 MB/s and 1000 TB/s: ${hint}`,
    )
    expect(() => bandwidthOf('0GB/s')).toThrow('is not between')
  })
})

describe('poolOf', () => {
  it('reads chips, how many, and their network', () => {
    expect(poolOf('zeta-1:4096', 'x')).toEqual({ word: 'zeta-1', count: 4096 })
    expect(poolOf('zeta 1:30K@400Gb/s', 'x')).toEqual({
      word: 'zeta 1',
      count: 30_000,
      networkBytesPerSecond: 50e9,
    })
  })

  it('reads how many before the chip, as clouds write them', () => {
    for (const text of ['8xZeta', '8 x Zeta', '8*Zeta', '8\u00d7Zeta']) {
      expect(poolOf(text, 'x')).toEqual({ word: 'Zeta', count: 8 })
    }
    expect(poolOf('1Kx9z2@50GB/s', 'x')).toMatchObject({
      word: '9z2',
      count: 1000,
      networkBytesPerSecond: 50e9,
    })
    // a chip may have an x of its own
    expect(poolOf('9z300x:4', 'x')).toEqual({ word: '9z300x', count: 4 })
    expect(() => poolOf('0xZeta', 'x')).toThrow('"0" chips of Zeta')
  })

  it.each([
    ['zeta', '"zeta" does not say how many: for instance zeta:4096'],
    [':5', '":5" names no chip: for instance eta:4096; regauge chips lists them'],
    ['', '"" names no chip: for instance eta:4096; regauge chips lists them'],
    [
      'zeta:0',
      '"0" chips of zeta: give a whole number from 1 to 10000000, for instance zeta:4096 or zeta:30K',
    ],
    ['zeta:1e30', '"1e30" chips of zeta'],
    ['zeta:-3', '"-3" chips of zeta'],
    ['zeta:NaN', '"NaN" chips of zeta'],
    ['zeta:1:2', '"1:2" chips of zeta'],
    ['zeta:8@', '"" is not a bandwidth'],
  ])('refuses "%s"', (text, message) => expect(() => poolOf(text, 'eta')).toThrow(message))
})

describe('sequenceOf', () => {
  it('reads tokens, and contexts as they are called', () => {
    expect(sequenceOf('4096')).toEqual({ tokens: 4096 })
    expect(sequenceOf('4k')).toEqual({ tokens: 4096, note: '4k tokens are taken as 4096' })
    expect(sequenceOf('1.5K').tokens).toBe(1536)
    expect(sequenceOf('1M').tokens).toBe(2 ** 20)
  })

  it.each(['', '0', '-1', '0.3k', '1.5', 'many', '4KK', '1e99'])('refuses "%s"', (text) =>
    expect(() => sequenceOf(text)).toThrow(`"${text}" is not a number of tokens: for instance 4096 or 4k`),
  )
})

describe('batchOf', () => {
  it('reads sequences, and tokens that are whole sequences', () => {
    expect(batchOf('2048', 8192)).toEqual({ sequences: 2048 })
    expect(batchOf('4M-tokens', 4000)).toEqual({ sequences: 1000 })
    expect(batchOf('8192tokens', 8192)).toEqual({ sequences: 1 })
    expect(batchOf('16M-tokens', 8192)).toEqual({
      sequences: 2048,
      note: '16M tokens are taken as 16777216: 2048 sequences of 8192',
    })
  })

  it('says what is larger than any run that is known of', () => {
    expect(batchOf('4M', 8192)).toEqual({
      sequences: 4e6,
      note: '4,000,000 sequences of 8,192 are 32.8G tokens a step, more than any published run took (128M); were 4M-tokens meant?',
    })
    expect(batchOf('16384', 8192)).toEqual({ sequences: 16_384 })
    expect(batchOf('128M-tokens', 8192)).toEqual({ sequences: 15_625 })
    expect(batchOf('1G-tokens', 8192).note).toMatch(
      /^1G tokens are taken as .*; .* more than any published run/,
    )
  })

  it.each([
    ['0', '"0" is not a batch: give sequences as 2048, or tokens as 16M-tokens'],
    ['many', '"many" is not a batch'],
    ['16T', 'a batch of 16T sequences is more than 16777216: were tokens meant? 16T-tokens'],
    ['900T-tokens', 'a batch of 900T-tokens is more than 16777216 sequences of 8192: give a smaller one'],
    ['16.1M-tokens', '16100000 tokens are not whole sequences of 8192: give sequences, such as 1965 or 1966'],
    ['1-token', '1 tokens are not whole sequences of 8192: give sequences, such as 1'],
  ])('refuses %s', (text, message) => expect(() => batchOf(text, 8192)).toThrow(message))
})

it('a price is for an hour', () => {
  expect(hourlyPriceOf('2.5/h')).toBe(2.5)
  expect(hourlyPriceOf('2')).toBe(2)
  for (const text of ['', '-1', 'free', '2/day', 'NaN', 'Infinity', '1e5']) {
    expect(() => hourlyPriceOf(text)).toThrow(`"${text}" is not a price: give it for an hour of a chip`)
  }
  for (const text of ['0', '0.0000001', '1000001/h']) {
    expect(() => hourlyPriceOf(text)).toThrow(`"${text}" is not from 0.001 to 1000000: give it for an hour`)
  }
})

it('tokens are those of a run', () => {
  expect(tokensOf('10T')).toBe(1e13)
  for (const text of ['0', '', 'lots', '-1T', 'NaN', '1.5']) {
    expect(() => tokensOf(text)).toThrow(`"${text}" is not a number of tokens: for instance 10T`)
  }
  for (const text of ['1e18', '9000000T', '5001T', '1e99']) {
    expect(() => tokensOf(text)).toThrow(`"${text}" is more tokens than any run has: give 5000T at most`)
  }
})

it('whatever is typed, it is read or refused', () => {
  const parts = [
    bandwidthOf,
    (text: string) => poolOf(text, 'x'),
    (text: string) => batchOf(text, 4096),
    tokensOf,
  ]
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[a-z]{1,3}:[\d.e-]{1,9}[KMBT]?(@[\dGMb/s]*)?$/)),
      (text) => {
        for (const part of parts) {
          try {
            part(text)
          } catch (error) {
            expect(error).toBeInstanceOf(RegaugeError)
          }
        }
      },
    ),
  )
})
