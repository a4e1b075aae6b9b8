/** @file Machines from figures of chips, and what is said where figures are missing. */
import { expect, test } from 'vitest'
import { catalogChips, EXAMPLE_CHIPS, findChip } from '../chips/index.ts'
import { RegaugeError } from '../errors.ts'
import { type ClusterFigures, machineOf } from './machine.ts'
import type { Precision } from './types.ts'

const chips = catalogChips()
const [meshed, switched, unnetworked] = EXAMPLE_CHIPS.map((name) => findChip(chips, name).chip)

function problems(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    if (error instanceof RegaugeError) return error.message
    throw error
  }
  return ''
}

test('links of a mesh and of a switch, each way, then the network', () => {
  const mesh = machineOf(meshed!, 64, 'bf16').links
  expect(mesh.map(({ size, topology }) => [size, topology])).toEqual([
    [8, 'mesh'],
    [Number.POSITIVE_INFINITY, 'switch'],
  ])
  const links = machineOf(switched!, 64, 'bf16').links
  expect(links[0]).toMatchObject({
    topology: 'switch',
    bytesPerSecond: switched!.scaleUp.bytesPerSecond! / 2,
  })
  expect(machineOf(switched!, 8, 'bf16').links).toHaveLength(1)
})

test('the rate of products alone counts where the headline counts more', () => {
  expect(machineOf(meshed!, 8, 'bf16').flops).toBe(meshed!.peak.matmulOnly)
})

const given: ClusterFigures = { networkBytesPerSecond: 50e9 }
test('a network that depends on the servers is asked for, and taken', () => {
  expect(problems(() => machineOf(unnetworked!, 64, 'bf16'))).toMatch(
    /nobody published the network bandwidth of \S+: .*give it as \S+:64@50GB\/s/,
  )
  expect(machineOf(unnetworked!, 64, 'bf16', given).links[1]!.bytesPerSecond).toBe(50e9)
  expect(problems(() => machineOf(unnetworked!, 8, 'bf16'))).toBe('')
})

test.each([0, -1, 1.5, Number.NaN, 1e30, Number.POSITIVE_INFINITY])('%s chips are refused', (count) => {
  expect(problems(() => machineOf(switched!, count, 'bf16'))).toMatch(/chips.*integer from 1 to 10000000/)
})

test('every chip of the catalog makes a machine, or says all that it lacks', () => {
  for (const chip of chips) {
    for (const precision of ['bf16', 'fp16', 'fp8'] satisfies Precision[]) {
      const told = problems(() => machineOf(chip, 1024, precision))
      for (const line of told.split('\n').filter(Boolean)) {
        expect(line).toMatch(new RegExp(`nobody published the .* of ${chip.id}: .+`))
      }
    }
  }
})
