/** @file What the streams can show (colour, Unicode, a live area, their width) and safe writing to them. */

import picocolors from 'picocolors'
import { harmless } from '../../harmless.ts'
import { ASCII, type Glyphs, UNICODE } from './glyphs.ts'

/** Functions that colour a text, or leave it as it is. */
export type Colors = ReturnType<typeof picocolors.createColors>

type Environment = Readonly<Record<string, string | undefined>>

/** The part of a stream that is used here. */
export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): boolean
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown
  on(event: 'resize', listener: () => void): unknown
  off(event: 'resize', listener: () => void): unknown
}

export interface Terminal {
  /** Data: what a script would read. Lines get their newline here. */
  data(text: string): void
  /** Data that comes in pieces, without a newline: as it is, but on a terminal made harmless. */
  piece(text: string): void
  /** Talk: what a person would read. */
  talk(text: string): void
  /** Colours for data and for talk; they do nothing where the stream takes none. */
  readonly colors: Colors
  readonly talkColors: Colors
  readonly glyphs: Glyphs
  /** A person watches both streams on a terminal that can move its cursor. */
  readonly live: boolean
  /** Columns of the terminal now, 80 when there is none or it does not say (0). */
  width(): number
  /** Where a live area is drawn. */
  readonly screen: Output
  /** While there is a live area, what is said goes through it, so that it stands above. Null ends that. */
  divert(through: ((write: () => void) => void) | null): void
}

/** Looks at the streams and the environment once. A reader that goes away (EPIPE) silences its stream. */
export function openTerminal(stdout: Output, stderr: Output, env: Environment): Terminal {
  const dumb = env.TERM === 'dumb'
  const data = quietOnEpipe(stdout)
  const talk = quietOnEpipe(stderr)
  const terminal = (stdout.isTTY ?? false) && (stderr.isTTY ?? false)
  let diverted: ((write: () => void) => void) | null = null
  const say = (write: (text: string) => boolean, text: string): void => {
    if (diverted === null) write(`${text}\n`)
    else diverted(() => write(`${text}\n`))
  }
  return {
    data: (text) => say(data, text),
    piece: (text) => void data(stdout.isTTY ? harmless(text) : text),
    talk: (text) => say(talk, text),
    divert: (through) => {
      diverted = through
    },
    colors: picocolors.createColors(takesColor(stdout, env)),
    talkColors: picocolors.createColors(takesColor(stderr, env)),
    glyphs: takesUnicode(env) ? UNICODE : ASCII,
    live: terminal && !dumb && !inCi(env),
    width: () => Math.max(20, stdout.columns || stderr.columns || 80),
    screen: { ...bound(stderr), write: talk },
  }
}

function bound(stream: Output): Omit<Output, 'write'> {
  return {
    get isTTY() {
      return stream.isTTY ?? false
    },
    get columns() {
      return stream.columns || 80
    },
    get rows() {
      return stream.rows || 24
    },
    on: stream.on.bind(stream) as Output['on'],
    off: stream.off.bind(stream),
  }
}

/** NO_COLOR (non-empty) forbids, FORCE_COLOR (not 0) demands, else a terminal outside CI that is not dumb. */
export function takesColor(stream: Output, env: Environment): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false'
  return (stream.isTTY ?? false) && env.TERM !== 'dumb' && !inCi(env)
}

/** By the locale where one is set; the Linux console and dumb terminals have few glyphs. */
export function takesUnicode(env: Environment): boolean {
  if (env.TERM === 'linux' || env.TERM === 'dumb') return false
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG
  return locale ? /utf-?8/i.test(locale) : true
}

function inCi(env: Environment): boolean {
  return env.CI !== undefined && env.CI !== '' && env.CI !== '0' && env.CI !== 'false'
}

function quietOnEpipe(stream: Output): (text: string) => boolean {
  let gone = false
  stream.on('error', (error) => {
    // A run must not die because `| head` has read enough.
    if (error.code !== 'EPIPE') throw error
    gone = true
  })
  return (text) => (gone ? false : stream.write(text))
}
