/** @file `regauge chips show`: all that is known of one accelerator, what the export rules make of it, and sources. */

import {
  type Chip,
  type ExportFindings,
  efficiencyOf,
  exportFindings,
  FIGURE_GROUPS,
  type FigureGroup,
  NOT_LEGAL_ADVICE,
  NUMBER_FORMATS,
  type RuleFinding,
} from '../../chips/index.ts'
import { RegaugeError } from '../../errors.ts'
import { harmless } from '../../harmless.ts'
import { grouped } from '../../words.ts'
import { chipsNamed, ratio, si, UNKNOWN, wayText } from '../chips.ts'
import type { Command } from '../context.ts'
import type { Terminal } from '../ui/terminal.ts'
import { padEnd, wrapped } from '../ui/text.ts'

type Rows = readonly (readonly [string, string | null])[]

export const run: Command<'chips show'> = async ({ arguments: [word], options, json, terminal }) => {
  const date = options.date ?? new Date().toISOString().slice(0, 10)
  if (!isDate(date)) {
    const message = `--date must be a day such as 2024-06-30, got "${date}"`
    throw new RegaugeError('usage', { code: 'CLI_VALUE', message })
  }
  const [chip] = await chipsNamed([word!], options.chips, terminal)
  const findings = exportFindings(chip!, date)
  if (json) {
    const output = { ...chip, efficiency: efficiencyOf(chip!), exportFindings: findings }
    terminal.data(JSON.stringify(output, null, 2))
  } else for (const line of lines(chip!, findings, terminal)) terminal.data(line)
  return 0
}

function isDate(text: string): boolean {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text)
}

function lines(chip: Chip, findings: ExportFindings, terminal: Terminal): string[] {
  const { colors, glyphs } = terminal
  const { dot } = glyphs
  const width = Math.min(terminal.width(), 100)
  const section = (title: string, rows: Rows): string[] => {
    const shown = rows.filter((row): row is [string, string] => row[1] !== null && row[1] !== '')
    if (shown.length === 0) return []
    return [
      '',
      colors.bold(title),
      ...shown.flatMap(([label, text]) => labelled(label, text, width, terminal)),
    ]
  }
  const list = (title: string, texts: readonly string[]): string[] =>
    texts.length === 0
      ? []
      : [
          '',
          colors.bold(title),
          ...texts.flatMap((text) =>
            wrapped(text, width - 4).map((line, i) => `${i === 0 ? `  ${dot} ` : '    '}${line}`),
          ),
        ]
  const also = chip.aliases.length === 0 ? '' : `, also ${chip.aliases.join(', ')}`
  return [
    `${colors.bold(harmless(`${chip.vendor} ${chip.name}`))}  ${colors.dim(harmless(`${chip.id}${also}`))}`,
    `${chip.status}${chip.statusNote === null ? '' : harmless(` (${chip.statusNote})`)}`,
    ...section('Figures', figures(chip)),
    ...section('Ratios', ratios(chip)),
    ...section('Measured by others', measured(chip)),
    ...section('Software', [
      ['runtime', chip.software.runtime ?? 'none of regauge'],
      ['stack', chip.software.stack],
      ['torch device', chip.software.torchDevice],
      [
        'collectives',
        [chip.software.collectiveBackend, chip.software.collectiveLibrary].filter(Boolean).join(', '),
      ],
      ['kubernetes', chip.software.kubernetesResource],
      ['', chip.software.note],
    ]),
    ...section(`Export rules of the United States on ${findings.date}`, rules(findings)),
    ...list('Sources disagree', chip.disagreements),
    ...list('Not figures: said without a source', chip.unverified),
    ...list(
      `Sources${chip.confidence === null ? '' : `, confidence ${chip.confidence}`}`,
      sourcesOf(chip).map(([source, groups]) => `${source} [${groups.join(', ')}]`),
    ),
  ]
}

/** Each source with the groups of figures that are from it. */
function sourcesOf({ sources }: Chip): [string, FigureGroup[]][] {
  const groups = new Map<string, FigureGroup[]>()
  for (const group of FIGURE_GROUPS) {
    for (const source of sources[group]) groups.set(source, [...(groups.get(source) ?? []), group])
  }
  return [...groups]
}

function labelled(label: string, text: string, width: number, { colors }: Terminal): string[] {
  return wrapped(text, width - 18).map(
    (line, i) =>
      `  ${colors.dim(padEnd(i === 0 ? label : '', 14))}  ${line === UNKNOWN ? colors.dim(line) : line}`,
  )
}

