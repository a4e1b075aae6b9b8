/** @file A region at the bottom of the terminal that is drawn again and again while lines scroll above it. */
import type { Terminal } from './terminal.ts'
import { columnsOf, cutTo } from './text.ts'

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const BEGIN_FRAME = '\u001b[?2026h'
const END_FRAME = '\u001b[?2026l'
const CLEAR_BELOW = '\u001b[0J'
const FRAME_MS = 100
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface LiveArea {
  /** Something changed: draws again, at most ten times a second. */
  update(): void
  /** Takes the region away, shows the cursor again and lets the terminal speak for itself. */
  close(): void
}

/**
 * Opens a live area. `lines(width)` gives its lines at the moment of drawing. All that the terminal is told
 * to say meanwhile appears above it. The cursor comes back also when the process exits or is killed by a
 * signal that nobody else handles.
 */
export function openLiveArea(terminal: Terminal, lines: (width: number) => readonly string[]): LiveArea {
  const { screen, glyphs } = terminal
  let drawn: readonly string[] = []
  let timer: NodeJS.Timeout | null = null
  let closed = false

  /** Back to the first column of the first line. A terminal made narrower has wrapped what was drawn. */
  const erase = (): string => {
    if (drawn.length === 0) return ''
    const width = terminal.width()
    const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(columnsOf(line) / width)), 0)
    drawn = []
    return `${rows > 1 ? `\u001b[${rows - 1}A` : ''}\r${CLEAR_BELOW}`
  }
  const draw = (): void => {
    const width = terminal.width()
    const before = erase()
    const room = Math.max(1, (screen.rows ?? 24) - 1)
    drawn = lines(width)
      .slice(0, room)
      .map((line) => cutTo(line, width - 1, glyphs.ellipsis))
    screen.write(`${BEGIN_FRAME}${before}${drawn.join('\n')}${END_FRAME}`)
  }
  const onTimer = (): void => {
    timer = null
    if (!closed) draw()
  }
  const restore = (): void => {
    screen.write(SHOW_CURSOR)
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    // Somebody else who listens decides what happens; alone, this must die as it would have.
    if (process.listenerCount(signal) > 1) return
    close()
    process.kill(process.pid, signal)
  }
  const close = (): void => {
    if (closed) return
    closed = true
    if (timer !== null) clearTimeout(timer)
    terminal.divert(null)
    screen.write(`${erase()}${SHOW_CURSOR}`)
    screen.off('resize', draw)
    process.off('exit', restore)
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }

  screen.write(HIDE_CURSOR)
  screen.on('resize', draw)
  process.on('exit', restore)
  for (const signal of SIGNALS) process.on(signal, onSignal)
  terminal.divert((write) => {
    screen.write(`${BEGIN_FRAME}${erase()}`)
    write()
    draw()
  })
  draw()
  return {
    update: () => {
      if (closed || timer !== null) return
      timer = setTimeout(onTimer, FRAME_MS)
      timer.unref()
    },
    close,
  }
}
