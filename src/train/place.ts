/** @file Where a run is trained: as asked, where it was trained last, or on the fastest runtime here. */
import { RegaugeError } from '../errors.ts'
import { type Chosen, chooseRuntime, openRuntime, parseTarget, type Target } from '../runtime/index.ts'

export interface PlaceOptions {
  /** By default where the run was trained last; for a new one the fastest runtime here, by measurement. */
  readonly on?: Target
  /** Lets operations that a device has no kernel for run on the host. Default false: they are named, and refused. */
  readonly allowHost?: boolean
  /** Threads of the runtime; by default one a core. */
  readonly threads?: number
}

/** Opens where a run shall go on, and says why there; `last` describes the runtime that it was trained on last. */
export async function openPlace(options: PlaceOptions, last: string | undefined): Promise<Chosen> {
  const { on, threads, allowHost } = options
  const settings = {
    ...(threads !== undefined && { threads }),
    ...(allowHost !== undefined && { allowHost }),
  }
  if (on !== undefined) return { runtime: openRuntime(on, settings), reason: 'as asked' }
  if (last === undefined) return chooseRuntime(settings)
  const place = placeOf(last)
  try {
    return { runtime: openRuntime(parseTarget(place), settings), reason: 'as before' }
  } catch (error) {
    if (!(error instanceof RegaugeError) || error.kind !== 'environment') throw error
    const message = `this run was trained on ${place} last, which cannot be used here`
    const hint = 'move it by naming another runtime (--on)'
    throw new RegaugeError('environment', [{ code: 'RUN_PLACE_GONE', message, hint }, ...error.issues], {
      cause: error,
    })
  }
}

/** The device in a runtime's description, `ONNX Runtime 1.30.0, cpu, 2 threads`: threads do not make it another. */
export function placeOf(description: string): string {
  return description.split(', ')[1] ?? description
}
