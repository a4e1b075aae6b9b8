/** @file Numbers for people and from them: 12.2M, 18.4k tok/s, 3m12s, 1.2 GiB, 2.8e-4. */

/** Three significant digits with k, M, G, T: 950, 1.80k, 12.2M. */
export function compact(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const units = ['', 'k', 'M', 'G', 'T', 'P', 'E']
  let scaled = Math.abs(value)
  let unit = 0
  // 999.5 would round to 1000 in its own unit.
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000
    unit += 1
  }
  const text = unit === 0 && Number.isInteger(scaled) ? String(scaled) : scaled.toPrecision(3)
  return `${value < 0 ? '-' : ''}${text}${units[unit]}`
}

/** Bytes in binary units: 512 B, 5.1 GiB. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let scaled = value
  let unit = 0
  while (scaled >= 1023.95 && unit < units.length - 1) {
    scaled /= 1024
    unit += 1
  }
  return `${unit === 0 ? scaled : scaled.toFixed(1)} ${units[unit]}`
}

/** Bytes in GiB, without the unit: 5.1. */
export function gibibytes(value: number, digits = 1): string {
  return (value / 2 ** 30).toFixed(digits)
}

/** A length of time: 214ms, 9.5s, 3m12s, 2h05m, 4d03h. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return String(seconds)
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`
  const whole = Math.round(seconds)
  const two = (value: number): string => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`
  if (whole < 86400) return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`
  return `${Math.floor(whole / 86400)}d${two(Math.floor((whole % 86400) / 3600))}h`
}

/** Groups of three digits: 1,000. */
export function grouped(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString('en-US') : String(value)
}

/** A share as per cent: 0.312 is 31.2%. */
export function percent(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)}%`
}

/** A learning rate or another number of any size, in two to four digits: 2.8e-4, 0.01, 0.5. */
export function small(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  return size < 1e-2 || size >= 1e4
    ? value.toExponential(1).replace('.0e', 'e').replace('e+', 'e')
    : String(Number(value.toPrecision(3)))
}

/** A time of day and date in the reader's zone, from ISO 8601: 2026-11-23 15:28. */
export function localTime(iso: string): string {
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return iso
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** What a suffix stands for; of tokens and parameters B is a billion. */
export const DECIMAL: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, B: 1e9, G: 1e9, T: 1e12 }

/** A count such as 4096, 30K, 1.5T or 1e13; undefined when it is none. Exact up to 2^53. */
export function countOf(text: string): number | undefined {
  const value = amountOf(text)
  // 1.1K is 1100.0000000000002 in binary
  const whole = Math.round(value)
  return Math.abs(value - whole) <= 1e-9 * value && Number.isSafeInteger(whole) ? whole : undefined
}

/** What such a text stands for, whole or not, however large; NaN when it is no number. */
export function amountOf(text: string): number {
  const [, digits, suffix] = /^(\d+(?:\.\d+)?(?:e\d{1,2})?)([kmbgt]?)$/i.exec(text.replaceAll('_', '')) ?? []
  return digits === undefined ? Number.NaN : Number(digits) * DECIMAL[suffix!.toUpperCase()]!
}
