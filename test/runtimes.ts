/** @file Which runtimes can be had on this machine, for tests that need one. */
import { createRuntime, type ProviderName } from '../src/runtime/index.ts'

/** Why a runtime cannot be had here; undefined when it can. */
export function missingRuntime(name: ProviderName): string | undefined {
  try {
    createRuntime({ name }).dispose()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
