/** @file Seconds of messages by hand, and what must hold for any. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  dispatchSeconds,
  exchangeSeconds,
  gatherSeconds,
  type LinkRates,
  pathOf,
  reduceSeconds,
  sendSeconds,
} from './collectives.ts'
import type { Link, Machine } from './types.ts'

const FULL: LinkRates = { linkShare: 1, networkShare: 1, linkLatency: 0, networkLatency: 0 }

const machine = (topology: Link['topology'] = 'switch') =>
  ({
    links: [
      { name: 'node', size: 8, bytesPerSecond: 200e9, topology, latency: 0 },
      {
        name: 'network',
        size: Number.POSITIVE_INFINITY,
        bytesPerSecond: 25e9,
        topology: 'switch',
        latency: 0,
      },
    ],
  }) as unknown as Machine

describe('a ring', () => {
  test('within a node passes (n - 1) / n of the bytes', () => {
    const path = pathOf(machine(), FULL, { size: 8, stride: 1 })
    expect(gatherSeconds(path, 8e9)).toBeCloseTo(7e9 / 200e9, 12)
    expect(reduceSeconds(path, 8e9)).toBeCloseTo(14e9 / 200e9, 12)
  })

  test('over nodes goes out by all of their chips, up to what links carry', () => {
    const whole = pathOf(machine(), FULL, { size: 16, stride: 1 })
    // 8 ways out of 25 GB/s are as wide as the links
    expect(gatherSeconds(whole, 16e9)).toBeCloseTo(15e9 / 200e9, 12)
    const every = pathOf(machine(), FULL, { size: 4, stride: 4 })
    expect(every).toMatchObject({ inner: 2, outer: 2 })
    expect(gatherSeconds(every, 4e9)).toBeCloseTo(3e9 / 50e9, 12)
    const one = pathOf(machine(), FULL, { size: 4, stride: 8 })
    expect(gatherSeconds(one, 4e9)).toBeCloseTo(3e9 / 25e9, 12)
    const single = pathOf(machine(), FULL, { size: 16, stride: 1 }, false)
    expect(gatherSeconds(single, 16e9)).toBeCloseTo(15e9 / 25e9, 12)
  })

  test('in a mesh has the links to its members alone', () => {
    const path = pathOf(machine('mesh'), FULL, { size: 4, stride: 1 })
    expect(path.innerRate).toBeCloseTo((200e9 * 3) / 7, 3)
  })

  test('pays latency for each step of each message', () => {
    const rates = { ...FULL, linkLatency: 1e-6, networkLatency: 1e-5 }
    const path = pathOf(machine(), rates, { size: 16, stride: 1 })
    expect(gatherSeconds(path, 0, 3)).toBeCloseTo(3 * (7e-6 + 1e-5), 12)
  })
})

test('an exchange sends each chip its part, near and far at once', () => {
  const path = pathOf(machine(), FULL, { size: 16, stride: 1 })
  expect(exchangeSeconds(path, 16e9)).toBeCloseTo(8e9 / 25e9, 12)
  // two domains: what goes to the other one goes once
  expect(dispatchSeconds(path, 16e9, 4e9)).toBeCloseTo(Math.max(14e9 / 200e9, 2e9 / 25e9), 12)
})

test('a message to the next stage crosses what lies between', () => {
  expect(sendSeconds(machine(), FULL, 4, 1e9)).toBeCloseTo(1 / 200, 12)
  expect(sendSeconds(machine(), FULL, 8, 1e9)).toBeCloseTo(1 / 25, 12)
  expect(sendSeconds(machine('mesh'), FULL, 1, 1e9)).toBeCloseTo(7 / 200, 12)
})

test('no message is quicker for more bytes or chips, and one chip needs none', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 4, 8, 16, 64, 512),
      fc.constantFrom(1, 2, 4, 8),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      (size, stride, bytes) => {
        const path = pathOf(machine(), FULL, { size, stride })
        for (const seconds of [gatherSeconds, reduceSeconds, exchangeSeconds]) {
          const own = seconds(path, bytes)
          if (size === 1) expect(own).toBe(0)
          expect(own).toBeGreaterThanOrEqual(0)
          expect(seconds(path, bytes * 2)).toBeGreaterThanOrEqual(own)
        }
      },
    ),
  )
})
