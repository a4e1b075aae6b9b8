/** @file The execution providers: all that differs between them, one entry each. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { RegaugeError } from '../errors.ts'
import { type Api, addressOf, cells, type Pointer } from './api.ts'
import type { ProviderName } from './names.ts'

/** Settings of a runtime that providers share. */
export interface ProviderSettings {
  readonly threads: number
  /** Which device of the provider, from 0. */
  readonly index: number
  /** Path of the ONNX Runtime library. */
  readonly library: string
}

export interface Provider {
  /** The name of ONNX Runtime for it. */
  readonly ortName: string
  /** Where tensors lie: in memory that the host addresses, or in the device's own. */
  readonly memory: 'host' | 'device'
  /**
   * How bytes get to the device and back: by the transfers that the provider registers with the environment, or, for
   * a provider that registers them with its sessions alone, by a session that does nothing else.
   */
  readonly copies: 'environment' | 'session'
  /**
   * Whether an output may be tied to the tensor of an input where the graph proves it safe. Tests hold such state
   * against swapped state, bit for bit, on each runtime that says so.
   */
  readonly inPlace: boolean
  /** How many devices `index` may choose from; undefined where ONNX Runtime finds that out by itself. */
  readonly devices?: number
  /** The environment variable by which a user points to the library. */
  readonly libraryVariable?: string
  /** What to do where it cannot be used. */
  readonly remedy: string
  /** Whether the provider has run on the hardware that it is for, and what is known if not. */
  readonly tried: string
  /** Sets the provider's session options. */
  configure(api: Api, options: Pointer, settings: ProviderSettings): void
  /** The device, for people. */
  describe(settings: ProviderSettings): string
}

/** `OrtAllocatorType` and `OrtMemType`. */
const [ARENA_ALLOCATOR, MEMORY_DEFAULT] = [1, 0]

/** The `OrtMemoryInfo` of host memory; the caller releases it. */
export function hostMemoryInfo(api: Api): Pointer {
  const out = cells()
  api.CreateCpuMemoryInfo(ARENA_ALLOCATOR, MEMORY_DEFAULT, out)
  return out[0]!
}

