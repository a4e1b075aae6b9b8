/**
 * @file Makes the catalog of chips from a file of collected figures: SI units, one schema, sources by key. A figure
 * without a source is no figure: it is kept as text under `unverified`, and is null.
 *
 *     npx tsx scripts/import-chips.ts collected.json && npx biome check --write src/chips/catalog.json
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Chip, Direction, FigureGroup, Status } from '../src/chips/index.ts'
import { ADDED, ADDED_NOTES, ADDED_SOURCES } from './chip-sources.ts'

/** A chip as it was collected: TFLOP/s, GB, GB/s, Gbit/s. */
interface Collected {
  id: string
  vendor: string
  name: string
  aliases: string[]
  status: string
  process: string | null
  die_area_mm2: number | null
  die_note: string | null
  peak_dense: Record<'fp32' | 'tf32' | 'bf16' | 'fp16' | 'fp8' | 'fp4' | 'int8', number | null>
  peak_notes: string | null
  matmul_only_peak_fp16_tflops: number | null
  measured: Record<string, number | string> | null
  hbm_gb: number | null
  hbm_type: string | null
  hbm_bw_gbs: number | null
  scale_up: {
    name: string | null
    gbs_per_chip: number | null
    direction: string | null
    domain_size: number | null
    topology: string | null
  }
  scale_out: { gbps_per_chip: number | null; protocol: string | null }
  server: { name: string | null; chips: number | null }
  tdp_w: number | null
  tdp_note: string | null
  software: { stack: string; collective: string }
  torch_device: string | null
  dist_backend: string | null
  k8s_resource: string | null
  k8s_note: string | null
  tpp: { estimate_not_from_published_peak: number | null; note: string | null }
  claims_not_used: string[]
  recall_unverified: Record<string, string | number>
  disagreements: string[]
  sources: Record<string, string[]>
  confidence: string
}

/** Names that variants share, and the variant that is meant by such a name alone. */
const FAMILIES: Record<string, { members: string[]; typical?: string }> = {
  '910B': {
    members: [
      'ascend-910b1',
      'ascend-910b2',
      'ascend-910b2c',
      'ascend-910b3',
      'ascend-910b4',
      'ascend-910b4-1',
    ],
  },
  '910C': { members: ['ascend-910c', 'ascend-910c-626'], typical: 'ascend-910c' },
  '950PR': { members: ['ascend-950pr', 'ascend-950pr-atlas350'] },
  A100: {
    members: ['a100-40gb-pcie', 'a100-40gb-sxm', 'a100-80gb-sxm', 'a100-80gb-pcie'],
    typical: 'a100-80gb-sxm',
  },
  A800: { members: ['a800-80gb-sxm', 'a800-80gb-pcie'], typical: 'a800-80gb-sxm' },
  H100: { members: ['h100-sxm', 'h100-pcie'], typical: 'h100-sxm' },
  H20: { members: ['h20-96gb', 'h20-141gb'], typical: 'h20-96gb' },
}

const GROUP_OF: Record<string, FigureGroup | 'all' | undefined> = {
  all: 'all',
  process: 'process',
  die: 'process',
  peak: 'peak',
  bf16: 'peak',
  fp32: 'peak',
  tpp: 'peak',
  mfu_denominator: 'peak',
  memory: 'memory',
  interconnect: 'scaleUp',
  nvlink: 'scaleUp',
  fabric: 'scaleUp',
  ports: 'scaleUp',
  nic: 'scaleOut',
  server: 'server',
  tdp: 'power',
  measured: 'measured',
  k8s: 'software',
  backend: 'software',
  torch_device: 'software',
}

const keyBySource = new Map(Object.entries(ADDED_SOURCES).map(([key, text]) => [text, key]))
const sources: Record<string, string> = {}

/** Key of a source, by its text. */
function sourceKey(text: string): string {
  let key = keyBySource.get(text)
  if (key === undefined) {
    const words = text.replace(/^GitHub\/? ?/, '').toLowerCase()
    key = words
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 28)
      .replace(/-$/, '')
    while (sources[key] !== undefined || ADDED_SOURCES[key] !== undefined) key += '-2'
    keyBySource.set(text, key)
  }
  sources[key] = text
  return key
}