function figures(chip: Chip): Rows {
  const { process, peak, memory, scaleUp, scaleOut, server, power } = chip
  const tail = (...parts: (string | null)[]): string => parts.filter((part) => part !== null).join(', ')
  return [
    ['process', process.node],
    ['die', tail(process.dieAreaMm2 === null ? UNKNOWN : `${process.dieAreaMm2} mm²`, process.note)],
    ...NUMBER_FORMATS.map((precision): [string, string] => {
      const rate = si(peak[precision], precision.startsWith('int') ? 'OP/s' : 'FLOP/s')
      return [precision, rate]
    }),
    ['matmul only', peak.matmulOnly === null ? null : `${si(peak.matmulOnly, 'FLOP/s')} of bf16 and fp16`],
    ['', peak.note],
    ['memory', tail(si(memory.bytes, 'B'), memory.type)],
    ['bandwidth', si(memory.bytesPerSecond, 'B/s')],
    ['', memory.note],
    [
      'scale-up',
      tail(
        si(scaleUp.bytesPerSecond, 'B/s'),
        scaleUp.bytesPerSecond === null ? null : wayText(chip),
        scaleUp.name,
      ),
    ],
    [
      'domain',
      tail(scaleUp.domainSize === null ? UNKNOWN : `${grouped(scaleUp.domainSize)} chips`, scaleUp.topology),
    ],
    ['', scaleUp.note],
    ['scale-out', tail(eachWay(scaleOut.bytesPerSecond), scaleOut.protocol)],
    ['server', tail(server.chips === null ? UNKNOWN : `${server.chips} chips`, server.name)],
    ['power', si(power.watts, 'W')],
    ['', power.note],
  ]
}

function eachWay(value: number | null): string {
  return value === null ? UNKNOWN : `${si(value, 'B/s')} each way`
}

function ratios(chip: Chip): Rows {
  const { flopsPerWatt, bandwidthPerFlops, linksPerFlops, ridgePoint } = efficiencyOf(chip)
  return [
    ['per watt', si(flopsPerWatt, 'FLOP/s')],
    ['memory', ratio(bandwidthPerFlops, 'B/FLOP')],
    ['links', ratio(linksPerFlops, 'B/FLOP')],
    ['ridge point', ratio(ridgePoint, 'FLOP/B')],
  ]
}

function measured({ measured: found }: Chip): Rows {
  if (found === null) return []
  const shown = (value: number | null, unit: string): string | null =>
    value === null ? null : si(value, unit)
  return [
    ['bf16', shown(found.bf16, 'FLOP/s')],
    ['fp32', shown(found.fp32, 'FLOP/s')],
    ['int8', shown(found.int8, 'OP/s')],
    ['memory', shown(found.memoryBytes, 'B')],
    ['bandwidth', shown(found.memoryBytesPerSecond, 'B/s')],
    ['power', shown(found.watts, 'W')],
    ['', found.note],
  ]
}

function rules({
  tpp,
  performanceDensity,
  test2022,
  class2023,
  window2026,
  namedBy,
  rules: all,
}: ExportFindings): Rows {
  const text = <T>(finding: RuleFinding<T>, show: (value: T) => string): string =>
    finding.missing === undefined ? show(finding.value) : `${UNKNOWN}: needs ${finding.missing.join(' and ')}`
  const cite = (id: string): string => all.find((rule) => rule.id === id)!.citation
  return [
    ['TPP', text(tpp, (value) => grouped(Math.round(value)))],
    ['density', text(performanceDensity, (value) => `${value.toFixed(2)} TPP/mm²`)],
    [
      'test of 2022',
      test2022 && `${text(test2022, (met) => (met ? 'caught' : 'not caught'))} (${cite('2022-test')})`,
    ],
    [
      'class',
      class2023 &&
        `${text(class2023, (value) => (value === 'none' ? 'not 3A090.a or .b' : value))} (${cite('2023-class')})`,
    ],
    [
      'limits of 2026',
      window2026 &&
        `${text(window2026, (met) => (met ? 'both numbers kept' : 'not kept'))} (${cite('2026-window')})`,
    ],
    ...namedBy.map(({ summary, citation }): [string, string] => ['named', `${summary} (${citation})`]),
    ['', NOT_LEGAL_ADVICE],
  ].map(([label, value]) => [label!, value ?? null])
}
