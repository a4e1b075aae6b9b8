/** @file A curve in a few lines of text: braille dots, or signs of several heights without them. */
import type { Glyphs } from './glyphs.ts'

/** Bits of the dots of a braille cell, by column (2) and row from the top (4). */
const DOTS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const

/**
 * Draws values from left to right, the whole width, the smallest at the bottom. Where there are more values
 * than dots, a dot column spans from the least to the greatest of its values, so no peak is lost. Values that
 * are not finite leave a gap. Returns `height` lines of `width` columns.
 */
export function curveLines(
  values: readonly number[],
  width: number,
  height: number,
  glyphs: Glyphs,
): string[] {
  const finite = values.filter(Number.isFinite)
  if (finite.length === 0 || width <= 0 || height <= 0)
    return Array.from({ length: Math.max(0, height) }, () => '')
  // Not Math.min(...values): a long run has more values than a call takes arguments.
  const low = finite.reduce((a, b) => Math.min(a, b))
  const high = finite.reduce((a, b) => Math.max(a, b))
  const across = glyphs.braille ? width * 2 : width
  const up = glyphs.braille ? height * 4 : height * glyphs.levels.length
  const level = (value: number): number =>
    high === low ? Math.floor((up - 1) / 2) : Math.round(((value - low) / (high - low)) * (up - 1))
  const spans = bucketRanges(values, across).map(
    (range) => range && ([level(range[0]), level(range[1])] as const),
  )
  return glyphs.braille ? brailleLines(spans, width, height) : levelLines(spans, width, height, glyphs.levels)
}

type Span = readonly [number, number] | undefined

/** The least and greatest finite value of each of `count` buckets; fewer values than buckets are joined by lines. */
function bucketRanges(values: readonly number[], count: number): (readonly [number, number] | undefined)[] {
  if (values.length < count) return stretched(values, count)
  return Array.from({ length: count }, (_, i) => {
    const from = Math.floor((i * values.length) / count)
    const to = Math.max(from + 1, Math.floor(((i + 1) * values.length) / count))
    const inside = values.slice(from, to).filter(Number.isFinite)
    return inside.length === 0 ? undefined : ([Math.min(...inside), Math.max(...inside)] as const)
  })
}

function stretched(values: readonly number[], count: number): Span[] {
  return Array.from({ length: count }, (_, i) => {
    const at = values.length === 1 ? 0 : (i / (count - 1)) * (values.length - 1)
    const left = values[Math.floor(at)]!
    const right = values[Math.ceil(at)]!
    const value = left + (right - left) * (at - Math.floor(at))
    return Number.isFinite(value) ? ([value, value] as const) : undefined
  })
}

function brailleLines(spans: readonly Span[], width: number, height: number): string[] {
  const cells = Array.from({ length: height }, () => new Array<number>(width).fill(0))
  let last: number | undefined
  for (const [x, span] of spans.entries()) {
    if (span === undefined) {
      last = undefined
      continue
    }
    // Joined to the column before, so that a steep curve has no holes.
    const low = last === undefined ? span[0] : Math.min(span[0], last > span[1] ? last - 1 : span[0])
    const high = last === undefined ? span[1] : Math.max(span[1], last < span[0] ? last + 1 : span[1])
    for (let y = low; y <= high; y++) {
      const fromTop = height * 4 - 1 - y
      const row = cells[Math.floor(fromTop / 4)]!
      row[x >> 1]! |= DOTS[(x & 1) as 0 | 1][(fromTop % 4) as 0 | 1 | 2 | 3]
    }
    last = span[1]
  }
  return cells.map((row) => row.map((bits) => String.fromCharCode(0x2800 + bits)).join(''))
}

function levelLines(
  spans: readonly Span[],
  width: number,
  height: number,
  levels: readonly string[],
): string[] {
  const lines: string[] = []
  for (let row = height - 1; row >= 0; row--) {
    let line = ''
    for (let x = 0; x < width; x++) {
      const value = spans[x]?.[1]
      const inside = value !== undefined && Math.floor(value / levels.length) === row
      line += inside ? levels[value % levels.length]! : ' '
    }
    lines.push(line)
  }
  return lines
}
