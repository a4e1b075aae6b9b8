/** @file Where a program shall run, as a person says it, and the choice where nobody says. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { nearest, RegaugeError } from '../errors.ts'
import { createRuntime, libraryOf, type RuntimeOptions } from './create.ts'
import { measureMatmul } from './matmul.ts'
import { PROVIDER_NAMES, type ProviderName } from './names.ts'
import type { Runtime } from './runtime.ts'
import { vulkanDevices } from './vulkan.ts'

/** A runtime, and which of its devices. */
export interface Target {
  readonly name: ProviderName
  readonly index: number
}

/** Reads `cpu`, `webgpu`, `cuda:1` and the like. Throws `RegaugeError('usage')`. */
export function parseTarget(text: string): Target {
  const [word = '', index, ...rest] = text.split(':')
  const name = PROVIDER_NAMES.find((known) => known === word.toLowerCase())
  if (name === undefined) {
    const near = nearest(word, PROVIDER_NAMES)
    throw new RegaugeError('usage', {
      code: 'RUNTIME_UNKNOWN',
      message: `unknown runtime "${word}"${near === undefined ? '' : `, did you mean "${near}"?`}`,
      hint: `say one of ${PROVIDER_NAMES.join(', ')}, with :N for the device of that number`,
    })
  }
  if (rest.length > 0 || (index !== undefined && !/^\d{1,5}$/.test(index))) {
    throw new RegaugeError('usage', {
      code: 'RUNTIME_DEVICE',
      message: `"${text}" is not a device`,
      hint: `say ${name}, or ${name}:N for the device of that number`,
    })
  }
  return { name, index: index === undefined ? 0 : Number(index) }
}

/** `cpu`, `cuda:1`: as it is said. */
export function formatTarget({ name, index }: Target): string {
  return index === 0 ? name : `${name}:${index}`
}

/** A runtime, and why it was chosen. */
export interface Chosen {
  readonly runtime: Runtime
  readonly reason: string
}

type Settings = Omit<RuntimeOptions, 'name' | 'index'>

/** Opens the runtime that was asked for. */
export function openRuntime(target: Target, settings: Settings = {}): Runtime {
  return createRuntime({ ...settings, ...target })
}

/**
 * Opens the fastest of the runtimes that can be had here, by their products of float32 matrices, measured now. A
 * device that software stands in for is left out. Takes about a second for each runtime where there are several.
 */
export async function chooseRuntime(settings: Settings = {}): Promise<Chosen> {
  const opened: { runtime: Runtime; flopsPerSecond: number }[] = []
  const failed: string[] = []
  const candidates = PROVIDER_NAMES.filter(isPromising)
  const [sole, ...more] = candidates
  if (sole !== undefined && more.length === 0) {
    return {
      runtime: createRuntime({ ...settings, name: sole }),
      reason: `${sole} is the only runtime found here`,
    }
  }
  for (const name of candidates) {
    try {
      const runtime = createRuntime({ ...settings, name })
      try {
        opened.push({ runtime, flopsPerSecond: (await measureMatmul(runtime)).best })
      } catch (error) {
        runtime.dispose()
        throw error
      }
    } catch (error) {
      if (!(error instanceof RegaugeError)) throw error
      failed.push(`${name} failed: ${error.issues[0]!.message}`)
    }
  }
  opened.sort((a, b) => b.flopsPerSecond - a.flopsPerSecond)
  const [best, ...others] = opened
  if (best === undefined)
    throw new RegaugeError(
      'environment',
      failed.map((message) => ({ code: 'RUNTIME_NONE', message })),
    )
  for (const { runtime } of others) runtime.dispose()
  const speeds = opened.map(
    ({ runtime, flopsPerSecond }) => `${runtime.name} ${(flopsPerSecond / 1e9).toFixed(0)}`,
  )
  const reason = `the fastest here, GFLOP/s of float32 products: ${[speeds.join(', '), ...failed].join('; ')}`
  return { runtime: best.runtime, reason }
}

/** Whether it is worth trying a runtime: cheap to ask, and silent. */
function isPromising(name: ProviderName): boolean {
  switch (name) {
    case 'cpu':
      return true
    case 'webgpu':
      return process.platform === 'linux' ? vulkanDevices().some(({ hardware }) => hardware) : true
    case 'cuda':
      return existsSync(join(dirname(libraryOf(name)), 'libonnxruntime_providers_cuda.so'))
    case 'cann':
      return (process.env.REGAUGE_CANN_LIBRARY ?? '') !== ''
  }
}
