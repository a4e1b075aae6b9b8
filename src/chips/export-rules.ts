/**
 * @file United States export rules on AI chips as dated, sourced functions. Not legal advice: a reading of published
 * summaries, kept to the numbers in them. They bind items of United States origin and foreign direct products; for
 * other chips the figures are computed alike but have no such meaning.
 */
import { statedLinkBandwidth } from './links.ts'
import type { Chip, NumberFormat, PeakRates } from './types.ts'

/** A value; or 'unknown', with the figures that are missing. */
export type RuleFinding<T> =
  | { readonly value: T; readonly missing?: undefined }
  | { readonly value: 'unknown'; readonly missing: readonly string[] }

/** Said wherever a finding is printed. */
export const NOT_LEGAL_ADVICE = 'a reading of published summaries, not legal advice'

/** One instrument of the rules. Dates are ISO 8601. */
export interface ExportRule {
  readonly id: string
  readonly title: string
  /** First day on which it applies. */
  readonly from: string
  /** First day on which it no longer applies, null while it does. */
  readonly until: string | null
  readonly citation: string
  readonly summary: string
}

/** The instruments by date. Read in law-firm notes, CSET and toolkits that cite them, not in the Federal Register itself. */
export const EXPORT_RULES: readonly ExportRule[] = [
  {
    id: '2022-test',
    title: '3A090 as created',
    from: '2022-10-07',
    until: '2023-11-17',
    citation: '87 FR 62186',
    summary: 'controlled from TPP 4800 on, if all input and output without memory is 600 GB/s or more',
  },
  {
    id: '2023-class',
    title: '3A090.a and .b by TPP and performance density',
    from: '2023-11-17',
    until: null,
    citation: '88 FR 73458',
    summary: 'the test of links is dropped; presumption of denial for .a to Country Group D:5 and Macau',
  },
  {
    id: '2024-nac',
    title: 'Notified Advanced Computing split by destination',
    from: '2024-04-04',
    until: null,
    citation: '89 FR 23876',
    summary: 'a notice of 25 days for D:5 and Macau, none for D:1 and D:4',
  },
  {
    id: '2024-hbm',
    title: '3A090.c: stand-alone HBM',
    from: '2024-12-02',
    until: null,
    citation: '89 FR 96790',
    summary: 'HBM of more than 2 GB/s per mm²; HBM packaged with logic is judged with the logic',
  },
  {
    id: '2025-diffusion',
    title: 'AI Diffusion rule',
    from: '2025-01-15',
    until: '2025-05-13',
    citation: 'document 2025-00636',
    summary: 'world-wide licence by tiers; its rescission was announced and it is said not to be enforced',
  },
  {
    id: '2025-foundry',
    title: 'Foundry due diligence',
    from: '2025-01-15',
    until: null,
    citation: 'rule of 2025-01-15/16',
    summary: 'logic at 16/14 nm or below is presumed to be 3A090.a unless attested otherwise',
  },
  {
    id: '2025-letters',
    title: '"Is informed" letters on named chips',
    from: '2025-04-09',
    until: null,
    citation: 'letter of 2025-04-09 to the vendor',
    summary: 'licence for H20, MI308 and what reaches their bandwidths; no threshold was published',
  },
  {
    id: '2025-gp10',
    title: 'Guidance on General Prohibition 10',
    from: '2025-05-13',
    until: null,
    citation: 'BIS guidance of 2025-05-13',
    summary: 'Ascend 910B, 910C and 910D are presumed to have been made in violation of the rules',
  },
  {
    id: '2026-window',
    title: 'Case-by-case review',
    from: '2026-01-13',
    until: null,
    citation: '91 FR 1684, sec. 742.6(b)(10)(iii)(A)(1)',
    summary:
      'for exports from the US to China and Macau below TPP 21,000 and 6,500 GB/s of DRAM, with certifications',
  },
  {
    id: '2026-headquarters',
    title: 'Guidance on headquarters',
    from: '2026-05-31',
    until: null,
    citation: 'BIS guidance of 2026-05-31',
    summary: 'licence also for entities with headquarters or parent in D:5 or Macau, wherever they are',
  },
]

/** The instruments that applied on a day, such as `2024-06-30`. */
export function rulesOn(date: string): readonly ExportRule[] {
  return EXPORT_RULES.filter(({ from, until }) => from <= date && (until === null || date < until))
}

/** Bits of the operands. FP32 and TF32 are left out: with 32 bits they raise no maximum here, and alone they are none. */
const BITS: Readonly<Partial<Record<NumberFormat, number>>> = { fp16: 16, bf16: 16, fp8: 8, int8: 8, fp4: 4 }

/**
 * Total Processing Performance: the highest of dense rate (10^12 operations/s, a multiply-add counts two) times bits,
 * over all dies of the package. 88 FR 73458; 15 CFR 774 Supp. 1, 3A090 technical note.
 */
export function totalProcessingPerformance(peak: Partial<PeakRates>): RuleFinding<number> {
  const known = Object.entries(BITS).flatMap(([precision, bits]) => {
    const rate = peak[precision as NumberFormat]
    return rate == null ? [] : [(rate * bits) / 1e12]
  })
  return known.length > 0
    ? { value: Math.max(...known) }
    : missing(`dense rate in ${Object.keys(BITS).join(', ')}`)
}

