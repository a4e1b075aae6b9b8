/** @file `regauge chips`: the accelerators of the catalog and of the user, in short. */

import { type Chip, loadChips } from '../../chips/index.ts'
import { nearest, RegaugeError } from '../../errors.ts'
import { harmless } from '../../harmless.ts'
import { UNKNOWN } from '../chips.ts'
import type { Command } from '../context.ts'
import { tableLines } from '../ui/table.ts'
import type { Terminal } from '../ui/terminal.ts'

export const run: Command<'chips'> = async ({ options, json, terminal }) => {
  const all = await loadChips(options.chips)
  const vendor = options.vendor === undefined ? undefined : vendorNamed(all, options.vendor)
  const least = (options['min-memory'] ?? 0) * 1e9
  const chips = all.filter(
    (chip) =>
      (vendor === undefined || chip.vendor === vendor) &&
      (options.runtime === undefined || chip.software.runtime === options.runtime) &&
      (options.status === undefined || chip.status === options.status) &&
      (least === 0 || (chip.memory.bytes !== null && chip.memory.bytes >= least)),
  )
  if (json) terminal.data(JSON.stringify(chips, null, 2))
  else if (chips.length === 0) terminal.talk('no chip is like that; regauge chips lists all')
  else {
    for (const line of table(chips, terminal)) terminal.data(line)
    terminal.talk(
      'TFLOP/s: dense, in bf16 or, where there is none, fp16; GB and TB/s: memory; W: design power',
    )
  }
  return 0
}

function table(chips: readonly Chip[], { colors }: Terminal): string[] {
  const columns = [
    { title: 'chip' },
    { title: 'status' },
    { title: 'TFLOP/s', align: 'right' },
    { title: 'GB', align: 'right' },
    { title: 'TB/s', align: 'right' },
    { title: 'W', align: 'right' },
    { title: 'runtime' },
  ] as const
  const vendors = [...new Set(chips.map((chip) => chip.vendor))]
  const rows = vendors.flatMap((vendor) => [
    [colors.bold(harmless(vendor))],
    ...chips
      .filter((chip) => chip.vendor === vendor)
      .map((chip) => [
        `  ${chip.id}`,
        chip.status,
        inUnits(chip.peak.bf16 ?? chip.peak.fp16, 1e12),
        inUnits(chip.memory.bytes, 1e9),
        inUnits(chip.memory.bytesPerSecond, 1e12),
        inUnits(chip.power.watts, 1),
        chip.software.runtime ?? 'none',
      ])
      .map((row) => row.map((cell) => (cell === UNKNOWN ? colors.dim(cell) : cell))),
  ])
  return tableLines(columns, rows, colors.bold)
}

function inUnits(value: number | null, unit: number): string {
  return value === null ? UNKNOWN : String(Number((value / unit).toPrecision(4)))
}

/** The vendor of that name, in any case. */
function vendorNamed(chips: readonly Chip[], word: string): string {
  const vendors = [...new Set(chips.map(({ vendor }) => vendor))]
  const found = vendors.find((vendor) => vendor.toLowerCase() === word.trim().toLowerCase())
  if (found !== undefined) return found
  const near = nearest(word, vendors)
  throw new RegaugeError('usage', {
    code: 'CLI_VALUE',
    message: `--vendor knows no "${word}"`,
    hint: near === undefined ? `there are ${vendors.join(', ')}` : `did you mean "${near}"?`,
  })
}
