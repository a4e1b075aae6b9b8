/** @file How many threads a run should use. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * Physical cores that this process may use: matrix products gain nothing from a second thread on a core. Known on
 * Linux; elsewhere every logical processor counts as a core.
 */
export function defaultThreads(): number {
  const logical = availableParallelism()
  const cores = process.platform === 'linux' ? linuxCores() : undefined
  return Math.max(1, Math.min(logical, cores ?? logical))
}

/** The most threads that a runtime takes. Threads wait by spinning: thousands of them on two cores never get done. */
export function maxThreads(): number {
  return 4 * Math.max(4, availableParallelism())
}

function linuxCores(): number | undefined {
  try {
    const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    if (allowed === undefined) return undefined
    const cores = parseCpuList(allowed).map((cpu) =>
      readFileSync(`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`, 'utf8').trim(),
    )
    return new Set(cores).size
  } catch {
    return undefined // no /proc or no topology, as in some sandboxes: fall back to logical processors
  }
}

/** The numbers in the kernel's list format, for instance `0-2,7`. */
export function parseCpuList(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number)
    return Array.from({ length: (last ?? first!) - first! + 1 }, (_, i) => first! + i)
  })
}
