/** @file Seconds of messages between chips, by the level of the network that they cross. */
import type { Link, Machine } from './types.ts'

/** Shares of the links' bandwidth that messages reach, and latencies of a step of a collective. */
export interface LinkRates {
  /** Within the first level of links. */
  readonly linkShare: number
  /** Beyond it. */
  readonly networkShare: number
  /** Seconds a step of a collective takes within the first level. */
  readonly linkLatency: number
  readonly networkLatency: number
}

/**
 * Chips that take part in a collective: `size` of them, `stride` apart in the order that ranks are laid on chips.
 * Groups beside each other run at once and share what they both cross.
 */
export interface Group {
  readonly size: number
  readonly stride: number
}

/** The network between the chips of a group. */
export interface Path {
  /** Chips of the group within one domain of the first level. */
  readonly inner: number
  /** Domains that the group reaches into. */
  readonly outer: number
  /** Bytes/s of each chip into the group within a domain. */
  readonly innerRate: number
  /** Bytes/s of each chip beyond its domain. */
  readonly outerRate: number
  /** Ways out of a domain that a collective of the group uses. */
  readonly rails: number
  readonly innerLatency: number
  readonly outerLatency: number
}

/** Bytes/s of a chip to and from `members` chips of one level. */
function rateAmong(link: Link, members: number): number {
  if (link.topology === 'switch') return link.bytesPerSecond
  return (link.bytesPerSecond * Math.max(members - 1, 1)) / Math.max(link.size - 1, 1)
}

export function pathOf(
  machine: Machine,
  rates: LinkRates,
  { size, stride }: Group,
  usesAllRails = true,
): Path {
  const first = machine.links[0]!
  const inner = Math.max(1, Math.min(size, Math.floor(first.size / stride)))
  const outer = Math.ceil(size / inner)
  const far =
    machine.links.find((link, level) => level > 0 && link.size >= size * stride) ?? machine.links.at(-1)!
  return {
    inner,
    outer,
    innerRate: rateAmong(first, inner) * rates.linkShare,
    outerRate: far.bytesPerSecond * rates.networkShare,
    rails: usesAllRails ? inner : 1,
    innerLatency: first.latency + rates.linkLatency,
    outerLatency: far.latency + rates.networkLatency,
  }
}

/**
 * Seconds of an all-gather of `bytes` over a group, or of its reverse, a reduce-scatter: `bytes` is the whole.
 * Ring through all chips; the chips of a domain use all ways out of it at once, and (n - 1) / n of the bytes pass the
 * narrower of link and way out. Latencies add along the ring, once for each message that the bytes are cut into.
 */
export function gatherSeconds(path: Path, bytes: number, messages = 1): number {
  const n = path.inner * path.outer
  if (n <= 1) return 0
  const rate =
    path.outer === 1
      ? path.innerRate
      : path.inner === 1
        ? path.outerRate
        : Math.min(path.innerRate, path.outerRate * path.rails)
  return (
    ((n - 1) / n) * (bytes / rate) +
    messages * ((path.inner - 1) * path.innerLatency + (path.outer - 1) * path.outerLatency)
  )
}

/** Seconds of an all-reduce of `bytes` over a group. */
export function reduceSeconds(path: Path, bytes: number, messages = 1): number {
  return 2 * gatherSeconds(path, bytes, messages)
}

/** Seconds of an all-to-all: each chip of a group sends an equal part of its `bytes` to every chip. */
export function exchangeSeconds(path: Path, bytes: number): number {
  const n = path.inner * path.outer
  if (n <= 1) return 0
  const near = (bytes * (path.inner - 1)) / n / path.innerRate
  const far = (bytes * (n - path.inner)) / n / path.outerRate
  // ways within a domain and beyond it are apart
  return Math.max(near, far) + path.innerLatency + (path.outer > 1 ? path.outerLatency : 0)
}

/**
 * Seconds of an all-to-all that sends a value once to each domain, however many chips there need it: `near` bytes pass the
 * links within a domain (the few that stay on their chip included), `far` bytes go to domains, the own one included.
 */
export function dispatchSeconds(path: Path, near: number, far: number): number {
  if (path.inner * path.outer <= 1) return 0
  const beyond = (far * (path.outer - 1)) / path.outer / path.outerRate
  return (
    Math.max((near * (path.inner - 1)) / path.inner / path.innerRate, beyond) +
    path.innerLatency +
    (path.outer > 1 ? path.outerLatency : 0)
  )
}

/** Seconds to send `bytes` to the chip `stride` further on. */
export function sendSeconds(machine: Machine, rates: LinkRates, stride: number, bytes: number): number {
  const path = pathOf(machine, rates, { size: 2, stride })
  return path.outer === 1
    ? bytes / path.innerRate + path.innerLatency
    : bytes / path.outerRate + path.outerLatency
}
