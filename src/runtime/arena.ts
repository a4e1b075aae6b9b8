/** @file The memory of intermediate tensors: one arena in host memory that all programs share. */
import { type Api, cells, type Pointer, stringsAt } from './api.ts'
import type { MemoryUse } from './runtime.ts'

/** Session option by which a program uses the shared arena in place of one of its own. */
export const SHARED_ARENA_OPTION = ['session.use_env_allocators', '1'] as const

/** `arena_extend_strategy` of OrtArenaCfg, and -1 for a default. */
const [SAME_AS_REQUESTED, DEFAULT] = [1, -1]

/**
 * Makes the environment's arena. Shared, since programs that take turns (train, evaluate, generate) would otherwise
 * each keep their peak. It grows by what is asked for: by powers of two, the default, a training step of 146 MB of
 * state took 1,073 MB of addresses for a peak of 561 MB; so it took 538 MB, in the same time.
 */
export function createSharedArena(api: Api, environment: Pointer, memoryInfo: Pointer): void {
  const out = cells()
  api.CreateArenaCfg(0, SAME_AS_REQUESTED, DEFAULT, DEFAULT, out)
  const configuration = out[0]!
  try {
    api.CreateAndRegisterAllocator(environment, memoryInfo, configuration)
  } finally {
    api.ReleaseArenaCfg(configuration)
  }
}

/** The shared arena as an `OrtAllocator`, by way of any session that uses it; it outlives the session. */
export function sharedArena(api: Api, session: Pointer, memoryInfo: Pointer): Pointer {
  const out = cells()
  api.CreateAllocator(session, memoryInfo, out)
  return out[0]!
}

/** Statistics of an arena; null where the library keeps none. */
export function arenaUse(api: Api, arena: Pointer): MemoryUse | null {
  if (!api.has('AllocatorGetStats')) return null
  const out = cells()
  api.AllocatorGetStats(arena, out)
  const pairs = out[0]!
  const [keys, values, count] = [cells(), cells(), cells()]
  api.GetKeyValuePairs(pairs, keys, values, count)
  const names = stringsAt(keys[0]!, Number(count[0]))
  const numbers = stringsAt(values[0]!, Number(count[0])).map(Number)
  api.ReleaseKeyValuePairs(pairs)
  const [inUse, peak, reserved] = ['InUse', 'MaxInUse', 'TotalAllocated'].map(
    (name) => numbers[names.indexOf(name)],
  )
  if (inUse === undefined || peak === undefined || reserved === undefined) return null
  // an allocator that has given memory and counted none of it keeps no statistics either
  if (peak === 0 && reserved === 0) return null
  return { inUse, peak, reserved }
}