/** Sources in words that say what they are to a reader who has only them. */
function cleanSource(text: string): string {
  return text
    .replace(/ \(read_file id=\d+\)/, '')
    .replace('Stored research doc citing', 'Research note, second-hand, citing')
    .replace('GitHub/ (AMD', 'GitHub, repository not recorded (AMD')
    .trim()
}

function scaled(value: number | null | undefined, factor: number): number | null {
  return value === null || value === undefined ? null : Number((value * factor).toPrecision(12))
}

function statusOf(text: string): [Status, string | null] {
  const note = text.replace('; see export_rules.md', '')
  if (/stopped|superseded/.test(text)) return ['stopped', note]
  if (/^China-only/.test(text)) return ['restricted', note]
  if (/^reported/.test(text)) return ['reported', note]
  const known = (['shipping', 'announced', 'roadmap'] as const).find((one) => text.startsWith(one))
  if (known === undefined) throw new Error(`unknown status ${text}`)
  return [known, note === known ? null : note]
}

function directionOf(text: string | null): Direction | null {
  if (text === null) return null
  if (/bidirectional/.test(text)) return 'bidirectional'
  return text.startsWith('per direction') ? 'each way' : 'unstated'
}

/** `910_9391/9392` is `910_9391` and `910_9392`; a name of a whole family is no alias of a member. */
function aliasesOf(aliases: readonly string[]): string[] {
  return aliases
    .flatMap((alias) => {
      const [first, ...rest] = alias.split('/')
      const stem = first!.slice(0, first!.lastIndexOf('_') + 1)
      return [first!, ...rest.map((end) => stem + end)]
    })
    .filter((alias) => FAMILIES[alias] === undefined)
}

