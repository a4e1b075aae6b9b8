/** @file Chips by the names that people write: case, spaces and punctuation do not count. */
import { nearest, RegaugeError } from '../errors.ts'
import type { Chip } from './types.ts'

/** A chip that was found by a word. */
export interface Found {
  readonly chip: Chip
  /** True where the word is the chip's id, name or alias; false where it is a family's name or the start of a name. */
  readonly exact: boolean
  /** Variants that the word might have meant too. */
  readonly others: readonly Chip[]
}

/**
 * The chip that a word names: by id, name or alias; by the name of its family, when one variant is the typical one;
 * or by the start of a name that no other has. Throws a `usage` error that lists what an ambiguous word may mean, or
 * the nearest names.
 *
 * @example
 * ```ts
 * import { catalogChips, findChip } from 'regauge/chips'
 *
 * const { chip, others } = findChip(catalogChips(), '910b2')
 * console.log(chip.name, chip.peak.bf16, others.length)
 * ```
 */
export function findChip(chips: readonly Chip[], word: string): Found {
  const wanted = plain(word)
  const found = wanted === '' ? [] : matches(chips, wanted)
  const [first, ...rest] = found
  if (first === undefined) throw unknown(chips, word)
  if (rest.length === 0)
    return { chip: first, exact: namesOf(first).some((name) => plain(name) === wanted), others: [] }
  const typical = found.filter((chip) => chip.typical)
  if (typical.length === 1 && found.every(({ family }) => family === first.family && family !== null)) {
    const chip = typical[0]!
    return { chip, exact: false, others: found.filter((one) => one !== chip) }
  }
  throw new RegaugeError('usage', {
    code: 'CHIPS_AMBIGUOUS',
    message: `"${word}" may be ${found.length} chips`,
    hint: `give one of ${found
      .slice(0, 12)
      .map(({ id }) => id)
      .join(', ')}${found.length > 12 ? ', ...' : ''}`,
  })
}

/** Letters and digits of a name alone, in lower case. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]/gu, '')
}

function ownNames({ id, vendor, name, aliases }: Chip): string[] {
  return [id, name, `${vendor} ${name}`, ...aliases]
}

/** All names of a chip; each also without its part in brackets, which a variant may share. */
function namesOf(chip: Chip): string[] {
  const bare = chip.name.replace(/\s*\(.*\)/, '')
  return [...ownNames(chip), bare, `${chip.vendor} ${bare}`]
}

function matches(chips: readonly Chip[], wanted: string): Chip[] {
  const own = chips.filter((chip) => ownNames(chip).some((name) => plain(name) === wanted))
  if (own.length === 1) return own
  const exact = chips.filter((chip) => namesOf(chip).some((name) => plain(name) === wanted))
  if (exact.length === 1) return exact
  const family = chips.filter(
    (chip) =>
      exact.includes(chip) ||
      (chip.family !== null &&
        (plain(chip.family) === wanted || plain(`${chip.vendor}${chip.family}`) === wanted)),
  )
  return family.length > 0
    ? family
    : chips.filter((chip) => namesOf(chip).some((name) => starts(name, wanted)))
}

/** Whether some word of the name and those after it begin with what is wanted. */
function starts(name: string, wanted: string): boolean {
  const words = name.split(/[^\p{L}\p{N}]+/u).map(plain)
  return words.some((_, i) => words.slice(i).join('').startsWith(wanted))
}

function unknown(chips: readonly Chip[], word: string): RegaugeError {
  if (plain(word) === '') {
    const message = word.trim() === '' ? 'the name of the chip is empty' : `no chip "${word}"`
    return new RegaugeError('usage', { code: 'CHIPS_UNKNOWN', message, hint: 'regauge chips lists them' })
  }
  const byName = new Map(
    chips.flatMap((chip) => [...namesOf(chip), chip.family ?? chip.id].map((name) => [plain(name), chip])),
  )
  const near = new Set<string>()
  for (let name: string | undefined; near.size < 3; byName.delete(name)) {
    name = nearest(plain(word), byName.keys())
    if (name === undefined) break
    near.add(byName.get(name)!.id)
  }
  return new RegaugeError('usage', {
    code: 'CHIPS_UNKNOWN',
    message: `no chip "${word}"`,
    hint: near.size > 0 ? `did you mean ${[...near].join(', ')}?` : 'regauge chips lists them',
  })
}
