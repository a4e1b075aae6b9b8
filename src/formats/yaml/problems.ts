/** @file What is wrong with a file, as data: its schema's findings in words that name value, limit and remedy. */
import type { z } from 'zod'
import { nearest } from '../../errors.ts'
import { countOf } from '../../words.ts'
import { descriptionAt, expectedAt, fixedKeys, homesOf, mappingsAt, type Path } from './introspect.ts'

/** One problem, placed by the path of the value rather than by line. */
export interface Problem {
  readonly code: string
  readonly path: Path
  readonly message: string
  readonly hint?: string
  /** The place is the key itself, not its value. */
  readonly atKey?: boolean
}

type ZodIssue = z.core.$ZodIssue

/** The schema of a file, what its root is called (`the run`), and the prefix of the codes (`RUN`). */
export interface Checked {
  readonly schema: z.ZodType
  readonly root: string
  readonly prefix: string
  /**
   * What to write in the place of an unknown key, where the schema is not all that is known of names; `keys` are those
   * that may stand there.
   */
  readonly hintFor?: (parent: Path, key: string, keys: readonly string[]) => string | undefined
}

/** Every problem that the schema finds in a value. */
export function schemaProblems(checked: Checked, value: unknown): Problem[] {
  const result = checked.schema.safeParse(value)
  if (result.success) return []
  return strictest(result.error.issues).flatMap((issue) =>
    wordsFor(checked, issue, issue.path as Path, value),
  )
}

/** Of several limits that one value breaks on one side, the strictest: a seed is no safe integer either. */
function strictest(issues: readonly ZodIssue[]): readonly ZodIssue[] {
  const limit = (issue: ZodIssue): number | undefined =>
    issue.code === 'too_big'
      ? Number(issue.maximum)
      : issue.code === 'too_small'
        ? -Number(issue.minimum)
        : undefined
  const isStricter = (one: ZodIssue, other: ZodIssue): boolean =>
    one.code === other.code &&
    dotted(one.path as Path) === dotted(other.path as Path) &&
    limit(one)! < limit(other)!
  return issues.filter(
    (issue) => limit(issue) === undefined || !issues.some((other) => isStricter(other, issue)),
  )
}

/** `train.batchSize`, `evaluate.samples[2]`. */
export function dotted(path: Path): string {
  return path.map((key, i) => (typeof key === 'number' ? `[${key}]` : i === 0 ? key : `.${key}`)).join('')
}

/** A received value on one short line. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object' && value !== null) return 'a mapping'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string | number, unknown>)[key]
  }
  return value
}

function wordsFor(checked: Checked, issue: ZodIssue, path: Path, root: unknown): Problem[] {
  const { schema, prefix } = checked
  const received = valueAt(root, path)
  const name = path.length === 0 ? checked.root : dotted(path)
  const about = (code: string, message: string, hint?: string): Problem[] => [
    { code: `${prefix}_${code}`, path, message: `${name} ${message}`, ...(hint !== undefined && { hint }) },
  ]
  const notOneOf = (): Problem[] => {
    const expected = expectedAt(schema, path)
    const near = nearest(String(received), expected.replace(/^one of /, '').split(', '))
    const hint = near === undefined ? undefined : `did you mean "${near}"?`
    return about('VALUE', `must be ${expected}, got ${show(received)}`, hint)
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(checked, path, key, received))
    case 'invalid_union': {
      if (issue.discriminator !== undefined) return notOneOf()
      // The member that fits the value's own type says what is wrong inside it.
      const fitting = issue.errors.find(
        (errors) => !errors.some((e) => e.code === 'invalid_type' && e.path.length === 0),
      )
      if (fitting !== undefined)
        return fitting.flatMap((inner) => wordsFor(checked, inner, [...path, ...(inner.path as Path)], root))
      return about('TYPE', `must be ${expectedAt(schema, path)}, got ${show(received)}`)
    }
    case 'invalid_type':
      if (received === undefined) {
        const hint = descriptionAt(schema, path)
        return about('MISSING', 'is missing', hint === undefined ? expectedAt(schema, path) : asHint(hint))
      }
      return about(
        'TYPE',
        `must be ${expectedAt(schema, path)}, got ${show(received)}`,
        typeHint(schema, path, received),
      )
    case 'invalid_value':
      return notOneOf()
    case 'too_small':
    case 'too_big':
      return about('RANGE', `must ${bound(issue, received)}`)
    case 'invalid_format': {
      const description = descriptionAt(schema, path)
      return about(
        'VALUE',
        `cannot be ${show(received)}`,
        description === undefined ? undefined : asHint(description),
      )
    }
    default:
      return about('VALUE', `is not valid, got ${show(received)}`, issue.message)
  }
}

function unknownKey(
  { schema, prefix, hintFor }: Checked,
  path: Path,
  key: string,
  mapping: unknown,
): Problem {
  // of several mappings that may stand here the one that the fixed keys ask for, such as an optimizer of its kind
  const values = (mapping ?? {}) as Record<string, unknown>
  const meant = mappingsAt(schema, path).filter((one) =>
    fixedKeys(one).every(({ key, fits }) => fits(values[key])),
  )
  const elsewhere = mappingsAt(schema, path).filter(({ shape }) => Object.hasOwn(shape, key))
  const keys = [...new Set(meant.flatMap(({ shape }) => Object.keys(shape)))]
  const near = nearest(key, keys)
  const homes = homesOf(schema, key)
  const hint =
    elsewhere.length > 0
      ? `it goes with ${elsewhere
          .flatMap(fixedKeys)
          .map((fixed) => `${fixed.key}: ${fixed.value}`)
          .join(' or ')}`
      : (hintFor?.(path, key, keys) ??
        (near !== undefined
          ? `did you mean "${near}"?`
          : homes.length > 0
            ? `it belongs in ${homes.join(' or ')}`
            : `keys here are ${keys.join(', ')}`))
  const where = path.length === 0 ? '' : ` in ${dotted(path)}`
  return {
    code: `${prefix}_UNKNOWN_KEY`,
    path: [...path, key],
    message: `unknown key ${show(key)}${where}`,
    hint,
    atKey: true,
  }
}

function bound(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, received: unknown): string {
  const [limit, inclusive, less] =
    issue.code === 'too_small'
      ? [issue.minimum, 'at least', 'more than']
      : [issue.maximum, 'at most', 'less than']
  if (issue.origin === 'string' || (issue.origin === 'array' && limit === 1 && inclusive === 'at least'))
    return 'not be empty'
  if (issue.origin === 'array')
    return `have ${inclusive} ${limit} items, has ${(received as unknown[]).length}`
  return `be ${issue.inclusive === false ? less : inclusive} ${limit}, got ${show(received)}`
}

/** Help where text was given in place of a number or a truth value. */
function typeHint(schema: z.ZodType, path: Path, received: unknown): string | undefined {
  if (typeof received !== 'string') return undefined
  const expected = expectedAt(schema, path)
  const digits = received.replaceAll(/[_, ]/g, '') || 'none'
  const number = countOf(digits) ?? Number(digits)
  if (/number/.test(expected) && Number.isFinite(number))
    return `write ${number}, without quotes or separators`
  if (/true or false/.test(expected) && /^(yes|on|no|off)$/i.test(received)) {
    return `write ${/^(yes|on)$/i.test(received)}`
  }
  return undefined
}

function asHint(description: string): string {
  return description.charAt(0).toLowerCase() + description.slice(1).replace(/\.$/, '')
}
