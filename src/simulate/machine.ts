/** @file A machine: a number of chips of one kind with the network between them, from the figures of the catalog. */
import { architectureOf, type Chip, effectiveWatts, linkBandwidth, trainingRate } from '../chips/index.ts'
import { type Issue, RegaugeError } from '../errors.ts'
import { amountIssues, chipsIssues, countIssues, precisionIssues } from './sound.ts'
import type { Link, Machine, Precision } from './types.ts'

/** Figures of a cluster besides its chips; those that are missing are taken from the chip. */
export interface ClusterFigures {
  /** Chips that the first level of links joins. */
  readonly domainSize?: number
  /** Chips of a server. */
  readonly serverChips?: number
  /** Bytes/s beyond the domain, each chip, each way. */
  readonly networkBytesPerSecond?: number
}

/**
 * Chips of a kind with their network. Throws a `usage` error that names every figure that a prediction needs and
 * nobody published, with what to give instead.
 */
export function machineOf(
  chip: Chip,
  count: number,
  precision: Precision,
  given: ClusterFigures = {},
): Machine {
  const issues: Issue[] = [...precisionIssues(precision), ...chipsIssues(count)]
  const need = (value: number | null | undefined, what: string, hint: string): number => {
    if (value !== null && value !== undefined) {
      issues.push(...amountIssues(`${what} of ${chip.id}`, value))
      return value
    }
    issues.push({ code: 'CHIP_FIGURE', message: `nobody published ${what} of ${chip.id}`, hint })
    return 1
  }
  const own = 'describe the chip in a file and pass it with --chips'
  const half = need(trainingRate(chip)?.rate, 'the rate of matrix products in bf16 or fp16', own)
  const eighth = precision === 'fp8' ? need(chip.peak.fp8, 'the rate in fp8', 'use bf16') : half
  const memoryBytes = need(chip.memory.bytes, 'the memory', own)
  const memoryRate = need(chip.memory.bytesPerSecond, 'the memory bandwidth', own)

  const server = given.serverChips ?? chip.server.chips ?? undefined
  const domain = given.domainSize ?? chip.scaleUp.domainSize ?? server ?? 1
  issues.push(...countIssues(`the chips that the links of ${chip.id} join`, domain, Number.MAX_SAFE_INTEGER))
  const links: Link[] = []
  if (domain > 1 && count > 1) {
    need(chip.scaleUp.bytesPerSecond, 'the bandwidth of the links between chips', own)
    const link = linkBandwidth(chip)
    links.push({
      name: chip.scaleUp.name ?? 'links',
      size: domain,
      bytesPerSecond: link?.eachWay ?? 1,
      ...(link !== null && { direction: link.direction }),
      topology: /mesh/i.test(chip.scaleUp.topology ?? '') ? 'mesh' : 'switch',
      latency: 0,
    })
  }
  if (count > domain || links.length === 0) {
    const rate =
      count > domain
        ? need(
            given.networkBytesPerSecond ?? chip.scaleOut.bytesPerSecond,
            'the network bandwidth',
            `it depends on the servers: give it as ${chip.id}:${count}@50GB/s`,
          )
        : 1
    if (links.length === 0) {
      links.push({ name: 'chip', size: 1, bytesPerSecond: rate, topology: 'switch', latency: 0 })
    }
    links.push({
      name: chip.scaleOut.protocol ?? 'network',
      size: Number.POSITIVE_INFINITY,
      bytesPerSecond: rate,
      topology: 'switch',
      latency: 0,
    })
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  return {
    chip,
    architecture: architectureOf(chip),
    count,
    flops: eighth,
    halfFlops: half,
    memoryBytes,
    memoryBytesPerSecond: memoryRate,
    watts: chip.power.watts,
    effectiveWatts: effectiveWatts(chip),
    links,
  }
}
