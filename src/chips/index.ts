/** @file Accelerators: the catalog and chips of the user, lookup, export rules, and what bounds work on a chip. */
import { catalogChips } from './catalog.ts'
import type { Chip } from './types.ts'

export { architectureOf } from './architecture.ts'
export { catalogChips } from './catalog.ts'
export {
  type Class2023,
  class2023,
  EXPORT_RULES,
  type ExportFindings,
  type ExportRule,
  exportFindings,
  NOT_LEGAL_ADVICE,
  performanceDensity,
  type RuleFinding,
  rulesOn,
  test2022,
  totalProcessingPerformance,
  window2026,
} from './export-rules.ts'
export { type Found, findChip } from './find.ts'
export { type LinkBandwidth, linkBandwidth, statedLinkBandwidth } from './links.ts'
export { EXAMPLE_CHIPS } from './names.ts'
export { effectiveWatts } from './power.ts'
export {
  type Bound,
  boundOf,
  chipsToHold,
  type Efficiency,
  efficiencyOf,
  type TrainingRate,
  trainingRate,
} from './roofline.ts'
export * from './types.ts'

/**
 * The chips of the catalog, with those of a YAML or JSON file of the user added, or laid over chips of the same id.
 * Throws a `usage` error that holds every problem of the file.
 */
export async function loadChips(file?: string): Promise<readonly Chip[]> {
  if (file === undefined) return catalogChips()
  // the schema is only loaded for those who bring a file
  const { withUserChips } = await import('./user-chips.ts')
  return withUserChips(catalogChips(), file)
}