function chipOf(c: Collected): Chip {
  const grouped = new Map<FigureGroup, Set<string>>()
  const cite = (group: FigureGroup, key: string): void => {
    grouped.set(group, (grouped.get(group) ?? new Set()).add(key))
  }
  for (const [name, texts] of Object.entries(c.sources)) {
    for (const text of texts.map(cleanSource).filter((one) => one !== '')) {
      const group = GROUP_OF[name]
      if (group === 'all') {
        for (const one of [
          'process',
          'peak',
          'memory',
          'scaleUp',
          'scaleOut',
          'server',
          'power',
          'measured',
        ] as const)
          cite(one, sourceKey(text))
      } else if (group !== undefined) cite(group, sourceKey(text))
    }
  }
  for (const [group, keys] of Object.entries(ADDED[c.id] ?? {})) {
    for (const key of keys) cite(group as FigureGroup, sourceKey(ADDED_SOURCES[key]!))
  }
  if (c.torch_device === 'npu') cite('software', sourceKey(ADDED_SOURCES.verl!))
  if (c.torch_device === 'cuda') cite('software', sourceKey(ADDED_SOURCES['torch-docs']!))
  if (c.k8s_resource === 'nvidia.com/gpu') cite('software', sourceKey(ADDED_SOURCES['device-plugin']!))

  const unverified = [
    ...Object.entries(c.recall_unverified).map(
      ([key, value]) => `${key.replaceAll('_', ' ')}: ${value} (from memory)`,
    ),
    ...c.claims_not_used,
  ]
  const { estimate_not_from_published_peak: estimate, note: estimateNote } = c.tpp
  if (estimate !== null) unverified.push(`TPP about ${estimate}, ${estimateNote}`)
  /** The figure when its group has a source; else null, and the figure is told as text. */
  const figure = (group: FigureGroup, value: number | null, factor: number, label: string): number | null => {
    if (value === null || grouped.has(group)) return scaled(value, factor)
    unverified.push(`${label} (no source recorded)`)
    return null
  }
  const { scale_up: up, scale_out: out, server, measured, peak_dense: peak } = c
  const [status, statusNote] = statusOf(c.status)
  const family = Object.entries(FAMILIES).find(([, { members }]) => members.includes(c.id))
  const note = (group: FigureGroup, own: string | null): string | null =>
    [own, ADDED_NOTES[c.id]?.[group]].filter((one) => one != null).join('; ') || null
  const upBandwidth = figure(
    'scaleUp',
    up.gbs_per_chip,
    1e9,
    `scale-up ${up.gbs_per_chip} GB/s, ${up.direction}`,
  )
  const number = (key: string, factor: number): number | null =>
    scaled(measured?.[key] as number | undefined, factor)
  const recalledTorch = c.recall_unverified.torch_device !== undefined

  const chip = {
    id: c.id,
    vendor: c.vendor,
    name: c.name,
    aliases: aliasesOf(c.aliases),
    family: family?.[0] ?? null,
    typical: family?.[1].typical === c.id,
    status,
    statusNote,
    confidence: c.confidence,
    process: {
      node: c.process,
      dieAreaMm2: figure('process', c.die_area_mm2, 1, `die ${c.die_area_mm2} mm²`),
      note: note('process', c.die_note),
    },
    peak: {
      fp32: scaled(peak.fp32, 1e12),
      tf32: scaled(peak.tf32, 1e12),
      bf16: scaled(peak.bf16, 1e12),
      fp16: scaled(peak.fp16, 1e12),
      fp8: scaled(peak.fp8, 1e12),
      int8: scaled(peak.int8, 1e12),
      fp4: scaled(peak.fp4, 1e12),
      matmulOnly: scaled(c.matmul_only_peak_fp16_tflops, 1e12),
      note: note('peak', c.peak_notes),
    },
    memory: {
      bytes: figure('memory', c.hbm_gb, 1e9, `memory ${c.hbm_gb} GB`),
      type: c.hbm_type,
      bytesPerSecond: figure('memory', c.hbm_bw_gbs, 1e9, `memory bandwidth ${c.hbm_bw_gbs} GB/s`),
      note: note('memory', null),
    },
    scaleUp: {
      name: up.name,
      bytesPerSecond: upBandwidth,
      direction: upBandwidth === null ? null : directionOf(up.direction),
      domainSize: figure('scaleUp', up.domain_size, 1, `domain of ${up.domain_size} chips`),
      topology: up.topology,
      note: note('scaleUp', upBandwidth === null ? null : up.direction),
    },
    scaleOut: {
      bytesPerSecond: figure('scaleOut', out.gbps_per_chip, 1e9 / 8, `scale-out ${out.gbps_per_chip} Gbit/s`),
      protocol: out.protocol,
    },
    server: {
      name: server.name,
      chips: figure('server', server.chips, 1, `server of ${server.chips} chips`),
    },
    power: { watts: figure('power', c.tdp_w, 1, `${c.tdp_w} W`), note: note('power', c.tdp_note) },
    software: {
      runtime: c.software.stack === 'CUDA' ? 'cuda' : c.software.stack === 'CANN' ? 'cann' : null,
      stack: c.software.stack,
      torchDevice: recalledTorch ? null : c.torch_device,
      collectiveBackend: recalledTorch ? null : c.dist_backend,
      collectiveLibrary: c.software.collective,
      kubernetesResource: grouped.has('software') ? c.k8s_resource : null,
      note: c.k8s_note,
    },
    measured: measured && {
      bf16: number('bf16_tflops', 1e12),
      fp32: number('fp32_tflops', 1e12),
      int8: number('int8_tops', 1e12),
      memoryBytes: number('hbm_usable_gib', 2 ** 30),
      memoryBytesPerSecond: number('hbm_bw_gbs', 1e9),
      watts: number('max_power_w', 1),
      note: (measured.note as string | undefined) ?? null,
    },
    disagreements: c.disagreements,
    unverified,
    sources: Object.fromEntries([...grouped].map(([group, keys]) => [group, [...keys]])),
  }
  return chip as unknown as Chip
}

/** 376000000000000 as 376e12, which JSON reads the same and people read at all. */
function shortNumber(digits: string): string {
  for (const exponent of [12, 9]) {
    const text = `${Number(digits) / 10 ** exponent}e${exponent}`
    if (text.length < 14 && Number(text) === Number(digits)) return text
  }
  return digits
}

const input = process.argv[2]
if (input === undefined) throw new Error('usage: tsx scripts/import-chips.ts <collected.json>')
const collected = JSON.parse(readFileSync(input, 'utf8')) as Collected[]
const chips = collected.map(chipOf)
const sorted = Object.fromEntries(Object.entries(sources).sort(([a], [b]) => (a < b ? -1 : 1)))
const text = JSON.stringify({ sources: sorted, chips }, null, 2).replaceAll(/(?<=": )\d{10,}/g, shortNumber)
const output = join(import.meta.dirname, '../src/chips/catalog.json')
writeFileSync(output, `${text}\n`)
console.log(
  `${chips.length} chips, ${Object.keys(sources).length} sources, ${chips.flatMap((c) => c.unverified).length} claims without a source`,
)
