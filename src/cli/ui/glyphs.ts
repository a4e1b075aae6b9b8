/** @file The signs that are drawn, with plain ASCII for terminals that have no others. */

export interface Glyphs {
  readonly good: string
  readonly bad: string
  readonly warn: string
  readonly up: string
  readonly down: string
  readonly dot: string
  readonly dash: string
  readonly times: string
  readonly ellipsis: string
  /** Ends of a progress bar, and cells from empty to full. */
  readonly barEnds: readonly [string, string]
  readonly barCells: readonly string[]
  /** Whether braille dots can be drawn; else `levels` stand for heights. */
  readonly braille: boolean
  readonly levels: readonly string[]
  readonly rule: string
}

export const UNICODE: Glyphs = {
  good: '✓',
  bad: '✗',
  warn: '!',
  up: '↑',
  down: '↓',
  dot: '·',
  dash: '–',
  times: '×',
  ellipsis: '…',
  barEnds: ['▕', '▏'],
  barCells: [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'],
  braille: true,
  levels: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
  rule: '─',
}

export const ASCII: Glyphs = {
  good: 'ok',
  bad: 'x',
  warn: '!',
  up: '^',
  down: 'v',
  dot: '-',
  dash: '-',
  times: 'x',
  ellipsis: '...',
  barEnds: ['[', ']'],
  barCells: [' ', '#'],
  braille: false,
  levels: ['_', '.', '-', '=', '*', '#'],
  rule: '-',
}
