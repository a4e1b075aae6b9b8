/**
 * @file Accelerators: figures with their sources, export rules by date, and what bounds work on a chip. Bytes, FLOP/s.
 *
 * @example What is known of a chip, and what rules say of it today.
 * ```ts
 * import { catalogChips, exportFindings, findChip } from 'regauge/chips'
 *
 * const { chip } = findChip(catalogChips(), 'h20-96gb')
 * console.log(chip.memory.bytes, chip.peak.bf16)
 * console.log(exportFindings(chip, '2026-01-15'))
 * ```
 */
export {
  type Bound,
  boundOf,
  type Chip,
  type Class2023,
  catalogChips,
  chipsToHold,
  class2023,
  type Direction,
  type Efficiency,
  EXPORT_RULES,
  type ExportFindings,
  type ExportRule,
  efficiencyOf,
  exportFindings,
  type FigureGroup,
  type Found,
  findChip,
  type LinkBandwidth,
  linkBandwidth,
  loadChips,
  NOT_LEGAL_ADVICE,
  type NumberFormat,
  type PeakRates,
  performanceDensity,
  type RuleFinding,
  type RuntimeName,
  rulesOn,
  type Status,
  statedLinkBandwidth,
  type TrainingRate,
  test2022,
  totalProcessingPerformance,
  trainingRate,
  window2026,
} from './chips/index.ts'
// What a step of a model does, which a chip is asked about.
export { type Operation, type StepShape, trainingOperations } from './model/index.ts'
