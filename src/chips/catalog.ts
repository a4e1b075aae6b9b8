/** @file The catalog that comes with regauge, read once from its data file. */
import { readFileSync } from 'node:fs'
import { type Chip, FIGURE_GROUPS } from './types.ts'

/** The data file: sources have keys there, and chips name the keys. */
interface CatalogFile {
  readonly sources: Readonly<Record<string, string>>
  readonly chips: readonly Chip[]
}

let catalog: readonly Chip[] | undefined

/** All accelerators of the catalog, in its order. */
export function catalogChips(): readonly Chip[] {
  if (catalog === undefined) {
    const file = JSON.parse(readFileSync(new URL('./catalog.json', import.meta.url), 'utf8')) as CatalogFile
    catalog = file.chips.map((chip) => ({ ...chip, sources: cited(chip.sources, file.sources) }))
  }
  return catalog
}

/** The sources of each group in words; a group without any has an empty list. */
function cited(keys: Partial<Chip['sources']>, texts: CatalogFile['sources']): Chip['sources'] {
  const entries = FIGURE_GROUPS.map((group) => [group, (keys[group] ?? []).map((key) => texts[key]!)])
  return Object.fromEntries(entries) as Chip['sources']
}