/** Performance density: TPP per mm² of logic dies with non-planar transistors. 88 FR 73458. */
export function performanceDensity(tpp: number | null, dieAreaMm2: number | null): RuleFinding<number> {
  if (tpp === null || dieAreaMm2 === null) {
    return missing(...(tpp === null ? ['TPP'] : []), ...(dieAreaMm2 === null ? ['die area'] : []))
  }
  return { value: tpp / dieAreaMm2 }
}

/** The test of 2022: TPP of 4800 or more, and 600 GB/s or more of input and output without memory. 87 FR 62186. */
export function test2022(tpp: number | null, ioBytesPerSecond: number | null): RuleFinding<boolean> {
  // either figure alone can settle that it is not caught
  if ((tpp !== null && tpp < 4800) || (ioBytesPerSecond !== null && ioBytesPerSecond < 600e9))
    return { value: false }
  if (tpp !== null && ioBytesPerSecond !== null) return { value: true }
  return missing(
    ...(tpp === null ? ['TPP'] : []),
    ...(ioBytesPerSecond === null ? ['bandwidth of links, both ways'] : []),
  )
}

/** Class of the 2023 rule with the sub-paragraph that is met first. */
export type Class2023 = '3A090.a.1' | '3A090.a.2' | '3A090.b.1' | '3A090.b.2' | 'none' | '3A090.a, notified'

/**
 * Class by the rule of 2023: 3A090.a from TPP 4800 on (.1), or from 1600 with density 5.92 (.2); 3A090.b from TPP 2400
 * with density 1.6 (.1), or from 1600 with density 3.2 (.2). What is not for data centres is caught from TPP 4800 on,
 * by notification. 88 FR 73458.
 */
export function class2023(
  tpp: number | null,
  density: number | null,
  { datacenter = true }: { readonly datacenter?: boolean } = {},
): RuleFinding<Class2023> {
  if (tpp === null) return missing('TPP')
  if (!datacenter) return { value: tpp >= 4800 ? '3A090.a, notified' : 'none' }
  if (tpp >= 4800) return { value: '3A090.a.1' }
  if (tpp < 1600) return { value: 'none' }
  if (density === null) return missing('die area')
  if (density >= 5.92) return { value: '3A090.a.2' }
  if (tpp >= 2400 && density >= 1.6) return { value: '3A090.b.1' }
  return { value: density >= 3.2 ? '3A090.b.2' : 'none' }
}

/** Whether the two numbers of the window of 2026 are kept: TPP below 21,000, DRAM below 6,500 GB/s. 91 FR 1684. */
export function window2026(tpp: number | null, dramBytesPerSecond: number | null): RuleFinding<boolean> {
  if ((tpp !== null && tpp >= 21_000) || (dramBytesPerSecond !== null && dramBytesPerSecond >= 6500e9))
    return { value: false }
  if (tpp !== null && dramBytesPerSecond !== null) return { value: true }
  return missing(
    ...(tpp === null ? ['TPP'] : []),
    ...(dramBytesPerSecond === null ? ['memory bandwidth'] : []),
  )
}

/** Findings on one chip on one day. A test that did not apply then is not there. */
export interface ExportFindings {
  readonly date: string
  readonly rules: readonly ExportRule[]
  readonly tpp: RuleFinding<number>
  readonly performanceDensity: RuleFinding<number>
  readonly test2022?: RuleFinding<boolean>
  readonly class2023?: RuleFinding<Class2023>
  readonly window2026?: RuleFinding<boolean>
  /** Instruments of that day that name the chip. */
  readonly namedBy: readonly ExportRule[]
}

/** Chips that an instrument names, by family or id. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  '2025-letters': ['H20', 'mi308'],
  '2025-gp10': ['910B', '910C', 'ascend-910d'],
}

/**
 * What applied to a chip on a day (ISO 8601), as one for data centres. Not legal advice.
 *
 * @example
 * ```ts
 * import { catalogChips, exportFindings, findChip } from 'regauge/chips'
 *
 * const { chip } = findChip(catalogChips(), 'h20-96gb')
 * console.log(exportFindings(chip, '2024-06-30'))
 * ```
 */
export function exportFindings(chip: Chip, date: string): ExportFindings {
  const rules = rulesOn(date)
  const applies = (id: string): boolean => rules.some((rule) => rule.id === id)
  const tpp = totalProcessingPerformance(chip.peak)
  const known = orNull(tpp)
  const density = performanceDensity(known, chip.process.dieAreaMm2)
  return {
    date,
    rules,
    tpp,
    performanceDensity: density,
    ...(applies('2022-test') && { test2022: test2022(known, statedLinkBandwidth(chip)) }),
    ...(applies('2023-class') && { class2023: class2023(known, orNull(density)) }),
    ...(applies('2026-window') && { window2026: window2026(known, chip.memory.bytesPerSecond) }),
    namedBy: rules.filter(({ id }) => {
      const names = NAMED[id] ?? []
      return names.includes(chip.id) || (chip.family !== null && names.includes(chip.family))
    }),
  }
}

function orNull<T>({ value }: RuleFinding<T>): T | null {
  return value === 'unknown' ? null : (value as T)
}

function missing(...figures: string[]): { readonly value: 'unknown'; readonly missing: readonly string[] } {
  return { value: 'unknown', missing: figures }
}
