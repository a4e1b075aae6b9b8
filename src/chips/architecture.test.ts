/** @file Which chips share a design of cores. */
import { expect, test } from 'vitest'
import { architectureOf } from './architecture.ts'

test.each([
  ['ascend-910a', 'da-vinci-1'],
  ['ascend-910b2c', 'da-vinci-2'],
  ['ascend-950pr', 'da-vinci-3'],
  ['rtx-2080-ti', 'turing'],
  ['titan-rtx', 'turing'],
  ['rtx-3090', 'ampere-consumer'],
  ['a800-80gb-pcie', 'ampere'],
  ['gh200-96gb', 'hopper'],
  ['h20-141gb', 'hopper'],
  ['gb300', 'blackwell'],
  ['mi325x', 'cdna-3'],
  ['mi355x', 'cdna-4'],
])('%s is of %s', (id, architecture) => {
  expect(architectureOf({ id })).toBe(architecture)
})

test.each(['rtx-2000-ada', 'rtx-6000d', 'own-chip'])('%s shares its design with no known chip', (id) => {
  expect(architectureOf({ id })).toBe(id)
})