export const PROVIDERS = {
  cpu: {
    ortName: 'CPUExecutionProvider',
    memory: 'host',
    copies: 'environment',
    inPlace: true,
    devices: 1,
    remedy: 'npm install onnxruntime-node',
    tried: 'tested on x64 Linux',
    configure(api, options, { threads }) {
      api.SetIntraOpNumThreads(options, threads)
      // How long a thread spins for work before it sleeps. On a training step of 1,600 nodes, 2 threads, medians:
      // alone on two cores 130 ms by default, 125 ms at 500 us, 186 ms without spinning; with other work on both
      // cores 373, 307 and 254 ms. Older libraries do not know the option and spin as they do.
      api.AddSessionConfigEntry(options, 'session.intra_op.spin_duration_us', '500')
    },
    describe: ({ threads }) => `cpu, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  },
  webgpu: {
    ortName: 'WebGpuExecutionProvider',
    memory: 'device',
    copies: 'environment',
    // WebGPU forbids a buffer that one dispatch both reads and writes under two bindings
    inPlace: false,
    devices: 1,
    libraryVariable: 'REGAUGE_WEBGPU_LIBRARY',
    remedy: "install the GPU's driver (on Linux one for Vulkan, and libvulkan1)",
    tried: 'tested on an NVIDIA H100 through Vulkan, and on a software Vulkan device',
    configure(api, options) {
      appendGeneric(api, options, 'WebGPU', {})
    },
    describe: () => 'webgpu',
  },
  cuda: {
    ortName: 'CUDAExecutionProvider',
    memory: 'device',
    copies: 'session',
    // safe by the order of one stream, but not yet proven on a device
    inPlace: false,
    libraryVariable: 'REGAUGE_CUDA_LIBRARY',
    remedy:
      "set REGAUGE_CUDA_LIBRARY to the libonnxruntime of ONNX Runtime's GPU package, its provider libraries beside it",
    tried: 'its calls are tested on a stand-in; not yet run on hardware',
    configure(api, options, { index, library }) {
      requireBeside(library, 'cuda')
      withOptions(
        api,
        ['CreateCUDAProviderOptions', 'UpdateCUDAProviderOptions', 'ReleaseCUDAProviderOptions'],
        [
          {
            device_id: String(index),
            arena_extend_strategy: 'kSameAsRequested',
            // else float32 products round their factors to 10 bits
            use_tf32: '0',
          },
        ],
        (made) => api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, made),
      )
    },
    describe: ({ index }) => `cuda:${index}`,
  },
  cann: {
    ortName: 'CANNExecutionProvider',
    memory: 'device',
    copies: 'session',
    // a whole subgraph is one compiled model, which may write an output at any time
    inPlace: false,
    libraryVariable: 'REGAUGE_CANN_LIBRARY',
    remedy:
      'set REGAUGE_CANN_LIBRARY to a libonnxruntime built with CANN, for instance that of the onnxruntime-cann wheel, with the CANN toolkit in the environment',
    tried: 'its calls are tested on a stand-in; not yet run on hardware',
    configure(api, options, { index }) {
      withOptions(
        api,
        ['CreateCANNProviderOptions', 'UpdateCANNProviderOptions', 'ReleaseCANNProviderOptions'],
        // Else the graph engine may compute float32 products in float16. The second name took the place of the first
        // in microsoft/onnxruntime#27970; no version knows both.
        [{ precision_mode: 'must_keep_origin_dtype' }, { precision_mode_v2: 'origin' }].map((precision) => ({
          device_id: String(index),
          arena_extend_strategy: 'kSameAsRequested',
          enable_cann_graph: '1',
          ...precision,
        })),
        (made) => api.SessionOptionsAppendExecutionProvider_CANN(options, made),
      )
    },
    describe: ({ index }) => `cann:${index}`,
  },
} as const satisfies Record<ProviderName, Provider>

/** What a provider says of an option that its version does not have. */
const UNKNOWN_OPTION = /unknown provider option/i

/**
 * Options of a provider that ONNX Runtime keeps behind a pointer: made, filled, used and released. They are the first
 * of `alternatives` of which the provider knows every name.
 */
function withOptions(
  api: Api,
  [create, update, release]:
    | ['CreateCUDAProviderOptions', 'UpdateCUDAProviderOptions', 'ReleaseCUDAProviderOptions']
    | ['CreateCANNProviderOptions', 'UpdateCANNProviderOptions', 'ReleaseCANNProviderOptions'],
  alternatives: readonly Readonly<Record<string, string>>[],
  use: (options: Pointer) => void,
): void {
  const out = cells()
  api[create](out)
  const options = out[0]!
  try {
    for (const [i, values] of alternatives.entries()) {
      const { keys, texts, count, keep } = cStrings(values)
      try {
        api[update](options, keys, texts, count)
        break
      } catch (error) {
        const unknown = error instanceof RegaugeError && UNKNOWN_OPTION.test(error.message)
        if (!unknown || i === alternatives.length - 1) throw error
      } finally {
        keep()
      }
    }
    use(options)
  } finally {
    api[release](options)
  }
}

function appendGeneric(
  api: Api,
  options: Pointer,
  name: string,
  values: Readonly<Record<string, string>>,
): void {
  const { keys, texts, count, keep } = cStrings(values)
  api.SessionOptionsAppendExecutionProvider(options, name, keys, texts, count)
  keep()
}

/** Keys and values as two arrays of C strings, alive until `keep` is called. */
function cStrings(values: Readonly<Record<string, string>>) {
  const memory: Uint8Array[] = []
  const pointers = (strings: readonly string[]): BigInt64Array => {
    const list = cells(strings.length)
    strings.forEach((text, i) => {
      const bytes = Buffer.from(`${text}\0`)
      const held = new Uint8Array(new ArrayBuffer(bytes.byteLength))
      held.set(bytes)
      memory.push(held)
      list[i] = addressOf(held)
    })
    return list
  }
  return {
    keys: pointers(Object.keys(values)),
    texts: pointers(Object.values(values)),
    count: Object.keys(values).length,
    keep: () => void memory.length,
  }
}

/** Throws when the provider's own libraries do not lie beside ONNX Runtime's, where it looks for them. */
function requireBeside(library: string, provider: 'cuda'): void {
  if (process.platform !== 'linux') return
  const names = ['shared', provider].map((part) => `libonnxruntime_providers_${part}.so`)
  const missing = names.filter((name) => !existsSync(join(dirname(library), name)))
  if (missing.length === 0) return
  throw new RegaugeError('environment', {
    code: 'RUNTIME_PROVIDER_MISSING',
    message: `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not beside ONNX Runtime's library`,
    file: library,
    hint: PROVIDERS[provider].remedy,
  })
}
