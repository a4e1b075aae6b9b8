/** @file What `check` says of memory. */
import { expect, test } from 'vitest'
import { memoryText } from './commands/check.ts'

const estimate = { memoryBytes: 3 * 2 ** 30 }

test.each([
  ['host', 8 * 2 ** 30, "about 3.0 GiB of the host's memory, 8.0 GiB of it free"],
  ['device', 64 * 2 ** 30, "about 3.0 GiB of the device's memory, which has 64.0 GiB"],
  ['device', null, "about 3.0 GiB of the device's memory, whose size is not known"],
] as const)('memory on the %s of %s bytes', (memoryOn, availableBytes, text) => {
  expect(memoryText({ estimate, memoryOn, availableBytes })).toBe(text)
})
