/** @file The execution providers: all that differs between them, one entry each. */
import { type Api, cells, type Pointer } from './api.ts'

/** Settings of a runtime that providers share. */
export interface ProviderSettings {
  readonly threads: number
}

export interface Provider {
  /** Sets the provider's session options. */
  configure(api: Api, options: Pointer, settings: ProviderSettings): void
  /** Makes the `OrtMemoryInfo` of the memory in which tensors lie; the caller releases it. */
  createMemoryInfo(api: Api): Pointer
  /** The device, for people. */
  describe(settings: ProviderSettings): string
}

/** `OrtAllocatorType` and `OrtMemType`. */
const [ARENA_ALLOCATOR, MEMORY_DEFAULT] = [1, 0]

export const PROVIDERS = {
  cpu: {
    configure(api, options, { threads }) {
      api.SetIntraOpNumThreads(options, threads)
    },
    createMemoryInfo(api) {
      const out = cells()
      api.CreateCpuMemoryInfo(ARENA_ALLOCATOR, MEMORY_DEFAULT, out)
      return out[0]!
    },
    describe: ({ threads }) => `cpu, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  },
} as const satisfies Record<string, Provider>

export type ProviderName = keyof typeof PROVIDERS
