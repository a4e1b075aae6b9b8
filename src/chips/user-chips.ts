/** @file Chips from a file of the user: checked, every problem at once, and laid over the catalog. */
import { readFileSync, statSync } from 'node:fs'
import { type Issue, RegaugeError } from '../errors.ts'
import { type Checked, MAX_FILE_BYTES, type Problem, parseSource, schemaProblems } from '../formats/index.ts'
import { type UserChip, userChipsSchema } from './schema.ts'
import { type Chip, FIGURE_GROUPS, type FigureGroup } from './types.ts'

const CHECKED: Checked = { schema: userChipsSchema, root: 'the file', prefix: 'CHIPS' }

/** The chips with those of a YAML or JSON file added, or changed where the id is known. Throws a `usage` error. */
export function withUserChips(chips: readonly Chip[], file: string): readonly Chip[] {
  const source = parseSource(readChipsFile(file), file, { name: 'chips file', prefix: 'CHIPS' })
  const known = new Map(chips.map((chip) => [chip.id, chip]))
  const problems = [...schemaProblems(CHECKED, source.value), ...crossProblems(source.value, known)]
  const issues = [
    ...source.issues,
    ...problems.map(({ code, message, hint, path, atKey }): Issue => {
      return { code, message, ...(hint !== undefined && { hint }), ...source.locate(path, atKey) }
    }),
  ]
  if (issues.length > 0) {
    throw new RegaugeError(
      'usage',
      issues.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)),
    )
  }
  for (const given of userChipsSchema.parse(source.value).chips) {
    known.set(given.id, overlay(known.get(given.id) ?? blankChip(given), given, file))
  }
  return [...known.values()]
}

function readChipsFile(file: string): Uint8Array {
  const fail = (code: string, message: string): RegaugeError =>
    new RegaugeError('usage', { code, message, file })
  try {
    const found = statSync(file)
    if (!found.isFile()) throw fail('CHIPS_NOT_A_FILE', 'is not a file')
    if (found.size > MAX_FILE_BYTES) {
      throw fail(
        'CHIPS_TOO_LARGE',
        `a chips file of ${found.size} bytes exceeds the limit of ${MAX_FILE_BYTES}`,
      )
    }
    return readFileSync(file)
  } catch (cause) {
    if (cause instanceof RegaugeError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    throw code === 'ENOENT' || code === 'ENOTDIR'
      ? fail('CHIPS_NOT_FOUND', 'no such file')
      : fail('CHIPS_UNREADABLE', `cannot be read (${code})`)
  }
}

/** What the schema cannot see: ids given twice, and new chips that lack a name or a vendor. */
function crossProblems(value: unknown, known: ReadonlyMap<string, Chip>): Problem[] {
  const list = (value as { chips?: unknown } | null)?.chips
  if (!Array.isArray(list)) return []
  const seen = new Set<string>()
  return list.flatMap((one: unknown, i): Problem[] => {
    const { id, name, vendor } = (typeof one === 'object' && one !== null ? one : {}) as Record<
      string,
      unknown
    >
    if (typeof id !== 'string') return []
    const path = ['chips', i, 'id']
    if (seen.has(id)) {
      return [{ code: 'CHIPS_TWICE', path, message: `chips[${i}].id "${id}" is given twice` }]
    }
    seen.add(id)
    if (known.has(id)) return []
    return Object.entries({ name, vendor }).flatMap(([key, given]) =>
      given !== undefined
        ? []
        : [
            {
              code: 'CHIPS_MISSING',
              path,
              message: `chips[${i}].${key} is missing`,
              hint: `"${id}" is no chip of the catalog, and a new one needs it`,
            },
          ],
    )
  })
}

/** The chip with all that is given put over it; what is given without a source has the file for one. */
function overlay(chip: Chip, given: UserChip, file: string): Chip {
  const { sources: cited, ...rest } = given
  const entries = Object.entries(rest).map(([key, value]) => {
    const before = chip[key as keyof Chip] ?? (key === 'measured' ? NOTHING_MEASURED : null)
    const isGroup = (FIGURE_GROUPS as readonly string[]).includes(key)
    return [key, isGroup && value !== null ? { ...(before as object), ...(value as object) } : value]
  })
  const sources = FIGURE_GROUPS.map((group): [FigureGroup, readonly string[]] => {
    const own = cited?.[group] ?? (given[group] == null ? [] : [`given in ${file}`])
    return [group, [...own, ...chip.sources[group]]]
  })
  return { ...chip, ...Object.fromEntries(entries), sources: Object.fromEntries(sources) } as Chip
}

const NOTHING_MEASURED: Chip['measured'] = {
  bf16: null,
  fp32: null,
  int8: null,
  memoryBytes: null,
  memoryBytesPerSecond: null,
  watts: null,
  note: null,
}

function blankChip({ id, name = id, vendor = '' }: UserChip): Chip {
  const note = null
  return {
    id,
    vendor,
    name,
    aliases: [],
    family: null,
    typical: false,
    status: 'shipping',
    statusNote: null,
    confidence: null,
    process: { node: null, dieAreaMm2: null, note },
    peak: {
      fp32: null,
      tf32: null,
      bf16: null,
      fp16: null,
      fp8: null,
      int8: null,
      fp4: null,
      matmulOnly: null,
      note,
    },
    memory: { bytes: null, type: null, bytesPerSecond: null, note },
    scaleUp: { name: null, bytesPerSecond: null, direction: null, domainSize: null, topology: null, note },
    scaleOut: { bytesPerSecond: null, protocol: null },
    server: { name: null, chips: null },
    power: { watts: null, note },
    software: {
      runtime: null,
      stack: null,
      torchDevice: null,
      collectiveBackend: null,
      collectiveLibrary: null,
      kubernetesResource: null,
      note,
    },
    measured: null,
    disagreements: [],
    unverified: [],
    sources: Object.fromEntries(FIGURE_GROUPS.map((group) => [group, []])) as unknown as Chip['sources'],
  }
}
