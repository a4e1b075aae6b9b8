/** @file `--set key=value`: values of the command line that replace those of the run file. */
import { LineCounter, parseDocument } from 'yaml'
import { type Issue, RegaugeError } from '../../errors.ts'
import { expectedAt, keysAt, type Path, type Source, schemasAt, show } from '../../formats/index.ts'
import { countOf } from '../../words.ts'
import { keyHint, knownName, settingHint } from './other-names.ts'
import { EXCLUSIVE, runSchema } from './schema.ts'

interface Setting {
  readonly flag: string
  readonly path: readonly string[]
  readonly value: unknown
}

/** The source with the settings applied in order. Problems with a setting are placed at its flag. */
export function applySettings(source: Source, settings: readonly string[]): Source {
  if (settings.length === 0) return source
  const issues: Issue[] = []
  const applied: Setting[] = []
  const value: unknown = structuredClone(source.value ?? {})
  for (const text of settings) {
    const setting = parseSetting(text)
    if ('code' in setting) issues.push(setting)
    else if (assign(value, setting)) applied.push(setting)
    else {
      const message = `${setting.path.join('.')} is inside a value that is no mapping`
      issues.push({ code: 'RUN_SET', message, file: setting.flag, hint: 'set the whole value' })
    }
  }
  if (issues.length > 0) throw new RegaugeError('usage', issues)
  return {
    value,
    issues: source.issues,
    locate: (path, atKey) => {
      const setting = applied.findLast((one) => one.path.every((key, i) => String(path[i]) === key))
      return setting === undefined ? source.locate(path, atKey) : { file: setting.flag }
    },
  }
}

function parseSetting(text: string): Setting | Issue {
  const flag = `--set ${text.length > 80 ? `${text.slice(0, 77)}...` : text}`
  const split = text.indexOf('=')
  if (split <= 0) {
    const hint = 'write it as key=value, for instance train.steps=100'
    return { code: 'RUN_SET', message: 'this sets no value', file: flag, hint }
  }
  const path = text.slice(0, split).split('.')
  const unknown = path.findIndex((_, i) => schemasAt(runSchema, path.slice(0, i + 1)).length === 0)
  if (unknown >= 0) {
    const parent: Path = path.slice(0, unknown)
    const keys = keysAt(runSchema, parent)
    const where = parent.length === 0 ? '' : ` in ${parent.join('.')}`
    const message = `unknown key ${show(path[unknown])}${where}`
    const known = knownName(path.join('.'))
    const hint =
      known !== undefined
        ? settingHint(known, text.slice(split + 1))
        : (keyHint(parent, path[unknown]!, keys) ??
          (keys.length > 0 ? `keys here are ${keys.join(', ')}` : ''))
    return { code: 'RUN_UNKNOWN_KEY', message, file: flag, ...(hint !== '' && { hint }) }
  }
  const value = parseValue(text.slice(split + 1), path)
  return 'problem' in value
    ? { code: 'RUN_SET', message: value.problem, file: flag }
    : { flag, path, ...value }
}

/** The value as YAML; bare where only text may stand, so that `*.txt` and `12` need no quotes. */
function parseValue(text: string, path: Path): { value: unknown } | { problem: string } {
  if (text.trim() === '') return { problem: `${path.join('.')} is given no value` }
  if (takesText(path) && !/^["'[{]/.test(text)) return { value: text }
  if (/[[{]{50}/.test(text)) return { problem: 'the value is nested too deep' }
  const document = parseDocument(text, {
    lineCounter: new LineCounter(),
    prettyErrors: false,
    stringKeys: true,
  })
  const error = document.errors[0] ?? document.warnings[0]
  if (error !== undefined) return { problem: `the value is not YAML (${error.message})` }
  const count = takesNumber(path) ? countOf(text.trim()) : undefined
  try {
    return { value: count ?? (document.toJS({ maxAliasCount: 10 }) as unknown) }
  } catch {
    return { problem: 'the value is not YAML (an alias points to no anchor)' }
  }
}

/** Puts the value in its place; false when a value that is no mapping is in the way. */
function assign(root: unknown, { path, value }: Setting): boolean {
  let here = root
  for (const [i, key] of path.entries()) {
    if (typeof here !== 'object' || here === null || Array.isArray(here)) return false
    const record = here as Record<string, unknown>
    if (i === path.length - 1) {
      // Of keys that exclude each other the one on the command line stays.
      if (path.length === 2 && Object.hasOwn(EXCLUSIVE, path[0]!)) {
        const group: readonly string[] = EXCLUSIVE[path[0] as keyof typeof EXCLUSIVE]
        if (group.includes(key)) for (const other of group) delete record[other]
      }
      record[key] = value
      return true
    }
    if (record[key] === undefined || record[key] === null) record[key] = {}
    here = record[key]
  }
  return false
}

/** True where only text (or a list of texts) may stand, so that a bare word needs no YAML rules. */
function takesText(path: Path): boolean {
  const expected = expectedAt(runSchema, path)
  return schemasAt(runSchema, path).length > 0 && /^(text|one of)/.test(expected)
}

/** True where a number may stand and no text, so that 10M is one. */
function takesNumber(path: Path): boolean {
  const expected = expectedAt(runSchema, path)
  return /number/.test(expected) && !/text|one of/.test(expected)
}
