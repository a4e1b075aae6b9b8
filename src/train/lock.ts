/** @file One process at a time in a run folder: a lock that a dead process does not hold. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { RegaugeError } from '../errors.ts'

/** A run folder that belongs to this process until it is released, or the process ends in whatever way. */
export interface RunLock {
  release(): void
}

interface Holder {
  readonly pid: number
  /** When the process began, in a form that only this platform compares; `0` where that cannot be known. */
  readonly started: string
  readonly host: string
}

/** How often a tie between processes that start together is played again. */
const ATTEMPTS = 5

/**
 * Takes the lock of a run folder. Each process puts up a file named after itself in `<folder>/lock/` and then looks
 * for others: of two that start together at least one sees the other and steps back. Files of processes that are
 * gone are removed. Throws `RegaugeError('environment')` when a living process holds the folder.
 */
export async function lockRunFolder(folder: string): Promise<RunLock> {
  const place = join(folder, 'lock')
  const self: Holder = { pid: process.pid, started: startOf(process.pid) ?? '0', host: hostname() }
  const file = join(place, nameOf(self))
  const release = (): void => rmSync(file, { force: true })
  for (let attempt = 1; ; attempt++) {
    try {
      mkdirSync(place, { recursive: true })
      closeSync(openSync(file, 'wx'))
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code
      if (code === 'EEXIST') throw locked(folder, self)
      throw unwritable(folder, cause)
    }
    const other = livingHolder(place, self)
    if (other === undefined) return { release }
    release()
    if (attempt === ATTEMPTS) throw locked(folder, other)
    await sleep(20 + Math.random() * 100)
  }
}

/** Who holds the lock of a run folder now; stale files of dead processes do not count. */
function livingHolder(place: string, self: Holder): Holder | undefined {
  for (const name of readdirSync(place)) {
    const holder = parseName(name)
    if (holder === undefined || name === nameOf(self)) continue
    if (isAlive(holder, self.host)) return holder
    rmSync(join(place, name), { force: true })
  }
  return undefined
}

function isAlive({ pid, started, host }: Holder, here: string): boolean {
  if (host !== here) return true // cannot be known from here
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = startOf(pid)
  // the same number with another start is a later process
  return now === undefined || started === '0' || now === started
}

/** When a process began: ticks since boot on Linux, a date elsewhere; undefined where that cannot be known. */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      // the second field is a name in brackets that may hold anything; starttime is the 22nd
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    }
    if (process.platform === 'win32') return undefined
    const date = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
    return date.trim().replaceAll(/\W+/g, '.')
  } catch {
    return undefined
  }
}

function nameOf({ pid, started, host }: Holder): string {
  return `${pid}-${started}@${host}`
}

function parseName(name: string): Holder | undefined {
  const match = /^(\d+)-([^@]+)@(.+)$/.exec(name)
  return match === null ? undefined : { pid: Number(match[1]), started: match[2]!, host: match[3]! }
}

function locked(folder: string, { pid, host }: Holder): RegaugeError {
  return new RegaugeError('environment', {
    code: 'RUN_LOCKED',
    message: `process ${pid} on ${host} trains this run now`,
    file: folder,
    hint: `wait for it or stop it, or give this run another name; if it is dead, remove ${join(folder, 'lock')}`,
  })
}

function unwritable(folder: string, cause: unknown): RegaugeError {
  const message = `the run folder cannot be written (${(cause as NodeJS.ErrnoException).code ?? cause})`
  const hint = 'change its permissions or choose another output folder'
  return new RegaugeError('environment', { code: 'RUN_UNWRITABLE', message, file: folder, hint }, { cause })
}
