/** @file Reads the keys of a `config.json` by the rules of a family, and gathers what is wrong with them. */
import { type Issue, nearest } from '../errors.ts'
import type { HfConfig } from '../formats/index.ts'
import { KEYS, type SizeName } from './keys.ts'

/** Larger sizes are mistakes or attacks. Wider than any plan, and products of two stay exact. */
const SIZE_LIMIT = 2 ** 26
/** Lists have an entry for each layer. */
export const LAYER_LIMIT = 2 ** 14

/** Yes, no, or what a key of the configuration says; `!` before it for the opposite, `|` between keys that mean the same. */
export type Flag = boolean | string

/** How the keys of a family's configurations are read. */
export interface KeyRules {
  /** Values of keys that a configuration leaves out, as in the configuration class of transformers. */
  readonly defaults: HfConfig
  /** Keys in the place of the usual ones. */
  readonly keys: Partial<Record<SizeName, readonly string[]>>
}

/** A configuration with the defaults of its family. What is wrong becomes an issue, and something that fits is given. */
export interface ConfigReader {
  readonly keys: HfConfig
  report(code: string, message: string, hint?: string): void
  /** The first key of some that the configuration has, or that the family has a default for. */
  find(names: readonly string[]): readonly [key: string, value: unknown]
  /** The key that a size stands at, or would. */
  keyOf(name: SizeName): string
  has(name: SizeName): boolean
  /** An integer within limits; null and missing count as `missing`, which is an issue when undefined. */
  size(name: SizeName, missing?: number, least?: number, most?: number): number
  /** Whether no issue was reported of these sizes: what follows from one that is wrong is not told. */
  sound(...names: readonly SizeName[]): boolean
  /** A number above 0; null and missing count as `missing`. */
  number<T extends number | undefined>(key: string, missing: T): number | T
  flag(rule: Flag): boolean
}

/** Makes a reader that adds to `issues`. */
export function configReader(keys: HfConfig, rules: KeyRules, file: string, issues: Issue[]): ConfigReader {
  const faulty = new Set<SizeName>()
  const flagged = new Set<string>()
  const namesOf = (name: SizeName) => rules.keys[name] ?? KEYS[name]
  const reader: ConfigReader = {
    keys,
    report: (code, message, hint) =>
      void issues.push({ code, file, message, ...(hint === undefined ? {} : { hint }) }),
    find(names) {
      for (const source of [keys, rules.defaults]) {
        for (const name of names) {
          const value = valueAt(source, name)
          if (value !== undefined) return [name, value]
        }
      }
      return [names[0]!, undefined]
    },
    keyOf: (name) => reader.find(namesOf(name))[0],
    has: (name) => reader.find(namesOf(name))[1] != null,
    size(name, missing, least = 1, most = SIZE_LIMIT) {
      const [key, found] = reader.find(namesOf(name))
      const value = found ?? missing
      if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most)
        return value
      faulty.add(name)
      if (value === undefined) reportMissing(reader, key)
      else {
        const message = `${key} must be an integer from ${least} to ${most}, got ${show(value)}`
        reader.report('CONFIG_VALUE', message)
      }
      return least
    },
    sound: (...names) => !names.some((name) => faulty.has(name)),
    number(key, missing) {
      const value = reader.find([key])[1] ?? missing
      if (value === undefined) return missing
      if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
      reader.report('CONFIG_VALUE', `${key} must be a positive number, got ${show(value)}`)
      return missing ?? 1
    },
    flag(rule) {
      if (typeof rule === 'boolean') return rule
      if (rule.startsWith('!')) return !reader.flag(rule.slice(1))
      const [key, found] = reader.find(rule.split('|'))
      const value = found ?? false
      if (typeof value === 'boolean') return value
      if (!flagged.has(key)) reader.report('CONFIG_VALUE', `${key} must be true or false, got ${show(value)}`)
      flagged.add(key)
      return false
    },
  }
  return reader
}

function reportMissing({ keys, report }: ConfigReader, key: string): void {
  const others = Object.keys(keys).filter((other) => other !== key)
  const similar = nearest(key, others)
  report('CONFIG_VALUE', `${key} is missing`, similar === undefined ? undefined : `did you mean ${similar}?`)
}

/** What stands at a key, or at a path of keys with dots; undefined where nothing does. */
export function valueAt(config: HfConfig, path: string): unknown {
  let value: unknown = config
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as HfConfig)[key]
  }
  return value
}

/** A value as a message quotes it. */
export function show(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 60) ?? String(value)
}
