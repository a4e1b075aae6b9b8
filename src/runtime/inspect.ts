/** @file What this machine has for each runtime: library, version, devices, and what is missing. */
import { RegaugeError } from '../errors.ts'
import { createRuntime, inspectLibrary, libraryOf } from './create.ts'
import { devicesOf } from './devices.ts'
import type { ProviderName } from './names.ts'
import { PROVIDERS, type Provider } from './providers.ts'

/** A runtime as it is found on this machine. */
export interface RuntimeReport {
  readonly name: ProviderName
  /** Path of the library that it would use; null where none is found. */
  readonly library: string | null
  readonly version: string | null
  /** Devices that it could use, by the names of their drivers, as far as those tell. */
  readonly devices: readonly string[]
  /** Whether a runtime could be made. */
  readonly usable: boolean
  /** Why not, and what to do. */
  readonly problem?: string
  readonly remedy?: string
  /** Whether regauge has run on the hardware that it is for. */
  readonly tried: string
}

/** Looks for a runtime: makes one, and asks drivers for their devices. Throws nothing but bugs. */
export function inspectRuntime(name: ProviderName): RuntimeReport {
  const { tried }: Provider = PROVIDERS[name]
  const report = { name, library: null, version: null, devices: devicesOf(name), tried }
  try {
    const library = libraryOf(name)
    const { version } = inspectLibrary(library)
    try {
      createRuntime({ name }).dispose()
      return { ...report, library, version, usable: true }
    } catch (error) {
      return { ...report, library, version, ...problemOf(error) }
    }
  } catch (error) {
    return { ...report, ...problemOf(error) }
  }
}

function problemOf(error: unknown): Pick<RuntimeReport, 'usable' | 'problem' | 'remedy'> {
  if (!(error instanceof RegaugeError)) throw error
  const { message, hint } = error.issues[0]!
  return { usable: false, problem: message, ...(hint !== undefined && { remedy: hint }) }
}
