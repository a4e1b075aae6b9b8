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
      // How long a thread spins for work before it sleeps. On a training step of 1,600 nodes, 2 threads, medians:
      // alone on two cores 130 ms by default, 125 ms at 500 us, 186 ms without spinning; with other work on both
      // cores 373, 307 and 254 ms. Older libraries do not know the option and spin as they do.
      api.AddSessionConfigEntry(options, 'session.intra_op.spin_duration_us', '500')
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
